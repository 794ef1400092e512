/** A VXLAN end point that is none of Kvasir's: the kernel of another machine on the lab's VM network, in a namespace of the test. */
import { attempt, run } from '@kvasir/lab/command.ts';
import type { Lab } from '@kvasir/lab/lab.ts';
import { besideHosts } from '@kvasir/lab/layout.ts';

export interface ForeignVtep {
  readonly vtep: string;
  readonly vni: number;
  readonly macAddress: string;
  /** With prefix length. */
  readonly addresses: readonly string[];
}

/** Answers the namespace. It floods to the VTEPs given. */
export async function addForeignVtep(
  lab: Lab,
  { vtep, vni, macAddress, addresses }: ForeignVtep,
  peers: readonly string[],
): Promise<string> {
  const namespace = besideHosts(lab.layout, 'vtep');
  const fabric = lab.layout.fabricNamespace;
  await run(['ip', 'netns', 'add', namespace]);
  await run(['ip', '-n', fabric, '-batch', '-'], {
    input: [
      `link add vm-vtep mtu 1600 type veth peer name u0 mtu 1600 netns ${namespace}`,
      'link set dev vm-vtep master vm up',
      '',
    ].join('\n'),
  });
  await run(['ip', '-n', namespace, '-batch', '-'], {
    input: [
      'link set dev u0 up',
      `address add ${vtep}/24 dev u0`,
      `link add vx type vxlan id ${vni} dstport 4789 local ${vtep} dev u0`,
      `link set dev vx address ${macAddress} mtu 1450 up`,
      ...addresses.map((address) => `address add ${address} dev vx`),
      '',
    ].join('\n'),
  });
  await run(['ip', 'netns', 'exec', namespace, 'ethtool', '-K', 'u0', 'tx', 'off']);
  for (const peer of peers) {
    const entry = ['00:00:00:00:00:00', 'dev', 'vx', 'dst', peer];
    await run(['ip', 'netns', 'exec', namespace, 'bridge', 'fdb', 'append', ...entry]);
  }
  return namespace;
}

export async function removeForeignVtep(lab: Lab): Promise<void> {
  await attempt(['ip', 'netns', 'del', besideHosts(lab.layout, 'vtep')]);
}
