/**
 * A guest that hangs is reset where it runs, on real QEMU, be it still or spinning in its processors; one whose agent is as silent, but
 * which still uses its disk, is not. All fall silent at the same moment, so what tells them apart is the disk alone.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import { until } from '@kvasir/lab/processes.ts';
import { useCloud } from './testing/cloud.ts';
import { booted, guestShell, virsh } from './testing/guest.ts';

const bootId = 'cat /proc/sys/kernel/random/boot_id';

/** After its answer is out, or the agent would have stopped before it. */
const soon = (line: string): string => `(sleep 1; ${line}) >/dev/null 2>&1 </dev/null &`;

/** All its processes stop where they are; its first one only waits for them. */
const hang = soon('kill -STOP -1');

/** The same, and what stopped them burns the processor: the sender of such a signal is spared. */
const spin = soon('kill -STOP -1; while :; do :; done');

const onlyTheAgentIsSilent = soon('kill -STOP $(pidof qemu-ga); while :; do date >/mnt/beat; sync; sleep 2; done');

describe('a guest that hangs', { timeout: 400_000 }, () => {
  const cloud = useCloud();

  const failures = async (vm: Vm): Promise<string[]> =>
    (await cloud().eventsOf(vm.id)).filter(({ kind }) => kind === 'ha.vm-failed').map(({ message }) => message);
  const writes = async (vm: Vm): Promise<number> => {
    const text = await cloud()
      .hostOf(vm)
      .exec([...virsh, 'domblkstat', vm.id, 'vda']);
    return Number(/wr_req (\d+)/.exec(text)?.[1]);
  };

  const cpuSeconds = async (vm: Vm): Promise<number> => {
    const text = await cloud()
      .hostOf(vm)
      .exec([...virsh, 'domstats', '--cpu-total', vm.id]);
    return Number(/cpu\.time=(\d+)/.exec(text)?.[1]) / 1e9;
  };

  it('is reset where it runs, also while it spins; one that is silent and still writes is left alone', async (test) => {
    await cloud().kvasir('cluster', 'update', 'default', '--ha-vm-hung-after-ms', '30000');
    const names = ['frozen', 'spinning', 'busy'] as const;
    await Promise.all(names.map((name) => cloud().createVm(name, '--host', 'h1')));
    const [frozen, spinning, busy] = await Promise.all(
      names.map(async (name) => {
        const { id } = await cloud().vm(name);
        // Only a guest whose agent has answered can be found silent.
        return await cloud().untilVm(`${name} says of itself`, id, ({ guest }) => guest !== null, 90_000);
      }),
    );
    assert.ok(frozen !== undefined && spinning !== undefined && busy !== undefined);
    const host = cloud().hostOf(frozen);
    const before = new Map<string, string>();
    for (const { id } of [frozen, spinning]) before.set(id, await guestShell(host, id, bootId));
    await guestShell(host, busy.id, onlyTheAgentIsSilent);
    await guestShell(host, frozen.id, hang);
    await guestShell(host, spinning.id, spin);
    const hungAtMs = Date.now();
    const written = await writes(busy);
    const burnt = await cpuSeconds(spinning);
    let spun = 0;

    for (const vm of [frozen, spinning]) {
      const [said] = await until(`${vm.name} is found hung`, 90_000, async () => {
        const found = await failures(vm);
        if (found.length === 0) spun = Math.max(spun, (await cpuSeconds(spinning)) - burnt);
        return found.length > 0 ? found : undefined;
      });
      test.diagnostic(`${vm.name} found hung after ${Math.round((Date.now() - hungAtMs) / 1000)} s: ${said}`);
      assert.match(said!, /is reset: its guest has not answered for \d+ s, while its disks did nothing/);
    }
    assert.ok(spun > 5, `the spinning guest was to burn its processor: ${spun.toFixed(1)} s`);
    for (const { id, name } of [frozen, spinning]) {
      await until(`another boot of ${name}`, 60_000, async () => {
        const now = await guestShell(host, id, bootId).catch(() => before.get(id));
        return now !== before.get(id);
      });
      const again = await cloud().vm(name);
      assert.deepEqual([again.hostName, again.state, again.desiredState], ['h1', 'running', 'running']);
    }

    assert.deepEqual(await failures(busy), []);
    const silent = await host
      .exec([...virsh, 'qemu-agent-command', busy.id, '--timeout', '2', '{"execute":"guest-ping"}'])
      .then(
        () => false,
        () => true,
      );
    assert.ok(silent, 'the agent of the other guest was to be silent');
    assert.ok((await writes(busy)) > written + 5, 'and its disk was to be used');
    assert.equal((await cloud().vm('busy')).startedAt, busy.startedAt);
    for (const { id } of [frozen, spinning]) await booted(host, id);
    await cloud().purge(...names);
  });
});
