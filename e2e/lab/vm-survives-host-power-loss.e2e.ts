/**
 * A host loses its power behind the manager's back: its VMs run elsewhere soon, on proof that they do not run there any more,
 * and never without it. One cloud serves all tests, in the order of the file.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { until } from '@kvasir/lab/processes.ts';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { booted } from './testing/guest.ts';
import { leasesIn } from './testing/leases.ts';
import { useHaCloud } from './testing/high-availability.ts';

describe('a host that loses its power', { timeout: 600_000 }, () => {
  const ha = useHaCloud();
  const lab = () => ha().cloud.lab;

  /** Boots it, and waits until nothing of the VMs that left is there any more. */
  async function bringBack(name: string, gone: readonly { readonly id: string }[]): Promise<void> {
    await lab().powerOn(name);
    await ha().untilQuiet();
    await until(`nothing left of old VMs on ${name}`, 30_000, async () => {
      const known = await ha().cloud.client.call(hostOperations.domains, { params: { host: name } });
      const texts = await lab().host(name).exec(['virsh', '--quiet', 'list', '--all', '--uuid']);
      return gone.every(({ id }) => !texts.includes(id) && !known.items.some((domain) => domain.id === id));
    });
  }

  it('is switched off for certain by its BMC, and its VMs run elsewhere', async (test) => {
    const vms = await ha().vmsOn('h2', ['web', 'db']);
    await lab().powerOff('h2');
    const offAt = performance.now();
    for (const vm of vms) await ha().untilRunsElsewhere(vm, 'h2');
    test.diagnostic(`running elsewhere after ${Math.round(performance.now() - offAt)} ms`);
    test.diagnostic(await ha().story('h2'));
    for (const vm of vms) ha().assertMovedOnce(vm, 'h2');
    for (const vm of vms) await booted(ha().cloud.hostOf(await ha().cloud.vm(vm.id)), vm.id);
    const told = (await ha().timeline('h2')).map(({ message }) => message);
    for (const expected of ['h2 is dead', 'h2 is proven dead', 'web runs on', 'db runs on']) {
      assert.ok(
        told.some((message) => message.includes(expected)),
        `${expected}: ${told.join('\n')}`,
      );
    }
    assert.equal((await ha().host('h2')).ha.state, 'fenced');
    await bringBack('h2', vms);
    // It is as good as any other again.
    await ha().cloud.createVm('later', '--host', 'h2');
    await ha().cloud.purge('web', 'db', 'later');
    ha().assertNeverTwice();
  });

  it('and its BMC with it, is believed dead when its guarded lease is over', async (test) => {
    const [vm] = await ha().vmsOn('h2', ['alone']);
    lab().setBmc('h2', 'broken');
    await lab().powerOff('h2');
    const offAt = performance.now();
    await ha().untilRunsElsewhere(vm!, 'h2', 40_000);
    const afterMs = Math.round(performance.now() - offAt);
    test.diagnostic(`running elsewhere after ${afterMs} ms`);
    test.diagnostic(await ha().story('h2'));
    assert.ok(afterMs > 8000, 'not before the lease was over');
    ha().assertMovedOnce(vm!, 'h2');
    assert.ok((await ha().timeline('h2')).some(({ message }) => message === 'h2 is proven dead'));
    assert.deepEqual(await ha().events('ha.operator-needed'), []);
    lab().setBmc('h2', 'ok');
    await bringBack('h2', [vm!]);
    await ha().cloud.purge('alone');
    ha().assertNeverTwice();
  });

  it('of which nothing proves it is left to an operator, whose word starts its VMs elsewhere', async () => {
    await ha().cloud.cloud.cli(['fence-device', 'delete', 'h3-bmc']);
    const agent = lab().state().agentCommand!;
    const at = agent.indexOf('--watchdog-device');
    await lab().powerOff('h3');
    lab()
      .host('h3')
      .setAgentCommand([...agent.slice(0, at), ...agent.slice(at + 2)]);
    await lab().powerOn('h3');
    await ha().cloud.untilHost('h3', 'up');
    await until('an unguarded lease', 30_000, () => leasesIn(lab()).filter(({ guarded }) => !guarded).length === 1);
    await until('h3 well', 30_000, async () => (await ha().host('h3')).ha.state === 'running');
    const [vm] = await ha().vmsOn('h3', ['stuck']);
    await lab().powerOff('h3');
    const offAt = performance.now();
    await ha().untilEvent('ha.operator-needed');
    await until('more than a lease later', 30_000, () => performance.now() - offAt > 12_000);
    assert.equal((await ha().cloud.vm(vm!.id)).hostName, 'h3');
    assert.equal(ha().watch.running(vm!.id).length, 0);
    const confirm = ['--confirm', '--statement', 'I pulled the plug'];
    await ha().cloud.kvasir('host', 'confirm-off', 'h3', ...confirm);
    await ha().untilRunsElsewhere(vm!, 'h3');
    ha().assertMovedOnce(vm!, 'h3');
    ha().assertNeverTwice();
  });
});
