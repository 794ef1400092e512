import assert from 'node:assert/strict';
import { it } from 'node:test';
import { systemIds } from '../ids.ts';
import { hostDomains } from '../store/host-domains.ts';
import { hosts } from '../store/hosts.ts';
import { taskLocks, tasks } from '../store/tasks.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { HostWorld, report } from './testing/host-world.ts';

forEachDatabase('the inventory', (open) => {
  it('takes what a host says of itself', async () => {
    const world = await HostWorld.open(await open());
    const hostId = await world.addHost('h1');
    await world.connect(hostId);
    const { state, cpus, memoryMib, virtualization, versions, lastSeenAt, revision } = await world.host(hostId);
    assert.deepEqual(
      { state, cpus, memoryMib, virtualization, versions },
      {
        state: 'up',
        cpus: 4,
        memoryMib: 4096,
        virtualization: 'simulated',
        versions: { qemu: '1', agent: '1.2.3' },
      },
    );
    assert.deepEqual([lastSeenAt, revision], [world.clock.now(), 1]);
    assert.equal((await world.events('host.up')).length, 1);
    await world.hosts.close();
  });

  it('follows the VMs of a host, and says so once', async () => {
    const world = await HostWorld.open(await open());
    const hostId = await world.addHost('h1');
    const vm = await world.addVm({ hostId, state: 'stopped' });
    const agent = await world.connect(hostId, [report(vm, { state: 'stopped' })]);
    const guest = { agent: true, hostname: 'web', os: 'Linux', addresses: ['10.0.0.9'] };
    agent.changed(report(vm, { startedAtMs: 5, guest }));
    agent.changed(report(vm, { startedAtMs: 5, guest }));
    await world.settle();
    const row = await world.vm(vm.id);
    assert.deepEqual([row.state, row.startedAt, row.guest, row.revision], ['running', 5, guest, vm.revision]);
    agent.changed(report(vm, { state: 'crashed', reason: 'guest panicked' }), { because: 'panicked' });
    await world.settle();
    const changes = (await world.events('vm.state-changed')).map(({ details, targetId }) => ({ ...details, targetId }));
    assert.deepEqual(changes, [
      { from: 'stopped', to: 'running', reason: null, targetId: vm.id },
      { from: 'running', to: 'crashed', reason: 'guest panicked', targetId: vm.id },
    ]);
    await world.hosts.close();
  });

  it('takes nothing of a VM from a host that is not its own', async () => {
    const world = await HostWorld.open(await open());
    const [h1, h2] = [await world.addHost('h1'), await world.addHost('h2')];
    const vm = await world.addVm({ hostId: h1 });
    await world.connect(h1, [report(vm)]);
    const liar = await world.connect(h2, [report(vm, { state: 'crashed', drift: ['memory'] })]);
    liar.changed(report(vm, { state: 'stopped' }));
    liar.changed(report(vm, { state: 'stopped' }), { removed: true });
    await world.settle();
    const row = await world.vm(vm.id);
    assert.deepEqual([row.state, row.drift], ['running', []]);
    await world.hosts.close();
  });

  it('follows a migration to its destination, whatever the order of the reports', async () => {
    const world = await HostWorld.open(await open());
    const [h1, h2] = [await world.addHost('h1'), await world.addHost('h2')];
    const vm = await world.addVm({ hostId: h1, reservedHostId: h2 });
    const source = await world.connect(h1, [report(vm)]);
    const destination = await world.connect(h2);
    destination.changed(report(vm, { state: 'paused', incoming: true, reason: 'migrating in' }));
    await world.settle();
    assert.equal((await world.vm(vm.id)).state, 'running');
    destination.changed(report(vm));
    await world.settle();
    source.changed(report(vm, { state: 'paused', reason: 'migrated' }));
    source.changed(report(vm), { removed: true });
    await world.settle();
    assert.equal((await world.vm(vm.id)).state, 'running');
    await world.pass(4, [source, destination]);
    assert.deepEqual(await world.events('vm.running-twice'), []);
    await world.hosts.close();
  });

  it('cries out when a VM runs on two hosts, after asking both again', async () => {
    const world = await HostWorld.open(await open());
    const [h1, h2] = [await world.addHost('h1'), await world.addHost('h2')];
    const vm = await world.addVm({ hostId: h1 });
    const agents = [await world.connect(h1, [report(vm)]), await world.connect(h2, [report(vm)])];
    assert.deepEqual(await world.events('vm.running-twice'), []);
    await world.passUntil(async () => (await world.events('vm.running-twice')).length > 0, agents);
    const [event] = await world.events('vm.running-twice');
    assert.equal(event?.severity, 'error');
    assert.deepEqual(event?.details, { hostIds: [h1, h2] });
    await world.hosts.close();
  });

  it('says stopped of a VM whose domain is gone, but not while a task works on it', async () => {
    const world = await HostWorld.open(await open());
    const hostId = await world.addHost('h1');
    const [lost, busy] = [await world.addVm({ hostId }), await world.addVm({ hostId })];
    await world.store.transaction(async (tx) => {
      const taskId = systemIds.uuid();
      await tasks.insert(tx, {
        id: taskId,
        kind: 'vm-migrate',
        params: {},
        state: 'running',
        targetKind: 'vm',
        targetId: busy.id,
        targetName: '',
        projectId: null,
        userId: null,
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
        createdAt: 0,
        startedAt: null,
        finishedAt: null,
      });
      await taskLocks.insert(tx, { targetId: busy.id, targetKind: 'vm', taskId });
    });
    await world.connect(hostId, []);
    assert.deepEqual([(await world.vm(lost.id)).state, (await world.vm(busy.id)).state], ['stopped', 'running']);
    await world.hosts.close();
  });

  it('lists what else the hypervisor has, and lets it alone', async () => {
    const world = await HostWorld.open(await open());
    const hostId = await world.addHost('h1');
    const foreign = report({ id: systemIds.uuid(), name: 'legacy' }, { managed: false });
    const agent = await world.connect(hostId, [foreign]);
    assert.deepEqual(await world.hosts.domains(hostId), [
      { id: foreign.vmId, name: 'legacy', state: 'running', managed: false },
    ]);
    agent.changed({ ...foreign, state: 'stopped' });
    agent.changed(foreign, { removed: true, because: 'undefined' });
    await world.settle();
    assert.deepEqual(await hostDomains.select(world.store.db, { hostId }), []);
    assert.equal((await world.events('host.domain-changed')).length, 3);
    await world.hosts.close();
  });

  it('notes what somebody changed behind our back', async () => {
    const world = await HostWorld.open(await open());
    const hostId = await world.addHost('h1');
    const vm = await world.addVm({ hostId });
    const agent = await world.connect(hostId, [report(vm)]);
    agent.changed(report(vm, { drift: ['memory is 256 MiB, not 128'] }));
    await world.settle();
    assert.deepEqual((await world.vm(vm.id)).drift, ['memory is 256 MiB, not 128']);
    assert.match((await world.events('vm.drifted'))[0]?.message ?? '', /memory is 256 MiB/);
    await world.hosts.close();
  });

  it('does not know how VMs are while their host is down, and learns it when it is back', async () => {
    const world = await HostWorld.open(await open());
    const hostId = await world.addHost('h1');
    const vm = await world.addVm({ hostId });
    const agent = await world.connect(hostId, [report(vm)]);
    await world.pass(8, [agent]);
    assert.equal((await world.host(hostId)).state, 'up');
    agent.link.close('power failure');
    await world.pass(4);
    assert.equal((await world.host(hostId)).state, 'up');
    await world.passUntilDown(hostId);
    await world.settle();
    assert.equal((await world.host(hostId)).state, 'down');
    assert.deepEqual(
      [(await world.vm(vm.id)).state, (await world.vm(vm.id)).stateReason],
      ['unknown', 'host h1 is not connected'],
    );
    assert.equal((await world.events('host.down')).length, 1);
    await world.connect(hostId, [report(vm)]);
    assert.deepEqual([(await world.host(hostId)).state, (await world.vm(vm.id)).state], ['up', 'running']);
    await world.hosts.close();
  });

  it('finds out how an unknown VM is that moved to a host which is connected', async () => {
    const world = await HostWorld.open(await open());
    const [h1, h2] = [await world.addHost('h1'), await world.addHost('h2')];
    const vm = await world.addVm({ hostId: h1, state: 'unknown' });
    const agent = await world.connect(h2, [report(vm)]);
    await world.store.transaction(async (tx) => {
      await vms.set(tx, { id: vm.id }, { hostId: h2 });
    });
    await world.passUntil(async () => (await world.vm(vm.id)).state !== 'unknown', [agent]);
    assert.equal((await world.vm(vm.id)).state, 'running');
    await world.hosts.close();
  });

  it('knows nothing of VMs from when it led before: another manager has seen more since', async () => {
    const world = await HostWorld.open(await open());
    const hostId = await world.addHost('h1');
    const vm = await world.addVm({ hostId, state: 'stopped' });
    await world.connect(hostId, [report(vm, { state: 'stopped' })]);
    world.epoch = undefined;
    await world.pass(2);
    // It was started there, and then nobody heard of the host any more.
    await world.store.transaction(async (tx) => {
      await hosts.set(tx, { id: hostId }, { state: 'down' });
      await vms.set(tx, { id: vm.id }, { state: 'unknown', desiredState: 'running' });
    });
    await world.lead(5);
    await world.pass(20);
    assert.equal((await world.vm(vm.id)).state, 'unknown');
    await world.hosts.close();
  });

  it('takes what comes from a host before its whole list for no whole list', async () => {
    const world = await HostWorld.open(await open());
    const hostId = await world.addHost('h1');
    const [vm, other] = [await world.addVm({ hostId }), await world.addVm({ hostId })];
    const agent = await world.connect(hostId, [report(vm), report(other)]);
    await world.passUntilDown(hostId);
    const listed = Promise.withResolvers<object>();
    agent.answers.set('vm.list', () => listed.promise);
    agent.changed(report(vm, { startedAtMs: 7 }));
    await world.pass(7, [agent]);
    assert.deepEqual([(await world.vm(vm.id)).state, (await world.vm(other.id)).state], ['running', 'unknown']);
    listed.resolve({ domains: [report(vm), report(other)] });
    await world.pass(1, [agent]);
    assert.equal((await world.vm(other.id)).state, 'running');
    await world.hosts.close();
  });

  it('writes nothing once another manager leads, also before this one has noticed', async () => {
    const world = await HostWorld.open(await open());
    const hostId = await world.addHost('h1');
    const vm = await world.addVm({ hostId });
    const agent = await world.connect(hostId, [report(vm)]);
    await world.lead(4);
    world.epoch = 3;
    const before = await world.events();
    agent.changed(report(vm, { state: 'stopped' }));
    await world.settle();
    await assert.rejects(world.hosts.declareDown(hostId), { code: 'not-leader' });
    assert.deepEqual([(await world.vm(vm.id)).state, (await world.host(hostId)).state], ['running', 'up']);
    assert.deepEqual(await world.events(), before);
    assert.match((await agent.peer.ended).reason, /could not be taken/);
    await world.hosts.close();
  });
});
