/** Networking as the agent sees it: networks served here, and one port (a tap device on the switch) for each NIC. Implementations: `ovs/`, `sim/`. */
import type { NicSpec } from '@kvasir/api/agent/vm.ts';

export interface HostNetwork {
  readonly networkId: string;
  readonly kind: 'flat';
  readonly mtu: number;
}

export interface Port {
  readonly nicId: string;
  readonly vmId: string;
  readonly networkId: string;
}

/** Every method is idempotent. */
export interface NetworkDriver {
  /** Serves exactly these networks; throws `wrong-state` for a generation older than the last one applied. */
  apply(generation: number, networks: readonly HostNetwork[]): Promise<void>;
  /** Makes tap and switch port; answers the tap's device name, which the hypervisor opens (it does not create it). */
  attachPort(vmId: string, nic: NicSpec): Promise<{ readonly device: string }>;
  /** Removes tap and switch port; one that is not there counts as removed. */
  detachPort(nicId: string): Promise<void>;
  listPorts(): Promise<Port[]>;
  versions(): Promise<Record<string, string>>;
}
