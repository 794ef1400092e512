/** What is reported of domains that are strange. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import type { LibvirtGuest } from './guest.ts';
import { Reports } from './reports.ts';

const vmId = '00000000-0000-4000-8000-000000000001';

/** Of one running domain. */
async function reported(metadata: string) {
  const name = 'web-00000000';
  const xml = `<domain><name>${name}</name><uuid>${vmId}</uuid><vcpu>1</vcpu>${metadata}</domain>`;
  const domain = {
    state: async () => ({ state: 'running', reason: 'booted' }),
    xml: async () => xml,
    isPersistent: async () => true,
  };
  const host = { listDomains: async () => [{ uuid: vmId, name, id: 1 }] };
  const client = Object.assign(new EventEmitter(), { domain, host }) as unknown as LibvirtClient;
  const [report] = await new Reports(client, {} as LibvirtGuest, '/nowhere').list();
  return report;
}

test('a VM whose mark cannot be read, as of another release, is ours all the same: it runs, and must not run twice', async () => {
  const mark = (spec: string) =>
    `<metadata><kvasir:vm xmlns:kvasir="urn:kvasir:domain:1">${spec}</kvasir:vm></metadata>`;
  for (const spec of ['{"vmId":"x","fromTheFuture":true}', 'no JSON']) {
    const report = await reported(mark(spec));
    assert.deepEqual([report?.vmId, report?.managed, report?.state], [vmId, true, 'running']);
    assert.match(report?.drift.join() ?? '', /cannot be read/);
  }
});

test('a domain without our mark is somebody else’s', async () => {
  assert.equal((await reported(''))?.managed, false);
  assert.equal((await reported('<metadata><other:vm>{}</other:vm></metadata>'))?.managed, false);
});
