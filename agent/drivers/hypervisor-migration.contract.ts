/** The hypervisor contract on moving a domain: where it is afterwards, whatever was asked for and however often. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type HypervisorBed, quick } from './hypervisor-bed.contract.ts';

export function migrationContract(bed: HypervisorBed): void {
  it('a domain moves to another host; a repeated request finds it gone', async () => {
    await bed.running();
    await bed.second.prepare(bed.spec);
    await bed.second.hypervisor.prepareIncoming(bed.spec);
    const percents: number[] = [];
    const call = { signal: quick, progress: ({ percent }: { percent: number }) => percents.push(percent) };
    await bed.first.hypervisor.sendMigration(bed.send(), call);
    assert.equal(await bed.reportOf(bed.first), undefined);
    const there = await bed.reportOf(bed.second);
    assert.equal(there?.state, 'running');
    assert.equal(there?.incoming, false);
    assert.equal(there?.managed, true);
    assert.deepEqual(
      percents,
      percents.toSorted((a, b) => a - b),
    );
    await bed.first.hypervisor.sendMigration(bed.send(), call);
    assert.equal(await bed.first.hypervisor.cancelMigration(bed.vmId), 'left');
    assert.equal(await bed.second.hypervisor.abandonIncoming(bed.vmId), true);
    assert.equal((await bed.reportOf(bed.second))?.state, 'running');
  });

  it('a migration that is cancelled leaves the domain where it was', async () => {
    await bed.running();
    await bed.second.prepare(bed.spec);
    const cancel = new AbortController();
    const call = { signal: cancel.signal, progress: () => cancel.abort() };
    await assert.rejects(bed.first.hypervisor.sendMigration(bed.send({ bandwidthMibps: 1 }), call), {
      code: 'cancelled',
    });
    assert.equal((await bed.reportOf(bed.first))?.state, 'running');
    assert.equal(await bed.second.hypervisor.abandonIncoming(bed.vmId), false);
    assert.equal(await bed.second.hypervisor.abandonIncoming(bed.vmId), false);
    assert.equal(await bed.reportOf(bed.second), undefined);
  });

  it('a migration can be ended without its call, also by an agent that did not begin it', async () => {
    for (const restarted of [false, true]) {
      await bed.running();
      await bed.second.prepare(bed.spec);
      const begun = Promise.withResolvers<void>();
      const call = { signal: quick, progress: () => begun.resolve() };
      const sending = bed.first.hypervisor.sendMigration(bed.send({ bandwidthMibps: 1 }), call);
      const ended = assert.rejects(sending, restarted ? Error : { code: 'cancelled' });
      await begun.promise;
      if (restarted) bed.first = await bed.first.restart();
      assert.equal(await bed.first.hypervisor.cancelMigration(bed.vmId), 'stayed');
      assert.equal(await bed.reportOf(bed.second), undefined);
      assert.equal((await bed.reportOf(bed.first))?.state, 'running');
      await ended;
      assert.equal(await bed.second.hypervisor.abandonIncoming(bed.vmId), false);
    }
  });

  it('without a migration there is nothing to end: the domain stays, running and stopped', async () => {
    await bed.running();
    for (const state of ['running', 'stopped'] as const) {
      if (state === 'stopped') await bed.first.hypervisor.stop(bed.vmId, 0, quick);
      assert.equal(await bed.first.hypervisor.cancelMigration(bed.vmId), 'stayed');
      assert.equal(await bed.first.hypervisor.cancelMigration(bed.vmId), 'stayed');
      assert.equal((await bed.reportOf(bed.first))?.state, state);
    }
  });

  it('a migration to where nobody is fails and leaves the domain where it was', async () => {
    await bed.running();
    const nowhere = bed.second.hypervisor.migrationTarget();
    const connectUri = nowhere.connectUri.replace(/\/\/[^/]+/, '//nobody.invalid');
    const sending = bed.first.hypervisor.sendMigration(bed.send({ connectUri }), {
      signal: quick,
      progress: () => undefined,
    });
    await assert.rejects(sending, { code: 'host-failed' });
    assert.equal((await bed.reportOf(bed.first))?.state, 'running');
  });
}
