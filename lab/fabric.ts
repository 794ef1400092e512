/**
 * The lab's cabling: one network namespace with a bridge for each of the three networks; each host hangs on all three by
 * a veth pair. Spare NICs have a cable whose far end lies loose in the namespace, for a switch that a test brings. The namespace has no link to the machine's own network and no default route anywhere, so no frame leaves it.
 * A cut takes the fabric's end of a cable down: the host sees its carrier go, as with a pulled plug.
 *
 * Each bridge has an address of its own. One without takes the lowest of its ports', so it would change with the power of some
 * host, and the others would send to the manager's old address until their neighbour entries run out, half a minute later.
 */
import { readdirSync } from 'node:fs';
import { attempt, run } from './command.ts';
import { cable, managerEndpoint, networks, spareCables } from './layout.ts';
import type { HostLayout, LabLayout, LabNetwork } from './layout.ts';
import { until } from './processes.ts';

/** Room for VXLAN's 50 bytes around a guest's 1500, as an underlay should have. */
const vmNetworkMtu = 1600;
const noIpv6 = ['net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1'];

export function networkNamespaces(): string[] {
  try {
    return readdirSync('/run/netns');
  } catch {
    return [];
  }
}

async function batch(namespace: string, lines: readonly string[]): Promise<void> {
  await run(['ip', '-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

async function addNamespace(namespace: string): Promise<void> {
  await run(['ip', 'netns', 'add', namespace]);
  await attempt(['ip', 'netns', 'exec', namespace, 'sysctl', '-q', '-w', ...noIpv6]);
  await batch(namespace, ['link set lo up']);
}

/** Makes the fabric; a half-made one of an interrupted run is made anew (its hosts then lose their cables, so only without hosts). */
export async function buildFabric(lab: LabLayout): Promise<void> {
  const namespace = lab.fabricNamespace;
  if (networkNamespaces().includes(namespace)) {
    const links = await attempt(['ip', '-n', namespace, '-o', 'address', 'show', 'dev', 'management']);
    if (links.stdout.includes(managerEndpoint.address)) return;
    await run(['ip', 'netns', 'del', namespace]);
  }
  await addNamespace(namespace);
  await batch(namespace, [
    ...networks.flatMap((network, index) => [
      `link add ${network} address 02:6b:76:ff:00:0${index} type bridge forward_delay 0 mcast_snooping 0`,
      `link set ${network} ${network === 'vm' ? `mtu ${vmNetworkMtu}` : ''} up`,
    ]),
    // Last, because its presence says that the fabric is complete.
    `address add ${managerEndpoint.address}/24 dev management`,
  ]);
}

export interface Plugging {
  /** No carrier on these. */
  readonly cuts: readonly LabNetwork[];
  readonly spareNics: number;
}

/** A new network namespace for a host that boots, with its NICs plugged in. */
export async function plugHost(lab: LabLayout, host: HostLayout, { cuts, spareNics }: Plugging): Promise<void> {
  await unplugHost(lab, host);
  await addNamespace(host.namespace);
  const fabric = lab.fabricNamespace;
  const spare = spareCables(spareNics, host.name);
  await batch(fabric, [
    ...networks.flatMap((network) => {
      const { nic, port } = cable(network, host.name);
      const mtu = network === 'vm' ? ` mtu ${vmNetworkMtu}` : '';
      return [
        `link add ${port}${mtu} type veth peer name ${nic}${mtu} netns ${host.namespace}`,
        `link set ${port} master ${network} ${cuts.includes(network) ? 'down' : 'up'}`,
      ];
    }),
    ...spare.map(({ nic, port }) => `link add ${port} type veth peer name ${nic} netns ${host.namespace}`),
  ]);
  await batch(host.namespace, [
    `address add ${host.addresses.management}/24 dev ${cable('management', host.name).nic}`,
    `address add ${host.addresses.storage}/24 dev ${cable('storage', host.name).nic}`,
    ...networks.map((network) => `link set ${cable(network, host.name).nic} up`),
  ]);
  // The user-space switch passes frames on as they are: what the kernel left for the NIC to fill in would stay empty.
  for (const { nic, port } of [cable('vm', host.name), ...spare]) {
    await run(['ip', 'netns', 'exec', host.namespace, 'ethtool', '-K', nic, 'tx', 'off']);
    await run(['ip', 'netns', 'exec', fabric, 'ethtool', '-K', port, 'tx', 'off']);
  }
}

/** Takes a host's cables and namespace away; nothing happens when they are gone. */
export async function unplugHost(lab: LabLayout, host: HostLayout): Promise<void> {
  if (networkNamespaces().includes(lab.fabricNamespace)) {
    for (const network of networks) {
      await attempt(['ip', '-n', lab.fabricNamespace, 'link', 'del', cable(network, host.name).port]);
    }
  }
  if (networkNamespaces().includes(host.namespace)) await run(['ip', 'netns', 'del', host.namespace]);
}

/** Resolves when the cable carries frames, or no longer does: the kernel takes up to a second to see a carrier. */
export async function setCarrier(lab: LabLayout, host: HostLayout, network: LabNetwork, up: boolean): Promise<void> {
  const { port } = cable(network, host.name);
  await batch(lab.fabricNamespace, [`link set ${port} ${up ? 'up' : 'down'}`]);
  await until(`${port} ${up ? 'up' : 'down'}`, 10_000, async () => {
    const shown = await run(['ip', '-n', lab.fabricNamespace, '-o', 'link', 'show', 'dev', port]);
    return shown.includes(up ? 'state UP' : 'state DOWN');
  });
}
