/** Against a real QEMU whose monitor hangs: one that is stopped answers nothing, and never says so. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { mock, test } from 'node:test';
import { LibvirtClient } from '@kvasir/libvirt/client.ts';
import { echoGuest } from '@kvasir/libvirt/testing/echo-guest.ts';
import { PrivateLibvirtd } from '@kvasir/libvirt/testing/private-libvirtd.ts';
import { lookEveryMs, VitalSigns } from './vital-signs.ts';

test('a guest is found quiet beside one whose QEMU does not answer', { timeout: 120_000 }, async (t) => {
  const daemon = await PrivateLibvirtd.start();
  const client = new LibvirtClient({ socketPath: daemon.socketPath });
  t.after(async () => {
    await client.close();
    await daemon.remove();
  });
  await client.connect(10_000);
  const [quiet, hung] = [await echoGuest(daemon.directory, 'quiet'), await echoGuest(daemon.directory, 'hung')];
  for (const { uuid, name, xml } of [quiet, hung]) {
    await client.domain.define(xml.replace('echo0', name));
    await client.domain.create(uuid);
  }
  let aheadMs = 0;
  const now = performance.now.bind(performance);
  mock.method(performance, 'now', () => now() + aheadMs);
  t.after(() => mock.restoreAll());
  const signs = new VitalSigns(client, { ping: async () => false }, () => {});
  const look = async (): Promise<void> => {
    aheadMs += lookEveryMs;
    await signs.look();
  };
  await look();
  signs.answered(quiet.uuid);
  signs.answered(hung.uuid);
  for (let n = 0; n < 4; n += 1) await look();
  assert.ok(signs.of(quiet.uuid).quietMs! >= 40_000 && signs.of(hung.uuid).quietMs! >= 40_000);
  process.kill(await qemuOf(hung.uuid), 'SIGSTOP');
  for (let n = 0; n < 4; n += 1) await look();
  assert.ok(signs.of(quiet.uuid).quietMs! >= 80_000);
  assert.equal(signs.of(hung.uuid).quietMs, null);
});

/** The daemon's own numbers of its processes are not those of this test. */
async function qemuOf(vmId: string): Promise<number> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (words.includes(`\0-uuid\0${vmId}\0`)) return Number(pid);
  }
  throw new Error(`no QEMU runs ${vmId}`);
}
