/**
 * Tap devices in the kernel: one for each NIC, persistent, so that it outlives the hypervisor's process and the switch
 * always finds it. The host itself must not speak on it: no IPv6 address is generated, and where the switch works in user
 * space (it reads copies, so the kernel's IP stack would answer the guest as well) an nft chain drops what comes in.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Port } from '../network.ts';
import { ProgramError, type RunProgram } from '../program.ts';

export interface TapOptions {
  readonly device: string;
  /** Whose it is; kept as the device's alias, so that a device without a switch port still says so. */
  readonly port: Port;
  readonly mtu: number;
  /** Drop on ingress: for switches with `datapath_type=netdev`. */
  readonly hush: boolean;
}

const nftTable = 'kvasir';

/** Makes the device, or puts an existing one in order. Answers whether it was made now. */
export async function makeTap(run: RunProgram, tap: TapOptions): Promise<{ created: boolean }> {
  const lines = [
    `tuntap add dev ${tap.device} mode tap`,
    `link set dev ${tap.device} alias ${writeAlias(tap.port)}`,
    `link set dev ${tap.device} addrgenmode none mtu ${tap.mtu} up`,
  ];
  const existed = await batch(run, lines, (failed, words) => {
    return failed.length === 1 && failed[0] === 1 && words.includes('busy');
  });
  if (existed) await requireTap(run, tap.device);
  if (tap.hush) await run('nft', ['-f', '-'], { input: dropChain(tap.device) });
  return { created: !existed };
}

/** Whether the device is there as it should be. A repeated attach costs this look only. */
export async function tapInOrder(run: RunProgram, tap: TapOptions): Promise<boolean> {
  const link = await showLink(run, tap.device);
  if (link?.linkinfo?.info_kind !== 'tun' || link.flags?.includes('UP') !== true) return false;
  if (link.mtu !== tap.mtu || link.ifalias !== writeAlias(tap.port)) return false;
  if (tap.hush) await run('nft', ['-f', '-'], { input: dropChain(tap.device) });
  return true;
}

/** A device of our name that is something else answers `busy` as well. */
async function requireTap(run: RunProgram, device: string): Promise<void> {
  if ((await showLink(run, device))?.linkinfo?.info_kind === 'tun') return;
  throw new KvasirError('host-failed', { reason: `the device ${device} exists and is no tap` });
}

interface Link {
  readonly ifname?: string;
  readonly ifalias?: string;
  readonly mtu?: number;
  readonly flags?: readonly string[];
  readonly linkinfo?: { readonly info_kind?: string };
}

async function showLink(run: RunProgram, device: string): Promise<Link | undefined> {
  try {
    const { stdout } = await run('ip', ['-json', '-details', 'link', 'show', 'dev', device]);
    return (JSON.parse(stdout) as readonly Link[])[0];
  } catch (error) {
    if (error instanceof ProgramError && error.stderr.includes('does not exist')) return undefined;
    throw error;
  }
}

/** Removes device and chain; what is not there counts as removed. */
export async function removeTap(run: RunProgram, device: string): Promise<void> {
  await batch(run, [`link del dev ${device}`], (_failed, words) => words.includes('Cannot find device'));
  await run('nft', ['-f', '-'], { input: noChain(device) });
}

/** The tap devices of ours that are here, by name. */
export async function listTaps(run: RunProgram): Promise<Map<string, Port>> {
  const { stdout } = await run('ip', ['-json', 'link', 'show']);
  const links = JSON.parse(stdout === '' ? '[]' : stdout) as readonly Link[];
  const found = links.flatMap(({ ifname, ifalias }): [string, Port][] => {
    const port = readAlias(ifalias ?? '');
    return ifname === undefined || port === null ? [] : [[ifname, port]];
  });
  return new Map(found);
}

function writeAlias(port: Port): string {
  return `kvasir/${port.nicId}/${port.vmId}/${port.networkId}`;
}

function readAlias(alias: string): Port | null {
  const [mark, nicId, vmId, networkId, ...more] = alias.split('/');
  if (mark !== 'kvasir' || nicId === undefined || vmId === undefined || networkId === undefined) return null;
  return more.length > 0 ? null : { nicId, vmId, networkId };
}

/** Runs `ip` once for all lines. Answers whether there was a failure that `tolerated` accepts. */
async function batch(
  run: RunProgram,
  lines: readonly string[],
  tolerated: (failedLines: readonly number[], words: string) => boolean,
): Promise<boolean> {
  try {
    await run('ip', ['-force', '-batch', '-'], { input: `${lines.join('\n')}\n` });
    return false;
  } catch (error) {
    if (!(error instanceof ProgramError)) throw error;
    const failed = [...error.stderr.matchAll(/^Command failed -:(\d+)/gm)].map((match) => Number(match[1]));
    if (failed.length > 0 && tolerated(failed, error.stderr)) return true;
    throw error;
  }
}

/** One transaction: makes the chain anew even if one is left over from a device of the same name that is gone. */
function dropChain(device: string): string {
  const hook = `type filter hook ingress device "${device}" priority 0; policy drop;`;
  return `${noChain(device)}add chain netdev ${nftTable} ${device} { ${hook} }\n`;
}

/** Adding first makes the deletion succeed whether or not the chain is there. */
function noChain(device: string): string {
  const chain = `chain netdev ${nftTable} ${device}\n`;
  return `add table netdev ${nftTable}\nadd ${chain}delete ${chain}`;
}
