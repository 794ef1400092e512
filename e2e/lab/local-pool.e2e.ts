/** VMs in local pools: their image comes to the host by itself, once, and goes everywhere with the image. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { LabHost } from '@kvasir/lab/host.ts';
import { insideHost } from '@kvasir/lab/layout.ts';
import { useCloud } from './testing/cloud.ts';
import { booted } from './testing/guest.ts';

interface Shown {
  readonly id: string;
  readonly sha256: string;
  readonly poolIds: readonly string[];
}

describe('a VM lives in a local pool', { timeout: 300_000 }, () => {
  const cloud = useCloud();

  it('the image is copied to the host once, and deleted from every place', async () => {
    const { lab } = cloud();
    const image = await cloud().kvasir<Shown>('image', 'show', 'tiny');
    assert.equal(image.poolIds.length, 1);
    assert.deepEqual(await imageFiles(lab.host('h2')), []);

    const [first, second] = await Promise.all([
      cloud().createVm('first', '--pool', 'local', '--host', 'h2'),
      cloud().createVm('second', '--pool', 'local', '--host', 'h2'),
    ]);
    for (const vm of [first, second]) {
      assert.deepEqual([vm.state, vm.hostName], ['running', 'h2']);
      await booted(lab.host('h2'), vm.id);
    }
    const file = `${image.id}.qcow2`;
    assert.deepEqual(await imageFiles(lab.host('h2')), [file]);
    const path = lab.host('h2').path(`${insideHost.localStorage}/images/${file}`);
    assert.equal(createHash('sha256').update(readFileSync(path)).digest('hex'), image.sha256);
    assert.equal((await cloud().kvasir<Shown>('image', 'show', 'tiny')).poolIds.length, 2);

    // One that is asked for later stands on the same copy.
    const third = await cloud().createVm('third', '--pool', 'local', '--host', 'h2');
    assert.equal(third.state, 'running');
    assert.deepEqual(await imageFiles(lab.host('h2')), [file]);
    for (const name of ['h1', 'h3']) assert.deepEqual(await imageFiles(lab.host(name)), []);

    assert.match(await cloud().refused('image', 'delete', 'tiny'), /in use|used by/i);
    await cloud().purge('first', 'second', 'third');
    await cloud().kvasir('image', 'delete', 'tiny', '--wait');
    assert.deepEqual(await imageFiles(lab.host('h2')), []);
    const shared = await lab.host('h1').exec(['ls', `${insideHost.sharedStorage}/images`]);
    assert.equal(shared.trim(), '');
  });
});

/** Names in `images/` of the host's local pool, without what is hidden. */
async function imageFiles(host: LabHost): Promise<string[]> {
  const listed = await host.exec(['ls', `${insideHost.localStorage}/images`]);
  return listed.split('\n').filter((name) => name !== '');
}
