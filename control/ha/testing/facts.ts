/** Clusters in which all is well unless a test says otherwise. */
import type { Liveness } from '@kvasir/api/agent/liveness.ts';
import { defaultHaPolicy, defaultVmHa, type HaPolicy } from '@kvasir/api/resources/ha-policy.ts';
import { recordedProof } from '../fence-proof.ts';
import type { HaSnapshot, HostFacts, IncidentFacts, RestartFacts, VmFacts } from '../snapshot.ts';

export const now = 1_000_000;
export const policy = defaultHaPolicy;
/** Of a device that read 'on' a minute ago. */
export const verified = { seenOnAtMs: now - 60_000, mistrustedBecause: null };
export const leasePlan = { leaseMs: 9000, renewEveryMs: 1000, killAfterMs: 6000, poolIds: ['gold'] };

/** How a host looks to the others; ages in ms, undefined: as of a host that lives. */
export interface Look {
  readonly silentMs?: number;
  /** Age of its lease and of its answers, as others see them. */
  readonly leaseMs?: number;
  readonly peersMs?: number;
  readonly guarded?: boolean;
  readonly bootId?: string;
  /** What it says of its own lease. */
  readonly ownMs?: number | null;
  readonly ownError?: string;
  readonly ownLost?: boolean;
  /** Since it read the leases of others. */
  readonly readMsAgo?: number;
  readonly uplink?: boolean;
  readonly hypervisorSilentMs?: number;
}

export function cluster(
  looks: Readonly<Record<string, Look>>,
  more: {
    readonly policy?: Partial<HaPolicy>;
    readonly hosts?: Readonly<Record<string, Partial<HostFacts>>>;
    readonly vms?: readonly VmFacts[];
    readonly manager?: Partial<HaSnapshot['manager']>;
    readonly suspectsItself?: boolean;
    readonly leases?: boolean;
    readonly peers?: boolean;
  } = {},
): HaSnapshot {
  const names = Object.keys(looks);
  const leases = more.leases ?? true;
  const hosts = names.map((name): HostFacts => {
    const look = looks[name]!;
    const silentMs = look.silentMs ?? 200;
    const others = names.filter((other) => other !== name);
    const report: Liveness = {
      bootId: `boot-${name}`,
      guard: 'watchdog',
      own: leases
        ? [
            {
              poolId: 'gold',
              renewedMsAgo: look.ownMs === undefined ? 300 : look.ownMs,
              error: look.ownError ?? null,
              lost: look.ownLost ?? false,
            },
          ]
        : [],
      seen: leases
        ? others.map((other) => ({
            poolId: 'gold',
            hostId: other,
            counter: 1,
            bootId: looks[other]!.bootId ?? `boot-${other}`,
            guarded: looks[other]!.guarded ?? true,
            leaseMs: 9000,
            unchangedMs: looks[other]!.leaseMs ?? 400,
            readMsAgo: look.readMsAgo ?? 200,
          }))
        : [],
      peers:
        (more.peers ?? true)
          ? others.map((other) => ({ hostId: other, heardMsAgo: looks[other]!.peersMs ?? 100 }))
          : [],
      uplinks: [{ name: 'eth1', up: look.uplink ?? true }],
      ...(look.hypervisorSilentMs === undefined ? {} : { hypervisorSilentMs: look.hypervisorSilentMs }),
    };
    return {
      id: name,
      name,
      state: 'up',
      ha: { state: 'running', because: null, sinceMs: now - 100_000 },
      lastHeartbeatMs: now - silentMs,
      liveness: { report, atMs: now - Math.max(100, silentMs) },
      bootId: `boot-${name}`,
      leasePlan: leases ? leasePlan : null,
      fenceDevices: [{ id: `bmc-${name}`, kind: 'ipmi', ...verified }],
      fencing: null,
      failedFencings: [],
      proof: null,
      incident: null,
      ...more.hosts?.[name],
    };
  });
  return {
    manager: { leadingSinceMs: now - 600_000, heldUpAtMs: null, ...more.manager },
    cluster: {
      id: 'c',
      name: 'c',
      policy: { ...policy, ...more.policy },
      suspectsItself: more.suspectsItself ?? false,
      poolNames: { gold: 'Gold' },
    },
    hosts,
    vms: more.vms ?? [],
  };
}

export const dead: Look = { silentMs: 3000, leaseMs: 2900, peersMs: 2900 };
export const isolated: Look = { silentMs: 8000, leaseMs: 700, peersMs: 8000 };
export const incident: IncidentFacts = { id: 'incident', openedAtMs: now - 100, alarms: [] };

export const offProof = (hostId: string) => ({
  id: 'proof',
  proof: recordedProof({ hostId, bootId: null, kind: 'power-off', atMs: now - 500, poolIds: null, because: 'off' }),
});

/** A host whose incident is open, before and after the proof that it is off. */
export const lost = { h1: { ha: { state: 'dead', because: 'x', sinceMs: now - 100 }, incident } } as const;
export const proven = {
  h1: { ha: { state: 'fenced', because: 'x', sinceMs: now - 100 }, incident, proof: offProof('h1') },
} as const;

export function vm(name: string, more: Partial<VmFacts> = {}): VmFacts {
  return {
    id: name,
    name,
    projectId: 'p',
    clusterId: 'c',
    hostId: 'h1',
    state: 'unknown',
    desiredState: 'running',
    lastSeen: 'running',
    ha: { ...defaultVmHa, ...more.ha },
    poolIds: ['gold'],
    shared: true,
    guestAgent: false,
    busy: false,
    restart: null,
    ...more,
  };
}

export function restart(state: RestartFacts['state'], more: Partial<RestartFacts> = {}): RestartFacts {
  const toHostId = state === 'waiting' || state === 'failed' ? null : 'h2';
  return {
    id: 'restart',
    incidentId: 'incident',
    state,
    fromHostId: 'h1',
    toHostId,
    attempts: 0,
    notBeforeMs: 0,
    sinceMs: now - 1000,
    hadGuestAgent: false,
    task: null,
    ...more,
  };
}
