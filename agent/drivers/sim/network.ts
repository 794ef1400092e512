/** NetworkDriver on a simulated host. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { NicSpec } from '@kvasir/api/agent/vm.ts';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import type { NetworkChanged } from '@kvasir/api/agent/link.ts';
import type { PortCounters, PortCuts, TraceResult } from '@kvasir/api/agent/network.ts';
import type { NetworkDriver, Port, PortDevice } from '../network.ts';
import { withoutGateways } from '../without-gateways.ts';
import type { SimHost } from './host.ts';

export class SimNetworkDriver implements NetworkDriver {
  readonly #host: SimHost;
  #generation: number | null = null;

  constructor(host: SimHost) {
    this.#host = host;
  }

  /** There are no sessions here that could be cut. */
  apply(generation: number, slice: NetworkSlice): Promise<readonly PortCuts[]> {
    return this.#perform('apply', () => {
      if (this.#generation !== null && generation < this.#generation) {
        throw new KvasirError('wrong-state', {
          action: `apply generation ${generation} of`,
          kind: 'network list',
          name: 'host',
          state: `at generation ${this.#generation}`,
        });
      }
      this.#host.slice = slice;
      this.#generation = generation;
      return [];
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  endGateways(): Promise<void> {
    return this.#perform('endGateways', () => {
      this.#host.slice = withoutGateways(this.#host.slice);
    });
  }

  attachPort(vmId: string, nic: NicSpec): Promise<PortDevice> {
    return this.#perform('attachPort', () => {
      const { nicId, networkId } = nic;
      const served = this.#host.slice.networks.some((network) => network.networkId === networkId);
      if (!served) throw new KvasirError('not-found', { kind: 'network', id: networkId });
      const device = `kv${nicId.replaceAll('-', '').slice(-13)}`;
      this.#host.ports.set(nicId, { nicId, vmId, networkId, device });
      return { device, offload: true };
    });
  }

  /** No device here can be divided. */
  setFunction(): Promise<void> {
    return this.#perform('setFunction', () => undefined);
  }

  detachPort(nicId: string): Promise<void> {
    return this.#perform('detachPort', () => void this.#host.ports.delete(nicId));
  }

  listPorts(): Promise<Port[]> {
    return this.#perform('listPorts', () =>
      [...this.#host.ports.values()].map(({ nicId, vmId, networkId }) => ({ nicId, vmId, networkId })),
    );
  }

  /** No packets flow here. */
  counters(nicIds: readonly string[]): Promise<PortCounters[]> {
    const nothing = { packets: 0, bytes: 0, dropped: 0 };
    return this.#perform('counters', () =>
      nicIds
        .filter((nicId) => this.#host.ports.has(nicId))
        .map((nicId) => ({ nicId, fromVm: nothing, toVm: nothing, rules: [], drops: [] })),
    );
  }

  trace(): Promise<TraceResult> {
    return Promise.reject(new KvasirError('unsupported', { reason: 'A simulated switch has no flows to trace' }));
  }

  report(): Promise<NetworkChanged> {
    return this.#perform('report', () => ({
      tunnelAddress: tunnelAddressOf(this.#host.hostId),
      nics: [],
      uplinks: [],
    }));
  }

  versions(): Promise<Record<string, string>> {
    return this.#perform('versions', () => ({ 'simulated-switch': '1' }));
  }

  #perform<T>(method: keyof NetworkDriver, effect: () => T): Promise<T> {
    return this.#host.faults.perform(`network.${method}`, () => {
      this.#host.requirePower();
      return effect();
    });
  }
}

/** Another one for each host: three bytes of a sum over the name. */
function tunnelAddressOf(hostId: string): string {
  let sum = 0;
  for (const byte of Buffer.from(hostId)) sum = (sum * 31 + byte) % 0xffffff;
  return `10.${sum >> 16}.${(sum >> 8) & 0xff}.${sum & 0xff}`;
}
