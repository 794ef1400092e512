/**
 * Two live agents with one identity are a copy (of a host's disk, say), and one of them knows nothing of the host's VMs: what it
 * says would be taken for their end. The host stays with the one that beats. One whose process began anew, before the end of its
 * old link was heard of, has to wait for a moment at most.
 */
import { heartbeatIntervalMs } from '@kvasir/api/agent/link.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { Clock } from '@kvasir/api/clock.ts';
import { hosts } from '../store/hosts.ts';
import type { HostLink } from './host-link.ts';
import type { Inventory } from './inventory.ts';

/** A copy dials again and again. */
const repeatEventMs = 600_000;

export class CopiedIdentities {
  readonly #inventory: Inventory;
  readonly #clock: Clock;
  /** When it was told last, by host id. */
  readonly #told = new Map<string, number>();

  constructor(inventory: Inventory, clock: Clock) {
    this.#inventory = inventory;
    this.#clock = clock;
  }

  /** `current`: the host's link so far, and when it beat last. @throws KvasirError wrong-state */
  async refuse(link: HostLink, current: HostLink | undefined, beatMs: number | undefined): Promise<void> {
    const { hostId, instanceId } = link;
    const now = this.#clock.now();
    const beats = current?.peer.isOpen === true && beatMs !== undefined && now - beatMs <= 2 * heartbeatIntervalMs;
    if (!beats || current.instanceId === instanceId) return;
    if (now - (this.#told.get(hostId) ?? Number.NEGATIVE_INFINITY) >= repeatEventMs) {
      this.#told.set(hostId, now);
      const message = (name: string): string => `A second agent has the identity of host ${name}; it is refused`;
      await this.#inventory.hostEvent(hostId, 'host.second-agent', 'warning', message);
    }
    const state = 'linked by another agent with its identity';
    throw new KvasirError('wrong-state', { action: 'link', kind: hosts.kind, name: hostId, state });
  }
}
