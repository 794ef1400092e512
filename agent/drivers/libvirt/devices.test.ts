/** What is done where QEMU hangs; devices that come and go are shown on real hosts. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { LibvirtClient } from '@kvasir/libvirt/client.ts';
import { XmlFlags } from '@kvasir/libvirt/domain-flags.ts';
import { decode } from '@kvasir/libvirt/codec.ts';
import { procedures } from '@kvasir/libvirt/procedures/table.ts';
import { FakeDaemon } from '@kvasir/libvirt/testing/fake-daemon.ts';
import { Devices } from './devices.ts';
import { diskAlias } from './domain-xml.ts';

const vmId = '11111111-2222-4333-8444-555555555555';
const { domainDetachDeviceAlias, domainGetXmlDesc, domainIsActive } = procedures;

test('a device that a QEMU which hangs does not let go of is waited for no longer than any other', {
  timeout: 10_000,
}, async (t) => {
  const daemon = await FakeDaemon.start();
  const client = new LibvirtClient({ socketPath: daemon.socketPath });
  t.after(async () => {
    mock.timers.reset();
    mock.restoreAll();
    await client.close();
    await daemon.remove();
  });
  const disk = `<disk><alias name="${diskAlias('v1')}"/></disk>`;
  daemon.handler = ({ procedure, serial, body }, peer) => {
    if (procedure === domainIsActive.number) peer.reply(domainIsActive, serial, { active: true });
    if (procedure !== domainGetXmlDesc.number) return;
    const isLive = (decode(domainGetXmlDesc.args, body).flags & XmlFlags.VIR_DOMAIN_XML_INACTIVE) === 0;
    peer.reply(domainGetXmlDesc, serial, { xml: `<domain><devices>${isLive ? disk : ''}</devices></domain>` });
  };
  await client.connect(2000);
  mock.timers.enable({ apis: ['setTimeout'] });
  const devices = new Devices(client, () => 'emulation');
  const detaching = devices.detachDisk(vmId, 'v1', new AbortController().signal);
  const failed = assert.rejects(detaching, { code: 'timeout' });
  await daemon.saw(domainDetachDeviceAlias);
  const later = performance.now() + 60_000;
  mock.method(performance, 'now', () => later);
  mock.timers.tick(60_000);
  await failed;
});
