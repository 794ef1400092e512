import assert from 'node:assert/strict';
import { test } from 'node:test';
import { functionElements, hasFunctions, pciAttributes, withFunctions } from './failover-pair.ts';
import { element, find, findAll, writeXml } from './xml.ts';

const nic = (nicId: string, pciAddress: string) => ({
  spec: { nicId, networkId: 'net', macAddress: '52:54:00:00:00:01', model: 'virtio' as const, mtu: 1500 },
  device: 'kv1',
  offload: true,
  virtualFunction: { pciAddress },
});
const plain = element('interface', { type: 'ethernet' }, element('alias', { name: 'ua-nic-a' }));
const domain = element(
  'domain',
  {},
  element('name', {}, 'web'),
  element('devices', {}, plain, functionElements(nic('a', '0000:03:01.0')), functionElements(nic('b', '0000:03:01.1'))),
);

test('at the destination each pair has the function that was handed out there, and all else is as it was', () => {
  const moved = withFunctions(domain, [
    { nicId: 'b', pciAddress: '0000:81:0a.7' },
    { nicId: 'a', pciAddress: '0000:81:02.0' },
  ]);
  const source = (at: number) => find(findAll(find(moved, 'devices'), 'hostdev')[at]!, 'source', 'address')?.attributes;
  assert.deepEqual(source(0), { domain: '0x0000', bus: '0x81', slot: '0x02', function: '0x0' });
  assert.deepEqual(source(1), { domain: '0x0000', bus: '0x81', slot: '0x0a', function: '0x7' });
  const back = withFunctions(moved, [
    { nicId: 'a', pciAddress: '0000:03:01.0' },
    { nicId: 'b', pciAddress: '0000:03:01.1' },
  ]);
  assert.equal(writeXml(back), writeXml(domain));
});

test('a pair without a function at the destination stops the migration: its old address is somebody else’s there', () => {
  assert.equal(hasFunctions(domain), true);
  assert.throws(() => withFunctions(domain, [{ nicId: 'a', pciAddress: '0000:81:02.0' }]), {
    code: 'migration-impossible',
  });
  assert.equal(hasFunctions(element('domain', {}, element('devices', {}, plain))), false);
});

test('only PCI addresses are taken', () => {
  for (const wrong of ['03:01.0', '0000:03:01.8', "0000:03:01.0'"]) {
    assert.throws(() => pciAttributes(wrong), { code: 'host-failed' });
  }
});
