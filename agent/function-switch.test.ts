/** A NIC's address is with the function while the guest has it, and with the standby NIC before and after. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NicSpec, VmSpec } from '@kvasir/api/agent/vm.ts';
import { FunctionSwitch } from './function-switch.ts';
import { MemoryVmSpecs } from './journal/vm-specs.ts';
import { FakeHypervisor } from './testing/fake-drivers.ts';
import { FakeNetwork } from './testing/fake-network.ts';

const vmId = '00000000-0000-4000-8000-000000000001';
const nic = (nicId: string, direct: boolean): NicSpec => ({
  ...{ nicId, networkId: 'net', macAddress: '52:54:00:00:00:01', model: 'virtio', mtu: 1500 },
  ...(direct ? { direct } : {}),
});

async function world() {
  const hypervisor = new FakeHypervisor();
  const network = new FakeNetwork();
  const specs = new MemoryVmSpecs();
  const logged: string[] = [];
  const nics = [nic('a', true), nic('b', false), nic('c', true)];
  await specs.set({ vmId, nics } as unknown as VmSpec);
  for (const each of nics) await network.attachPort(vmId, each);
  const functions = new FunctionSwitch({ hypervisor, network }, specs, (message) => logged.push(message));
  const states = () => Object.fromEntries(network.functions);
  return { hypervisor, network, functions, logged, states };
}

const settled = () => new Promise(setImmediate);

test('what the guest let go of rests, and what it is about to get carries: all, or the one NIC', async () => {
  const { hypervisor, states } = await world();
  assert.deepEqual(states(), { a: 'carries', c: 'carries' });
  hypervisor.tellFunctions({ vmId, nicId: null, state: 'rests' });
  await settled();
  assert.deepEqual(states(), { a: 'rests', c: 'rests' });
  hypervisor.tellFunctions({ vmId, nicId: 'c', state: 'carries' });
  await settled();
  assert.deepEqual(states(), { a: 'rests', c: 'carries' });
});

test('the last event counts, also when an earlier one takes longer', async () => {
  const { hypervisor, network, states } = await world();
  const { promise: slow, resolve: go } = Promise.withResolvers<void>();
  const set = network.setFunction.bind(network);
  network.setFunction = async (nicId, state) => {
    if (state === 'rests') await slow;
    await set(nicId, state);
  };
  hypervisor.tellFunctions({ vmId, nicId: null, state: 'rests' });
  hypervisor.tellFunctions({ vmId, nicId: null, state: 'carries' });
  await settled();
  go();
  await settled();
  assert.deepEqual(states(), { a: 'carries', c: 'carries' });
});

test('one that fails is logged and holds up no other; other VMs and a closed switch change nothing', async () => {
  const { hypervisor, network, functions, logged, states } = await world();
  const set = network.setFunction.bind(network);
  network.setFunction = (nicId, state) => (nicId === 'a' ? Promise.reject(new Error('busy')) : set(nicId, state));
  hypervisor.tellFunctions({ vmId, nicId: null, state: 'rests' });
  await settled();
  assert.deepEqual(states(), { a: 'carries', c: 'rests' });
  assert.equal(logged.length, 1);
  hypervisor.tellFunctions({ vmId: vmId.replace('1', '2'), nicId: null, state: 'carries' });
  functions.close();
  hypervisor.tellFunctions({ vmId, nicId: null, state: 'carries' });
  await settled();
  assert.deepEqual(states(), { a: 'carries', c: 'rests' });
});
