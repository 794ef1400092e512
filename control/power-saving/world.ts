/** What power saving is told of a cluster and what it answers: plain data. Times are the manager's clock in milliseconds. */
import type { PowerSavingPolicy } from '@kvasir/api/resources/power-saving.ts';
import type { AdmissionPolicy, ProtectedVm } from '../ha/admission.ts';
import type { PlacementCluster, PlacementHost, PlacementRequest } from '../placement/world.ts';

export type PowerPolicy = Omit<PowerSavingPolicy, 'wakeTimeoutMs'>;

/**
 * `on`: well and open to VMs; `entering`: on its way to standby; `waking`: its power is on, its agent is not heard yet; `failed`:
 * it did not come up; `out`: anything else (not well, in maintenance, closed, down by itself): it is left alone.
 */
export type PowerState = 'on' | 'entering' | 'standby' | 'waking' | 'failed' | 'out';

export interface PowerHost {
  /** With every VM by itself. */
  readonly placement: PlacementHost;
  readonly power: PowerState;
  /** Why it must stay on whatever its load: no working power device, something that cannot leave, work under way; null: nothing. */
  readonly stays: string | null;
  /** VMs that would have to move first. Those at rest promise nothing, but move too. */
  readonly leaving: readonly LeavingVm[];
  /** Since when it could have been switched off without a break; null: it could not when it was looked at last. */
  readonly dispensableSinceMs: number | null;
  /** Nothing is done with it before that: a try went wrong. 0: no matter. */
  readonly notBeforeMs: number;
  /** It was power saving that switched it off, not an operator. */
  readonly byPolicy: boolean;
}

export interface LeavingVm {
  readonly name: string;
  readonly request: PlacementRequest;
  /** Its memory is in use. */
  readonly committed: boolean;
}

/** A VM that found no room: a create or a start that was refused, or a restart after a failure that waits. */
export interface Wanting {
  readonly name: string;
  readonly request: PlacementRequest;
  readonly afterFailure: boolean;
}

export interface PowerWorld {
  readonly cluster: PlacementCluster;
  readonly hosts: readonly PowerHost[];
  /** The promise to have room for the VMs of failed hosts; null: there is none. */
  readonly admission: { readonly policy: AdmissionPolicy; readonly protectedVms: readonly ProtectedVm[] } | null;
  readonly wanting: readonly Wanting[];
  /** Why no host is switched off now, whatever the load: an incident, VMs on their way; null: nothing. */
  readonly unsettled: string | null;
  /** So many hosts are silent that the manager may be the one that is cut off: it fences none until others are heard. */
  readonly managerInDoubt: boolean;
}

export type PowerAction =
  | {
      readonly kind: 'wake';
      readonly hostId: string;
      readonly because: string;
      /** VMs of failed hosts wait for it, or may: no policy stands against that. */
      readonly afterFailure: boolean;
    }
  | {
      readonly kind: 'standby';
      readonly hostId: string;
      /** VMs that move away first. */
      readonly vms: number;
      /** When it has been dispensable for long enough. */
      readonly dueMs: number;
      readonly because: string;
    };

export interface Dispensable {
  readonly hostId: string;
  readonly vms: number;
  readonly because: string;
}
