/**
 * Network devices that can be divided (SR-IOV), as the kernel shows them in sysfs. A pure reader: it changes nothing, and devices
 * that come or go while it reads are left out. How many virtual functions there are is the administrator's affair
 * (`sriov_numvfs`): to change that takes all of them from their VMs.
 */
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { PhysicalFunction } from '@kvasir/api/agent/host.ts';

const virtualFunctionLink = /^virtfn([0-9]+)$/;

/** @param root where sysfs is mounted */
export async function readPhysicalFunctions(root = '/sys'): Promise<PhysicalFunction[]> {
  const devices = join(root, 'class/net');
  const names = await readdir(devices).catch(() => []);
  const found = await Promise.all(names.sort().map((nic) => readPhysicalFunction(devices, nic)));
  return found.filter((each) => each !== null);
}

async function readPhysicalFunction(devices: string, nic: string): Promise<PhysicalFunction | null> {
  const device = join(devices, nic, 'device');
  const most = Number((await text(join(device, 'sriov_totalvfs'))) ?? 0);
  // A device with several network devices tells the same of all: the first port is the one that is divided.
  const port = Number((await text(join(devices, nic, 'dev_port'))) ?? 0);
  if (!(most > 0) || port > 0) return null;
  try {
    const links = (await readdir(device)).flatMap((name) => {
      const index = virtualFunctionLink.exec(name)?.[1];
      return index === undefined ? [] : [{ index: Number(index), path: join(device, name) }];
    });
    const virtualFunctions = await Promise.all(
      links
        .sort((a, b) => a.index - b.index)

        .map(async ({ index, path }) => ({ index, pciAddress: await target(path), driver: await driverOf(path) })),
    );
    return {
      nic,
      pciAddress: basename(await realpath(device)),
      driver: await driverOf(device),
      switchHardwareId: await text(join(devices, nic, 'phys_switch_id')),
      most,
      virtualFunctions,
    };
  } catch {
    return null;
  }
}

async function target(link: string): Promise<string> {
  return basename(await readlink(link));
}

function driverOf(device: string): Promise<string | null> {
  return target(join(device, 'driver')).catch(() => null);
}

/** Many devices have the file but refuse to be asked. */
async function text(path: string): Promise<string | null> {
  const words = await readFile(path, 'utf8').catch(() => '');
  return words.trim() === '' ? null : words.trim();
}
