/** Whether the function of a NIC has the NIC's address, as its VM is taken in, started, and found by an agent that starts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { migrationPrepare, vmDefine, vmStart } from '@kvasir/api/agent/vm.ts';
import type { AgentMethod } from '@kvasir/api/agent/method.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { MemoryServed } from '../journal/served.ts';
import { MemoryVmMetadata } from '../journal/vm-metadata.ts';
import { MemoryVmSpecs } from '../journal/vm-specs.ts';
import { KeyedLock } from '../keyed-lock.ts';
import { StartNotes } from '../start-notes.ts';
import { noLog } from '../log.ts';
import { clearLeftovers } from '../reconcile.ts';
import { domainReport, fakeDrivers } from '../testing/fake-drivers.ts';
import { allHandlers } from './all.ts';
import type { HandlerCall, HostContext } from './handler.ts';

const id = (digit: number): string => `00000000-0000-4000-8000-00000000000${digit}`;
const vmId = id(1);
const [direct, plain] = [id(2), id(3)];
const nics = [
  { nicId: direct, networkId: id(4), direct: true },
  { nicId: plain, networkId: id(4) },
];
const vm = { vmId, name: 'web', nics, disks: [], cloudInit: null };

function world() {
  const drivers = fakeDrivers();
  const shared = { drivers, specs: new MemoryVmSpecs(), served: new MemoryServed(), metadata: new MemoryVmMetadata() };
  const starts = new StartNotes(shared.drivers.liveness);
  const host = { ...shared, starts, locks: new KeyedLock(), clock: systemClock } as unknown as HostContext;
  const handlers = allHandlers(host);
  const run = (method: AgentMethod, params: unknown) => handlers.get(method.name)!.run(params, {} as HandlerCall);
  const { functions } = drivers.network;
  return { drivers, host, run, functions, state: () => functions.get(direct) };
}

test('at a destination the function rests, also for an agent that starts while the domain arrives', async () => {
  const { drivers, host, run, functions, state } = world();
  const { functions: handed } = (await run(migrationPrepare, { vm, copyVolumes: [] })) as { functions?: unknown };
  assert.deepEqual(handed, [{ nicId: direct, pciAddress: '0000:03:10.0' }]);
  assert.equal(state(), 'rests');
  drivers.hypervisor.put(domainReport(vmId, { state: 'paused', incoming: true }));
  await clearLeftovers(host, noLog);
  assert.equal(state(), 'rests');
  assert.equal(functions.size, 1, 'a NIC on the switch has none');
});

test('a VM that starts has its function, also when that rested', async () => {
  const { run, functions, state } = world();
  await run(vmDefine, { vm });
  await run(vmStart, { vmId, paused: false });
  assert.equal(state(), 'carries');
  for (const stopped of ['stopped', 'crashed', 'suspended'] as const) {
    const { drivers, ...other } = world();
    await other.run(vmDefine, { vm });
    drivers.hypervisor.change(vmId, { state: stopped });
    drivers.network.functions.set(direct, 'rests');
    await other.run(vmStart, { vmId, paused: false });
    assert.equal(other.state(), 'carries', stopped);
  }
  assert.equal(functions.size, 1);
});

test('a function that rests under a running VM goes on resting: its guest may have found it without the address', async () => {
  const { drivers, host, run, functions, state } = world();
  await run(vmDefine, { vm });
  await run(vmStart, { vmId, paused: false });
  functions.set(direct, 'rests');
  await run(vmStart, { vmId, paused: false });
  assert.equal(state(), 'rests');
  await run(vmDefine, { vm });
  assert.equal(state(), 'rests');
  drivers.hypervisor.change(vmId, { state: 'running' });
  await clearLeftovers(host, noLog);
  assert.equal(state(), 'rests');
});
