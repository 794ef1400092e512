/** Rows of hosts, pools, images, VMs and the rest, as a manager would have them that runs for a while. */
import { clusters } from '../../store/clusters.ts';
import type { Tx } from '../../store/database.ts';
import { type HostRow, hosts } from '../../store/hosts.ts';
import { imageCopies, type ImageRow, images } from '../../store/images.ts';
import { networks, plainNetwork, plainPort, ports } from '../../store/networks.ts';
import { poolHosts, pools } from '../../store/pools.ts';
import { vmDisks, type VmRow, vms } from '../../store/vms.ts';
import { type VolumeRow, volumes } from '../../store/volumes.ts';
import { fresh } from './api-world.ts';

export async function insertHost(
  tx: Tx,
  clusterId: string,
  name: string,
  size: Partial<HostRow> = {},
): Promise<HostRow> {
  return hosts.insert(tx, {
    ...fresh(),
    name,
    description: '',
    labels: {},
    clusterId,
    state: 'up',
    schedulable: true,
    address: '192.0.2.1',
    virtualization: 'simulated',
    cpus: 64,
    cpuModel: 'test',
    memoryMib: 262_144,
    versions: { agent: 'test' },
    inventory: null,
    certificateFingerprint: null,
    lastSeenAt: Date.now(),
    ...size,
  });
}

export async function insertPool(tx: Tx, clusterId: string, name: string, hostIds: readonly string[], shared = true) {
  const row = { name, description: '', clusterId, kind: 'directory' as const, path: `/pools/${name}`, shared };
  const pool = await pools.insert(tx, { ...fresh(), ...row });
  for (const hostId of hostIds) {
    const report = { reachable: true, reason: null, totalMib: 1_000_000, freeMib: 900_000, updatedAt: Date.now() };
    await poolHosts.insert(tx, { poolId: pool.id, hostId, ...report });
  }
  return pool;
}

export async function insertImage(
  tx: Tx,
  projectId: string,
  name: string,
  poolId: string,
  facts: Partial<ImageRow> = {},
): Promise<ImageRow> {
  const image = await images.insert(tx, {
    ...fresh(),
    name,
    description: '',
    labels: {},
    projectId,
    public: false,
    state: 'ready',
    format: 'qcow2',
    virtualSizeMib: 64,
    sizeBytes: 20_000_000,
    sha256: '0'.repeat(64),
    ...facts,
  });
  await imageCopies.insert(tx, {
    id: fresh().id,
    imageId: image.id,
    poolId,
    hostId: null,
    state: 'ready',
    createdAt: Date.now(),
  });
  return image;
}

export async function insertVolume(
  tx: Tx,
  projectId: string,
  name: string,
  poolId: string,
  facts: Partial<VolumeRow> = {},
): Promise<VolumeRow> {
  return volumes.insert(tx, {
    ...fresh(),
    name,
    description: '',
    labels: {},
    projectId,
    poolId,
    hostId: null,
    state: 'ready',
    format: 'qcow2',
    sizeMib: 64,
    imageId: null,
    linked: false,
    trashedAt: null,
    ...facts,
  });
}

export async function insertVm(
  tx: Tx,
  projectId: string,
  name: string,
  clusterId: string,
  facts: Partial<VmRow> = {},
): Promise<VmRow> {
  return vms.insert(tx, {
    ...fresh(),
    name,
    description: '',
    labels: {},
    projectId,
    clusterId,
    hostId: null,
    reservedHostId: null,
    state: 'running',
    stateReason: null,
    desiredState: 'running',
    cpus: 1,
    maxCpus: 1,
    memoryMib: 128,
    maxMemoryMib: 128,
    cpuModel: 'host',
    firmware: 'bios',
    bootOrder: ['disk'],
    affinity: [],
    antiAffinity: [],
    cloudInit: null,
    guest: null,
    drift: [],
    startedAt: null,
    trashedAt: null,
    purgeAt: null,
    ...facts,
  });
}

export async function attachRow(tx: Tx, vmId: string, volumeId: string, device = 'vda'): Promise<void> {
  await vmDisks.insert(tx, { volumeId, vmId, device, bus: 'virtio', position: 0, readOnly: false });
}

let lastMac = 0;

export async function insertPort(tx: Tx, vmId: string, networkId: string) {
  lastMac += 1;
  const macAddress = `52:54:01:00:${hex(lastMac >> 8)}:${hex(lastMac & 255)}`;
  const row = { vmId, networkId, macAddress, model: 'virtio' as const, connected: true, position: 0, ...plainPort };
  return ports.insert(tx, { ...fresh(), ...row });
}

export async function insertNetwork(tx: Tx, projectId: string, name: string, shared = false) {
  const row = { name, description: '', labels: {}, projectId, shared, ...plainNetwork, mtu: 1500 };
  return networks.insert(tx, { ...fresh(), ...row });
}

export async function defaultClusterId(tx: Tx): Promise<string> {
  return (await clusters.find(tx, { name: 'default' }))!.id;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
