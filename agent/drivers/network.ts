/** Networking as the agent sees it: networks served here, and one port (a tap device on the switch) for each NIC. Implementations: `ovs/`, `sim/`. */
import type { NetworkChanged } from '@kvasir/api/agent/link.ts';
import type { PortCounters, PortCuts, TraceResult, networkTrace } from '@kvasir/api/agent/network.ts';
import type { ParamsOf } from '@kvasir/api/agent/method.ts';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import type { NicSpec } from '@kvasir/api/agent/vm.ts';

export interface Port {
  readonly nicId: string;
  readonly vmId: string;
  readonly networkId: string;
}

/** The host's end of a NIC. */
export interface PortDevice {
  /** Name of the tap, which the hypervisor opens (it does not create it). */
  readonly device: string;
  /**
   * Whether the switch takes packets whose checksum or segmentation the guest left to the hardware. Where it does not (Open
   * vSwitch in user space), the hypervisor must not offer that to the guest, or its TCP and UDP would arrive broken.
   */
  readonly offload: boolean;
  /**
   * A PCI function that carries this NIC's traffic; the tap then stands by for when the function is taken away (a migration).
   * Left out: the tap carries it.
   */
  readonly virtualFunction?: { readonly pciAddress: string };
}

/**
 * What the device does with frames to the NIC: it gives them to the NIC's function, or leaves them to the standby NIC. Also when no
 * guest drives the function, so it has to rest while the guest does not have it.
 */
export type FunctionState = 'carries' | 'rests';

/** A VM as its guest is told of it. */
export interface VmMetadata {
  readonly vmId: string;
  readonly name: string;
  readonly hostname: string;
  /** Changes when cloud-init is to run again. */
  readonly instanceId: string;
  readonly sshKeys: readonly string[];
  readonly userData: string | null;
}

/** Every method is idempotent. */
export interface NetworkDriver {
  /**
   * Is exactly this when it returns; throws `wrong-state` for a generation older than the last one applied. `before`, which counts
   * with the first one only: what was in force before the agent was started. Returns the cuts that the slice does not have.
   */
  apply(generation: number, slice: NetworkSlice, before?: NetworkSlice | null): Promise<readonly PortCuts[]>;
  /** This host is cut off: it translates for no router any more until the next slice. */
  endGateways(): Promise<void>;
  /**
   * Makes tap and switch port, and hands out a function to a NIC that is to have one.
   * @param state of that function; left out: one that rests goes on resting, any other one carries
   */
  attachPort(vmId: string, nic: NicSpec, state?: FunctionState): Promise<PortDevice>;
  /** Nothing for a NIC that is not here or has no function. */
  setFunction(nicId: string, state: FunctionState): Promise<void>;
  /** Removes tap and switch port; one that is not there counts as removed. */
  detachPort(nicId: string): Promise<void>;
  listPorts(): Promise<Port[]>;
  /** Of those ports that are here. */
  counters(nicIds: readonly string[]): Promise<PortCounters[]>;
  trace(params: ParamsOf<typeof networkTrace>): Promise<TraceResult>;
  /** NICs, uplinks and where tunnels end. */
  report(): Promise<NetworkChanged>;
  versions(): Promise<Record<string, string>>;
  /** Lets go of the switch, which goes on as it is: a process that holds it does not end. */
  close(): Promise<void>;
}
