/**
 * The manager and the agents may be killed at any moment: every task ends or is undone, nothing is left behind or lost, no VM
 * runs twice, and one that ran keeps running. Each point is a kill -9 in the middle of a real create, live migration or delete.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { UnreachableError } from '@kvasir/api/client.ts';
import type { Task } from '@kvasir/api/resources/task.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { until } from '@kvasir/lab/processes.ts';
import { useCloud } from './testing/cloud.ts';
import { describeMoment, type Moment } from './testing/crash-points.ts';
import { CrashRig, type Operation, type Point, type Whom } from './testing/crash-rig.ts';
import { RunningOnceWatch } from './testing/running-once.ts';
import { closeHypervisors, connectHypervisors, type Hypervisors, startTwin } from './testing/hypervisors.ts';

const acknowledged: Moment = { at: 'acknowledged' };
const ended: Moment = { at: 'ended' };
const step = (name: string, share?: number): Moment => ({
  at: 'step',
  step: name,
  ...(share === undefined ? {} : { share }),
});
const unheard = (name: string): Moment => ({ at: 'unheard', step: name });
const points = (kill: Whom, during: Operation, moments: readonly Moment[]): Point[] =>
  moments.map((moment) => ({ kill, during, moment }));

const managerPoints = {
  create: points('manager', 'create', [
    acknowledged,
    step('volumes'),
    unheard('volumes'),
    step('define', 0.5),
    unheard('define'),
    step('start', 0.5),
    unheard('start'),
  ]),
  migrate: points('manager', 'migrate', [
    acknowledged,
    step('prepare', 0.5),
    step('send'),
    step('send', 0.5),
    step('send', 0.8),
    unheard('send'),
    step('forget'),
  ]),
  delete: points('manager', 'delete', [
    acknowledged,
    unheard('stop'),
    step('undefine'),
    unheard('undefine'),
    step('volumes', 0.5),
    ended,
  ]),
};

/** On a create and a delete the source is the VM's host. */
const agentPoints = {
  create: points('source', 'create', [
    acknowledged,
    step('volumes', 0.5),
    unheard('volumes'),
    step('define', 0.5),
    unheard('define'),
    step('start', 0.5),
    unheard('start'),
  ]),
  migrate: [
    ...points('destination', 'migrate', [acknowledged, step('prepare', 0.5), step('send', 0.5)]),
    ...points('source', 'migrate', [step('send'), step('send', 0.5), unheard('send'), step('forget')]),
  ],
  delete: points('source', 'delete', [
    acknowledged,
    unheard('stop'),
    step('undefine', 0.5),
    unheard('undefine'),
    step('volumes'),
    unheard('volumes'),
  ]),
};

const undoing = (cancelled: string): Moment => ({ at: 'undoing', cancelled });
const undoPoints = [
  ...points('manager', 'create', [undoing('define')]),
  ...points('source', 'create', [undoing('define')]),
  ...points('manager', 'migrate', [undoing('send'), { at: 'cancelled', step: 'send' }]),
  ...points('destination', 'migrate', [undoing('send')]),
];

/** In the middle of bringing the image to a pool that lacks it. */
const imagePoints: readonly Point[] = [
  { kill: 'manager', during: 'create', moment: step('image', 0.5), locally: 'h1' },
  { kill: 'source', during: 'create', moment: step('image', 0.5), locally: 'h2' },
];

describe('crash safety', { timeout: 600_000 }, () => {
  let hypervisors: Hypervisors | undefined;
  let rig: CrashRig;

  // Before the cloud's own end: they ask hosts that are gone then.
  after(async () => {
    await rig?.close();
    if (hypervisors !== undefined) await closeHypervisors(hypervisors);
  });

  const cloud = useCloud();

  before(async () => {
    hypervisors = await connectHypervisors(cloud().lab);
    rig = new CrashRig(cloud(), hypervisors);
    await rig.prepare();
  });

  for (const [whom, all] of [
    ['the manager', managerPoints],
    ['an agent', agentPoints],
  ] as const) {
    it(`tries 20 points for ${whom}`, () => {
      assert.equal(all.create.length + all.migrate.length + all.delete.length, 20);
    });
    for (const [round, create] of all.create.entries()) {
      it(title(create), async (test) => test.diagnostic(await rig.crash(create)));
      const migrate = all.migrate[round];
      if (migrate !== undefined) it(title(migrate), async (test) => test.diagnostic(await rig.crash(migrate)));
      const remove = all.delete[round];
      if (remove !== undefined) it(title(remove), async (test) => test.diagnostic(await rig.crash(remove)));
      else it('deletes what outlived the crashes', () => rig.run('delete').then(() => undefined));
    }
    it(`keeps running what ran while ${whom} died again and again`, () => rig.stillRunning());
  }

  for (const point of undoPoints) {
    it(title(point), async (test) => {
      const words = await rig.crash(point);
      test.diagnostic(words);
      assert.match(words, /^cancelled/);
    });
  }

  const tooLate: Point = {
    kill: 'manager',
    during: 'migrate',
    moment: { at: 'unheard', step: 'send', cancelled: true },
  };
  it(title(tooLate), async (test) => {
    const words = await rig.crash(tooLate);
    test.diagnostic(words);
    assert.match(words, /^succeeded/);
  });

  for (const point of imagePoints) {
    it(title(point), async (test) => {
      test.diagnostic(await rig.crash(point));
      await rig.run('delete');
    });
  }

  it('loses no create that it acknowledged before it died, and makes none twice', async () => {
    const { client, lab } = cloud();
    const names = Array.from({ length: 16 }, (_, at) => `burst-${at}`);
    const requests = names.map((name) => ({
      body: { name, image: 'tiny', network: 'default', cpus: 1, memoryMib: 128, start: false },
      idempotencyKey: randomUUID(),
    }));
    let answered = 0;
    const asked = requests.map(async (request): Promise<Task | undefined> => {
      try {
        const task = await client.call(vmOperations.create, request);
        answered += 1;
        return task;
      } catch (error) {
        if (error instanceof UnreachableError) return undefined;
        throw error;
      }
    });
    await until('some of the answers', 10_000, () => answered >= 4);
    await lab.killManager();
    const before = await Promise.all(asked);
    await rig.restartManager();
    const again = await Promise.all(requests.map((request) => client.call(vmOperations.create, request)));
    for (const [at, task] of before.entries()) {
      if (task !== undefined)
        assert.equal(again[at]?.id, task.id, `${names[at]} was acknowledged and is another task now`);
    }
    for (const { id } of again) assert.equal((await cloud().ended(id)).state, 'succeeded');
    const vms = (await client.call(vmOperations.list, { query: { limit: 100 } })).items;
    const burst = vms.filter(({ name }) => name.startsWith('burst-'));
    assert.deepEqual(burst.map(({ id }) => id).sort(), again.map(({ target }) => target.id).sort());
    const removals = burst.map(({ id }) =>
      client.call(vmOperations.delete, { params: { vm: id }, query: { purge: true } }),
    );
    for (const { id } of await Promise.all(removals)) assert.equal((await cloud().ended(id)).state, 'succeeded');
    assert.deepEqual(await rig.differences(), []);
  });

  // Last, for what these make would count against the others.
  it('has a census that sees what belongs to nothing', async () => {
    const host = cloud().lab.host('h3');
    const [stranger, nic] = [randomUUID(), randomUUID()];
    const alias = `kvasir/${nic}/${stranger}/${randomUUID()}`;
    const volume = `${stranger}.qcow2`;
    writeFileSync(cloud().lab.sharedPath(join('volumes', volume)), '');
    writeFileSync(cloud().lab.sharedPath('images/.tmp-h3-1-x'), '');
    writeFileSync(join(host.layout.disk, 'var/lib/kvasir/seeds', `${stranger}.iso`), '');
    await host.exec(['ip', 'tuntap', 'add', 'dev', 'kvstranger', 'mode', 'tap']);
    await host.exec(['ip', 'link', 'set', 'dev', 'kvstranger', 'alias', alias]);
    const ids = ['external_ids:kvasir-vm=x', `external_ids:iface-id=${nic}`];
    await host.exec(['ovs-vsctl', 'add-port', 'br-int', 'kvstranger', '--', 'set', 'Interface', 'kvstranger', ...ids]);
    await startTwin(hypervisors!.get('h3')!, stranger);
    // A switch port of nothing is no longer there to be seen, or not for long: the agent removes it by itself.
    const seen = (await rig.differences(0)).filter((difference) => !difference.startsWith('switch port on h3'));
    assert.deepEqual(seen.sort(), [
      `QEMU of ${stranger} on h3 is no VM's`,
      `domain ${stranger} on h3 is no VM`,
      'file .tmp-h3-1-x is left in the shared pool',
      `seed on h3 ${stranger} belongs to nothing`,
      `tap on h3 ${nic} belongs to nothing`,
      `volume file ${volume} belongs to nothing`,
    ]);
    await hypervisors!.get('h3')!.domain.destroy(stranger);
    await host.exec(['ovs-vsctl', '--if-exists', 'del-port', 'kvstranger']);
    await host.exec(['ip', 'link', 'del', 'kvstranger']);
    rmSync(join(host.layout.disk, 'var/lib/kvasir/seeds', `${stranger}.iso`));
    rmSync(cloud().lab.sharedPath('images/.tmp-h3-1-x'));
    rmSync(cloud().lab.sharedPath(join('volumes', volume)));
    assert.deepEqual(await rig.differences(), []);
  });

  it('has a watch that sees a VM that runs twice', async () => {
    const watch = new RunningOnceWatch(hypervisors!);
    const twin = randomUUID();
    const both = [hypervisors!.get('h1')!, hypervisors!.get('h2')!];
    for (const hypervisor of both) await startTwin(hypervisor, twin);
    await until('the watch', 10_000, () => watch.violations.length > 0);
    for (const hypervisor of both) await hypervisor.domain.destroy(twin);
    await watch.stop();
    assert.equal(watch.violations[0], `VM ${twin} runs on h1 and on h2`);
  });
});

function title({ kill, during, moment }: Point): string {
  const victim = kill === 'manager' ? 'the manager' : during === 'migrate' ? `the ${kill}'s agent` : 'the agent';
  return `survives the death of ${victim} in a ${during}: ${describeMoment(moment)}`;
}
