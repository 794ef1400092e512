/**
 * A guest that hangs is reset where it runs, on real QEMU; one whose agent is as silent, but which still uses its disk, is not. Both
 * fall silent at the same moment, so what tells them apart is the disk alone.
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

  it('is reset where it runs; one that is silent and still writes is left alone', async (test) => {
    await cloud().kvasir('cluster', 'update', 'default', '--ha-vm-hung-after-ms', '30000');
    const names = ['frozen', 'busy'] as const;
    await Promise.all(names.map((name) => cloud().createVm(name, '--host', 'h1')));
    const [frozen, busy] = await Promise.all(
      names.map(async (name) => {
        const { id } = await cloud().vm(name);
        // Only a guest whose agent has answered can be found silent.
        return await cloud().untilVm(`${name} says of itself`, id, ({ guest }) => guest !== null, 90_000);
      }),
    );
    assert.ok(frozen !== undefined && busy !== undefined);
    const host = cloud().hostOf(frozen);
    const before = await guestShell(host, frozen.id, bootId);
    await guestShell(host, busy.id, onlyTheAgentIsSilent);
    await guestShell(host, frozen.id, hang);
    const hungAtMs = Date.now();
    const written = await writes(busy);

    const [said] = await until('it is found hung', 90_000, async () => {
      const found = await failures(frozen);
      return found.length > 0 ? found : undefined;
    });
    test.diagnostic(`found hung after ${Math.round((Date.now() - hungAtMs) / 1000)} s: ${said}`);
    assert.match(said!, /is reset: its guest has not answered for \d+ s, while its disks did nothing/);
    await until('another boot', 60_000, async () => {
      const now = await guestShell(host, frozen.id, bootId).catch(() => before);
      return now !== before;
    });
    const again = await cloud().vm('frozen');
    assert.deepEqual([again.hostName, again.state, again.desiredState], ['h1', 'running', 'running']);

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
    await booted(host, frozen.id);
    await cloud().purge(...names);
  });
});
