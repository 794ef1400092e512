/** The client against a real libvirtd and QEMU: a domain's life, its console and screen, statistics, and what is refused. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { LibvirtClient } from './client.ts';
import {
  AffectFlags,
  CreateFlags,
  DeviceFlags,
  ListFlags,
  ShutdownFlags,
  VcpuFlags,
  XmlFlags,
} from './domain-flags.ts';
import { DomainStats } from './host-flags.ts';
import type { LibvirtStream } from './stream.ts';
import { type EchoGuest, echoGuest } from './testing/echo-guest.ts';
import { EventLog } from './testing/event-log.ts';
import { PrivateLibvirtd } from './testing/private-libvirtd.ts';

let daemon: PrivateLibvirtd;
let client: LibvirtClient;
let log: EventLog;
let guest: EchoGuest;
const absent = '00000000-0000-4000-8000-000000000000';

before(async () => {
  daemon = await PrivateLibvirtd.start();
  client = new LibvirtClient({ socketPath: daemon.socketPath });
  log = new EventLog(client);
  await client.connect(10_000);
  guest = await echoGuest(daemon.directory, 'echo');
});

after(async () => {
  await client?.close();
  await daemon?.remove();
});

async function echoed(console_: LibvirtStream, text: string): Promise<void> {
  let got = '';
  console_.setEncoding('utf8');
  const again = setInterval(() => console_.write(text), 100);
  try {
    for await (const chunk of console_.iterator({ destroyOnReturn: false })) {
      got += chunk;
      if (got.includes(text)) return;
    }
    assert.fail(`the console ended with ${JSON.stringify(got)}`);
  } finally {
    clearInterval(again);
  }
}

test('the host tells about itself', async () => {
  assert.ok((await client.host.libVersion()) >= 9_000_000);
  assert.ok((await client.host.hypervisorVersion()) >= 7_000_000);
  assert.equal(await client.host.uri(), 'qemu:///system');
  assert.match(await client.host.hostname(), /^kvasir-libvirtd-/);
  const info = await client.host.nodeInfo();
  assert.equal(info.model, 'x86_64');
  assert.ok(info.cpus >= 1 && info.threads >= 1);
  const memory = await client.host.memoryStats();
  assert.ok((memory.total ?? 0) > (memory.free ?? 0) && (memory.free ?? 0) > 0);
  assert.ok((await client.host.freeMemoryBytes()) > 0);
  const cpu = await client.host.cpuStats();
  assert.ok((cpu.idle ?? 0) + (cpu.user ?? 0) + (cpu.kernel ?? 0) > 0);
  assert.match(await client.host.capabilities(), /^<capabilities>/);
  assert.match(await client.host.domainCapabilities({ arch: 'x86_64', virtType: 'qemu' }), /<domain>qemu<\/domain>/);
  assert.ok((await client.host.cpuModelNames('x86_64')).includes('qemu64'));
  const cpuXml = '<cpu><model>qemu64</model></cpu>';
  assert.ok((await client.host.compareCpu(cpuXml, { virtType: 'qemu' })) >= 0);
  assert.match(await client.host.baselineCpu([cpuXml], { virtType: 'qemu' }), /<cpu/);
});

test('what is not there, and what is not XML, is refused with its code', async () => {
  await assert.rejects(client.domain.state(absent), { code: 42, symbol: 'VIR_ERR_NO_DOMAIN' });
  await assert.rejects(client.domain.lookupByName('nobody'), { symbol: 'VIR_ERR_NO_DOMAIN' });
  await assert.rejects(client.domain.define('<domain'), { symbol: 'VIR_ERR_XML_DETAIL' });
  await assert.rejects(client.domain.define('<domain type="qemu"/>'), { symbol: 'VIR_ERR_NO_NAME' });
});

test('a domain is defined, named and described', async () => {
  const { uuid, name } = guest;
  assert.deepEqual(await client.domain.define(guest.xml), { uuid, name, id: null });
  await log.saw({ kind: 'lifecycle', uuid, event: 'defined', detail: 'added' });
  assert.deepEqual(await client.domain.lookupByName(name), { uuid, name, id: null });
  assert.deepEqual(await client.domain.lookupByUuid(uuid), { uuid, name, id: null });
  assert.deepEqual((await client.domain.state(uuid)).state, 'shutoff');
  assert.deepEqual(await client.host.listDomains(ListFlags.VIR_CONNECT_LIST_DOMAINS_ACTIVE), []);
  assert.equal(await client.domain.isPersistent(uuid), true);
  assert.equal(await client.domain.isActive(uuid), false);
  await client.domain.setAutostart(uuid, true);
  assert.equal(await client.domain.autostart(uuid), true);
  await client.domain.setAutostart(uuid, false);
  const uri = 'urn:kvasir:test';
  assert.equal(await client.domain.metadata(uuid, uri), null);
  await client.domain.setMetadata(uuid, { uri, key: 'k', xml: '<vm id="1"/>' });
  assert.equal(await client.domain.metadata(uuid, uri), '<vm id="1"/>');
  await log.saw({ kind: 'metadataChange', uuid, type: 'element', uri });
  await client.domain.setMetadata(uuid, { uri, key: 'k', xml: null });
  assert.equal(await client.domain.metadata(uuid, uri), null);
  await client.domain.rename(uuid, 'renamed');
  await log.saw({ kind: 'lifecycle', uuid, name: 'renamed', event: 'defined', detail: 'renamed' });
  await client.domain.rename(uuid, name);
  await assert.rejects(client.domain.suspend(uuid), { symbol: 'VIR_ERR_OPERATION_INVALID' });
});

test('it starts paused, is observed, and runs on', async () => {
  const { uuid, name } = guest;
  const id = await client.domain.create(uuid, CreateFlags.VIR_DOMAIN_START_PAUSED);
  assert.ok(id >= 1);
  await log.saw({ kind: 'lifecycle', uuid, event: 'started', detail: 'booted' });
  await log.saw({ kind: 'lifecycle', uuid, event: 'suspended', detail: 'paused' });
  assert.deepEqual(await client.domain.state(uuid), { state: 'paused', reason: 'user' });
  assert.deepEqual(await client.host.listDomains(), [{ uuid, name, id }]);
  const info = await client.domain.info(uuid);
  assert.deepEqual([info.state, info.maxMemoryKib, info.vcpus], ['paused', 32768, 1]);
  assert.match(await client.domain.xml(uuid), /<domain type='qemu' id='\d+'/);
  assert.doesNotMatch(await client.domain.xml(uuid, XmlFlags.VIR_DOMAIN_XML_INACTIVE), /id='\d+'>/);
  await assert.rejects(client.domain.create(uuid), { symbol: 'VIR_ERR_OPERATION_INVALID' });
  await client.domain.resume(uuid);
  await log.saw({ kind: 'lifecycle', uuid, event: 'resumed', detail: 'unpaused' });
  assert.deepEqual(await client.domain.state(uuid), { state: 'running', reason: 'unpaused' });
});

test('its console carries bytes both ways, on a stream that can be left', async () => {
  const console_ = await client.console.open(guest.uuid);
  await echoed(console_, 'hello, guest');
  const second = client.console.open(guest.uuid, { flags: 2 });
  await assert.rejects(second, { symbol: 'VIR_ERR_OPERATION_FAILED' });
  console_.destroy();
  await once(console_, 'close');
  const again = await client.console.open(guest.uuid, { flags: 1 });
  await echoed(again, 'again');
  again.resume();
  again.end();
  await once(again, 'close');
  assert.equal(again.errored, null);
});

test('its screen comes as an image', async () => {
  const { mime, image } = await client.console.screenshot(guest.uuid);
  const magic = mime === 'image/png' ? '\x89PNG' : 'P6';
  assert.equal(image.subarray(0, magic.length).toString('latin1'), magic);
  await assert.rejects(client.console.screenshot(guest.uuid, 0, 10), { code: 'STREAM_ABORTED' });
});

test('its use of the host is measured', async () => {
  const { uuid, name } = guest;
  const records = await client.statistics.all({ stats: DomainStats.VIR_DOMAIN_STATS_STATE });
  assert.deepEqual(records, [{ uuid, name, stats: { 'state.state': 1, 'state.reason': 5 } }]);
  const [all] = await client.statistics.all({ domains: [uuid] });
  assert.equal(all?.stats['vcpu.current'], 1);
  assert.equal(all?.stats['block.0.name'], 'hda');
  assert.equal((await client.statistics.memory(uuid)).actualBalloon, 32768);
  assert.equal((await client.statistics.vcpus(uuid))[0]?.state, 'running');
  assert.ok((await client.statistics.block(uuid, 'hda')).readBytes >= 512);
  assert.equal((await client.statistics.interface(uuid, 'echo0')).txErrors, 0);
  await client.statistics.setMemoryPeriod(uuid, 5, AffectFlags.VIR_DOMAIN_AFFECT_LIVE);
  assert.equal((await client.migration.jobStats(uuid)).type, 'none');
});

test('devices, CPUs and memory change', async () => {
  const { uuid } = guest;
  const rng = "<rng model='virtio'><backend model='random'>/dev/urandom</backend><alias name='ua-rng'/></rng>";
  await client.device.attach(uuid, rng, DeviceFlags.VIR_DOMAIN_DEVICE_MODIFY_LIVE);
  await log.saw({ kind: 'deviceAdded', uuid, alias: 'ua-rng' });
  // The boot sector answers no hot-unplug: the request is taken, the device stays.
  await client.device.detachAlias(uuid, 'ua-rng', DeviceFlags.VIR_DOMAIN_DEVICE_MODIFY_LIVE);
  const vnc = "<graphics type='vnc' passwd='secret'><listen type='socket'/></graphics>";
  await client.device.update(uuid, vnc, DeviceFlags.VIR_DOMAIN_DEVICE_MODIFY_CONFIG);
  const secret = XmlFlags.VIR_DOMAIN_XML_INACTIVE | XmlFlags.VIR_DOMAIN_XML_SECURE;
  assert.match(await client.domain.xml(uuid, secret), /passwd='secret'/);
  await client.device.attach(uuid, rng, DeviceFlags.VIR_DOMAIN_DEVICE_MODIFY_CONFIG);
  await client.device.detach(uuid, rng, DeviceFlags.VIR_DOMAIN_DEVICE_MODIFY_CONFIG);
  assert.doesNotMatch(await client.domain.xml(uuid, XmlFlags.VIR_DOMAIN_XML_INACTIVE), /<rng/);
  await client.device.setVcpus(uuid, 2, VcpuFlags.VIR_DOMAIN_VCPU_LIVE);
  assert.equal(await client.device.vcpus(uuid, VcpuFlags.VIR_DOMAIN_VCPU_LIVE), 2);
  await client.device.setMemory(uuid, 24 * 1024, AffectFlags.VIR_DOMAIN_AFFECT_CONFIG);
  assert.match(await client.domain.xml(uuid, XmlFlags.VIR_DOMAIN_XML_INACTIVE), />24576<\/currentMemory>/);
});

test('a guest without an agent says so; the monitor answers', async () => {
  const { uuid } = guest;
  const silent = { symbol: 'VIR_ERR_AGENT_UNRESPONSIVE' };
  await assert.rejects(client.guest.agentCommand(uuid, '{"execute":"guest-ping"}', 1), silent);
  await assert.rejects(client.guest.freeze(uuid), silent);
  await assert.rejects(client.guest.thaw(uuid), silent);
  await assert.rejects(client.guest.time(uuid), silent);
  await assert.rejects(client.guest.setTime(uuid, new Date()), silent);
  await assert.rejects(client.guest.info(uuid), silent);
  await assert.rejects(client.guest.interfaceAddresses(uuid), silent);
  await assert.rejects(client.guest.setPassword(uuid, 'root', 'x'), silent);
  const shutdown = client.domain.shutdown(uuid, ShutdownFlags.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT);
  await assert.rejects(shutdown, silent);
  const answer: unknown = JSON.parse(await client.guest.monitorCommand(uuid, '{"execute":"query-status"}'));
  assert.equal((answer as { return: { status: string } }).return.status, 'running');
});

test('it is reset, asked to reboot, saved to disk and restored', async () => {
  const { uuid } = guest;
  await client.domain.reset(uuid);
  await log.saw({ kind: 'reboot', uuid });
  await client.domain.shutdown(uuid, ShutdownFlags.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);
  await client.domain.managedSave(uuid);
  await log.saw({ kind: 'lifecycle', uuid, event: 'stopped', detail: 'saved' });
  assert.equal(await client.domain.hasManagedSave(uuid), true);
  await client.domain.create(uuid);
  await log.saw({ kind: 'lifecycle', uuid, event: 'started', detail: 'restored' });
  assert.equal(await client.domain.hasManagedSave(uuid), false);
  await client.domain.managedSave(uuid);
  await client.domain.removeManagedSave(uuid);
  assert.equal(await client.domain.hasManagedSave(uuid), false);
});

test('a daemon that dies is noticed; when it is back, so is the client', async () => {
  const { uuid } = guest;
  const lost = once(client, 'disconnected');
  await daemon.powerOff();
  await lost;
  const back = once(client, 'connected');
  await daemon.powerOn();
  await back;
  assert.equal((await client.domain.state(uuid)).state, 'shutoff');
  await client.domain.create(uuid);
  const console_ = await client.console.open(uuid);
  await client.domain.destroy(uuid);
  await log.saw({ kind: 'lifecycle', uuid, event: 'stopped', detail: 'destroyed' });
  console_.resume();
  if (!console_.closed) await once(console_, 'close');
  await client.domain.undefine(uuid);
  await log.saw({ kind: 'lifecycle', uuid, event: 'undefined', detail: 'removed' });
  assert.deepEqual(await client.host.listDomains(), []);
});

test('a domain without a definition lives until it is destroyed', async () => {
  const { uuid, name, id } = await client.domain.createXml(guest.xml);
  assert.deepEqual([uuid, name], [guest.uuid, guest.name]);
  assert.ok(id !== null);
  assert.equal(await client.domain.isPersistent(uuid), false);
  await client.domain.destroy(uuid);
  await assert.rejects(client.domain.state(uuid), { symbol: 'VIR_ERR_NO_DOMAIN' });
});
