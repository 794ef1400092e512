/**
 * What only a guest agent could answer, against libvirtd's own test driver: it invents the guest, but the wire is real.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LibvirtClient } from './client.ts';
import { AddressSource } from './host-flags.ts';
import { EventLog } from './testing/event-log.ts';
import { PrivateLibvirtd } from './testing/private-libvirtd.ts';

let daemon: PrivateLibvirtd;
let client: LibvirtClient;
let uuid: string;

before(async () => {
  daemon = await PrivateLibvirtd.start();
  client = new LibvirtClient({ socketPath: daemon.socketPath, uri: 'test:///default' });
  await client.connect(10_000);
  ({ uuid } = await client.domain.lookupByName('test'));
});

after(async () => {
  await client?.close();
  await daemon?.remove();
});

test('file systems freeze and thaw', async () => {
  assert.equal(await client.guest.freeze(uuid), 2);
  await assert.rejects(client.guest.freeze(uuid, ['/nowhere']), { symbol: 'VIR_ERR_OPERATION_INVALID' });
  assert.equal(await client.guest.thaw(uuid), 2);
});

test("the guest's clock is read and set", async () => {
  assert.ok((await client.guest.time(uuid)).getTime() > 0);
  await client.guest.setTime(uuid, new Date(-1500));
  await client.guest.setTime(uuid, null);
});

test("the guest's addresses and a password", async () => {
  const source = AddressSource.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE;
  const [nic] = await client.guest.interfaceAddresses(uuid, source);
  assert.deepEqual([nic?.name, nic?.macAddress], ['testnet0', 'aa:bb:cc:dd:ee:ff']);
  assert.match(nic?.addresses[0]?.address ?? '', /^192\.168\.122\./);
  await client.guest.setPassword(uuid, 'root', 'secret');
});

test('CPU time and memory by name', async () => {
  const cpu = await client.statistics.cpuTotal(uuid);
  assert.deepEqual(Object.keys(cpu), ['cpu_time', 'user_time', 'system_time']);
  const memory = await client.statistics.memory(uuid);
  assert.equal(memory.actualBalloon, 2097152);
  assert.equal(memory.unused, 1048576);
  assert.equal(memory.hugetlbFailures, 0);
});

test('a guest that is asked to shut down does so', async () => {
  const log = new EventLog(client);
  await client.domain.shutdown(uuid);
  await log.saw({ kind: 'lifecycle', uuid, event: 'stopped', detail: 'shutdown' });
  assert.deepEqual(await client.domain.state(uuid), { state: 'shutoff', reason: 'shutdown' });
});
