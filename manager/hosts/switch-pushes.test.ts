/** What hosts are told of the distributed switch, and when: before a VM is there, in order, and no more than concerns them. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import { digestsOf, readOutline, SliceOutline } from '@kvasir/api/agent/slice-outline.ts';
import { Value } from 'typebox/value';
import type { ParamsOf } from '@kvasir/api/agent/method.ts';
import type { networkApply } from '@kvasir/api/agent/network.ts';
import { systemIds } from '../ids.ts';
import { hosts as hostRows } from '../store/hosts.ts';
import { networkAddresses, networks, plainNetwork, plainPort, ports } from '../store/networks.ts';
import { projects } from '../store/projects.ts';
import { portSecurityGroups, securityGroupRules, securityGroups } from '../store/security-groups.ts';
import { firstRevision } from '../store/versioned.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { HostWorld, type ScriptedAgent } from './testing/host-world.ts';

type Applied = ParamsOf<typeof networkApply>;

forEachDatabase('slices for hosts', (open) => {
  let world: HostWorld;
  let hostIds: string[];
  let agents: ScriptedAgent[];
  let networkId: string;
  let groupId: string;
  const fresh = () => firstRevision(systemIds.uuid(), 0);
  const applied = (index: number): Applied[] =>
    agents[index]!.requests.filter(({ method }) => method === 'network.apply').map(
      ({ params }) => (params as { params: Applied }).params,
    );
  /** As the host reads it: with all documents that ever arrived there. */
  const last = (index: number): NetworkSlice => {
    const documents = applied(index).flatMap(({ documents }) => documents);
    const known = new Map(documents.map(({ digest, content }) => [digest, content]));
    return readOutline(hostIds[index]!, applied(index).at(-1)!.outline, known);
  };
  let made = 0;

  async function addVm(hostId: string) {
    const vm = await world.addVm({ hostId });
    made += 1;
    const macAddress = `52:54:00:aa:00:${String(made).padStart(2, '0')}`;
    const nic = { vmId: vm.id, networkId, macAddress, model: 'virtio' as const, connected: true, position: 0 };
    const port = await world.store.transaction(async (tx) => {
      const row = await ports.insert(tx, { ...fresh(), ...plainPort, ...nic, portSecurity: true });
      const nobody = { subPortId: null, routerId: null, floatingAddressId: null };
      await networkAddresses.insert(tx, { networkId, address: `10.0.0.${made + 1}`, portId: row.id, ...nobody });
      await portSecurityGroups.insert(tx, { portId: row.id, groupId });
      return row;
    });
    return { vm, port };
  }

  before(async () => {
    world = await HostWorld.open(await open());
    hostIds = [await world.addHost('s1'), await world.addHost('s2'), await world.addHost('s3')];
    agents = [];
    for (const hostId of hostIds) agents.push(await world.connect(hostId));
    await world.store.transaction(async (tx) => {
      for (const [index, id] of hostIds.entries()) {
        const { inventory } = await hostRows.get(tx, id);
        await hostRows.set(tx, { id }, { inventory: { ...inventory!, tunnelAddress: `192.0.2.${index + 1}` } });
      }
      const projectId = (await projects.find(tx, {}))!.id;
      const named = { description: '', labels: {}, projectId };
      const vxlan = { ...plainNetwork, kind: 'vxlan' as const, segment: 99, mtu: 1450, shared: false };
      networkId = (await networks.insert(tx, { ...fresh(), ...named, ...vxlan, name: 'blue' })).id;
      groupId = (await securityGroups.insert(tx, { ...fresh(), ...named, name: 'web' })).id;
      const anything = {
        protocol: null,
        portFrom: null,
        portTo: null,
        icmpType: null,
        icmpCode: null,
        remoteCidr: null,
      };
      const rule = { id: systemIds.uuid(), createdAt: 0, description: '', groupId, remoteGroupId: groupId };
      await securityGroupRules.insert(tx, { ...rule, ...anything, direction: 'in', family: 'ipv4' });
    });
  });
  after(() => world.hosts.close());

  it('are there before a VM is, and tell those that share its network and group of it', async () => {
    const first = await addVm(hostIds[0]!);
    await world.hosts.calls.switchReady(hostIds[0]!, { everywhere: false });
    assert.deepEqual(
      last(0).ports.map(({ nicId, phase }) => [nicId, phase]),
      [[first.port.id, 'active']],
    );
    assert.deepEqual(Value.Errors(NetworkSlice, last(0)), []);
    assert.deepEqual(Value.Errors(SliceOutline, applied(0).at(-1)!.outline), []);
    await addVm(hostIds[1]!);
    await world.hosts.calls.switchReady(hostIds[1]!, { everywhere: false });
    await world.settle();
    assert.deepEqual(
      last(0).networks[0]!.remotePorts.map(({ vteps }) => vteps),
      [['192.0.2.2']],
    );
    assert.deepEqual(last(0).addressSets, [{ groupId, addresses: ['10.0.0.2', '10.0.0.3'] }]);
    assert.deepEqual(last(2), {
      uplinks: [],
      networks: [],
      ports: [],
      groups: [],
      addressSets: [],
      routers: [],
      mirrors: [],
    });
  });

  it('know both ends of a move before it begins, and only the new one after it', async () => {
    const { vm, port } = await addVm(hostIds[0]!);
    await world.store.transaction((tx) => vms.set(tx, { id: vm.id }, { reservedHostId: hostIds[2]! }));
    await world.hosts.calls.switchReady(hostIds[2]!, { everywhere: true });
    assert.equal(last(2).ports.find(({ nicId }) => nicId === port.id)?.phase, 'incoming');
    const fed = last(1).networks[0]!.remotePorts.find(({ macAddress }) => macAddress === port.macAddress);
    assert.deepEqual(fed?.vteps, ['192.0.2.1', '192.0.2.3']);
    await world.store.transaction((tx) => vms.set(tx, { id: vm.id }, { hostId: hostIds[2]!, reservedHostId: null }));
    world.hosts.calls.switchChanged();
    await world.settle();
    assert.equal(
      last(0).ports.some(({ nicId }) => nicId === port.id),
      false,
    );
    assert.equal(last(2).ports.find(({ nicId }) => nicId === port.id)?.phase, 'active');
    const now = last(1).networks[0]!.remotePorts.find(({ macAddress }) => macAddress === port.macAddress);
    assert.deepEqual(now?.vteps, ['192.0.2.3']);
  });

  it('say to the next host of a port what was cut at the one before, and believe only the host that has it', async () => {
    const { vm, port } = await addVm(hostIds[0]!);
    const { port: foreign } = await addVm(hostIds[1]!);
    const cut = { opened: 'in', address: '10.0.0.2', port: 80, remote: '10.0.0.3' } as const;
    const cuts = [{ ...cut, remote: 'nobody' }, cut];
    agents[0]!.answers.set('network.apply', (params) => ({
      generation: (params as { params: Applied }).params.generation,
      missing: [],
      cuts: [port, foreign].map(({ id }) => ({ nicId: id, guestVlan: null, cuts })),
    }));
    const cutsAt = (index: number, nicId: string) => last(index).ports.find((one) => one.nicId === nicId)?.cuts;
    const told = async (): Promise<void> => {
      await world.settle();
      // With so many ports it rests after each round.
      world.clock.advance(1000);
      await world.settle();
    };
    await world.hosts.calls.switchReady(hostIds[0]!, { everywhere: false });
    await told();
    agents[0]!.answers.delete('network.apply');
    assert.deepEqual([cutsAt(0, port.id), cutsAt(1, foreign.id)], [[cut], undefined]);
    await world.store.transaction((tx) => vms.set(tx, { id: vm.id }, { reservedHostId: hostIds[2]! }));
    await world.hosts.calls.switchReady(hostIds[2]!, { everywhere: false });
    assert.deepEqual(cutsAt(2, port.id), [cut]);
    // Its host tells of another one only when the port is not there any more.
    const late = { ...cut, port: 81 };
    agents[0]!.answers.set('network.apply', (params) => ({
      generation: (params as { params: Applied }).params.generation,
      missing: [],
      cuts: [{ nicId: port.id, guestVlan: null, cuts: [late] }],
    }));
    await world.store.transaction((tx) => vms.set(tx, { id: vm.id }, { hostId: hostIds[2]!, reservedHostId: null }));
    await world.hosts.calls.switchReady(hostIds[0]!, { everywhere: false });
    await told();
    agents[0]!.answers.delete('network.apply');
    assert.deepEqual(cutsAt(2, port.id), [cut, late]);
    await world.store.transaction((tx) => vms.remove(tx, { id: vm.id }));
    await world.store.transaction((tx) => vms.remove(tx, { id: foreign.vmId }));
  });

  it('come in order at a host that is slow, without those that were overtaken', async () => {
    const open = Promise.withResolvers<void>();
    agents[1]!.answers.set('network.apply', async (params) => {
      await open.promise;
      return { generation: (params as { params: Applied }).params.generation, missing: [] };
    });
    const before = applied(1).length;
    const ready: Promise<void>[] = [];
    for (let n = 0; n < 3; n += 1) {
      await addVm(hostIds[1]!);
      ready.push(world.hosts.calls.switchReady(hostIds[1]!, { everywhere: false }));
      await world.store.transaction(async () => {});
    }
    while (applied(1).length === before) await world.store.transaction(async () => {});
    open.resolve();
    await Promise.all(ready);
    await world.settle();
    agents[1]!.answers.delete('network.apply');
    const generations = applied(1).map(({ generation }) => generation);
    assert.deepEqual(
      generations,
      generations.toSorted((a, b) => a - b),
    );
    assert.equal(last(1).ports.length, 4);
  });

  it('say that a host did not take its own, and go on at the others', async () => {
    agents[0]!.answers.set('network.apply', () => {
      throw new Error('no switch here');
    });
    await addVm(hostIds[0]!);
    await assert.rejects(world.hosts.calls.switchReady(hostIds[0]!, { everywhere: true }));
    assert.equal(last(1).networks[0]!.remotePorts.length, last(0).ports.length + last(2).ports.length);
    agents[0]!.answers.delete('network.apply');
    world.hosts.nudge();
    await world.settle();
    assert.ok((await world.events('host.push-failed')).length > 0);
    assert.equal(applied(0).at(-1)!.outline.ports.length, 2);
  });

  it('send a host no document twice, and again what it says it lacks', async () => {
    const ready = () => world.hosts.calls.switchReady(hostIds[1]!, { everywhere: false });
    const sent = (applications: readonly Applied[]) =>
      applications.flatMap(({ documents }) => documents.map(({ digest }) => digest));
    await ready();
    const count = applied(1).length;
    await addVm(hostIds[2]!);
    await ready();
    const [news, ...more] = applied(1).slice(count);
    assert.deepEqual(more, []);
    const known = new Set(sent(applied(1).slice(0, count)));
    assert.ok(sent([news!]).length > 0);
    assert.ok(sent([news!]).every((digest) => !known.has(digest)));

    const has = new Set<string>();
    agents[1]!.answers.set('network.apply', (params) => {
      const { generation, outline, documents } = (params as { params: Applied }).params;
      for (const { digest } of documents) has.add(digest);
      return { generation, missing: [...digestsOf(outline)].filter((digest) => !has.has(digest)) };
    });
    await addVm(hostIds[2]!);
    await ready();
    agents[1]!.answers.delete('network.apply');
    const [first, second, ...others] = applied(1).slice(count + 1);
    assert.deepEqual(others, []);
    assert.equal(first!.generation, second!.generation);
    assert.deepEqual(new Set(sent([first!, second!])), digestsOf(second!.outline));
  });

  it('are few when many VMs come at once, and whole for each of them', async () => {
    const counts = agents.map((_, index) => applied(index).length);
    const wanted = [];
    for (let n = 0; n < 12; n += 1) wanted.push((await addVm(hostIds[n % 3]!)).port.id);
    const ready = wanted.map(async (nicId, n) => {
      await world.hosts.calls.switchReady(hostIds[n % 3]!, { everywhere: false });
      assert.ok(last(n % 3).ports.some((port) => port.nicId === nicId));
    });
    await Promise.all(ready);
    await world.settle();
    const generations = agents.flatMap((_, index) => applied(index).slice(counts[index]));
    const pictures = new Set(generations.map(({ generation }) => generation)).size;
    assert.ok(pictures <= 2, `${pictures} pictures for a burst of 12`);
    assert.equal(last(0).addressSets[0]!.addresses.length, await ports.count(world.store.db));
  });

  it('are for the host as it was: one that comes back is told what is right then, and nothing of before', async () => {
    const { vm, port } = await addVm(hostIds[1]!);
    agents[1]!.answers.set('network.apply', () => new Promise(() => {}));
    const count = applied(1).length;
    const ready = world.hosts.calls.switchReady(hostIds[1]!, { everywhere: false });
    while (applied(1).length === count) await world.store.transaction(async () => {});
    assert.ok(last(1).ports.some(({ nicId }) => nicId === port.id));
    await world.store.transaction((tx) => vms.remove(tx, { id: vm.id }));
    agents[1]!.peer.close('the host begins anew');
    agents[1] = await world.connect(hostIds[1]!);
    await ready;
    await world.settle();
    const told = applied(1).map(({ outline }) => outline.ports.some(({ nicId }) => nicId === port.id));
    assert.ok(told.length > 0);
    assert.deepEqual(new Set(told), new Set([false]));
  });

  it('say whose a port is where a network with names is shared, and nothing of the name of what is in the trash', async () => {
    const { vm, port } = await addVm(hostIds[2]!);
    const own = async () => {
      await world.hosts.calls.switchReady(hostIds[2]!, { everywhere: false });
      const { name, projectId } = last(2).ports.find(({ nicId }) => nicId === port.id)!;
      return { name, projectId };
    };
    assert.deepEqual(await own(), { name: vm.name, projectId: undefined });
    await world.store.transaction((tx) => networks.set(tx, { id: networkId }, { domain: 'x.test', shared: true }));
    assert.deepEqual(await own(), { name: vm.name, projectId: vm.projectId });
    await world.store.transaction((tx) => vms.set(tx, { id: vm.id }, { trashedAt: 1 }));
    assert.deepEqual(await own(), { name: null, projectId: vm.projectId });
  });
});
