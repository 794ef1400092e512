/** NetworkDriver on a simulated host. */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { NicSpec } from '@kvasir/api/agent/vm.ts';
import type { HostNetwork, NetworkDriver, Port, PortDevice } from '../network.ts';
import type { SimHost } from './host.ts';

export class SimNetworkDriver implements NetworkDriver {
  readonly #host: SimHost;
  #generation: number | null = null;

  constructor(host: SimHost) {
    this.#host = host;
  }

  apply(generation: number, networks: readonly HostNetwork[]): Promise<void> {
    return this.#perform('apply', () => {
      if (this.#generation !== null && generation < this.#generation) {
        throw new KvasirError('wrong-state', {
          action: `apply generation ${generation} of`,
          kind: 'network list',
          name: 'host',
          state: `at generation ${this.#generation}`,
        });
      }
      this.#host.networks = new Set(networks.map((network) => network.networkId));
      this.#generation = generation;
    });
  }

  attachPort(vmId: string, nic: NicSpec): Promise<PortDevice> {
    return this.#perform('attachPort', () => {
      const { nicId, networkId } = nic;
      if (!this.#host.networks.has(networkId)) throw new KvasirError('not-found', { kind: 'network', id: networkId });
      const device = `kv${nicId.replaceAll('-', '').slice(-13)}`;
      this.#host.ports.set(nicId, { nicId, vmId, networkId, device });
      return { device, offload: true };
    });
  }

  detachPort(nicId: string): Promise<void> {
    return this.#perform('detachPort', () => void this.#host.ports.delete(nicId));
  }

  listPorts(): Promise<Port[]> {
    return this.#perform('listPorts', () =>
      [...this.#host.ports.values()].map(({ nicId, vmId, networkId }) => ({ nicId, vmId, networkId })),
    );
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
