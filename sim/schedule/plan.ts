/** A plan: everything that is done to one world. Data, so that a failing one is stored, cut down and played again. */
import type { StallKind } from '@kvasir/agent/drivers/sim/stall.ts';
import type { BmcMode } from '../world/bmc.ts';
import type { Population } from '../world/population.ts';

export type PlannedAction =
  | {
      readonly do: 'power-off' | 'power-on' | 'mend-management' | 'cut-storage' | 'mend-storage' | 'mend-hypervisor';
      readonly host: string;
    }
  | {
      /** The carrier of what connects its VM networks. */
      readonly do: 'cut-vm-network' | 'mend-vm-network';
      readonly host: string;
    }
  | {
      readonly do: 'cut-management';
      readonly host: string;
      readonly direction: 'to-manager' | 'to-host' | 'both';
      /** The other hosts do not hear it either. */
      readonly peers: boolean;
    }
  | { readonly do: 'hang-hypervisor'; readonly host: string; readonly kind: StallKind }
  | { readonly do: 'cut-peers' | 'mend-peers'; readonly hosts: readonly [string, string] }
  | { readonly do: 'kill-agent'; readonly host: string; readonly stayDown: boolean }
  | { readonly do: 'start-agent' | 'kill-keeper'; readonly host: string }
  | { readonly do: 'kill-manager' | 'start-manager'; readonly manager: string }
  /** The manager dies right after that many further transactions. */
  | { readonly do: 'kill-manager-after'; readonly manager: string; readonly commits: number }
  | { readonly do: 'power-device'; readonly host: string; readonly mode: BmcMode }
  | { readonly do: 'skew-clock'; readonly host: string; readonly byMs: number }
  | { readonly do: 'crash-vm'; readonly vm: string }
  /** An operator asks; a refusal is an answer as good as any. */
  | { readonly do: 'start-vm' | 'stop-vm' | 'create-vm'; readonly vm: string }
  | { readonly do: 'migrate-vm'; readonly vm: string; readonly host: string }
  | { readonly do: 'standby-host' | 'wake-host'; readonly host: string }
  /** Its operating system will not shut down when it is told to. */
  | { readonly do: 'hang-system'; readonly host: string }
  /** Only done when the host really is off. */
  | { readonly do: 'confirm-off'; readonly host: string };

export type PlannedEvent = PlannedAction & { readonly atMs: number };

export interface Plan extends Population {
  /** Of the world's own chance: delays, ids, jitter. */
  readonly seed: string | number;
  readonly hosts: readonly { readonly name: string; readonly memoryMib: number }[];
  readonly managers: number;
  readonly events: readonly PlannedEvent[];
  /** When everything is mended. */
  readonly healAtMs: number;
}
