import assert from 'node:assert/strict';
import { it } from 'node:test';
import { emptySlice, type NetworkSlice, type SlicePort, type SliceRule } from '@kvasir/api/agent/network-slice.ts';
import { shrunkPorts } from './shrunk-ports.ts';

const rule = (ruleId: string, change: Partial<SliceRule> = {}): SliceRule => ({
  ...{ ruleId, direction: 'in', family: 'ipv4', protocol: 6, icmp: null, remote: null },
  ports: { from: 80, to: 80 },
  ...change,
});
const port = (change: Partial<SlicePort> = {}): SlicePort => ({
  ...{
    nicId: 'nic',
    vmId: 'vm',
    networkId: 'net',
    macAddress: '52:54:00:00:00:01',
    addresses: ['10.0.0.1'],
    name: null,
  },
  ...{ antiSpoofing: true, filtered: true, securityGroupIds: ['g'], phase: 'active', connected: true, qos: null },
  ...{ guestVlan: null, hardware: false },
  ...change,
});
const slice = (rules: readonly SliceRule[], change: Partial<SlicePort> = {}, members = ['10.0.0.7']): NetworkSlice => ({
  ...emptySlice,
  ports: [port(change)],
  groups: [{ groupId: 'g', name: 'g', rules: [...rules] }],
  addressSets: [{ groupId: 'peers', addresses: members }],
});
const shrank = (before: NetworkSlice, after: NetworkSlice): boolean => shrunkPorts(before, after).length > 0;

it('what was taken away cuts sessions, what was added does not', () => {
  const web = rule('web');
  const ssh = rule('ssh', { ports: { from: 22, to: 22 } });
  assert.equal(shrank(slice([web, ssh]), slice([web])), true);
  assert.equal(shrank(slice([web]), slice([web, ssh])), false);
  assert.equal(shrank(slice([web]), slice([rule('another id')])), false);
  assert.equal(shrank(slice([web]), slice([rule('web', { remote: { cidr: '10.0.0.0/8' } })])), true);
});

it('a member that left the group at the other end takes its permission along', () => {
  const fromPeers = [rule('peers', { remote: { groupId: 'peers' } })];
  assert.equal(shrank(slice(fromPeers, {}, ['10.0.0.7', '10.0.0.8']), slice(fromPeers, {}, ['10.0.0.7'])), true);
  assert.equal(shrank(slice(fromPeers, {}, ['10.0.0.7']), slice(fromPeers, {}, ['10.0.0.7', '10.0.0.8'])), false);
});

it('a port that leaves a group, is filtered from now on, unplugged or given another address may do less', () => {
  const web = [rule('web')];
  assert.equal(shrank(slice(web), slice(web, { securityGroupIds: [] })), true);
  assert.equal(shrank(slice(web, { filtered: false }), slice(web)), true);
  assert.equal(shrank(slice(web), slice(web, { filtered: false })), false);
  assert.equal(shrank(slice(web), slice(web, { connected: false })), true);
  assert.equal(shrank(slice(web), slice(web, { addresses: [] })), true);
});
