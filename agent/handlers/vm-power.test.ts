/** A start that hangs while the host loses what it needs for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { vmStart } from '@kvasir/api/agent/vm.ts';
import { systemClock } from '@kvasir/api/clock.ts';
import { MemoryServed } from '../journal/served.ts';
import { MemoryVmSpecs } from '../journal/vm-specs.ts';
import { KeyedLock } from '../keyed-lock.ts';
import { StartNotes } from '../start-notes.ts';
import { domainReport, fakeDrivers } from '../testing/fake-drivers.ts';
import { FakeLiveness } from '../testing/fake-liveness.ts';
import type { HandlerCall, HostContext } from './handler.ts';
import { vmPowerHandlers } from './vm-power.ts';

const id = (digit: number): string => `00000000-0000-4000-8000-00000000000${digit}`;
const call = {} as HandlerCall;

async function rig() {
  const drivers = fakeDrivers();
  const liveness = new FakeLiveness();
  const specs = new MemoryVmSpecs();
  const nic = { nicId: id(3), networkId: id(4) };
  await specs.set({ vmId: id(1), nics: [nic], disks: [{ poolId: id(2) }] } as never);
  drivers.hypervisor.put(domainReport(id(1), { state: 'stopped' }));
  const hanging = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const { network } = drivers;
  const attachPort = network.attachPort.bind(network);
  network.attachPort = async (vmId, port) => {
    reached.resolve();
    await hanging.promise;
    return attachPort(vmId, port);
  };
  const shared = { drivers: { ...drivers, liveness }, specs, served: new MemoryServed() };
  const starts = new StartNotes(shared.drivers.liveness);
  const host = { ...shared, starts, locks: new KeyedLock(), clock: systemClock } as unknown as HostContext;
  const start = vmPowerHandlers(host).find(({ method }) => method.name === vmStart.name)!;
  const starting = start.run({ vmId: id(1), paused: false }, call);
  starting.catch(() => {});
  await reached.promise;
  return {
    liveness,
    starting,
    goOn: hanging.resolve,
    hypervisor: drivers.hypervisor,
    state: () => drivers.hypervisor.domains.get(id(1))?.report.state,
  };
}

test('a start during which the lease was lost does not happen, though the lease is back', async () => {
  const { liveness, starting, goOn, state } = await rig();
  liveness.blink(id(2));
  goOn();
  await assert.rejects(starting, /does not hold its lease/);
  assert.equal(state(), 'stopped');
});

test('a start goes on when the lease of another pool was lost meanwhile', async () => {
  const { liveness, starting, goOn, state } = await rig();
  liveness.blink(id(9));
  goOn();
  await starting;
  assert.equal(state(), 'running');
});

test('a start is noted while the hypervisor is asked, and no longer when it has answered', async () => {
  const { liveness, starting, goOn, hypervisor } = await rig();
  const noted: string[][] = [];
  const start = hypervisor.start.bind(hypervisor);
  hypervisor.start = (vmId, options) => {
    noted.push([...liveness.starts]);
    return start(vmId, options);
  };
  goOn();
  await starting;
  assert.deepEqual([noted, [...liveness.starts]], [[[id(1)]], []]);
});

test('a start whose answer was lost stays noted', async () => {
  const { liveness, starting, goOn, hypervisor } = await rig();
  hypervisor.start = () => Promise.reject(new Error('the connection broke'));
  goOn();
  await assert.rejects(starting, /the connection broke/);
  assert.deepEqual([...liveness.starts], [id(1)]);
});

test('a start that was not asked for is not noted', async () => {
  const { liveness, starting, goOn } = await rig();
  liveness.blink(id(2));
  goOn();
  await assert.rejects(starting);
  assert.deepEqual([...liveness.starts], []);
});
