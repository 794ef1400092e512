/** A switch in memory: what was plugged in and what was applied are for tests to see. */
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import type { PortCuts } from '@kvasir/api/agent/network.ts';
import type { NicSpec } from '@kvasir/api/agent/vm.ts';
import type { FunctionState, NetworkDriver, Port } from '../drivers/network.ts';

export class FakeNetwork implements NetworkDriver {
  readonly ports = new Map<string, Port>();
  /** Of NICs that have one. */
  readonly functions = new Map<string, FunctionState>();
  applied: { generation: number; slice: NetworkSlice; before: NetworkSlice | null } | null = null;
  /** What `apply` says was cut. */
  cuts: readonly PortCuts[] = [];
  /** Awaited by `apply`, after it has done its work. */
  gate: Promise<void> = Promise.resolve();
  gatewaysEnded = false;
  isClosed = false;

  async apply(generation: number, slice: NetworkSlice, before: NetworkSlice | null = null) {
    this.applied = { generation, slice, before };
    await this.gate;
    return this.cuts;
  }

  async endGateways(): Promise<void> {
    this.gatewaysEnded = true;
  }

  async attachPort(vmId: string, nic: Pick<NicSpec, 'nicId' | 'networkId' | 'direct'>, state?: FunctionState) {
    this.ports.set(nic.nicId, { nicId: nic.nicId, vmId, networkId: nic.networkId });
    const port = { device: `tap-${nic.nicId.slice(0, 8)}`, offload: true };
    if (nic.direct !== true) return port;
    this.functions.set(nic.nicId, state ?? this.functions.get(nic.nicId) ?? 'carries');
    return { ...port, virtualFunction: { pciAddress: '0000:03:10.0' } };
  }

  async setFunction(nicId: string, state: FunctionState): Promise<void> {
    if (this.functions.has(nicId)) this.functions.set(nicId, state);
  }

  async detachPort(nicId: string): Promise<void> {
    this.ports.delete(nicId);
    this.functions.delete(nicId);
  }

  async listPorts(): Promise<Port[]> {
    return [...this.ports.values()];
  }

  async counters() {
    return [];
  }

  async trace() {
    const droppedBy = 'nothing flows here';
    return { hops: [], verdict: 'dropped' as const, to: null, droppedBy, packet: null };
  }

  async report() {
    return { tunnelAddress: null, nics: [], uplinks: [] };
  }

  async versions() {
    return { openvswitch: '0.0' };
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}
