/** What may be decided. Each action says why; whoever carries it out makes no choice but where placement puts a VM. */
import type { FenceProof } from './fence-proof.ts';
import type { HostHaState } from './snapshot.ts';

export type HaAction =
  /** The host's state changes. */
  | { readonly kind: 'set-state'; readonly hostId: string; readonly state: HostHaState; readonly because: string }
  /** It speaks of another boot than was known. */
  | { readonly kind: 'note-boot'; readonly hostId: string; readonly bootId: string; readonly because: string }
  /** A timeline begins. */
  | { readonly kind: 'open-incident'; readonly hostId: string; readonly state: HostHaState; readonly because: string }
  | { readonly kind: 'close-incident'; readonly hostId: string; readonly incidentId: string; readonly because: string }
  /** Ask this device to cut the host's power. The answer makes the proof, or is a failed try. */
  | {
      readonly kind: 'power-off';
      readonly hostId: string;
      readonly incidentId: string;
      readonly deviceId: string;
      readonly because: string;
    }
  | { readonly kind: 'record-proof'; readonly hostId: string; readonly proof: FenceProof; readonly because: string }
  /** The host lives on, so what was taken for a proof is none. */
  | { readonly kind: 'end-proof'; readonly hostId: string; readonly proofId: string; readonly because: string }
  /** These VMs ran on the host and are to run again. */
  | {
      readonly kind: 'list-restarts';
      readonly hostId: string;
      readonly incidentId: string;
      readonly vms: readonly { readonly vmId: string; readonly hadGuestAgent: boolean }[];
      readonly because: string;
    }
  /** Promise each a host, in this order. */
  | { readonly kind: 'place'; readonly vmIds: readonly string[]; readonly because: string }
  /** Start it where it was promised to. */
  | { readonly kind: 'restart'; readonly vmId: string; readonly because: string }
  /** Back to be placed: the try failed, or its host is not good any more. `counts`: as one of its tries. */
  | {
      readonly kind: 'retry';
      readonly vmId: string;
      readonly counts: boolean;
      readonly notBeforeMs: number;
      readonly because: string;
    }
  /** The task did its part; the guest is waited for. */
  | { readonly kind: 'booting'; readonly vmId: string; readonly because: string }
  /** `outcome` recovered: it runs again; dropped: it needs no restart any more. */
  | {
      readonly kind: 'end-restart';
      readonly vmId: string;
      readonly outcome: 'recovered' | 'dropped';
      readonly because: string;
    }
  | { readonly kind: 'fail-restart'; readonly vmId: string; readonly because: string }
  /** The manager may be the one that is cut off: it fences none until it hears enough hosts again. */
  | { readonly kind: 'suspect-self'; readonly suspects: boolean; readonly because: string }
  /** An operator shall look. Raised once for each incident and code. */
  | {
      readonly kind: 'alarm';
      readonly code: HaAlarm;
      readonly hostId: string;
      readonly incidentId: string;
      readonly because: string;
    };

export type HaAlarm =
  | 'host-lost'
  | 'host-isolated'
  | 'storage-lost'
  | 'network-lost'
  | 'hypervisor-lost'
  | 'operator-needed'
  | 'proof-contradicted';
