/**
 * The promise of a lease, on real hosts: what others may believe of a host that is silent has become true before they may.
 * And the power devices that make it certain sooner. One cloud serves all tests, in the order of the file.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { endProcesses, isRunning, until } from '@kvasir/lab/processes.ts';
import { useCloud } from './testing/cloud.ts';
import { booted } from './testing/guest.ts';
import { hasProcess, keeperOf, leasesIn } from './testing/leases.ts';

const leaseMs = 9000;

interface Power {
  readonly device: string;
  readonly state: 'on' | 'off';
}

describe('leases and power', { timeout: 600_000 }, () => {
  const cloud = useCloud();

  it('every host keeps a lease that a watchdog guards', async () => {
    await until(
      'three guarded leases',
      60_000,
      () => leasesIn(cloud().lab).filter((lease) => lease.guarded).length === 3,
    );
    const before = leasesIn(cloud().lab);
    assert.equal(new Set(before.map((lease) => lease.hostId)).size, 3);
    assert.equal(new Set(before.map((lease) => lease.bootId)).size, 3);
    await until('renewals', 20_000, () =>
      leasesIn(cloud().lab).every(
        (lease) => lease.counter > before.find(({ hostId }) => hostId === lease.hostId)!.counter,
      ),
    );
    await until('armed watchdogs', 5000, () =>
      cloud()
        .lab.status()
        .hosts.every((host) => host.watchdog === 'armed'),
    );
  });

  it('a host that lost its storage ends its VMs there before its lease is over, and only those', async () => {
    const shared = await cloud().createVm('shared', '--host', 'h2');
    const local = await cloud().createVm('local', '--pool', 'local', '--host', 'h2');
    const host = cloud().lab.host('h2');
    await booted(host, shared.id);
    await booted(host, local.id);
    const init = host.init();

    await cloud().lab.cut('h2', ['storage']);
    const cutAt = performance.now();
    await until('the end of the VM on the shared pool', 20_000, () => !hasProcess(host, shared.id));
    const endedAfterMs = performance.now() - cutAt;
    assert.ok(endedAfterMs < leaseMs, `ended only after ${Math.round(endedAfterMs)} ms`);

    // It may run elsewhere by now, on proof; on this host it is known to have ended, or its lease is over.
    await until('what the manager knows of it', 60_000, async () => {
      const told = (await cloud().eventsOf(shared.id)).some(({ message }) => message.includes('storage lost'));
      return told || (await cloud().vm(shared.id)).hostName !== 'h2';
    });
    // Past the end of the lease and of the watchdog's time.
    await until('more than a lease later', 30_000, () => performance.now() - cutAt > leaseMs + 5000);
    assert.ok(hasProcess(host, local.id), 'the VM on the local pool goes on');
    assert.deepEqual(host.init(), init, 'the host was not reset');
    assert.ok(isRunning(init));
    assert.equal(hasProcess(host, shared.id), false);

    await cloud().lab.heal('h2', ['storage']);
    const hostId = leasesIn(cloud().lab);
    await until('the lease is renewed again', 30_000, () => {
      const now = leasesIn(cloud().lab);
      return now.every(
        (lease) => lease.counter > (hostId.find((old) => old.hostId === lease.hostId)?.counter ?? 0) + 4,
      );
    });
    await cloud().untilState(shared.id, 'running', 60_000);
    await cloud().purge('shared', 'local');
  });

  it('a power device reads the power, and cuts it for certain', async () => {
    const power = (verb: string, ...more: string[]): Promise<Power> =>
      cloud().kvasir<Power>('host-power', verb, 'h3', ...more);
    assert.equal((await cloud().kvasir<Power>('fence-device', 'test', 'h3-bmc')).state, 'on');
    const { lab } = cloud();
    const off = await power('off', '--force');
    assert.deepEqual([off.state, off.device], ['off', 'h3-bmc']);
    assert.equal(lab.host('h3').init(), undefined);
    assert.equal((await power('show')).state, 'off');
    assert.equal((await power('on')).state, 'on');
    await cloud().untilHost('h3', 'up');

    lab.setBmc('h3', 'lies');
    const refused = await cloud().cloud.cli(['host-power', 'off', 'h3', '--force'], { timeoutMs: 120_000 });
    assert.match(refused.stderr, /says that it is on still/);
    assert.notEqual(lab.host('h3').init(), undefined);
    lab.setBmc('h3', 'ok');
    const shown = JSON.stringify(await cloud().kvasir('fence-device', 'list'));
    assert.ok(!/password/i.test(shown));
  });

  it('a host whose keeper died, with all that could start it again, is reset before its lease is over', async () => {
    const { lab } = cloud();
    const host = lab.host('h1');
    await until('a guarded lease again', 60_000, () => lab.status().hosts[0]?.watchdog === 'armed');
    const init = host.init();
    // Or high availability would cut its power first.
    lab.setBmc('h1', 'broken');
    await lab.killAgent('h1', { stayDown: true });
    const keepers = keeperOf(host);
    assert.equal(keepers.length, 1);
    const killedAt = performance.now();
    await endProcesses(keepers, 0);
    await until('the reset', 30_000, () => !isRunning(init));
    const afterMs = performance.now() - killedAt;
    assert.ok(afterMs < leaseMs, `reset only after ${Math.round(afterMs)} ms`);
    await until('the next boot', 60_000, () => host.init() !== undefined);
    assert.equal(lab.status().hosts[0]?.watchdogResets, 1);
    await lab.startAgent('h1');
    await cloud().untilHost('h1', 'up');
    // Not before: the device is still being asked to cut the power of a host that is not heard.
    lab.setBmc('h1', 'ok');
  });
});
