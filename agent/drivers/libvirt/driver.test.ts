import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { procedures } from '@kvasir/libvirt/procedures/table.ts';
import { FakeDaemon } from '@kvasir/libvirt/testing/fake-daemon.ts';
import { LibvirtDriver } from './driver.ts';

test('a daemon that takes connections and answers nothing is not waited for for ever', {
  timeout: 10_000,
}, async (t) => {
  const { connectListAllDomains } = procedures;
  const daemon = await FakeDaemon.start();
  const options = { address: '127.0.0.1', migrationTransport: 'tcp', virtualization: 'emulation' } as const;
  const driver = new LibvirtDriver({ socketPath: daemon.socketPath, ...options });
  t.after(async () => {
    await driver.close();
    await daemon.remove();
  });
  mock.timers.enable({ apis: ['setTimeout'] });
  const opening = assert.rejects(driver.open(), { code: 'timeout' });
  await daemon.saw(connectListAllDomains);
  mock.timers.tick(10_000);
  await opening;
  mock.timers.reset();
  daemon.handler = ({ procedure, serial }, peer) => {
    if (procedure === connectListAllDomains.number)
      peer.reply(connectListAllDomains, serial, { domains: [], count: 0 });
  };
  await driver.open();
  assert.deepEqual(await driver.list(), []);
});
