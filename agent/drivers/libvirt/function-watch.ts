/**
 * Says when the guest of a migrating domain has let go of its functions, and when it is about to get them. Only QEMU knows: at the
 * source it asks the guest to let go, waits for that, and begins to send then (`MIGRATION` with the status `active`). When the
 * migration fails it plugs them in again. At the destination it plugs them in when the guest's virtio driver turns out to want
 * pairs, which it reads in the state that has arrived, before the guest runs (`FAILOVER_NEGOTIATED`).
 *
 * Both sides tell of their migration by the same event, and a guest that boots negotiates as well. So which domains are coming here
 * is remembered: from libvirt's word that it takes one in until it is here for good.
 */
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type { DomainEvent } from '@kvasir/libvirt/domain-event.ts';
import type { MonitorEvent } from '@kvasir/libvirt/monitor-event.ts';
import type { FunctionEvent } from '../hypervisor.ts';
import { nicOfAlias } from './nic-alias.ts';

export const watchedMonitorEvents = ['MIGRATION', 'FAILOVER_NEGOTIATED'];

type Listener = (event: FunctionEvent) => void;

export class FunctionWatch {
  readonly #client: LibvirtClient;
  readonly #listeners = new Set<Listener>();
  readonly #arriving = new Set<string>();
  readonly #stop: () => void;

  constructor(client: LibvirtClient) {
    this.#client = client;
    const onEvent = (event: DomainEvent): void => this.#follow(event);
    const onMonitor = (event: MonitorEvent): void => this.#tell(event);
    const onConnected = (): void => void this.#look().catch(() => undefined);
    client.on('event', onEvent).on('monitor', onMonitor).on('connected', onConnected);
    this.#stop = () => client.off('event', onEvent).off('monitor', onMonitor).off('connected', onConnected);
  }

  /** Which domains are arriving already. */
  start(): Promise<void> {
    return this.#look();
  }

  stop(): void {
    this.#stop();
    this.#listeners.clear();
  }

  watch(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #look(): Promise<void> {
    this.#arriving.clear();
    const domains = await this.#client.host.listDomains();
    for (const { uuid, id } of domains) {
      if (id === null) continue;
      // One that ends meanwhile is not arriving either.
      const isHere = await this.#client.domain.isPersistent(uuid).catch(() => true);
      if (!isHere) this.#arriving.add(uuid);
    }
  }

  #follow(event: DomainEvent): void {
    if (event.kind !== 'lifecycle') return;
    if (event.event === 'started' && event.detail === 'migrated') this.#arriving.add(event.uuid);
    const isOver = event.event === 'defined' || event.event === 'resumed' || event.event === 'stopped';
    if (isOver) this.#arriving.delete(event.uuid);
  }

  #tell({ uuid, event, data }: MonitorEvent): void {
    const isArriving = this.#arriving.has(uuid);
    if (event === 'FAILOVER_NEGOTIATED') {
      const nicId = nicOfAlias(String(data['device-id']));
      if (isArriving && nicId !== null) this.#emit({ vmId: uuid, nicId, state: 'carries' });
    } else if (event === 'MIGRATION' && !isArriving) {
      const state = stateAt(String(data.status));
      if (state !== null) this.#emit({ vmId: uuid, nicId: null, state });
    }
  }

  #emit(event: FunctionEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

/** At the source. */
function stateAt(status: string): FunctionEvent['state'] | null {
  switch (status) {
    case 'active':
      return 'rests';
    // The sooner the better: a function that the guest finds without its address is no half of the pair.
    case 'cancelling':
    case 'cancelled':
    case 'failed':
      return 'carries';
    default:
      return null;
  }
}
