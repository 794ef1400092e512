import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DomainSpec } from '../hypervisor.ts';
import { driftOf, factsOf, specOf } from './domain-read.ts';
import { dimmElement, domainXml, nicElement } from './domain-xml.ts';
import { find, findAll, readXml, textOf, writeXml } from './xml.ts';

const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const sample: DomainSpec = {
  vm: {
    vmId: id(1),
    name: 'web',
    projectId: id(2),
    cpus: 1,
    maxCpus: 2,
    memoryMib: 128,
    maxMemoryMib: 512,
    cpuModel: 'maximum',
    firmware: 'bios',
    bootOrder: ['network', 'disk'],
    disks: [{ poolId: id(3), volumeId: id(4), format: 'qcow2', device: 'vda', bus: 'virtio', readOnly: false }],
    nics: [{ nicId: id(5), networkId: id(6), macAddress: '52:54:00:00:00:01', model: 'virtio', mtu: 1500 }],
    cloudInit: { instanceId: 'i-1', userData: 'secret-of-the-tenant' },
  },
  disks: [
    {
      spec: { poolId: id(3), volumeId: id(4), format: 'qcow2', device: 'vda', bus: 'virtio', readOnly: false },
      source: { kind: 'file', path: '/pool/volumes/a & b.qcow2', format: 'qcow2' },
    },
  ],
  nics: [
    {
      spec: { nicId: id(5), networkId: id(6), macAddress: '52:54:00:00:00:01', model: 'virtio', mtu: 1500 },
      device: 'kv1',
      offload: true,
    },
  ],
  seed: { kind: 'file', path: '/seeds/1.iso', format: 'raw' },
};
const options = { virtualization: 'emulation', emulator: '/usr/bin/qemu-system-x86_64' } as const;

test('a fresh domain shows no drift, and its spec is found again without secrets', () => {
  const text = domainXml(sample, options);
  const domain = readXml(text);
  const spec = specOf(domain);
  assert.ok(spec);
  assert.deepEqual(driftOf(spec, domain), []);
  assert.deepEqual(spec, { ...sample.vm, cloudInit: { instanceId: 'i-1' } });
  assert.doesNotMatch(text, /secret-of-the-tenant/);
});

test('what somebody else changed is said in words', () => {
  const text = domainXml(sample, options)
    .replace('<memory unit="MiB">128<', '<memory unit="KiB">262144<')
    .replace(`ua-nic-${id(5)}`, 'net0');
  const domain = readXml(text);
  assert.deepEqual(driftOf(specOf(domain), domain), [
    'its memory is 256 MiB, not 128',
    'a balloon leaves 128 MiB to the guest',
    'NIC 52:54:00:00:00:01 was taken away',
    'NIC 52:54:00:00:00:01 was added',
  ]);
});

test('a domain without our mark has no spec of ours, nor has one whose mark cannot be read', () => {
  assert.equal(specOf(readXml('<domain><name>x</name></domain>')), null);
  assert.equal(specOf(readXml('<domain><metadata><kvasir:vm>{"a":1}</kvasir:vm></metadata></domain>')), null);
});

test('boot order counts over the classes in their order', () => {
  const devices = find(readXml(domainXml(sample, options)), 'devices');
  const order = (name: string) => findAll(devices, name).map((device) => find(device, 'boot')?.attributes.order);
  assert.deepEqual(order('interface'), ['1']);
  assert.deepEqual(order('disk'), ['2', undefined]);
  assert.equal(find(findAll(devices, 'interface')[0]!, 'rom')?.attributes.enabled, 'yes');
});

test('memory and processors leave room to grow only when asked', () => {
  const grown = readXml(domainXml(sample, options));
  assert.equal(textOf(find(grown, 'maxMemory')), '512');
  assert.ok(find(grown, 'cpu', 'numa'));
  assert.equal(factsOf(grown).cpus, 1);
  const fixed = readXml(domainXml({ ...sample, vm: { ...sample.vm, maxCpus: 1, maxMemoryMib: 128 } }, options));
  assert.equal(find(fixed, 'maxMemory'), undefined);
  assert.equal(find(fixed, 'vcpu')?.attributes.current, undefined);
  assert.match(writeXml(dimmElement(128)), /<size unit="MiB">128<\/size>/);
});

test('paths with markup in them stay whole', () => {
  assert.equal(factsOf(readXml(domainXml(sample, options))).disks[0]?.path, '/pool/volumes/a & b.qcow2');
});

test('a NIC on a switch that wants whole packets offers the guest no offloads', () => {
  const [nic] = sample.nics;
  const driver = (offload: boolean) => find(nicElement({ ...nic!, offload }), 'driver');
  assert.equal(driver(true), undefined);
  const host = find(driver(false)!, 'host')?.attributes;
  assert.deepEqual(host, { csum: 'off', gso: 'off', tso4: 'off', tso6: 'off', ecn: 'off', ufo: 'off' });
});

test('a NIC on a virtual function is a failover pair, and no drift is seen when one half is away', () => {
  const virtualFunction = { pciAddress: '0000:03:01.5' };
  const [nic] = sample.nics;
  const withFunction = domainXml({ ...sample, nics: [{ ...nic!, virtualFunction }] }, options);
  const devices = find(readXml(withFunction), 'devices');
  const [[standby, ...others], [pair, ...more]] = [findAll(devices, 'interface'), findAll(devices, 'hostdev')];
  assert.deepEqual([...others, ...more], []);
  assert.equal(
    writeXml(pair!).trim(),
    `<hostdev mode="subsystem" type="pci" managed="yes">
  <source>
    <address domain="0x0000" bus="0x03" slot="0x01" function="0x5"/>
  </source>
  <teaming type="transient" persistent="ua-nic-${id(5)}"/>
  <alias name="ua-vf-${id(5)}"/>
</hostdev>`,
  );
  assert.equal(standby?.attributes.type, 'ethernet');
  assert.deepEqual(find(standby, 'teaming')?.attributes, { type: 'persistent' });
  assert.deepEqual(find(standby, 'mac')?.attributes, { address: '52:54:00:00:00:01' });
  const spec = specOf(readXml(withFunction))!;
  assert.deepEqual(driftOf(spec, readXml(withFunction)), []);
  assert.deepEqual(driftOf(spec, readXml(domainXml(sample, options))), []);
});

test('a plain NIC has neither a pair nor a team', () => {
  assert.doesNotMatch(domainXml(sample, options), /teaming|hostdev/);
});

test('a guest can say that it panicked and has a watchdog; a panic ends the domain, a watchdog only reports', () => {
  const domain = readXml(domainXml(sample, options));
  assert.equal(textOf(find(domain, 'on_crash')), 'destroy');
  assert.deepEqual(find(domain, 'devices', 'panic')?.attributes, { model: 'isa' });
  assert.deepEqual(find(domain, 'devices', 'watchdog')?.attributes, { model: 'i6300esb', action: 'none' });
});
