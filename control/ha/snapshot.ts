/**
 * What decisions about high availability are told: one cluster, as plain data. All times are the manager's own clock in
 * milliseconds, but for those inside of a host's report, which are ages measured by that host.
 */
import type { Liveness } from '@kvasir/api/agent/liveness.ts';
import type { HaPolicy, VmHa } from '@kvasir/api/resources/ha-policy.ts';
import type { DeviceTrust } from './device-trust.ts';
import type { FenceProof } from './fence-proof.ts';

export const hostHaStates = [
  'running',
  'suspect',
  'management-isolated',
  'storage-lost',
  'network-lost',
  'hypervisor-lost',
  'dead',
  'fencing',
  'fenced',
  'maintenance',
  'standby',
] as const;
export type HostHaState = (typeof hostHaStates)[number];

export interface HaSnapshot {
  readonly manager: ManagerFacts;
  readonly cluster: {
    readonly id: string;
    readonly name: string;
    readonly policy: HaPolicy;
    /** So many hosts were lost at once that it may be the manager that is cut off; known since the last decision. */
    readonly suspectsItself: boolean;
    /** How pools are called, by id; one without a name is called by its id. */
    readonly poolNames: Readonly<Record<string, string>>;
  };
  readonly hosts: readonly HostFacts[];
  /** Those that were on a host that is not well, those that are being restarted, and what these depend on. */
  readonly vms: readonly VmFacts[];
}

export interface ManagerFacts {
  /** Since when this manager leads and listens. */
  readonly leadingSinceMs: number;
  /** When it last was held up itself (a timer came late, the clock jumped): silence before that is its own; null: never. */
  readonly heldUpAtMs: number | null;
}

export interface HostFacts {
  readonly id: string;
  readonly name: string;
  /** What the link says: `joining` hosts have never been heard. */
  readonly state: 'up' | 'down' | 'joining';
  readonly ha: {
    readonly state: HostHaState;
    readonly because: string | null;
    readonly sinceMs: number;
  };
  /** Null: not heard since this manager leads. */
  readonly lastHeartbeatMs: number | null;
  /** Its last report and when it came; null: none since this manager leads. */
  readonly liveness: { readonly report: Liveness; readonly atMs: number } | null;
  /** The last boot that was known of it. */
  readonly bootId: string | null;
  /** What it was told of leases; null: it keeps none. */
  readonly leasePlan: LeaseFacts | null;
  readonly fenceDevices: readonly FenceDeviceFacts[];
  /** The device that is being asked to cut the power now. */
  readonly fencing: { readonly deviceId: string; readonly sinceMs: number } | null;
  /** Tries of this incident that failed. */
  readonly failedFencings: readonly { readonly deviceId: string; readonly atMs: number; readonly reason: string }[];
  /** Valid until the host comes back. */
  readonly proof: { readonly id: string; readonly proof: FenceProof } | null;
  readonly incident: IncidentFacts | null;
}

export interface FenceDeviceFacts extends DeviceTrust {
  readonly id: string;
  readonly kind: 'ipmi' | 'redfish';
}

export interface LeaseFacts {
  readonly leaseMs: number;
  readonly renewEveryMs: number;
  readonly killAfterMs: number;
  readonly poolIds: readonly string[];
}

/** The open incident of a host. */
export interface IncidentFacts {
  readonly id: string;
  readonly openedAtMs: number;
  /** Alarms that were raised already. */
  readonly alarms: readonly string[];
}

export type RestartState =
  /** To be placed. */
  | 'waiting'
  /** A host is promised to it; it starts when its turn comes. */
  | 'placed'
  /** A task works on it. */
  | 'starting'
  /** It runs; its guest has not answered yet. */
  | 'booting'
  /** The tries are used up: when capacity returns it is tried again. */
  | 'failed';

/** A restart that is not over. */
export interface RestartFacts {
  readonly id: string;
  readonly incidentId: string;
  readonly state: RestartState;
  /** Where it ran. */
  readonly fromHostId: string;
  readonly toHostId: string | null;
  /** Tries that failed for another reason than room. */
  readonly attempts: number;
  readonly notBeforeMs: number;
  readonly sinceMs: number;
  /** Its guest agent answered before: so it will be waited for. */
  readonly hadGuestAgent: boolean;
  /** How the task ended or goes; null: none yet. */
  readonly task: {
    readonly id: string;
    readonly state: 'open' | 'succeeded' | 'failed' | 'parked';
    readonly error: string | null;
  } | null;
}

export interface VmFacts {
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
  /** Of another cluster only when one of this cluster depends on it. */
  readonly clusterId: string;
  /** Where it is defined. */
  readonly hostId: string | null;
  readonly state: string;
  readonly desiredState: 'running' | 'stopped' | 'paused' | 'suspended';
  /** The last word of its host about its domain; null: there was none. */
  readonly lastSeen: string | null;
  readonly ha: Omit<VmHa, 'onFailure'>;
  readonly poolIds: readonly string[];
  /** All its disks can be reached from other hosts. */
  readonly shared: boolean;
  readonly guestAgent: boolean;
  /** A task works on it, or on a disk of it, that is not its restart. */
  readonly busy: boolean;
  readonly restart: RestartFacts | null;
}
