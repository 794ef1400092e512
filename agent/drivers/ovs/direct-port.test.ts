import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptySlice, type NetworkSlice, type SliceNetwork, type SlicePort } from '@kvasir/api/agent/network-slice.ts';
import { wantedFunction } from './direct-port.ts';

const uplink = { name: 'u', bond: 'lacp' as const, lacpFast: false };
const nic = {
  nicId: 'nic',
  networkId: 'net',
  macAddress: '52:54:00:00:00:01',
  model: 'virtio' as const,
  mtu: 1500,
  direct: true as const,
};

function sliceOf(network: Partial<SliceNetwork>, port: Partial<SlicePort> = {}): NetworkSlice {
  return {
    ...emptySlice,
    uplinks: [
      { ...uplink, uplinkId: 'u1', switchId: 'blue', nics: ['pf0', 'pf1'] },
      { ...uplink, uplinkId: 'u2', switchId: 'red', nics: ['pf2'] },
    ],
    networks: [
      { networkId: 'net', name: 'web', kind: 'vlan', segment: 100, switchId: 'blue', ...network } as SliceNetwork,
    ],
    ports: [{ nicId: 'nic', guestVlan: null, qos: null, ...port } as SlicePort],
  };
}

test('devices of the own switch’s uplinks, the VLAN, and the rate in whole megabits', () => {
  const macAddress = nic.macAddress;
  assert.deepEqual(wantedFunction(sliceOf({}), nic), {
    macAddress,
    nics: ['pf0', 'pf1'],
    vlanId: 100,
    maxSendMbps: null,
  });
  const qos = { fromVm: { rateKbps: 1600, burstKb: 10 }, toVm: null, dscp: null };
  const flat = sliceOf({ kind: 'flat', segment: 0, switchId: 'red' }, { qos });
  assert.deepEqual(wantedFunction(flat, nic), { macAddress, nics: ['pf2'], vlanId: null, maxSendMbps: 2 });
  const slow = { ...qos, fromVm: { rateKbps: 100, burstKb: 10 } };
  assert.equal(wantedFunction(sliceOf({}, { qos: slow }), nic).maxSendMbps, 1, '0 would be no limit');
});

test('networks that no device carries are refused', () => {
  for (const network of [
    { kind: 'vxlan' as const, switchId: null },
    { kind: 'flat' as const, switchId: null },
  ]) {
    assert.throws(() => wantedFunction(sliceOf(network), nic), /no device of this host carries the network web/);
  }
});
