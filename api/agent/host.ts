/** What a host reports of itself, and the pools that the manager tells it to serve. */
import { type Static, Type } from 'typebox';
import { closed, Id, nullable, oneOf } from '../schema.ts';
import { change, query } from './method.ts';

/** A network device of the host that an uplink can use. */
export const NicReport = closed({
  name: Type.String({ maxLength: 15 }),
  macAddress: Type.String(),
  /** The cable carries a signal. */
  up: Type.Boolean(),
  mtu: Type.Integer(),
  speedMbps: nullable(Type.Integer()),
});
export type NicReport = Static<typeof NicReport>;

/** A network device that can be divided (SR-IOV): each of its virtual functions can be handed to one VM. */
export const PhysicalFunction = closed({
  /** The network device, as uplinks name it. */
  nic: Type.String({ maxLength: 15 }),
  pciAddress: Type.String(),
  driver: nullable(Type.String()),
  /** Of the device's own switch; devices with the same id are ports of one. null: it has none to tell. */
  switchHardwareId: nullable(Type.String()),
  /** What the hardware could divide itself into; `virtualFunctions` are those that somebody made. */
  most: Type.Integer({ minimum: 0 }),
  virtualFunctions: Type.Array(
    closed({ index: Type.Integer({ minimum: 0 }), pciAddress: Type.String(), driver: nullable(Type.String()) }),
  ),
});
export type PhysicalFunction = Static<typeof PhysicalFunction>;

/** How an uplink of the distributed switch is. */
export const UplinkReport = closed({
  uplinkId: Id,
  up: Type.Boolean(),
  /** LACP with the other end; null: not a LACP bond. */
  lacp: nullable(oneOf(['negotiated', 'configured', 'off'] as const)),
  members: Type.Array(
    closed({
      nic: Type.String(),
      /** Carries traffic now. */
      active: Type.Boolean(),
      up: Type.Boolean(),
      /** LACP state of this link in the switch's words, e.g. `current`, `defaulted`, `expired`. */
      lacp: nullable(Type.String()),
    }),
  ),
  /** What stands against it, e.g. that a NIC is missing. */
  reason: nullable(Type.String()),
});
export type UplinkReport = Static<typeof UplinkReport>;

/** The bridge for networks without a switch, by what connects it to the physical network. */
export const DefaultUplink = closed({ nics: Type.Array(Type.String()), up: Type.Boolean() });
export type DefaultUplink = Static<typeof DefaultUplink>;

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
  /** Where other hosts send this one's VXLAN frames; null or left out: it takes no part. */
  tunnelAddress: Type.Optional(nullable(Type.String({ maxLength: 45 }))),
  nics: Type.Optional(Type.Array(NicReport)),
  uplinks: Type.Optional(Type.Array(UplinkReport)),
  /** null or left out: nothing that it could tell of. */
  defaultUplink: Type.Optional(nullable(DefaultUplink)),
  physicalFunctions: Type.Optional(Type.Array(PhysicalFunction)),
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
