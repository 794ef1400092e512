/**
 * What a cluster does when a host fails, and how a VM wants to be treated. The defaults are safe without any setup: hosts are
 * watched and alarms raised, and a VM starts elsewhere only on proof that it does not run any more.
 */
import { type Static, Type } from 'typebox';
import { changeOf, closed, Name, oneOf } from '../schema.ts';

export const FencingMethod = oneOf(['ipmi', 'redfish', 'lease', 'operator'] as const, {
  description:
    'ipmi, redfish: the power is cut and read back; lease: the host ended its VMs by its own promise; operator: somebody confirms that it is off',
});
export type FencingMethod = Static<typeof FencingMethod>;

export const IsolationReaction = oneOf(['leave', 'shutdown', 'restart'] as const, {
  description:
    'Of a host that only the manager cannot reach: leave its VMs alone; cut its power; cut its power and start its VMs elsewhere',
});
export const FailureReaction = oneOf(['leave', 'restart'] as const, {
  description: 'leave: only say so; restart: the affected VMs start elsewhere, once they are known to be stopped',
});

export const VmFailureReaction = oneOf(['restart', 'alarm', 'none'] as const, {
  description:
    'Of a VM whose QEMU died, whose guest panicked, hangs, or let its watchdog run out: restart it, in place if that works; only raise an alarm; nothing',
});

export const AdmissionMode = oneOf(['off', 'warn', 'enforce'] as const, {
  description:
    'Whether the cluster keeps room for failed hosts: warn: an event says when it does not; enforce: what would take that room is refused',
});

const Ms = (minimum: number, description: string) => Type.Integer({ minimum, maximum: 86_400_000, description });

export const HaPolicy = closed({
  enabled: Type.Boolean({ description: 'false: hosts are watched and shown, nothing is fenced or restarted' }),
  fencing: Type.Array(FencingMethod, {
    maxItems: 4,
    uniqueItems: true,
    description: 'What may prove a host dead, first to last',
  }),
  isolation: IsolationReaction,
  /** Storage that one host alone has lost. */
  storageLost: FailureReaction,
  /** Physical connections of the VM networks are down. */
  networkLost: oneOf(['leave', 'restart'] as const, {
    description: 'leave: only say so; restart: its VMs move to other hosts while they run',
  }),
  maxParallelRestarts: Type.Integer({ minimum: 1, maximum: 256 }),
  selfSuspicionShare: Type.Number({
    minimum: 0.1,
    maximum: 1,
    description:
      'When this share of the hosts (two at least) is lost at once, the manager suspects itself and fences none',
  }),
  suspectAfterMs: Ms(
    500,
    'Silence of the agent after which a host is suspect; more than the 1,000 between two heartbeats',
  ),
  fenceAfterMs: Ms(
    1000,
    'Silence on every path after which it is fenced; at least a heartbeat longer than suspectAfterMs',
  ),
  isolationAfterMs: Ms(1000, 'How long a host may be isolated before the cluster reacts to it'),
  graceMs: Ms(0, 'After a manager begins to lead nothing is fenced for so long'),
  restartLimit: Type.Integer({
    minimum: 1,
    maximum: 100,
    description: 'Tries to restart a VM before it counts as failed',
  }),
  restartBackoffMs: Ms(100, 'Pause after the first failed try; it doubles each time, to 5 minutes at most'),
  dependencyWaitMs: Ms(
    0,
    'How long a VM waits for the guest of one that it depends on, once that one runs; and for one that finds no place',
  ),
  vmFailure: VmFailureReaction,
  vmFailureLimit: Type.Integer({
    minimum: 1,
    maximum: 1000,
    description: 'Failures of one VM within an hour after which it is no longer restarted, but an alarm is raised',
  }),
  vmHungAfterMs: Ms(
    0,
    'A guest whose agent has answered before counts as hung when it has not done so for that long while its disks did nothing; 0: never',
  ),
  admission: AdmissionMode,
  admissionBy: oneOf(['host-failures', 'share', 'spare-hosts'] as const, {
    description: 'What is kept free: room for the VMs of failed hosts, a share of the capacity, or whole hosts',
  }),
  admissionHostFailures: Type.Integer({ minimum: 0, maximum: 4, description: 'Hosts that may fail at once' }),
  admissionShare: Type.Number({ minimum: 0, maximum: 0.9, description: 'Of memory and of CPUs' }),
  admissionSpareHosts: Type.Array(Name, {
    maxItems: 64,
    uniqueItems: true,
    description: 'They take no VMs but after a failure',
  }),
});
export type HaPolicy = Static<typeof HaPolicy>;

/** Any part of it; the rest stays as it is. */
export const HaPolicyChange = changeOf(HaPolicy);

export const defaultHaPolicy: HaPolicy = {
  enabled: true,
  fencing: ['ipmi', 'redfish', 'lease', 'operator'],
  isolation: 'leave',
  storageLost: 'restart',
  networkLost: 'leave',
  maxParallelRestarts: 16,
  selfSuspicionShare: 0.5,
  suspectAfterMs: 1500,
  fenceAfterMs: 2500,
  isolationAfterMs: 30_000,
  graceMs: 20_000,
  restartLimit: 5,
  restartBackoffMs: 5000,
  dependencyWaitMs: 60_000,
  vmFailure: 'restart',
  vmFailureLimit: 5,
  vmHungAfterMs: 120_000,
  admission: 'off',
  admissionBy: 'host-failures',
  admissionHostFailures: 1,
  admissionShare: 0.25,
  admissionSpareHosts: [],
};

export const HaPriority = oneOf(['high', 'medium', 'low'] as const, { description: 'Which VMs are restarted first' });

export const VmHa = closed({
  enabled: Type.Boolean({ description: 'Restarted when its host or it itself fails' }),
  priority: HaPriority,
  dependsOn: Type.Array(Name, {
    maxItems: 16,
    uniqueItems: true,
    description: 'VMs of the same project that have to run first when several are restarted',
  }),
  onFailure: oneOf(['cluster', 'restart', 'alarm', 'none'] as const, {
    description: 'When it itself fails, not its host; cluster: as the cluster says',
  }),
});
export type VmHa = Static<typeof VmHa>;

export const VmHaChange = closed({
  enabled: Type.Optional(VmHa.properties.enabled),
  priority: Type.Optional(VmHa.properties.priority),
  dependsOn: Type.Optional(VmHa.properties.dependsOn),
  onFailure: Type.Optional(VmHa.properties.onFailure),
});

export const defaultVmHa: VmHa = { enabled: true, priority: 'medium', dependsOn: [], onFailure: 'cluster' };
