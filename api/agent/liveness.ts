/**
 * Signs of life besides the heartbeat: leases on shared storage and what hosts see of each other. The manager tells each host
 * whom to watch (`liveness.apply`, whole, kept over restarts of the agent); the host tells each second what it sees.
 *
 * The promise of a lease: a host renews its slot in each shared pool; when it could not for `killAfterMs` it ends by force, by itself
 * and without the manager, every VM that has a disk in that pool, and has done so before `leaseMs` have passed since its last
 * successful renewal. The promise is worth something only while the host says in its slot that it is `guarded`: that a watchdog
 * resets the host should the program that keeps the promise stop. Times are measured on monotonic clocks, each host on its own:
 * nobody compares clocks of two hosts.
 */
import { type Static, Type } from 'typebox';
import { closed, Id, nullable, oneOf } from '../schema.ts';
import { change } from './method.ts';

export const LeasePool = closed({
  poolId: Id,
  /** This host's slot in the pool's lease file (4 KiB each, written with O_DIRECT). */
  slot: Type.Integer({ minimum: 0, maximum: 4095 }),
});

export const LivenessPeer = closed({
  hostId: Id,
  name: Type.String(),
  address: Type.String({ description: 'Management address' }),
  /** Its slot in the lease files. */
  slot: Type.Integer({ minimum: 0, maximum: 4095 }),
});

export const LivenessPlan = closed({
  generation: Type.Integer(),
  renewEveryMs: Type.Integer({ minimum: 100 }),
  /** Without a renewal for this long the host ends the VMs of that pool. */
  killAfterMs: Type.Integer({ minimum: 500 }),
  /** Others may take the VMs over after this long without a change of the slot, not before. */
  leaseMs: Type.Integer({ minimum: 1000 }),
  pools: Type.Array(LeasePool),
  peers: Type.Array(LivenessPeer),
  /** Port on the management address on which peers probe each other (UDP); null: no probes. */
  probePort: nullable(Type.Integer({ minimum: 1, maximum: 65_535 })),
  /** Secret of the cluster's hosts, base64: probes are signed with it (HMAC-SHA256); null: no probes. Never logged. */
  probeKey: nullable(Type.String()),
});
export type LivenessPlan = Static<typeof LivenessPlan>;

export const livenessApply = change(
  'liveness.apply',
  'Keep these leases and watch these hosts',
  LivenessPlan,
  closed({}),
);

/** How one host's lease in one pool looks to the reporting host. */
export const LeaseSeen = closed({
  poolId: Id,
  hostId: Id,
  /** Grows with each renewal. */
  counter: Type.Integer(),
  /** New at each boot of that host's kernel. */
  bootId: Type.String(),
  guarded: Type.Boolean(),
  leaseMs: Type.Integer(),
  /** For how long the reporting host, reading all the time, has seen the same counter. */
  unchangedMs: Type.Integer(),
  /** Since the start of the last read of it: a storage that hangs shows nothing new. Agents of before do not say it. */
  readMsAgo: Type.Optional(Type.Integer()),
});
export type LeaseSeen = Static<typeof LeaseSeen>;

/** Agent -> manager, notification `liveness`, each second. */
export const Liveness = closed({
  bootId: Type.String(),
  /** What resets this host when the keeper of the lease stops: the hardware's watchdog, or nothing. */
  guard: oneOf(['watchdog', 'none'] as const),
  own: Type.Array(
    closed({
      poolId: Id,
      /** Since the start of the last successful renewal; null: none since the host booted. */
      renewedMsAgo: nullable(Type.Integer()),
      error: nullable(Type.String()),
      /** The host ended its VMs of this pool because it could not renew; it starts none there until it renews well again. */
      lost: Type.Boolean(),
    }),
  ),
  seen: Type.Array(LeaseSeen),
  peers: Type.Array(closed({ hostId: Id, heardMsAgo: nullable(Type.Integer()) })),
  /** Physical connections of the VM networks. */
  uplinks: Type.Array(closed({ name: Type.String(), up: Type.Boolean() })),
  /** For how long its hypervisor has not answered; left out: it answers. */
  hypervisorSilentMs: Type.Optional(Type.Integer({ minimum: 0 })),
});
export type Liveness = Static<typeof Liveness>;
