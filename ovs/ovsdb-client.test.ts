import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { OvsdbClient } from './ovsdb-client.ts';
import type { OvsdbError } from './ovsdb-operations.ts';
import { map, named, record } from './ovsdb-values.ts';
import { TestSwitch } from './testing/switch.ts';

describe('client of a real database', () => {
  let ovs: TestSwitch;
  let client: OvsdbClient;

  before(async () => {
    ovs = await TestSwitch.start();
    client = new OvsdbClient({ socketPath: ovs.socketPath, timeoutMs: 20_000 });
  });
  after(async () => {
    client.close();
    await ovs.stop();
  });

  const addBridge = (name: string) =>
    client.commit([
      { op: 'insert', table: 'Interface', 'uuid-name': 'i', row: { name, type: 'internal' } },
      { op: 'insert', table: 'Port', 'uuid-name': 'p', row: { name, interfaces: named('i') } },
      {
        op: 'insert',
        table: 'Bridge',
        'uuid-name': 'b',
        row: { name, datapath_type: 'netdev', ports: named('p'), external_ids: map({ note: '虚拟 "}{' }) },
      },
      { op: 'mutate', table: 'Open_vSwitch', where: [], mutations: [['bridges', 'insert', named('b')]] },
    ]);

  it('commit returns when vswitchd has the configuration in force', async () => {
    await addBridge('br-one');
    const [result] = await client.transact([
      { op: 'select', table: 'Interface', where: [['name', '==', 'br-one']], columns: ['ofport'] },
    ]);
    assert.equal(result?.rows?.[0]?.ofport, 65534);
  });

  it('values come back as they were written', async () => {
    const [result] = await client.transact([
      { op: 'select', table: 'Bridge', where: [['name', '==', 'br-one']], columns: ['external_ids'] },
    ]);
    assert.deepEqual(record(result?.rows?.[0]?.external_ids), { note: '虚拟 "}{' });
  });

  it('a refused transaction throws with the code of the database and changes nothing', async () => {
    const refusal = await addBridge('br-one').catch((error: unknown) => error);
    assert.equal((refusal as OvsdbError).code, 'constraint violation');
    const wrong = client.transact([{ op: 'select', table: 'Nothing', where: [] }]);
    await assert.rejects(wrong, { code: 'syntax error', operation: 0 });
  });

  it('a failed operation names its place', async () => {
    const failing = client.transact([
      { op: 'comment', comment: 'first' },
      {
        op: 'wait',
        table: 'Bridge',
        where: [],
        columns: ['name'],
        until: '==',
        rows: [],
        timeout: 0,
      },
    ]);
    await assert.rejects(failing, { code: 'timed out', operation: 1 });
  });

  it('a monitor has what is there, follows changes and comes back after a restart of the database', async () => {
    const monitor = client.monitor({ Bridge: ['name'] });
    const names = () => [...monitor.rows('Bridge').values()].map((row) => row.name).sort();
    await monitor.until(() => names().length === 1, 10_000, 'the initial content');
    assert.deepEqual(names(), ['br-one']);
    await addBridge('br-two');
    await monitor.until(() => names().length === 2, 10_000, 'the insert');

    await ovs.stopDatabase();
    await ovs.startDatabase();
    await ovs.vsctl('del-br', 'br-two');
    await monitor.until(() => names().length === 1, 20_000, 'the deletion');
    monitor.stop();
  });

  it('a request waits for a database that is away', async () => {
    await ovs.stopDatabase();
    while (client.connected) await new Promise((resolve) => setImmediate(resolve));
    const answer = client.transact([{ op: 'comment', comment: 'later' }]);
    await ovs.startDatabase();
    assert.equal((await answer).length, 1);
  });

  it('a database that is never there is an error in time', async () => {
    const nobody = new OvsdbClient({ socketPath: `${ovs.directory}/nobody`, timeoutMs: 100 });
    await assert.rejects(nobody.transact([{ op: 'comment', comment: 'x' }]), { code: 'not connected' });
    nobody.close();
  });

  it('many requests run at once and each gets its own answer', async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        client.transact([
          { op: 'select', table: 'Bridge', where: [['name', '==', index % 2 === 0 ? 'br-one' : 'none']] },
        ]),
      ),
    );
    for (const [index, [answer]] of answers.entries()) assert.equal(answer?.rows?.length, index % 2 === 0 ? 1 : 0);
  });
});
