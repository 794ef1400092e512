/** Decisions on snapshots that may be old: the database has the last word. The clock stands still, so no snapshot ages. */
import assert from 'node:assert/strict';
import { beforeEach, it } from 'node:test';
import type { PlacementDecision, PlacementRequest } from '@kvasir/control/placement/world.ts';
import { fresh } from '../http/testing/api-world.ts';
import { insertHost, insertNetwork, insertPool, insertPort, insertVm } from '../http/testing/inventory.ts';
import { systemIds } from '../ids.ts';
import { bootstrap } from '../store/bootstrap.ts';
import { ClusterSnapshots } from '../store/cluster-snapshots.ts';
import { clusters } from '../store/clusters.ts';
import { committedOn } from '../store/commitments.ts';
import type { Store, Tx } from '../store/database.ts';
import { setHostHa } from '../store/host-ha.ts';
import { hosts } from '../store/hosts.ts';
import { networks } from '../store/networks.ts';
import { poolHosts } from '../store/pools.ts';
import { projects } from '../store/projects.ts';
import { switches, uplinks } from '../store/switches.ts';
import { type VmRow, vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { placeMany, requestsFor } from './ha-placement.ts';
import { decidePlacement } from './vm-placement.ts';

const memoryMib = 4 * 128;

forEachDatabase('placement of VMs', (open) => {
  let store: Store;
  let clock: ManualClock;
  let snapshots: ClusterSnapshots;
  let clusterId: string;
  let projectId: string;
  let poolId: string;
  /** By name. */
  let hostIds: Record<'h1' | 'h2', string>;

  beforeEach(async () => {
    store = await open();
    clock = new ManualClock();
    snapshots = new ClusterSnapshots(clock);
    await bootstrap(store, { clock, ids: systemIds });
    await store.transaction(async (tx) => {
      clusterId = (await clusters.select(tx))[0]!.id;
      projectId = (await projects.select(tx))[0]!.id;
      await clusters.set(tx, { id: clusterId }, { memoryReservedMib: 0 });
      const size = { memoryMib, cpus: 8 };
      hostIds = {
        h1: (await insertHost(tx, clusterId, 'h1', size)).id,
        h2: (await insertHost(tx, clusterId, 'h2', size)).id,
      };
      poolId = (await insertPool(tx, clusterId, 'pool', Object.values(hostIds))).id;
    });
  });

  const request = (fields: Partial<PlacementRequest> = {}): PlacementRequest => ({
    vmId: systemIds.uuid(),
    cpus: 1,
    memoryMib: 128,
    cpuModel: 'host',
    poolIds: [poolId],
    volumeHostIds: [],
    networkIds: [],
    affinity: [],
    antiAffinity: [],
    projectId,
    ...fields,
  });
  const decide = (tx: Tx, asked: PlacementRequest, by = snapshots) => decidePlacement(by, tx, clusterId, asked);
  /** Decides and writes the VM, as a create does. */
  const place = (by = snapshots, fields: Partial<PlacementRequest> = {}): Promise<PlacementDecision> =>
    store.transaction(async (tx) => {
      const asked = request(fields);
      const decision = await decide(tx, asked, by);
      if (decision.ok)
        await put(tx, decision.hostId, { id: asked.vmId, affinity: asked.affinity, antiAffinity: asked.antiAffinity });
      return decision;
    });
  const put = (tx: Tx, hostId: string, facts: Partial<VmRow> = {}): Promise<VmRow> =>
    insertVm(tx, projectId, `vm-${systemIds.uuid()}`, clusterId, { hostId, ...facts });
  const nameOf = (decision: PlacementDecision): string | undefined =>
    Object.entries(hostIds).find(([, id]) => decision.ok && id === decision.hostId)?.[0];

  it('spreads many in a row by what it gave away itself', async () => {
    const names = [];
    for (let i = 0; i < 6; i += 1) names.push(nameOf(await place()));
    assert.deepEqual(names, ['h1', 'h2', 'h1', 'h2', 'h1', 'h2']);
  });

  it('does not overcommit what another manager filled meanwhile', async () => {
    const other = new ClusterSnapshots(clock);
    await place(other);
    let placed = 1;
    for (let i = 0; i < 12; i += 1) if ((await place(i % 3 === 0 ? other : snapshots)).ok) placed += 1;
    assert.equal(placed, 8);
    const sums = await committedOn(store.db, { clusterId });
    assert.deepEqual(
      [...sums.values()].map((sum) => sum.memoryMib),
      [memoryMib, memoryMib],
    );
  });

  it('takes no host that went down, was closed, lost the pool or its hypervisor, or is gone since', async () => {
    const changes: ((tx: Tx, id: string) => Promise<unknown>)[] = [
      (tx, id) => hosts.set(tx, { id }, { state: 'down' }),
      (tx, id) => hosts.set(tx, { id }, { state: 'up', schedulable: false }),
      (tx, id) =>
        hosts
          .set(tx, { id }, { schedulable: true })
          .then(() => poolHosts.set(tx, { hostId: id }, { reachable: false })),
      (tx, id) => setHostHa(tx, id, { state: 'hypervisor-lost', because: null, since: 1 }),
      (tx, id) => hosts.remove(tx, { id }),
    ];
    for (const change of changes) {
      await store.transaction((tx) => poolHosts.set(tx, { hostId: hostIds.h1 }, { reachable: true }));
      await store.transaction((tx) => snapshots.read(tx, clusterId));
      await store.transaction((tx) => change(tx, hostIds.h1));
      assert.equal(nameOf(await store.transaction((tx) => decide(tx, request()))), 'h2');
    }
  });

  it('takes the rules of the cluster as they are now', async () => {
    await store.transaction((tx) => snapshots.read(tx, clusterId));
    await store.transaction((tx) => clusters.set(tx, { id: clusterId }, { memoryReservedMib: memoryMib - 64 }));
    const decision = await place();
    assert.deepEqual(
      decision.refusals.map(({ hostName, reason }) => `${hostName}: ${reason}`),
      ['h1: 64 MiB free of 128 asked', 'h2: 64 MiB free of 128 asked'],
    );
    assert.equal(decision.ok, false);
  });

  it('refuses nobody by what is old, and calls pools by their names when it refuses', async () => {
    for (let i = 0; i < 8; i += 1) await place();
    assert.equal((await place()).ok, false);
    const [gone] = await vms.select(store.db);
    await store.transaction((tx) => vms.remove(tx, { id: gone!.id }));
    assert.equal((await place()).ok, true);
    await store.transaction((tx) => poolHosts.set(tx, { poolId }, { reachable: false }));
    const { refusals } = await place();
    assert.match(refusals[0]!.reason, /does not reach the pool pool$/);
  });

  it('does not count a VM against itself, and only its growth when it stays', async () => {
    const vm = await store.transaction((tx) => put(tx, hostIds.h1, { memoryMib: 256 }));
    const grown = request({ vmId: vm.id, memoryMib, hostId: hostIds.h1, residentHostId: hostIds.h1 });
    assert.equal(nameOf(await store.transaction((tx) => decide(tx, grown))), 'h1');
    const snapshot = await snapshots.of(store.db, clusterId);
    assert.deepEqual(
      snapshot.hosts.map((host) => host.vms.map((each) => each.memoryMib)),
      [[memoryMib], [0]],
    );
    const more = { ...grown, memoryMib: memoryMib + 1 };
    assert.equal((await store.transaction((tx) => decide(tx, more))).ok, false);
  });

  it('counts a migration on both hosts, once on each', async () => {
    await store.transaction((tx) => put(tx, hostIds.h1, { memoryMib: 256, reservedHostId: hostIds.h2 }));
    const sums = await committedOn(store.db, { clusterId });
    assert.deepEqual(
      [...sums.values()].map((sum) => [sum.vms, sum.memoryMib]),
      [
        [1, 256],
        [1, 256],
      ],
    );
  });

  it('keeps groups apart and together although the snapshot knows no single VM', async () => {
    const first = nameOf(await place(snapshots, { antiAffinity: ['db'], affinity: ['near'] }));
    assert.notEqual(nameOf(await place(snapshots, { antiAffinity: ['db'] })), first);
    assert.equal((await place(snapshots, { antiAffinity: ['db'] })).ok, false);
    for (let i = 0; i < 3; i += 1) assert.equal(nameOf(await place(snapshots, { affinity: ['near'] })), first);
    assert.equal((await place(snapshots, { affinity: ['near'] })).ok, false);
  });

  it('moves and restarts a VM only to where its networks lead, also when it is in a group', async () => {
    const vm = await store.transaction(async (tx) => {
      const spans = { clusterId, hostIds: [], defaultBond: 'active-backup' as const, mtu: 1500 };
      const { id: switchId } = await switches.insert(tx, {
        ...fresh(),
        description: '',
        labels: {},
        ...spans,
        name: 's',
      });
      const link = { switchId, hostId: hostIds.h2, nics: ['e1'], bond: null, lacpFast: false };
      await uplinks.insert(tx, { ...fresh(), ...link, name: 'u' });
      const network = await insertNetwork(tx, projectId, 'outside');
      await networks.set(tx, { id: network.id }, { kind: 'vlan', segment: 7, switchId });
      const row = await put(tx, hostIds.h2, { antiAffinity: ['db'] });
      await insertPort(tx, row.id, network.id);
      return row;
    });
    const [asked] = await requestsFor(store.db, [vm.id]);
    const elsewhere = { ...asked!.request, excludeHostIds: [hostIds.h2] };
    const decision = await store.transaction((tx) => decide(tx, elsewhere));
    assert.deepEqual([decision.ok, ...decision.refusals.map(({ reason }) => reason)].slice(0, 2), [
      false,
      'has no uplink to switch s',
    ]);
    const placed = await store.transaction((tx) =>
      placeMany(tx, snapshots, clusterId, [vm.id], {
        excludeHostIds: [hostIds.h2],
        lastResort: () => [hostIds.h2],
        stayAt: () => undefined,
      }),
    );
    assert.equal(placed[0]?.hostId, null, placed[0]?.because);
  });

  it('reads a cluster anew after a millisecond for each host', async () => {
    const read = () => snapshots.of(store.db, clusterId);
    const first = await read();
    assert.equal(await read(), first);
    clock.advance(1);
    assert.equal(await read(), first);
    clock.advance(1);
    const second = await read();
    assert.notEqual(second, first);
    clock.advance(10);
    assert.equal(await snapshots.of(store.db, clusterId, { anyAge: true }), second);
  });
});
