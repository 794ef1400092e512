/** For any operation of the contract: fresh objects that it can be sent to, and the smallest good request. */
import type { Operation } from '@kvasir/api/operation.ts';
import { apiTokens } from '../../store/api-tokens.ts';
import { clusters } from '../../store/clusters.ts';
import type { Tx } from '../../store/database.ts';
import { fenceDevices, unverified } from '../../store/fence-devices.ts';
import { haIncidents } from '../../store/ha-incidents.ts';
import { hostStandby } from '../../store/host-standby.ts';
import { organizationMembers, organizations } from '../../store/organizations.ts';
import { tasks } from '../../store/tasks.ts';
import { users } from '../../store/users.ts';
import { insertSwitchRows } from './switch-rows.ts';
import { type ApiWorld, fresh, insertProject } from './api-world.ts';
import {
  attachRow,
  defaultClusterId,
  insertHost,
  insertImage,
  insertNetwork,
  insertPool,
  insertPort,
  insertVm,
  insertVolume,
} from './inventory.ts';

export interface SampleRequest {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: unknown;
}

let count = 0;

/** States that operations on a VM need; the others take a running one. */
const vmStates: Readonly<Record<string, 'stopped' | 'paused' | 'trashed'>> = {
  'vm.start': 'stopped',
  'vm.resume': 'paused',
  'vm.restore': 'trashed',
  'vm.delete': 'stopped',
};

/** A request that a person with every right could send, about objects that nothing else uses. */
export async function sampleRequest(world: ApiWorld, op: Operation, ownerId: string): Promise<SampleRequest> {
  count += 1;
  const n = count;
  return world.store.transaction(async (tx) => {
    const clusterId = await defaultClusterId(tx);
    const project = await insertProject(tx, world, `p${n}`);
    const needsHost = op.resource !== 'host' || ['list', 'enterMaintenance', 'standby'].includes(op.verb);
    const host = await insertHost(tx, clusterId, `h${n}`, needsHost ? {} : { state: 'down' });
    if (op.id === 'host.wake') await insertStandby(tx, host.id);
    const other = op.id === 'vm.migrate' ? await insertHost(tx, clusterId, `h${n}-other`) : host;
    const pool = await insertPool(tx, clusterId, `pool${n}`, [host.id, other.id].slice(0, host === other ? 1 : 2));
    const fenceDevice = await insertFenceDevice(world, tx, host.id, n);
    const empty = await insertPool(tx, clusterId, `empty${n}`, [host.id]);
    const image = await insertImage(tx, project.id, `image${n}`, pool.id);
    const network = await insertNetwork(tx, project.id, `net${n}`);
    const unused = await insertNetwork(tx, project.id, `unused${n}`);
    const state = vmStates[op.id] ?? 'running';
    const trashed = state === 'trashed' ? { trashedAt: Date.now(), purgeAt: Date.now() + 1000, hostId: null } : {};
    const onHost = op.resource === 'host' ? {} : { hostId: host.id };
    const vm = await insertVm(tx, project.id, `vm${n}`, clusterId, { state, ...onHost, ...trashed });
    const attached = await insertVolume(tx, project.id, `disk${n}`, pool.id);
    await attachRow(tx, vm.id, attached.id);
    const nic = await insertPort(tx, vm.id, network.id);
    const volume = await insertVolume(tx, project.id, `volume${n}`, pool.id);
    const around = { projectId: project.id, clusterId, hostId: host.id, portId: nic.id, portNetworkId: network.id };
    const rows = await insertSwitchRows(tx, n, around);
    const cluster = await clusters.insert(tx, {
      ...fresh(),
      name: `cluster${n}`,
      description: '',
      placementPolicy: 'spread',
      cpuOvercommit: 8,
      memoryOvercommit: 1,
      memoryReservedMib: 0,
    });
    const spare =
      op.access === 'organization.admin'
        ? undefined
        : await organizations.insert(tx, { ...fresh(), name: `org${n}`, description: '' });
    const user = await users.insert(tx, {
      ...fresh(),
      name: `user${n}`,
      description: '',
      systemRole: 'none',
      disabled: false,
      passwordHash: 'none',
    });
    if (op.id === 'organization.removeMember') {
      const { organizationId } = world;
      await organizationMembers.insert(tx, { organizationId, userId: user.id, role: 'admin', createdAt: Date.now() });
    }
    const token = await apiTokens.insert(tx, {
      ...fresh(),
      name: `token${n}`,
      userId: ownerId,
      tokenHash: `hash${n}`,
      expiresAt: null,
      lastUsedAt: null,
    });
    const task = await insertTask(world, tx, project.id, vm, op.id === 'task.retry' ? 'parked' : 'running');
    const incident = await haIncidents.insert(tx, {
      id: fresh().id,
      clusterId,
      hostId: host.id,
      hostName: host.name,
      state: 'dead',
      because: 'it is silent',
      alarms: [],
      openedAt: Date.now(),
      closedAt: null,
    });
    const target: Record<string, string> = {
      incident: incident.id,
      project: op.id === 'project.delete' ? (await insertProject(tx, world, `bare${n}`)).id : project.id,
      host: host.id,
      pool: empty.id,
      fenceDevice: fenceDevice.id,
      image: image.id,
      network: op.id === 'network.delete' ? unused.id : op.resource === 'router' ? rows.inner.id : network.id,
      vm: vm.id,
      volume: op.resource === 'vm' ? attached.id : volume.id,
      nic: nic.id,
      switch: rows.on.id,
      uplink: rows.uplink.id,
      port: nic.id,
      subPort: rows.subPort.id,
      securityGroup: rows.group.id,
      rule: rows.rule.id,
      qosPolicy: rows.qosPolicy.id,
      mirror: rows.mirror.id,
      router: rows.router.id,
      floatingAddress: rows.floatingAddress.id,
      cluster: cluster.id,
      organization: spare?.id ?? world.organizationId,
      user: op.id === 'project.removeMember' ? world.userIds.viewer : user.id,
      token: token.id,
      task: task.id,
    };
    const named = {
      image: image.name,
      pool: pool.name,
      volume: volume.name,
      network: network.name,
      host: other.name,
      bareSwitch: rows.bare.name,
      looseNetwork: rows.loose.name,
      externalNetwork: rows.external.name,
      nic: nic.id,
    };
    const trace = op.id === 'network.trace' ? { from: vm.name, to: '10.9.0.6' } : {};
    return {
      params: Object.fromEntries(Object.keys(op.params.properties).map((key) => [key, target[key] ?? 'missing'])),
      query: 'project' in op.query.properties && op.access !== 'session' ? { project: project.name, ...trace } : {},
      body: op.body === undefined ? undefined : sampleBody(op, n, named),
    };
  });
}

async function insertStandby(tx: Tx, hostId: string): Promise<void> {
  const row = { wasSchedulable: true, byPolicy: false, because: 'the test asks for it', taskId: fresh().id, since: 1 };
  await hostStandby.insert(tx, { ...row, hostId, phase: 'standby' });
}

async function insertFenceDevice(world: ApiWorld, tx: Tx, hostId: string, n: number) {
  const row = fresh();
  return fenceDevices.insert(tx, {
    ...row,
    ...{ name: `bmc${n}`, hostId, kind: 'ipmi', address: '192.0.2.9', port: 623, userName: 'admin', position: 0 },
    ...{ sealedPassword: world.env.secrets.seal('secret', row.id), certificateFingerprint: null, systemPath: null },
    ...unverified,
  });
}

async function insertTask(
  world: ApiWorld,
  tx: Parameters<typeof tasks.insert>[0],
  projectId: string,
  vm: { readonly id: string; readonly name: string },
  state: 'running' | 'parked',
) {
  return tasks.insert(tx, {
    id: fresh().id,
    kind: 'vm-start',
    params: { vmId: vm.id, paused: false },
    state,
    targetKind: 'vm',
    targetId: vm.id,
    targetName: vm.name,
    projectId,
    userId: world.userIds['system-admin'],
    percent: 0,
    step: null,
    bytesDone: null,
    bytesTotal: null,
    downtimeMs: null,
    cancellable: true,
    cancelRequestedAt: null,
    error: null,
    notBefore: 0,
    parkedAt: null,
    revivals: 0,
    createdAt: Date.now(),
    startedAt: null,
    finishedAt: null,
  });
}

type Named = Readonly<
  Record<
    'image' | 'pool' | 'volume' | 'network' | 'host' | 'bareSwitch' | 'looseNetwork' | 'externalNetwork' | 'nic',
    string
  >
>;

/** Bodies with required fields; a new operation that has some must get a row here. */
function sampleBody(op: Operation, n: number, named: Named): unknown {
  const bodies: Record<string, unknown> = {
    'session.create': { userName: 'nobody', password: 'not the password' },
    'session.changePassword': { currentPassword: 'not the password', newPassword: 'long enough' },
    'apiToken.create': { name: `new-token${n}` },
    'user.create': { name: `new-user${n}`, password: 'long enough' },
    'organization.create': { name: `new-org${n}` },
    'organization.setMember': { role: 'admin' },
    'project.create': { name: `new-project${n}` },
    'project.setMember': { role: 'viewer' },
    'cluster.create': { name: `new-cluster${n}` },
    'hostPower.off': { force: true },
    'fenceDevice.create': {
      ...{ name: `new-bmc${n}`, host: named.host, kind: 'ipmi', address: '192.0.2.9' },
      ...{ userName: 'admin', password: 'secret' },
    },
    'host.confirmOff': { confirm: true, statement: 'unplugged' },
    'pool.create': { name: `new-pool${n}`, path: `/new/${n}`, shared: true },
    'image.import': { name: `new-image${n}`, pool: named.pool, file: 'tiny.qcow2' },
    'image.upload': { name: `new-upload${n}`, pool: named.pool, sizeBytes: 1024 },
    'volume.create': { name: `new-volume${n}`, pool: named.pool, sizeGib: 1 },
    'volume.resize': { sizeGib: 1 },
    'network.create': { name: `new-net${n}` },
    'switch.create': { name: `new-switch${n}` },
    'uplink.create': { switch: named.bareSwitch, host: named.host, nics: [`f${n}`] },
    'port.addSubPort': { network: named.looseNetwork, vlanId: 11 },
    'qosPolicy.create': { name: `new-qos${n}` },
    'mirror.create': {
      name: `new-mirror${n}`,
      sourcePorts: [named.nic],
      targetKind: 'gre',
      targetAddress: '192.0.2.9',
    },
    'router.create': { name: `new-router${n}` },
    'router.addInterface': { network: named.looseNetwork },
    'floatingAddress.create': { network: named.externalNetwork },
    'securityGroup.create': { name: `new-group${n}` },
    'securityGroup.addRule': { direction: 'in', protocol: 'tcp', portFrom: 22 },
    'vm.create': { name: `new-vm${n}`, image: named.image, memoryMib: 64, network: named.network },
    'vm.attachDisk': { volume: named.volume },
    'vm.attachNic': { network: named.network },
    'vm.openConsole': { kind: 'serial' },
  };
  if (op.id in bodies) return bodies[op.id];
  const { required = [] } = op.body as { required?: readonly string[] };
  if (required.length > 0) throw new Error(`${op.id} needs a sample body with ${required.join(', ')}`);
  return {};
}
