/** What is done with a domain whose QEMU hangs; the rest of a domain's life is shown on real hosts. */
import assert from 'node:assert/strict';
import { mock, test, type TestContext } from 'node:test';
import { LibvirtClient } from '@kvasir/libvirt/client.ts';
import { procedures } from '@kvasir/libvirt/procedures/table.ts';
import { FakeDaemon } from '@kvasir/libvirt/testing/fake-daemon.ts';
import { Lifecycle } from './lifecycle.ts';

const vmId = '11111111-2222-4333-8444-555555555555';
const {
  domainDestroyFlags,
  domainGetState,
  domainHasManagedSaveImage,
  domainIsActive,
  domainReset,
  domainShutdownFlags,
} = procedures;

/** A daemon with one domain that runs: what its QEMU would have to answer is not answered. */
async function hanging(t: TestContext) {
  const daemon = await FakeDaemon.start();
  const client = new LibvirtClient({ socketPath: daemon.socketPath });
  t.after(async () => {
    mock.timers.reset();
    await client.close();
    await daemon.remove();
  });
  let active = true;
  daemon.handler = ({ procedure, serial }, peer) => {
    if (procedure === domainIsActive.number) peer.reply(domainIsActive, serial, { active });
    if (procedure === domainHasManagedSaveImage.number)
      peer.reply(domainHasManagedSaveImage, serial, { result: false });
    if (procedure === domainGetState.number) peer.reply(domainGetState, serial, { state: active ? 1 : 5, reason: 0 });
    if (procedure === domainDestroyFlags.number) {
      active = false;
      peer.reply(domainDestroyFlags, serial, undefined);
    }
  };
  await client.connect(2000);
  const lifecycle = new Lifecycle(client, () => ({ virtualization: 'emulation', emulator: '/qemu' }));
  return { daemon, lifecycle };
}

test('a domain whose QEMU hears no power button is off when its time is up', { timeout: 10_000 }, async (t) => {
  const { daemon, lifecycle } = await hanging(t);
  assert.equal(await lifecycle.stop(vmId, 300, new AbortController().signal), 'stopped');
  assert.equal(daemon.received.filter(({ procedure }) => procedure === domainShutdownFlags.number).length, 1);
});

test('who waits for a QEMU that hangs can be overtaken', { timeout: 10_000 }, async (t) => {
  const { daemon, lifecycle } = await hanging(t);
  const abort = new AbortController();
  const stopping = assert.rejects(lifecycle.stop(vmId, 600_000, abort.signal), { code: 'cancelled' });
  await daemon.saw(domainShutdownFlags);
  abort.abort('force');
  await stopping;
  assert.equal(await lifecycle.stop(vmId, 0, new AbortController().signal), 'stopped');
});

test('a reset that QEMU does not answer is given up, so that the domain can be ended', {
  timeout: 10_000,
}, async (t) => {
  const { daemon, lifecycle } = await hanging(t);
  mock.timers.enable({ apis: ['setTimeout'] });
  const resetting = assert.rejects(lifecycle.reset(vmId), { code: 'host-failed' });
  await daemon.saw(domainReset);
  mock.timers.tick(45_000);
  await resetting;
  mock.timers.reset();
  assert.equal(await lifecycle.stop(vmId, 0, new AbortController().signal), 'stopped');
});
