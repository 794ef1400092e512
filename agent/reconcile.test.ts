/** What an agent that starts cannot put in order stands in nobody else's way. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { KvasirError } from '@kvasir/api/errors.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { emptySlice } from '@kvasir/api/agent/network-slice.ts';
import type { HostContext } from './handlers/handler.ts';
import { MemoryServed } from './journal/served.ts';
import { MemoryVmMetadata } from './journal/vm-metadata.ts';
import { MemoryVmSpecs } from './journal/vm-specs.ts';
import { KeyedLock } from './keyed-lock.ts';
import { noLog } from './log.ts';
import { clearLeftovers, serveAgain } from './reconcile.ts';
import { FakeTime } from './lease/testing/fake-time.ts';
import { StartNotes } from './start-notes.ts';
import { domainReport, fakeDrivers } from './testing/fake-drivers.ts';

const id = (digit: number): string => `00000000-0000-4000-8000-00000000000${digit}`;
const failed = new KvasirError('host-failed', { reason: 'the switch does not want to' });

function world() {
  const drivers = fakeDrivers();
  const shared = { drivers, specs: new MemoryVmSpecs(), served: new MemoryServed(), metadata: new MemoryVmMetadata() };
  const starts = new StartNotes(drivers.liveness);
  return {
    ...shared,
    host: { ...shared, starts, locks: new KeyedLock(), clock: systemClock } as unknown as HostContext,
  };
}

it('a port that can be neither removed nor made does not keep others from being so', async () => {
  const { drivers, specs, host } = world();
  const { network, hypervisor } = drivers;
  const [stuck, leftover] = [id(1), id(2)];
  for (const nicId of [stuck, leftover]) await network.attachPort(id(9), { nicId, networkId: id(8) });
  for (const vmId of [id(3), id(4)]) {
    hypervisor.put(domainReport(vmId, { state: 'running' }));
    const nics = [{ nicId: vmId === id(3) ? id(5) : id(6), networkId: id(8) }];
    await specs.set({ vmId, nics, disks: [] } as never);
  }
  const { attachPort, detachPort } = network;
  network.detachPort = async (nicId) => (nicId === stuck ? Promise.reject(failed) : detachPort.call(network, nicId));
  network.attachPort = async (vmId, nic) =>
    vmId === id(3) ? Promise.reject(failed) : attachPort.call(network, vmId, nic);
  await clearLeftovers(host, noLog);
  assert.deepEqual([...network.ports.keys()].sort(), [stuck, id(6)].sort());
});

it('an agent that starts does not wait for each port of a switch that does not answer', async () => {
  const { drivers, specs, host } = world();
  const time = new FakeTime();
  for (let number = 0; number < 9; number += 1) {
    drivers.hypervisor.put(domainReport(id(number), { state: 'running' }));
    await specs.set({ vmId: id(number), nics: [{ nicId: id(number), networkId: id(8) }], disks: [] } as never);
  }
  let tries = 0;
  drivers.network.attachPort = async () => {
    tries += 1;
    await time.pass(20_000);
    throw failed;
  };
  await clearLeftovers({ ...host, clock: time }, noLog);
  assert.equal(tries, 2);
});

it('pools are served also where the networks cannot be', async () => {
  const { drivers, served, host } = world();
  const pool = { poolId: id(1), name: 'shared', kind: 'directory' as const, path: '/shared', shared: true };
  await served.set({ pools: [pool], networks: { generation: 1, slice: emptySlice } });
  drivers.network.apply = () => Promise.reject(failed);
  await serveAgain(host, noLog);
  assert.deepEqual(
    drivers.storage.pools.map(({ poolId }) => poolId),
    [pool.poolId],
  );
});
