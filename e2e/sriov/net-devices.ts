/** Network devices of the machine: by the PCI device that they are of, by address, and whether a pair has taken them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';

const all = '/sys/class/net';

export function netDeviceOf(pciAddress: string): string {
  const [name] = readdirSync(`/sys/bus/pci/devices/${pciAddress}/net`);
  if (name === undefined) throw new Error(`${pciAddress} is no network device`);
  return name;
}

/** Of a failover pair: the device above both, not its halves. */
export function netDeviceWithMac(macAddress: string): string {
  const name = readdirSync(all).find((each) => macOf(each) === macAddress && !isHalf(each));
  if (name === undefined) throw new Error(`there is no network device ${macAddress}`);
  return name;
}

/** The kernel has made it one half of a pair, or it is a port of a bridge. */
export function isHalf(name: string): boolean {
  return existsSync(`${all}/${name}/master`);
}

function macOf(name: string): string {
  return readFileSync(`${all}/${name}/address`, 'utf8').trim();
}
