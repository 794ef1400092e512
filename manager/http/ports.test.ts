/** Which address and policy a port gets, what it may carry, and what is refused with which field. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { mirrorOperations } from '@kvasir/api/resources/mirror.ts';
import { networkOperations } from '@kvasir/api/resources/network.ts';
import { portOperations } from '@kvasir/api/resources/port.ts';
import { type RuleCreate, securityGroupOperations } from '@kvasir/api/resources/security-group.ts';
import { switchOperations } from '@kvasir/api/resources/switch.ts';
import { uplinkOperations } from '@kvasir/api/resources/uplink.ts';
import { forEachDatabase } from '../testing/databases.ts';
import type { Person } from './testing/api-world.ts';
import { defaultClusterId, insertHost } from './testing/inventory.ts';
import { query, refused, switchWorld } from './testing/switch-world.ts';

forEachDatabase('distributed switch', (open) => {
  const bed = switchWorld(open);
  const { as, network, vm, withSubnet } = bed;

  it('reserves addresses for ports: the next free one, or the one asked for, each once', async () => {
    await withSubnet('addresses', '10.5.0.0/29');
    const first = await vm('a1', { network: 'addresses' });
    assert.deepEqual(
      [first.addresses, first.securityGroups.map(({ name }) => name), first.antiSpoofing],
      [['10.5.0.2'], ['default'], true],
    );
    const third = await vm('a2', { network: 'addresses', addresses: ['10.5.0.4'] });
    assert.deepEqual(third.addresses, ['10.5.0.4']);
    const ask = (addresses: string[]) => vm('a3', { network: 'addresses', addresses });
    await assert.rejects(ask(['10.5.0.4']), refused('name-taken', '/body/addresses/0'));
    await assert.rejects(ask(['10.5.0.1']), refused('invalid-request', '/body/addresses/0'));
    await assert.rejects(ask(['10.6.0.1']), refused('invalid-request', '/body/addresses/0'));
    await assert.rejects(ask(['fd00::1']), refused('invalid-request', '/body/addresses/0'));
    const rest = [
      await vm('a4', { network: 'addresses' }),
      await vm('a5', { network: 'addresses' }),
      await vm('a6', { network: 'addresses' }),
    ];
    assert.deepEqual(rest.flatMap((port) => port.addresses).sort(), ['10.5.0.3', '10.5.0.5', '10.5.0.6']);
    await assert.rejects(vm('a7', { network: 'addresses' }), refused('unsupported'));
    const given = await as('member').call(portOperations.update, {
      params: { port: first.id },
      query,
      body: { addresses: [] },
    });
    assert.deepEqual(given.addresses, []);
    assert.deepEqual((await vm('a8', { network: 'addresses' })).addresses, ['10.5.0.2']);
    const shrunk = { params: { network: 'addresses' }, query, body: { subnets: [{ cidr: '10.5.0.0/30' }] } };
    await assert.rejects(
      as('member').call(networkOperations.update, shrunk),
      refused('invalid-request', '/body/subnets'),
    );
  });

  it('keeps the flat network of a fresh system as open as it was', async () => {
    const port = await vm('open', { network: 'default' }, 'default');
    assert.deepEqual(
      [port.portSecurity, port.antiSpoofing, port.securityGroups, port.addresses],
      [false, false, [], []],
    );
  });

  it('takes rules that mean something, and refuses the rest with the field', async () => {
    const member = as('member');
    const { id, rules } = await member.call(securityGroupOperations.create, { query, body: { name: 'web' } });
    assert.deepEqual(rules.map(({ direction, family }) => `${direction} ${family}`).sort(), ['out ipv4', 'out ipv6']);
    const add = (body: RuleCreate) =>
      member.call(securityGroupOperations.addRule, { params: { securityGroup: id }, query, body });
    const rule = await add({ direction: 'in', protocol: 'tcp', portFrom: 80, remoteGroup: 'default' });
    assert.deepEqual([rule.portTo, rule.remoteGroupName, rule.protocol], [80, 'default', 'tcp']);
    const cases: [RuleCreate, string][] = [
      [{ direction: 'in', portFrom: 80 }, '/body/portFrom'],
      [{ direction: 'in', protocol: 'icmp', portFrom: 80 }, '/body/portFrom'],
      [{ direction: 'in', protocol: 'tcp', portFrom: 80, portTo: 70 }, '/body/portTo'],
      [{ direction: 'in', family: 'ipv6', remoteCidr: '10.0.0.0/8' }, '/body/remoteCidr'],
      [{ direction: 'in', remoteCidr: '10.0.0.1/8' }, '/body/remoteCidr'],
      [{ direction: 'in', protocol: 'icmp', icmpCode: 1 }, '/body/icmpCode'],
      [{ direction: 'in', family: 'ipv6', protocol: 'icmp' }, '/body/protocol'],
      [{ direction: 'in', protocol: '300' }, '/body/protocol'],
      [{ direction: 'in', remoteCidr: '10.0.0.0/8', remoteGroup: 'default' }, '/body/remoteGroup'],
    ];
    for (const [body, path] of cases) await assert.rejects(add(body), refused('invalid-request', path));
    await assert.rejects(
      add({ direction: 'in', protocol: 'tcp', portFrom: 80, remoteGroup: 'default' }),
      refused('name-taken'),
    );
    await assert.rejects(add({ direction: 'in', remoteGroup: 'nowhere' }), refused('not-found', '/body/remoteGroup'));
    const remove = (name: string) =>
      member.call(securityGroupOperations.delete, { params: { securityGroup: name }, query });
    await assert.rejects(remove('default'), refused('in-use'));
    await withSubnet('grouped', '10.7.0.0/24');
    const port = await vm('g1', { network: 'grouped', securityGroups: ['web'] });
    assert.deepEqual(port.securityGroups, [{ id, name: 'web' }]);
    await assert.rejects(remove('web'), refused('in-use'));
    await member.call(portOperations.update, { params: { port: port.id }, query, body: { securityGroups: [] } });
    await remove('web');
  });

  it('hands a guest further networks by tags, and copies no mirror onto its source', async () => {
    const member = as('member');
    await withSubnet('t1', '10.20.0.0/24');
    await withSubnet('t2', '10.21.0.0/24');
    const port = await vm('trunk', { network: 't1' });
    const add = (body: { network: string; vlanId: number }) =>
      member.call(portOperations.addSubPort, { params: { port: port.id }, query, body });
    const { subPorts } = await add({ network: 't2', vlanId: 30 });
    assert.deepEqual(
      subPorts.map(({ vlanId, addresses }) => [vlanId, addresses]),
      [[30, ['10.21.0.2']]],
    );
    await assert.rejects(add({ network: 't2', vlanId: 31 }), refused('invalid-request', '/body/network'));
    await assert.rejects(add({ network: 't1', vlanId: 31 }), refused('invalid-request', '/body/network'));
    const mirror = (body: object) =>
      as('system-admin').call(mirrorOperations.create, { body: { name: 'tap', ...body } });
    await assert.rejects(
      mirror({ sourcePorts: [port.id], targetPort: port.id }),
      refused('invalid-request', '/body/targetPort'),
    );
    await assert.rejects(
      mirror({ sourceNetwork: port.networkId, targetPort: port.id }),
      refused('invalid-request', '/body/targetPort'),
    );
    await assert.rejects(
      mirror({ sourcePorts: [port.id], targetKind: 'gre' }),
      refused('invalid-request', '/body/targetAddress'),
    );
  });

  it('gives NICs virtual functions where there are some, and never past a policy', async () => {
    const admin = as('system-admin');
    const functions = [0, 1].map((index) => ({ index, pciAddress: `0000:03:01.${index}`, driver: null }));
    const device = { pciAddress: '0000:03:00.0', driver: 'ice', switchHardwareId: null, most: 8 };
    const inventory = { nics: [], physicalFunctions: [{ nic: 'pf0', ...device, virtualFunctions: functions }] };
    await bed.world.store.transaction(async (tx) => {
      const row = { memoryMib: 1_000_000, inventory: inventory as never };
      await insertHost(tx, await defaultClusterId(tx), 'n3', row);
    });
    await admin.call(switchOperations.create, { body: { name: 'fast' } });
    await admin.call(uplinkOperations.create, { body: { name: 'fast-n3', switch: 'fast', host: 'n3', nics: ['pf0'] } });
    const fast = { kind: 'vlan', switch: 'fast', shared: true };
    await network('direct', { ...fast, segment: 300, portSecurity: false }, 'system-admin');
    await network('guarded', { ...fast, segment: 301 }, 'system-admin');
    await network('blue');
    const nic = (name: string, more: object = {}) => ({ nics: [{ network: name, vnicType: 'direct', ...more }] });
    for (const [name, wrong] of Object.entries({
      g: nic('guarded'),
      o: nic('blue'),
      m: nic('direct', { model: 'e1000e' }),
    }))
      await assert.rejects(vm(`d-${name}`, wrong), refused('invalid-request', '/body/nics/0/vnicType'));
    const first = await vm('d1', nic('direct'));
    assert.equal(first.vnicType, 'direct');
    await vm('d2', nic('direct'));
    const seen = async () => (await admin.call(hostOperations.get, { params: { host: 'n3' } })).physicalFunctions;
    assert.deepEqual(
      (await seen()).map(({ nic, virtualFunctions, free }) => [nic, virtualFunctions, free]),
      [['pf0', 2, 0]],
    );
    await assert.rejects(vm('d3', nic('direct')), /n3: 0 of 2 virtual functions free on switch fast/);
    const update = { params: { port: first.id }, query, body: { portSecurity: true } };
    await assert.rejects(admin.call(portOperations.update, update), refused('invalid-request', '/body/portSecurity'));
  });

  it("shows nobody another project's ports, and lets nobody loosen a network of others", async () => {
    const admin = as('system-admin');
    await network('common', { shared: true, subnets: [{ cidr: '10.30.0.0/24' }] }, 'system-admin');
    const port = await vm('guest', { network: 'common' }, 'other');
    const update = (who: Person, body: object) =>
      as(who).call(portOperations.update, { params: { port: port.id }, query: { project: 'other' }, body });
    await assert.rejects(update('member', { antiSpoofing: false }), refused('forbidden', '/body/antiSpoofing'));
    await assert.rejects(update('outsider', { connected: false }), refused('not-found'));
    assert.equal((await update('system-admin', { antiSpoofing: false })).antiSpoofing, false);
    const page = await admin.call(portOperations.list, { query: { project: 'other', network: 'common' } });
    assert.deepEqual(
      page.items.map(({ id }) => id),
      [port.id],
    );
  });
});
