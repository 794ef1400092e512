/** What a host reports of itself, and the pools that the manager tells it to serve. */
import { type Static, Type } from 'typebox';
import { closed, Id, nullable, oneOf } from '../schema.ts';
import { change, query } from './method.ts';

export const Inventory = closed({
  hostname: Type.String(),
  address: Type.String(),
  virtualization: oneOf(['kvm', 'emulation', 'simulated'] as const),
  /** Why kvm is not used, e.g. "/dev/kvm exists but a guest did not run with it"; null with kvm. */
  virtualizationReason: nullable(Type.String()),
  cpus: Type.Integer(),
  cpuModel: Type.String(),
  /** Named CPU models that guests can use here, by libvirt's names. */
  usableCpuModels: Type.Array(Type.String()),
  memoryMib: Type.Integer(),
  versions: Type.Record(Type.String(), Type.String()),
});
export type Inventory = Static<typeof Inventory>;

export const PoolSpec = closed({
  poolId: Id,
  name: Type.String(),
  kind: oneOf(['directory'] as const),
  path: Type.String(),
  shared: Type.Boolean(),
});
export type PoolSpec = Static<typeof PoolSpec>;

export const PoolReport = closed({
  poolId: Id,
  reachable: Type.Boolean(),
  reason: nullable(Type.String()),
  totalMib: nullable(Type.Integer()),
  freeMib: nullable(Type.Integer()),
});
export type PoolReport = Static<typeof PoolReport>;

export const hostInventory = query('host.inventory', 'What this host has', closed({}), Inventory);

/**
 * The whole list of pools. Each pool directory holds a marker file `.kvasir-pool` with the pool's id, made by the first
 * host that finds the directory empty; another id there makes the pool unreachable with that reason. For a shared pool
 * only the host named by `initializeOn` may make the marker, so that a mount that is missing is noticed.
 */
export const poolApply = change(
  'pool.apply',
  'Serve exactly these pools',
  closed({ pools: Type.Array(closed({ ...PoolSpec.properties, initialize: Type.Boolean() })) }),
  closed({ pools: Type.Array(PoolReport) }),
);

export const poolReport = query(
  'pool.report',
  'State and free space of the pools served',
  closed({}),
  closed({ pools: Type.Array(PoolReport) }),
);
