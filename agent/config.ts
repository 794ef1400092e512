/**
 * How `agent run` is set up: flags over the file `config.json` in the data directory over defaults. Unknown fields and
 * flags are refused, because a misspelt setting that is silently ignored costs a night.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { closed, oneOf } from '@kvasir/api/schema.ts';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';

const ConfigFile = closed({
  driver: Type.Optional(oneOf(['libvirt', 'sim'] as const)),
  libvirtSocket: Type.Optional(Type.String()),
  ovsdbSocket: Type.Optional(Type.String()),
  integrationBridge: Type.Optional(Type.String()),
  datapathType: Type.Optional(oneOf(['system', 'netdev'] as const)),
  uplinkBridge: Type.Optional(Type.String()),
  tunnelAddress: Type.Optional(Type.String()),
  virtualization: Type.Optional(oneOf(['auto', 'kvm', 'emulation'] as const)),
  migrationAddress: Type.Optional(Type.String()),
  migrationTransport: Type.Optional(oneOf(['tcp', 'tls'] as const)),
  kvmTrialKernel: Type.Optional(Type.String()),
  runDirectory: Type.Optional(Type.String()),
  watchdogDevice: Type.Optional(Type.String()),
  watchdogTimeoutMs: Type.Optional(Type.Integer({ minimum: 100 })),
  connectionsPerPort: Type.Optional(Type.Integer({ minimum: 1 })),
  uplinks: Type.Optional(Type.Array(Type.String({ pattern: '^[^/]{1,15}$' }))),
});
export type ConfigFile = Static<typeof ConfigFile>;
export type ConfigKey = keyof ConfigFile;

export interface AgentConfig {
  readonly driver: 'libvirt' | 'sim';
  readonly libvirtSocket: string;
  readonly ovsdbSocket: string;
  readonly integrationBridge: string;
  /** Of an integration bridge that the agent makes: `system` (the kernel's switch) or `netdev` (user space). */
  readonly datapathType: 'system' | 'netdev';
  /** The administrator's bridge to the physical VM network; undefined: flat and VLAN networks end at this host unless a switch has uplinks here. */
  readonly uplinkBridge: string | undefined;
  /** Of this host's end of VXLAN tunnels. With a prefix length the agent puts it on the uplink bridge and keeps it there. */
  readonly tunnelAddress: string | undefined;
  /** `auto`: KVM when a trial shows that it works. */
  readonly virtualization: 'auto' | 'kvm' | 'emulation';
  /** Address for incoming migrations; undefined: the management address. */
  readonly migrationAddress: string | undefined;
  /** How other hosts' libvirt reaches ours. */
  readonly migrationTransport: 'tcp' | 'tls';
  readonly kvmTrialKernel: string | undefined;
  /** Where agent and keeper meet; on a file system that is empty after a reboot. */
  readonly runDirectory: string;
  /** Resets the host when the keeper of the leases stops, e.g. /dev/watchdog; undefined: nobody may rely on the leases. */
  readonly watchdogDevice: string | undefined;
  /** Of a device that has a fixed timeout and is not the kernel's. */
  readonly watchdogTimeoutMs: number | undefined;
  /** How many connections a VM's port may have open on this host; undefined: as many as the driver says. */
  readonly connectionsPerPort: number | undefined;
  /** Interfaces that connect the VM networks, whose carrier is reported. */
  readonly uplinks: readonly string[];
}

/** Flag of `agent run` -> setting. */
export const configFlags = {
  driver: 'driver',
  'libvirt-socket': 'libvirtSocket',
  'ovsdb-socket': 'ovsdbSocket',
  bridge: 'integrationBridge',
  'datapath-type': 'datapathType',
  'uplink-bridge': 'uplinkBridge',
  'tunnel-address': 'tunnelAddress',
  virtualization: 'virtualization',
  'migration-address': 'migrationAddress',
  'migration-transport': 'migrationTransport',
  'kvm-trial-kernel': 'kvmTrialKernel',
  'run-directory': 'runDirectory',
  'watchdog-device': 'watchdogDevice',
  'watchdog-timeout-ms': 'watchdogTimeoutMs',
  'connections-per-port': 'connectionsPerPort',
  uplinks: 'uplinks',
} as const satisfies Record<string, ConfigKey>;
export type ConfigFlag = keyof typeof configFlags;

const defaults: AgentConfig = {
  driver: 'libvirt',
  libvirtSocket: '/run/libvirt/libvirt-sock',
  ovsdbSocket: '/run/openvswitch/db.sock',
  integrationBridge: 'br-int',
  datapathType: 'system',
  uplinkBridge: undefined,
  tunnelAddress: undefined,
  virtualization: 'auto',
  migrationAddress: undefined,
  migrationTransport: 'tls',
  kvmTrialKernel: undefined,
  runDirectory: '/run/kvasir',
  watchdogDevice: undefined,
  watchdogTimeoutMs: undefined,
  connectionsPerPort: undefined,
  uplinks: [],
};

const checkFile = Compile(ConfigFile);

/** @throws Error in words for the command line */
export async function readConfig(
  directory: string,
  flags: Readonly<Partial<Record<ConfigFlag, string>>>,
): Promise<AgentConfig> {
  const path = join(directory, 'config.json');
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{}';
    throw error;
  });
  const given = Object.entries(flags).map(([flag, value]) => {
    const key = configFlags[flag as ConfigFlag];
    return [key, valueOf(key, value)] as const;
  });
  return { ...defaults, ...check(path, JSON.parse(text)), ...check('the command line', Object.fromEntries(given)) };
}

function valueOf(key: ConfigKey, text: string): string | number | string[] {
  if (key === 'watchdogTimeoutMs' || key === 'connectionsPerPort') return Number(text);
  return key === 'uplinks' ? text.split(',') : text;
}

function check(where: string, value: unknown): ConfigFile {
  if (checkFile.Check(value)) return value;
  const [first] = checkFile.Errors(value);
  throw new Error(`${where}: ${first?.instancePath.slice(1) ?? ''} ${first?.message ?? 'is wrong'}`);
}
