/**
 * The commonest complaints about high availability are hosts that it ended by mistake. None is here: not after the manager's own
 * death, not when half of the hosts are gone at once, not when storage is slow.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { until } from '@kvasir/lab/processes.ts';
import { useHaCloud } from './testing/high-availability.ts';
import { hasProcess } from './testing/leases.ts';

describe('by mistake', { timeout: 600_000 }, () => {
  const ha = useHaCloud();
  const lab = () => ha().cloud.lab;
  const all = ['h1', 'h2', 'h3'];

  it('a manager that was killed and cannot hear anybody at first fences nobody', async () => {
    const [vm] = await ha().vmsOn('h2', ['calm']);
    const [before, orders] = [ha().noteHosts(), ha().allOrders()];
    await lab().killManager();
    for (const name of all) await lab().cut(name, ['management']);
    await ha().cloud.cloud.startManager();
    const startedAt = performance.now();
    // Past the grace, and past the time after which silent hosts are fenced.
    await until('12 s of silence', 30_000, () => performance.now() - startedAt > 12_000);
    for (const name of all) await lab().heal(name, ['management']);
    await ha().untilQuiet();
    await ha().cloud.untilState(vm!.id, 'running');
    ha().assertUndisturbed(vm!, 'h2');
    ha().assertNobodyFenced(before, orders);
    await ha().cloud.purge('calm');
  });

  it('a host that died while the manager was dead is found after the grace', async () => {
    const [vm] = await ha().vmsOn('h2', ['lost']);
    await lab().killManager();
    await lab().powerOff('h2');
    await ha().cloud.cloud.startManager();
    await ha().untilRunsElsewhere(vm!, 'h2', 40_000);
    ha().assertMovedOnce(vm!, 'h2');
    await lab().powerOn('h2');
    await ha().untilQuiet();
    await ha().cloud.purge('lost');
  });

  it('storage that is slow for all restarts no host, and VMs that it ended come back', async () => {
    const [shared] = await ha().vmsOn('h2', ['slow']);
    const [local] = await ha().vmsOn('h3', ['untouched'], '--pool', 'local');
    const [before, orders] = [ha().noteHosts(), ha().allOrders()];
    for (const name of all) await lab().cut(name, ['storage']);
    const slowAt = performance.now();
    await until('3 s of it', 10_000, () => performance.now() - slowAt > 3000);
    for (const name of all) await lab().heal(name, ['storage']);
    await ha().untilQuiet();
    ha().assertUndisturbed(shared!, 'h2');
    for (const name of all) await lab().cut(name, ['storage']);
    await until('the end of the VM on it', 20_000, () => !hasProcess(lab().host('h2'), shared!.id));
    for (const name of all) await lab().heal(name, ['storage']);
    await until('the VM runs again', 60_000, () => ha().watch.running(shared!.id).length === 1);
    await ha().cloud.untilState(shared!.id, 'running');
    await ha().untilQuiet();
    ha().assertUndisturbed(local!, 'h3');
    ha().assertNobodyFenced(before, orders);
    await ha().cloud.purge('slow', 'untouched');
    ha().assertNeverTwice();
  });

  it('half of the hosts lost at once makes the manager doubt itself, and fences none', async () => {
    const vms = [...(await ha().vmsOn('h2', ['two'])), ...(await ha().vmsOn('h3', ['three']))];
    const orders = ha().allOrders();
    await Promise.all([lab().host('h2').powerOff(), lab().host('h3').powerOff()]);
    const offAt = performance.now();
    await ha().untilEvent('ha.manager-suspects-itself');
    await until('12 s of it', 30_000, () => performance.now() - offAt > 12_000);
    assert.deepEqual(ha().allOrders(), orders);
    for (const vm of vms) assert.deepEqual(ha().watch.running(vm.id), []);
    // One comes back: it was not the manager.
    await lab().powerOn('h2');
    for (const vm of vms) await until(`VM ${vm.name} runs`, 60_000, () => ha().watch.running(vm.id).length === 1);
    await lab().powerOn('h3');
    await ha().untilQuiet();
    for (const vm of vms) assert.equal(ha().watch.running(vm.id).length, 1);
    await ha().cloud.purge('two', 'three');
    ha().assertNeverTwice();
  });
});
