/**
 * A host that nothing needs is switched off by its BMC and woken when something does, on real hosts. High availability takes none of
 * it for a failure. One cloud serves all tests, in the order of the file.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { PowerSaving } from '@kvasir/api/resources/power-saving.ts';
import { haOperations } from '@kvasir/api/resources/ha.ts';
import { until } from '@kvasir/lab/processes.ts';
import { guestShell } from './testing/guest.ts';
import { useHaCloud } from './testing/high-availability.ts';

describe('a host that is not needed', { timeout: 900_000 }, () => {
  const ha = useHaCloud();
  const kvasir = <T = unknown>(...argv: readonly string[]): Promise<T> => ha().cloud.kvasir<T>(...argv);
  const isOn = (name: string): boolean => ha().cloud.lab.host(name).init() !== undefined;

  async function assertNothingFailed(): Promise<void> {
    assert.deepEqual((await ha().cloud.client.call(haOperations.list, {})).items, []);
    for (const kind of ['ha.host-lost', 'ha.host-fenced', 'host.wake-failed'])
      assert.deepEqual(await ha().events(kind), []);
  }

  it('is switched off once it is empty for long enough, and is shown as standby', async (test) => {
    await ha().untilQuiet();
    const { memoryMib } = await ha().host('h1');
    // Each host may promise 600 MiB.
    await kvasir('cluster', 'update', 'default', '--memory-reserved', `${memoryMib - 600}MiB`);
    await ha().vmsOn('h1', ['one']);
    await ha().vmsOn('h2', ['two']);
    const on = [
      '--mode',
      'automatic',
      '--min-hosts-on',
      '2',
      '--keep-free-percent',
      '20',
      '--wake-above-percent',
      '100',
    ];
    await kvasir('cluster', 'set-power-saving', 'default', ...on, '--idle-after-ms', '2000');
    await ha().untilHa('h3', 'standby', 120_000);
    await ha().cloud.untilHost('h3', 'down', 60_000);
    await until('the power of h3 is off', 30_000, () => !isOn('h3'));
    const shown = await until('h3 is said to be in standby', 30_000, async () => {
      const saving = await kvasir<PowerSaving>('cluster', 'power-saving', 'default');
      return saving.hosts.some(({ name, power }) => name === 'h3' && power === 'standby') ? saving : undefined;
    });
    test.diagnostic(JSON.stringify(shown));
    assert.deepEqual(shown.actions, []);
    assert.deepEqual([isOn('h1'), isOn('h2')], [true, true]);
    assert.match((await ha().host('h3')).ha.because ?? '', /h3 carries no VM; without it/);
    const orders = ha()
      .powerOrders('h3')
      .map((line) => line.split(' is told: ')[1]);
    assert.deepEqual(orders, ['shutdown 1', 'power 0'], 'asked first, and made sure of, and not reset by its watchdog');
    assert.match(readFileSync(ha().cloud.lab.host('h3').layout.consoleLog, 'utf8'), /h3 shuts down/);
    assert.ok((await ha().events('host.standby')).every(({ message }) => !message.includes('did not shut down')));
    await assertNothingFailed();
  });

  it('is woken by a VM for which the others have no room, and which waits for it', async (test) => {
    // It is to be found awake, however slow this machine is.
    await kvasir('cluster', 'set-power-saving', 'default', '--idle-after-ms', '600000');
    const big = ['--image', 'tiny', '--cpus', '1', '--memory', '550MiB'];
    const askedAtMs = Date.now();
    await kvasir('vm', 'create', 'big', ...big);
    const waiting = await ha().cloud.vm('big');
    assert.deepEqual([waiting.hostName, waiting.state], ['h3', 'creating']);
    assert.match(waiting.stateReason ?? '', /waits for a host that is being woken/);
    await ha().cloud.untilState(waiting.id, 'running', 240_000);
    test.diagnostic(`it ran ${Math.round((Date.now() - askedAtMs) / 1000)} s after it was asked for`);
    assert.deepEqual(
      [(await ha().events('host.wake')).length, (await ha().events('vm.waits-for-host')).length],
      [1, 1],
    );
    await ha().untilHa('h3', 'running', 60_000);
    assert.equal((await ha().cloud.vm('big')).hostName, 'h3');
    await ha().untilQuiet(120_000);
    await assertNothingFailed();
    await ha().cloud.purge('big');
    ha().assertNeverTwice();
  });

  it('may be sent to standby by an operator with VMs on it, which go on elsewhere, and comes back by its button', async () => {
    await kvasir('cluster', 'set-power-saving', 'default', '--mode', 'off');
    const vm = await ha().cloud.vm('two');
    const from = vm.hostName ?? '';
    const boot = () =>
      ha()
        .cloud.vm('two')
        .then((now) => guestShell(ha().cloud.hostOf(now), now.id, 'cat /proc/sys/kernel/random/boot_id'));
    const before = await boot();
    await kvasir('host', 'standby', from, '--wait');
    assert.equal(isOn(from), false);
    assert.notEqual((await ha().cloud.vm('two')).hostName, from);
    assert.equal(await boot(), before);
    assert.match(await ha().cloud.refused('host', 'update', from, '--schedulable'), /in standby/);
    await ha().cloud.lab.powerOn(from);
    await ha().untilHa(from, 'running', 180_000);
    assert.equal((await ha().host(from)).schedulable, true);
    await ha().untilQuiet(120_000);
    await kvasir('host', 'standby', from, '--wait');
    await kvasir('host', 'wake', from, '--wait');
    assert.equal(isOn(from), true);
    await ha().untilQuiet(120_000);
    await assertNothingFailed();
    // It moved live once, so it had two processes then; it has one now.
    assert.deepEqual(
      ha()
        .watch.of(vm.id)
        .map(({ hostName, untilMs }) => [hostName === from, untilMs === null]),
      [
        [true, false],
        [false, true],
      ],
    );
  });
});
