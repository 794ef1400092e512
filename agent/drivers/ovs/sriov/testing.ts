/** A sysfs with network devices as the kernel lays it out, in a folder of its own: for tests without such hardware. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface FakeDevice {
  readonly nic: string;
  readonly pciAddress: string;
  readonly driver: string;
  /** undefined: it cannot be divided. */
  readonly most?: number;
  readonly virtualFunctions?: readonly {
    readonly pciAddress: string;
    readonly driver: string | null;
    /** `0x1003` (up), `0x1002` (down); undefined: it is no network device of the host. */
    readonly hostFlags?: string;
  }[];
  readonly switchHardwareId?: string;
  readonly devicePort?: number;
  /** undefined: the link is down. */
  readonly speedMbps?: number;
}

export class FakeSysfs {
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  static async make(devices: readonly FakeDevice[]): Promise<FakeSysfs> {
    const made = new FakeSysfs(await mkdtemp(join(tmpdir(), 'kvasir-sysfs-')));
    await mkdir(join(made.root, 'class/net/lo'), { recursive: true });
    for (const device of devices) await made.#add(device);
    return made;
  }

  remove(): Promise<void> {
    return rm(this.root, { recursive: true });
  }

  async #add(device: FakeDevice): Promise<void> {
    const { nic, pciAddress, driver, most, virtualFunctions = [] } = device;
    const bus = join(this.root, 'devices/pci0000:00');
    const physical = join(bus, pciAddress);
    await this.#function(physical, driver);
    const net = join(physical, 'net', nic);
    await mkdir(net, { recursive: true });
    await symlink(`../../devices/pci0000:00/${pciAddress}/net/${nic}`, join(this.root, 'class/net', nic));
    await symlink(`../../../${pciAddress}`, join(net, 'device'));
    await writeFile(join(net, 'dev_port'), `${device.devicePort ?? 0}\n`);
    if (device.speedMbps !== undefined) await writeFile(join(net, 'speed'), `${device.speedMbps}\n`);
    if (device.switchHardwareId !== undefined) {
      await writeFile(join(net, 'phys_switch_id'), `${device.switchHardwareId}\n`);
    }
    if (most === undefined) return;
    await writeFile(join(physical, 'sriov_totalvfs'), `${most}\n`);
    await writeFile(join(physical, 'sriov_numvfs'), `${virtualFunctions.length}\n`);
    for (const [index, each] of virtualFunctions.entries()) {
      await this.#function(join(bus, each.pciAddress), each.driver);
      await symlink(`../${each.pciAddress}`, join(physical, `virtfn${index}`));
      if (each.hostFlags === undefined) continue;
      const hostNic = join(bus, each.pciAddress, 'net', `${nic}v${index}`);
      await mkdir(hostNic, { recursive: true });
      await writeFile(join(hostNic, 'flags'), `${each.hostFlags}\n`);
    }
  }

  async #function(path: string, driver: string | null): Promise<void> {
    await mkdir(path, { recursive: true });
    if (driver === null) return;
    await mkdir(join(this.root, 'bus/pci/drivers', driver), { recursive: true });
    await symlink(`../../../bus/pci/drivers/${driver}`, join(path, 'driver'));
  }
}
