/** Who translates for routers, on the store: only hosts that can, another when it is down or leads nowhere, and back by itself never. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { gatewayTakeOverAfterMs } from '@kvasir/api/agent/gateway-term.ts';
import type { UplinkReport } from '@kvasir/api/agent/host.ts';
import { operatorProof } from '@kvasir/control/ha/fence-proof.ts';
import { settledAfterMs } from '@kvasir/control/ha/network-loss.ts';
import { systemIds } from '../ids.ts';
import { eventsAfter } from '../store/events.ts';
import { recordProof } from '../store/fence-proofs.ts';
import { hostMaintenance } from '../store/host-maintenance.ts';
import { hosts } from '../store/hosts.ts';
import { uplinks } from '../store/switches.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { GatewayRig } from '../testing/gateway-rig.ts';
import { TaskWorld } from '../testing/task-world.ts';

forEachDatabase('the gateway of a router', (open) => {
  it('is a host with an uplink and a tunnel, moves when that is surely over, and stays where it went', async () => {
    const world = await TaskWorld.open(await open());
    const { h1, h2 } = world;
    const rig = await GatewayRig.open(world);
    const first = await rig.pass(1000);
    assert.ok(first === h1 || first === h2, 'neither without an uplink nor without a tunnel');
    const second = first === h1 ? h2 : h1;
    assert.equal(await rig.pass(3000), first);
    assert.equal(rig.nudges, 1, 'hosts hear of moves alone');
    await rig.set(first, 'down');
    rig.heardMsAgo = 500;
    assert.equal(await rig.pass(60_000), first, 'other hosts hear it: it may go on translating');
    rig.heardMsAgo = null;
    assert.equal(await rig.pass(gatewayTakeOverAfterMs), first, 'its agent may not have ended it yet');
    assert.equal(await rig.pass(2000), second);
    await rig.set(first, 'up');
    assert.equal(await rig.pass(30_000), second, 'a way back would cut every session again');
    await rig.set(first, 'down');
    await rig.set(second, 'down');
    assert.equal(await rig.pass(60_000), second, 'nobody can: it works again when that host does');
    assert.equal(rig.nudges, 2);
    assert.deepEqual(
      (await rig.events()).map(({ kind, severity, details }) => [
        kind,
        severity,
        details['hostId'],
        details['fromHostId'],
      ]),
      [
        ['router.gateway-moved', 'info', first, null],
        ['router.gateway-moved', 'warning', second, first],
      ],
    );
  });

  it('moves at once from a host whose power is off, and waits anew after a time without looking', async () => {
    const world = await TaskWorld.open(await open());
    const { store, h1 } = world;
    const rig = await GatewayRig.open(world);
    const first = (await rig.pass(1000))!;
    await rig.set(first, 'down');
    assert.equal(await rig.pass(1000), first);
    rig.now += gatewayTakeOverAfterMs + 1000;
    assert.equal(await rig.pass(1000), first, 'nobody looked meanwhile');
    const word = { userId: systemIds.uuid(), userName: 'olga', statement: 'it is off' };
    const proof = operatorProof({ hostId: first, hostName: 'gone', bootId: null }, word, rig.now);
    await store.transaction((tx) => recordProof(tx, systemIds.uuid(), proof, null));
    const second = await rig.pass(1000);
    assert.ok(second !== first && (first === h1 || second === h1));
  });

  it('leaves a host that lost its connection, to another only when the first has said that it ended', async () => {
    const world = await TaskWorld.open(await open());
    const { h1, h2 } = world;
    const rig = await GatewayRig.open(world);
    const first = (await rig.pass(2000))!;
    const second = first === h1 ? h2 : h1;
    rig.down.set(first, ['vm0']);
    await rig.pass(settledAfterMs);
    rig.down.delete(first);
    assert.deepEqual([await rig.pass(2000), rig.nudges, rig.questions.length], [first, 1, 0], 'a cable is back soon');
    rig.down.set(first, ['vm0']);
    assert.equal(await rig.pass(settledAfterMs + 1000), first);
    assert.deepEqual([(await rig.router()).gatewayEnding, await rig.told()], [true, null], 'nobody is told to');
    assert.equal(await rig.pass(60_000), first, 'it has not answered');
    assert.deepEqual(
      rig.questions.map(({ hostId }) => hostId),
      [first],
    );
    rig.questions[0]!.answer.resolve();
    assert.equal(await rig.pass(2000), second);
    assert.deepEqual([(await rig.router()).gatewayEnding, await rig.told()], [false, second]);
    rig.down.delete(first);
    assert.equal(await rig.pass(60_000), second, 'a way back would cut every session again');
    rig.down.set(first, ['vm0']).set(second, ['vm1']);
    assert.equal(await rig.pass(60_000), second, 'nobody can');
    assert.equal(rig.questions.length, 1);
    const [, ending, moved, ...more] = await rig.events();
    assert.match(
      ending!.message,
      /is to leave host \S+: its gateway host cannot serve it any more: its uplink vm0 is down/,
    );
    assert.match(moved!.message, /leads out by host \S+: .*its uplink vm0 is down/);
    assert.deepEqual([ending!.kind, moved!.kind, more], ['router.gateway-ending', 'router.gateway-moved', []]);
    const told = (await eventsAfter(world.store.db, 0)).filter(({ projectId }) => projectId === world.projectId);
    assert.deepEqual(
      told.map(({ message }) => message),
      ['Router edge leads out by another host: connections to the outside have to be made anew'],
      'nothing of hosts and cables',
    );
  });

  it('goes on where it was when that host can again, and an answer to an earlier question counts no more', async () => {
    const world = await TaskWorld.open(await open());
    const rig = await GatewayRig.open(world);
    const first = (await rig.pass(2000))!;
    rig.down.set(first, ['vm0']);
    await rig.pass(settledAfterMs + 1000);
    rig.down.delete(first);
    await rig.pass(1000);
    assert.deepEqual([await rig.told(), (await rig.router()).gatewayEnding], [first, false]);
    rig.down.set(first, ['vm0']);
    await rig.pass(settledAfterMs + 1000);
    rig.questions[0]!.answer.resolve();
    assert.equal(await rig.pass(5000), first);
    assert.deepEqual([rig.questions.length, await rig.told()], [2, null]);
    rig.questions[1]!.answer.resolve();
    assert.notEqual(await rig.pass(2000), first);
  });

  it('is asked about again after a refusal and by another manager, and follows the rule of proof when the host dies', async () => {
    const world = await TaskWorld.open(await open());
    const rig = await GatewayRig.open(world);
    const first = (await rig.pass(2000))!;
    rig.down.set(first, ['vm0']);
    await rig.pass(settledAfterMs + 1000);
    rig.questions[0]!.answer.reject(new Error('its switch is away'));
    await rig.pass(2000);
    assert.equal(rig.questions.length, 2);
    rig.restart();
    assert.equal(await rig.pass(3000), first, 'it does not know who has ended');
    assert.equal(rig.questions.length, 3);
    rig.questions[2]!.answer.resolve();
    await rig.leadAgain();
    assert.equal(await rig.pass(3000), first, 'another one may have told it to go on meanwhile');
    assert.equal(rig.questions.length, 4);
    await rig.set(first, 'down');
    assert.equal(await rig.pass(gatewayTakeOverAfterMs), first);
    assert.notEqual(await rig.pass(2000), first);
    assert.equal((await rig.router()).gatewayEnding, false);
  });

  it('leaves a host whose uplink of the switch carries nothing, and one that is taken out', async () => {
    const world = await TaskWorld.open(await open());
    const { store } = world;
    const rig = await GatewayRig.open(world);
    rig.answers = true;
    const first = (await rig.pass(2000))!;
    const report = async (up: boolean): Promise<void> => {
      const own = (await uplinks.find(store.db, { hostId: first }))!;
      const reports = [{ uplinkId: own.id, up, lacp: null, members: [], reason: null }] satisfies UplinkReport[];
      const { inventory } = await hosts.get(store.db, first);
      const changed = { ...inventory!, uplinks: reports, defaultUplink: { nics: ['e9'], up: false } };
      await store.transaction((tx) => hosts.set(tx, { id: first }, { inventory: changed }));
    };
    await report(true);
    assert.equal(await rig.pass(30_000), first, 'the default uplink is of no use to it');
    await report(false);
    const second = (await rig.pass(settledAfterMs + 4000))!;
    assert.notEqual(second, first);
    await report(true);
    const out = { hostId: second, wasSchedulable: true, taskId: systemIds.uuid(), since: rig.now, total: 0 };
    await store.transaction((tx) => hostMaintenance.insert(tx, out));
    assert.equal(await rig.pass(3000), first);
    const last = (await rig.events()).at(-1)!;
    assert.match(last.message, /its gateway host cannot serve it any more: it is in maintenance/);
  });
});
