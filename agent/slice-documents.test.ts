import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { emptyOutline, type NetworkMember, type SliceOutline } from '@kvasir/api/agent/slice-outline.ts';
import { SliceDocuments } from './slice-documents.ts';

const id = (n: number): string => `00000000-0000-4000-8000-00000000000${n}`;
const [here, there, third] = [id(1), id(2), id(3)];

function member(n: number, ...places: NetworkMember['places']): NetworkMember {
  return { macAddress: `52:54:00:00:00:0${n}`, addresses: [`10.0.0.${n}`], name: `vm${n}`, places };
}

const at = (hostId: string, vtep: string | null) => ({ hostId, vtep });
const own = { digest: 'own', content: { members: [member(1, at(here, '192.0.2.1'))] } };
const others = {
  digest: 'others',
  content: {
    members: [
      member(2, at(there, '192.0.2.2')),
      member(3, at(there, '192.0.2.2'), at(here, '192.0.2.1')),
      member(4, at(third, '192.0.2.3'), at(there, '192.0.2.2')),
      member(5, at(third, null)),
    ],
  },
};
const parts = [
  { digest: 'some', content: { addresses: ['10.0.0.1'] } },
  { digest: 'more', content: { addresses: ['10.0.0.2', '10.0.0.3'] } },
];

function outline(kind: 'vxlan' | 'vlan', members: string[], addresses: string[] = []): SliceOutline {
  const facts = { networkId: id(9), name: 'n', kind, segment: 5, switchId: null, mtu: 1450, domain: 'd.test' };
  const network = { ...facts, subnets: [], members, externalVteps: [] };
  const addressSets = addresses.length === 0 ? [] : [{ groupId: id(8), parts: addresses }];
  return { ...emptyOutline, networks: [network], addressSets };
}

function read(documents: SliceDocuments, asked: SliceOutline, sent: Parameters<SliceDocuments['read']>[2] = []) {
  const answer = documents.read(here, asked, sent);
  assert.ok('slice' in answer, 'all documents are there');
  return answer.slice;
}

describe('the documents of slices', () => {
  it('leave out what is only here, and the way to here', () => {
    const slice = read(new SliceDocuments(), outline('vxlan', ['own', 'others']), [own, others]);
    const [network] = slice.networks;
    assert.deepEqual(
      network!.remotePorts.map(({ name, vteps }) => [name, vteps]),
      [
        ['vm2', ['192.0.2.2']],
        ['vm3', ['192.0.2.2']],
        ['vm4', ['192.0.2.2', '192.0.2.3']],
        ['vm5', []],
      ],
    );
    assert.deepEqual(network!.memberVteps, ['192.0.2.2', '192.0.2.3']);
  });

  it('give only names where there are no tunnels', () => {
    const [network] = read(new SliceDocuments(), outline('vlan', ['others']), [others]).networks;
    assert.deepEqual(
      network!.remotePorts.map(({ name, vteps }) => [name, vteps]),
      ['vm2', 'vm3', 'vm4', 'vm5'].map((name) => [name, []]),
    );
    assert.deepEqual(network!.memberVteps, []);
  });

  it('stay while outlines name them, and no longer', () => {
    const documents = new SliceDocuments();
    const whole = outline('vxlan', ['own', 'others'], ['some', 'more']);
    assert.deepEqual(documents.read(here, whole, [own, parts[0]!]), { missing: ['others', 'more'] });
    const slice = read(documents, whole, [others, parts[1]!]);
    assert.deepEqual(slice.addressSets, [{ groupId: id(8), addresses: ['10.0.0.1', '10.0.0.2', '10.0.0.3'] }]);
    assert.deepEqual(read(documents, whole), slice);
    read(documents, outline('vxlan', ['own']));
    assert.deepEqual(documents.read(here, whole, []), { missing: ['others', 'some', 'more'] });
  });

  it('are refused where another kind of content is meant', () => {
    const documents = new SliceDocuments();
    assert.throws(() => documents.read(here, outline('vxlan', ['some']), [parts[0]!]), /no document some of members/);
  });
});
