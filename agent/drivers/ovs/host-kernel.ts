/**
 * What the switch needs of the host's own kernel: the address of the services behind their port, with nothing else of the host
 * in reach of guests; the tunnel's address on the uplink bridge, if it is ours to keep; silence on NICs that a user-space
 * switch works on. A user-space switch makes its internal devices anew when it restarts, bare: so it is done again then.
 */
import { serviceAddress } from '@kvasir/ovs/compile/pipeline.ts';
import { atoms } from '@kvasir/ovs/ovsdb-values.ts';
import type { RunProgram } from '../program.ts';
import type { CurrentRows } from './rows/current.ts';
import type { WantedBridge } from './rows/wanted.ts';
import { metadataPort } from './rows/wanted-switch.ts';

export interface HostKernelOptions {
  readonly run: RunProgram;
  readonly datapathType: 'system' | 'netdev';
  readonly uplinkBridge: string | null;
  /** With its prefix length; null: not ours to keep. */
  readonly tunnelAddress: string | null;
}

const serviceClients = '100.64.0.0/10';

/** Whether the kernel's devices of the switch are still the same. */
export function switchLife(rows: CurrentRows, bridge: string): string {
  return JSON.stringify(rows.byName('Interface', bridge)?.row.ifindex ?? null);
}

export class HostKernel {
  readonly #options: HostKernelOptions;
  #tended = '';

  constructor(options: HostKernelOptions) {
    this.#options = options;
  }

  async tend(rows: CurrentRows, bridges: readonly WantedBridge[]): Promise<void> {
    const { run, uplinkBridge, tunnelAddress, datapathType } = this.#options;
    const nics = datapathType === 'netdev' ? uplinkNics(bridges) : [];
    const index = (device: string) => atoms(rows.byName('Interface', device)?.row.ifindex)[0] ?? null;
    const devices = [metadataPort, ...(uplinkBridge === null ? [] : [uplinkBridge]), ...nics];
    const state = JSON.stringify(devices.map((device) => [device, index(device)]));
    if (state === this.#tended) return;
    const lines: string[] = [];
    if (index(metadataPort) !== null) {
      lines.push(
        `link set dev ${metadataPort} addrgenmode none up`,
        `address replace ${serviceAddress}/32 dev ${metadataPort}`,
        `route replace ${serviceClients} dev ${metadataPort} src ${serviceAddress}`,
      );
      await run('nft', ['-f', '-'], { input: onlyServices() });
    }
    if (uplinkBridge !== null && index(uplinkBridge) !== null && tunnelAddress !== null) {
      lines.push(`link set dev ${uplinkBridge} up`, `address replace ${tunnelAddress} dev ${uplinkBridge}`);
    }
    const present = nics.filter((nic) => index(nic) !== null);
    for (const nic of present) {
      lines.push(`link set dev ${nic} up`);
      await run('nft', ['-f', '-'], { input: silence(nic) });
    }
    if (lines.length > 0) await run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
    this.#tended = state;
  }
}

/** NICs that are ports of bridges of ours. */
function uplinkNics(bridges: readonly WantedBridge[]): string[] {
  const plain = bridges.filter(({ own, failMode }) => own && failMode === 'standalone');
  const interfaces = plain.flatMap(({ ports }) => ports).flatMap((port) => port.interfaces);
  return interfaces.filter(({ type }) => type === '').map(({ name }) => name);
}

/** Names are served by UDP alone: whoever listens to TCP there is not ours. */
function onlyServices(): string {
  const hook = `type filter hook ingress device "${metadataPort}" priority 0; policy drop;`;
  const to = `ip saddr ${serviceClients} ip daddr ${serviceAddress}`;
  return (
    anew(metadataPort, hook) +
    rule(metadataPort, 'ether type arp accept') +
    // Parts would fill the room that the whole host has for parts.
    rule(metadataPort, 'ip frag-off & 0x3fff != 0 drop') +
    rule(metadataPort, `${to} tcp dport 80 accept`) +
    rule(metadataPort, `${to} udp dport 53 accept`)
  );
}

function silence(nic: string): string {
  return anew(nic, `type filter hook ingress device "${nic}" priority 0; policy drop;`);
}

/** One transaction: whether or not the chain is there, also one that is left of a device that is gone. */
function anew(device: string, hook: string): string {
  const chain = `chain netdev kvasir ${chainName(device)}`;
  return `add table netdev kvasir\nadd ${chain}\ndelete ${chain}\nadd ${chain} { ${hook} }\n`;
}

function rule(device: string, words: string): string {
  return `add rule netdev kvasir ${chainName(device)} ${words}\n`;
}

/** nft knows letters and digits. */
function chainName(device: string): string {
  return `on_${device.replaceAll(/[^a-zA-Z0-9]/g, '_')}`;
}
