/**
 * A host that the manager does not hear may live. While its lease says so its VMs stay where they are; when nobody hears anything
 * of it, its VMs end before any of them begins elsewhere. Every QEMU of all hosts is watched throughout.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { until } from '@kvasir/lab/processes.ts';
import { useHaCloud } from './testing/high-availability.ts';

describe('a host that is cut off', { timeout: 600_000 }, () => {
  const ha = useHaCloud();
  const lab = () => ha().cloud.lab;

  it('from management only keeps its VMs, is called isolated and is not fenced', async (test) => {
    const [vm] = await ha().vmsOn('h2', ['stays']);
    const [before, orders] = [ha().noteHosts(), ha().allOrders()];
    await lab().cut('h2', ['management']);
    const cutAt = performance.now();
    await ha().untilHa('h2', 'management-isolated');
    test.diagnostic(`isolated after ${Math.round(performance.now() - cutAt)} ms`);
    await ha().untilEvent('ha.host-isolated');
    // Longer than any lease, and than any host may be silent.
    await until('15 s of it', 30_000, () => performance.now() - cutAt > 15_000);
    assert.equal((await ha().host('h2')).ha.state, 'management-isolated');
    await lab().heal('h2', ['management']);
    await ha().untilQuiet();
    await ha().cloud.untilState(vm!.id, 'running');
    ha().assertUndisturbed(vm!, 'h2');
    ha().assertNobodyFenced(before, orders);
    await ha().cloud.purge('stays');
    ha().assertNeverTwice();
  });

  it('from management and storage ends its VMs by itself before they begin elsewhere', async (test) => {
    const vms = await ha().vmsOn('h2', ['one', 'two']);
    const init = lab().host('h2').init();
    // The host itself has to keep the promise: nobody cuts its power.
    lab().setBmc('h2', 'broken');
    await lab().cut('h2', ['management', 'storage']);
    const cutAt = performance.now();
    for (const vm of vms) await ha().untilRunsElsewhere(vm, 'h2', 60_000);
    test.diagnostic(`running elsewhere after ${Math.round(performance.now() - cutAt)} ms`);
    for (const vm of vms) {
      ha().assertMovedOnce(vm, 'h2');
      const [first, second] = ha().watch.of(vm.id);
      test.diagnostic(
        `ended after ${Math.round(first!.untilMs! - cutAt)} ms, began elsewhere after ${Math.round(second!.sinceMs - cutAt)} ms`,
      );
    }
    assert.deepEqual(lab().host('h2').init(), init, 'the host was not reset');
    lab().setBmc('h2', 'ok');
    await lab().heal('h2', ['storage', 'management']);
    await ha().untilQuiet();
    for (const vm of vms) ha().assertMovedOnce(vm, 'h2');
    await until('no old definitions on h2', 30_000, async () => {
      const texts = await lab().host('h2').exec(['virsh', '--quiet', 'list', '--all', '--uuid']);
      return vms.every(({ id }) => !texts.includes(id));
    });
    await ha().cloud.purge('one', 'two');
    ha().assertNeverTwice();
  });

  it('from everything, and switched off by its BMC, loses its VMs to others once', async () => {
    const [vm] = await ha().vmsOn('h2', ['gone']);
    await lab().cut('h2');
    await ha().untilRunsElsewhere(vm!, 'h2');
    ha().assertMovedOnce(vm!, 'h2');
    assert.equal(lab().host('h2').init(), undefined);
    await lab().heal('h2');
    await lab().powerOn('h2');
    await ha().untilQuiet();
    ha().assertMovedOnce(vm!, 'h2');
    await ha().cloud.purge('gone');
    ha().assertNeverTwice();
  });
});
