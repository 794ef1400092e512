/**
 * What happens to domains, as the daemon tells it. One union, told apart by `kind`; every event names its domain by UUID
 * and by the name that it had at that moment. Words are libvirt's own; a number from a newer daemon reads as 'unknown'.
 */
import type { ParamRecord } from './typed-params.ts';

export const lifecycleDetails = {
  defined: ['added', 'updated', 'renamed', 'from-snapshot'],
  undefined: ['removed', 'renamed'],
  started: ['booted', 'migrated', 'restored', 'from-snapshot', 'wakeup'],
  suspended: [
    'paused',
    'migrated',
    'ioerror',
    'watchdog',
    'restored',
    'from-snapshot',
    'api-error',
    'postcopy',
    'postcopy-failed',
  ],
  resumed: ['unpaused', 'migrated', 'from-snapshot', 'postcopy', 'postcopy-failed'],
  stopped: ['shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'from-snapshot'],
  shutdown: ['finished', 'guest', 'host'],
  pmsuspended: ['memory', 'disk'],
  crashed: ['panicked', 'crashloaded'],
} as const;

export type LifecycleName = keyof typeof lifecycleDetails;

interface Of<Kind extends string> {
  readonly kind: Kind;
  readonly uuid: string;
  readonly name: string;
}

/** One member for each lifecycle event, so that `detail` narrows with `event`. */
type LifecycleEvent = {
  [Name in LifecycleName]: Of<'lifecycle'> & {
    readonly event: Name;
    readonly detail: (typeof lifecycleDetails)[Name][number] | 'unknown';
  };
}[LifecycleName];

export type UnknownLifecycleEvent = Of<'lifecycle'> & { readonly event: 'unknown'; readonly detail: 'unknown' };
export type RebootEvent = Of<'reboot'>;
export type WatchdogEvent = Of<'watchdog'> & {
  readonly action: 'none' | 'pause' | 'reset' | 'poweroff' | 'shutdown' | 'debug' | 'injectnmi' | 'unknown';
};
export type IoErrorEvent = Of<'ioError'> & {
  readonly path: string;
  readonly alias: string;
  readonly action: 'none' | 'pause' | 'report' | 'unknown';
  /** `enospc` is the one that the field acts upon. */
  readonly reason: string;
};
export type GraphicsEvent = Of<'graphics'> & {
  readonly phase: 'connect' | 'initialize' | 'disconnect' | 'unknown';
  readonly remote: string;
};
export type TrayChangeEvent = Of<'trayChange'> & { readonly alias: string; readonly open: boolean };
export type BalloonChangeEvent = Of<'balloonChange'> & { readonly actualKib: number };
export type DeviceEvent = Of<'deviceAdded' | 'deviceRemoved' | 'deviceRemovalFailed'> & { readonly alias: string };
export type BlockJobEvent = Of<'blockJob'> & {
  /** The target's name, e.g. `vda`. */
  readonly disk: string;
  readonly type: 'unknown' | 'pull' | 'copy' | 'commit' | 'active-commit' | 'backup';
  /** `ready`: a copy or an active commit has caught up and waits for its pivot. */
  readonly status: 'completed' | 'failed' | 'canceled' | 'ready' | 'unknown';
};
export type AgentLifecycleEvent = Of<'agentLifecycle'> & {
  readonly connected: boolean;
  readonly reason: 'unknown' | 'domain-started' | 'channel';
};
export type MigrationIterationEvent = Of<'migrationIteration'> & { readonly iteration: number };
export type JobCompletedEvent = Of<'jobCompleted'> & { readonly stats: ParamRecord };
export type MetadataChangeEvent = Of<'metadataChange'> & {
  readonly type: 'description' | 'title' | 'element' | 'unknown';
  readonly uri: string | null;
};
export type MemoryDeviceSizeChangeEvent = Of<'memoryDeviceSizeChange'> & {
  readonly alias: string;
  readonly sizeKib: number;
};

export type DomainEvent =
  | LifecycleEvent
  | UnknownLifecycleEvent
  | RebootEvent
  | WatchdogEvent
  | IoErrorEvent
  | GraphicsEvent
  | TrayChangeEvent
  | BalloonChangeEvent
  | DeviceEvent
  | BlockJobEvent
  | AgentLifecycleEvent
  | MigrationIterationEvent
  | JobCompletedEvent
  | MetadataChangeEvent
  | MemoryDeviceSizeChangeEvent;

export type DomainEventKind = DomainEvent['kind'];
