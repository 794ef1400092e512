/** Virtual machines as a host sees them. `VmSpec` is whole and neutral: libvirt XML, OVS and host paths never leave the drivers. */
import { type Static, Type } from 'typebox';
import { closed, Id, MacAddress, nullable, oneOf } from '../schema.ts';
import { BootDevice, CloudInit, CpuModel, DiskBus, Guest, NicModel } from '../resources/vm.ts';
import { change, query } from './method.ts';
import { VolumeRef } from './storage.ts';

export const DiskSpec = closed({
  ...VolumeRef.properties,
  /** Target name, stable for the life of the attachment: vda, vdb, sda … */
  device: Type.String({ pattern: '^(vd|sd)[a-z]$' }),
  bus: DiskBus,
  readOnly: Type.Boolean(),
});
export type DiskSpec = Static<typeof DiskSpec>;

export const NicSpec = closed({
  nicId: Id,
  networkId: Id,
  macAddress: MacAddress,
  model: NicModel,
  mtu: Type.Integer(),
  /** Carried by a virtual function of the uplink's device, with the tap standing by; left out: by the tap. */
  direct: Type.Optional(Type.Literal(true)),
});
export type NicSpec = Static<typeof NicSpec>;

export const VmSpec = closed({
  vmId: Id,
  name: Type.String(),
  projectId: Id,
  cpus: Type.Integer(),
  maxCpus: Type.Integer(),
  memoryMib: Type.Integer(),
  maxMemoryMib: Type.Integer(),
  cpuModel: CpuModel,
  firmware: oneOf(['bios', 'uefi'] as const),
  bootOrder: Type.Array(BootDevice),
  disks: Type.Array(DiskSpec),
  nics: Type.Array(NicSpec),
  /** Seed of NoCloud; null: no seed drive. `instanceId` changes when cloud-init is to run again. */
  cloudInit: nullable(closed({ instanceId: Type.String(), ...CloudInit.properties })),
});
export type VmSpec = Static<typeof VmSpec>;

export const DomainState = oneOf(['stopped', 'running', 'paused', 'suspended', 'crashed'] as const);
export type DomainState = Static<typeof DomainState>;
/** Defined, and nothing of it runs or is kept. */
export function isAtRest(state: DomainState): boolean {
  return state === 'stopped' || state === 'crashed';
}

/** Whether the guest of a running domain seems to do anything. */
export const GuestSigns = closed({
  /** The guest let its watchdog run out since it was started or reset. */
  watchdogFired: Type.Boolean(),
  /**
   * For how long its guest agent has not answered while its disks did nothing; 0: it gives signs of life; null: that cannot be
   * told, for its agent has never answered since the start, or QEMU does not answer. Reported anew while it grows.
   */
  quietMs: nullable(Type.Integer({ minimum: 0 })),
  /** Processors that it used on the average of the last minute or so; left out: not measured. Reported anew when it changes much. */
  cpusUsed: Type.Optional(Type.Number({ minimum: 0 })),
});
export type GuestSigns = Static<typeof GuestSigns>;

/** One domain of a host, managed or not. */
export const DomainReport = closed({
  /** Domain UUID; for a managed VM this is the vm's id. */
  vmId: Id,
  name: Type.String(),
  /** Carries Kvasir's own metadata mark. */
  managed: Type.Boolean(),
  state: DomainState,
  reason: nullable(Type.String({ description: 'Why, e.g. "shutdown", "crashed", "panicked", "migrating in"' })),
  /** A migration is coming in: not this host's VM yet. */
  incoming: Type.Boolean(),
  startedAtMs: nullable(Type.Integer()),
  guest: nullable(Guest),
  /** Differences from the last spec applied here that somebody else made, in words: "memory is 256 MiB, not 128". */
  drift: Type.Array(Type.String()),
  /** Of a running domain; left out: nothing is known. */
  signs: Type.Optional(GuestSigns),
});
export type DomainReport = Static<typeof DomainReport>;

/** Of a migration that has ended, as its source sees it. */
export const MigrationOutcome = oneOf(['stayed', 'left'] as const);
export type MigrationOutcome = Static<typeof MigrationOutcome>;

const vm = closed({ vmId: Id });
const done = closed({ state: DomainState });

export const vmList = query(
  'vm.list',
  'All domains of this host',
  closed({}),
  closed({ domains: Type.Array(DomainReport) }),
);

/** Makes the domain exist with exactly this spec (and its NIC ports and seed prepared); does not start it. A running domain keeps running; what cannot be changed live applies from the next start. */
export const vmDefine = change('vm.define', 'Make the domain exist with this spec', closed({ vm: VmSpec }), done);
/** Starts a stopped domain or wakes a suspended one; a running one stays. Refused (`wrong-state`) when it is unknown here. */
export const vmStart = change('vm.start', 'Start a domain', closed({ vmId: Id, paused: Type.Boolean() }), done, {
  long: true,
  endsWithBoot: true,
});
/** Asks the guest by ACPI (and guest agent), then powers off after `timeoutMs`; 0: at once. */
export const vmStop = change(
  'vm.stop',
  'Shut a domain down',
  closed({ vmId: Id, timeoutMs: Type.Integer({ minimum: 0 }) }),
  done,
  { long: true },
);
export const vmReset = change('vm.reset', 'Reset a domain', vm, done, { endsWithBoot: true });
export const vmPause = change('vm.pause', 'Pause a domain', vm, done, { endsWithBoot: true });
export const vmResume = change('vm.resume', 'Let a paused domain go on', vm, done, { endsWithBoot: true });
export const vmSuspend = change('vm.suspend', 'Save memory to disk and stop', vm, done, { long: true });
/** Removes the definition, NIC ports, seed and saved memory; never the volumes. Refused while it runs. Gone already: succeeds. */
export const vmUndefine = change('vm.undefine', 'Remove a stopped domain', vm, closed({}));

/** `live: false` in the answer: it runs, and takes this only at its next start. */
export const vmResize = change(
  'vm.resize',
  'Change processors and memory',
  closed({
    vmId: Id,
    cpus: Type.Integer(),
    maxCpus: Type.Integer(),
    memoryMib: Type.Integer(),
    maxMemoryMib: Type.Integer(),
  }),
  closed({ live: Type.Boolean() }),
);
export const vmAttachDisk = change(
  'vm.attachDisk',
  'Attach a volume, hot when it runs',
  closed({ vmId: Id, disk: DiskSpec }),
  closed({}),
);
export const vmDetachDisk = change(
  'vm.detachDisk',
  'Detach a volume and wait until the guest let go',
  closed({ vmId: Id, volumeId: Id }),
  closed({}),
  { long: true },
);
export const vmResizeDisk = change(
  'vm.resizeDisk',
  'Grow a disk of a running domain',
  closed({ vmId: Id, volumeId: Id, sizeBytes: Type.Integer() }),
  closed({}),
);
export const vmAttachNic = change(
  'vm.attachNic',
  'Attach a NIC, hot when it runs',
  closed({ vmId: Id, nic: NicSpec }),
  closed({}),
);
export const vmDetachNic = change('vm.detachNic', 'Detach a NIC', closed({ vmId: Id, nicId: Id }), closed({}), {
  long: true,
});

/** Answer: a stream with the picture as PNG. */
export const vmScreenshot = query(
  'vm.screenshot',
  'Take a picture of the screen',
  vm,
  closed({ streamId: Type.Integer() }),
);
/** Answer: a stream, both ways: the serial console's bytes, or RFB (VNC). */
export const vmConsole = query(
  'vm.console',
  'Open a console',
  closed({ vmId: Id, kind: oneOf(['serial', 'vnc'] as const) }),
  closed({ streamId: Type.Integer() }),
);

/** Virtual functions that the destination has given to NICs of the VM; left out: it needs none. */
const HandedFunctions = Type.Optional(Type.Array(closed({ nicId: Id, pciAddress: Type.String() })));

/** Destination's side of a live migration: ports, seed and (with storage copy) empty volumes of the right size are prepared. */
export const migrationPrepare = change(
  'migration.prepare',
  'Get ready to receive a domain',
  closed({ vm: VmSpec, copyVolumes: Type.Array(closed({ ...VolumeRef.properties, sizeBytes: Type.Integer() })) }),
  closed({ connectUri: Type.String(), migrationHost: Type.String(), functions: HandedFunctions }),
  { endsWithBoot: true },
);
/**
 * Destination's side, asked right before each send: it is there, and holds its leases in these pools. Hypervisors take a domain in
 * without asking an agent, and one that arrived at a host without a lease might be taken for dead. Errors: `host-failed`.
 */
export const migrationReady = query(
  'migration.ready',
  'Say that a domain may come now',
  closed({ vmId: Id, poolIds: Type.Array(Id) }),
  closed({}),
);
/**
 * Source's side: moves the domain and waits for the end. Repeated after a crash it joins the running job, or finds that the
 * domain has left (success) or is still here (starts again). The domain runs on exactly one side whatever happens.
 */
export const migrationSend = change(
  'migration.send',
  'Move a running domain',
  closed({
    vmId: Id,
    connectUri: Type.String(),
    migrationHost: Type.String(),
    copyVolumeIds: Type.Array(Id),
    autoConverge: Type.Boolean(),
    maxDowntimeMs: nullable(Type.Integer()),
    bandwidthMibps: nullable(Type.Integer()),
    functions: HandedFunctions,
  }),
  closed({ downtimeMs: nullable(Type.Integer()), bytesTotal: nullable(Type.Integer()) }),
  { long: true },
);
/**
 * Source's side: ends the migration that is under way, also one whose `migration.send` died with an agent, and answers when
 * none is any more. `left`: the domain is not here, it had completed its move. None under way: says where it is.
 * Errors: `timeout` when it cannot be told; nothing is known then.
 */
export const migrationCancel = change(
  'migration.cancel',
  'End a migration at its source',
  vm,
  closed({ outcome: MigrationOutcome }),
  { long: true },
);
/**
 * Source's side, of a domain that is not here: for how long at least it has been away. Whether a proof that the destination is dead says
 * anything of a domain that went there hangs on which was first. Errors: `wrong-state` while it is here.
 */
export const migrationDeparture = query(
  'migration.departure',
  'Say for how long a domain has been away',
  vm,
  closed({ awayMs: Type.Integer({ minimum: 0 }) }),
);
/** Clears what `migration.prepare` made on a destination that the domain did not reach. Never touches a domain that runs here for good. */
export const migrationAbandon = change(
  'migration.abandon',
  'Clear a destination that received nothing',
  closed({ vmId: Id, copyVolumes: Type.Array(VolumeRef) }),
  closed({ arrived: Type.Boolean() }),
);
/** After the domain left: removes NIC ports and the seed here, and source volumes that were copied away. Refused while the domain is here. */
export const migrationForget = change(
  'migration.forget',
  'Clear the source after a domain left',
  closed({ vmId: Id, copiedVolumes: Type.Array(VolumeRef) }),
  closed({}),
);
