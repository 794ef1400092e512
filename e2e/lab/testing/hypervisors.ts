/** Connections of a test to each lab host's libvirt, past all of Kvasir: what really is, whatever the manager believes. */
import { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type { Lab } from '@kvasir/lab/lab.ts';
import { insideHost } from '@kvasir/lab/layout.ts';

export type Hypervisors = ReadonlyMap<string, LibvirtClient>;

/** By host name. They reconnect by themselves, but not over a host's power failure: its root is another one then. */
export async function connectHypervisors(lab: Lab): Promise<Hypervisors> {
  const clients = lab.hosts().map((host) => {
    const client = new LibvirtClient({ socketPath: host.path(insideHost.libvirtSocket) });
    return [host.name, client] as const;
  });
  await Promise.all(clients.map(([, client]) => client.connect(10_000)));
  return new Map(clients);
}

export async function closeHypervisors(hypervisors: Hypervisors): Promise<void> {
  await Promise.all([...hypervisors.values()].map((client) => client.close()));
}

/** A VM without disk and NIC that vanishes when it ends, of which nobody but libvirt knows. */
export async function startTwin(hypervisor: LibvirtClient, uuid: string): Promise<void> {
  await hypervisor.domain.createXml(
    `<domain type='qemu'><name>twin</name><uuid>${uuid}</uuid><memory unit='MiB'>32</memory><vcpu>1</vcpu>
     <os><type arch='x86_64' machine='q35'>hvm</type></os></domain>`,
  );
}
