/** What the API of the distributed switch promises: who gets which address and policy, and what is refused with which field. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { floatingAddressOperations } from '@kvasir/api/resources/floating-address.ts';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { mirrorOperations } from '@kvasir/api/resources/mirror.ts';
import { networkOperations } from '@kvasir/api/resources/network.ts';
import { portOperations } from '@kvasir/api/resources/port.ts';
import { routerOperations } from '@kvasir/api/resources/router.ts';
import { projectOperations } from '@kvasir/api/resources/project.ts';
import { type RuleCreate, securityGroupOperations } from '@kvasir/api/resources/security-group.ts';
import { switchOperations } from '@kvasir/api/resources/switch.ts';
import { uplinkOperations } from '@kvasir/api/resources/uplink.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { ports } from '../store/networks.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld, type Person } from './testing/api-world.ts';
import { defaultClusterId, insertHost } from './testing/inventory.ts';

function refused(code: string, path?: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof KvasirError, String(error));
    assert.equal(error.code, code, error.message);
    if (path !== undefined)
      assert.deepEqual(
        error.fields?.map((field) => field.path),
        [path],
        error.message,
      );
    return true;
  };
}

forEachDatabase('distributed switch', (open) => {
  let world: ApiWorld;
  const project = 'tenant';
  const query = { project };
  const as = (who: Person) => createClient({ baseUrl: world.baseUrl, token: world.tokens[who] });
  const network = (name: string, body: object = {}, who: Person = 'member') =>
    as(who).call(networkOperations.create, { query, body: { name, ...body } });
  const withSubnet = (name: string, cidr: string) => network(name, { subnets: [{ cidr }] });
  const vm = async (name: string, nic: object, in_ = project) => {
    const body = { name, memoryMib: 64, start: false, ...nic };
    const { target } = await as('system-admin').call(vmOperations.create, { query: { project: in_ }, body });
    const [first] = await ports.select(world.store.db, { vmId: target.id });
    return as('system-admin').call(portOperations.get, { params: { port: first!.id } });
  };
  before(async () => {
    world = await openApiWorld(await open());
    await world.store.transaction(async (tx) => {
      await insertProject(tx, world, project);
      await insertProject(tx, world, 'other');
      await insertHost(tx, await defaultClusterId(tx), 'n1', { memoryMib: 1_000_000 });
      await insertHost(tx, await defaultClusterId(tx), 'n2', { memoryMib: 1_000_000 });
    });
  });
  after(() => world.close());

  it('gives tenants VXLAN networks of their own, and nothing of the physical network', async () => {
    const made = await network('blue', {
      subnets: [{ cidr: '10.0.0.0/24' }, { cidr: 'fd00:1::/64' }],
      domain: 'blue.test',
    });
    assert.ok(made.kind === 'vxlan' && made.segment !== null && made.segment >= 1 && made.segment <= 16_777_214);
    assert.deepEqual([made.mtu, made.portSecurity, made.subnets[0]?.gateway], [1450, true, '10.0.0.1']);
    for (const body of [{ segment: 7 }, { shared: true }, { external: true }, { kind: 'flat' }]) {
      const [field] = Object.keys(body);
      await assert.rejects(network('green', body), refused('forbidden', `/body/${field}`));
    }
    await network('numbered', { segment: 70_000 }, 'system-admin');
    await assert.rejects(network('again', { segment: 70_000 }, 'system-admin'), refused('name-taken', '/body/segment'));
    await assert.rejects(
      network('large', { segment: 16_777_215 }, 'system-admin'),
      refused('invalid-request', '/body/segment'),
    );
  });

  it('refuses subnets that are none, that overlap, and MTUs that do not fit', async () => {
    const cases = [
      [[{ cidr: '10.0.0.1/24' }], '/body/subnets/0/cidr'],
      [[{ cidr: '10.0.0.0/24', gateway: '10.0.1.1' }], '/body/subnets/0/gateway'],
      [[{ cidr: '10.0.0.0/24', allocationFrom: '10.0.0.9', allocationTo: '10.0.0.3' }], '/body/subnets/0/allocationTo'],
      [[{ cidr: '10.0.0.0/16' }, { cidr: '10.0.3.0/24' }], '/body/subnets/1/cidr'],
      [[{ cidr: '10.0.0.0/24' }, { cidr: '10.9.0.0/24' }], '/body/subnets/1'],
      [[{ cidr: 'fd00::/72' }], '/body/subnets/0/cidr'],
    ] as const;
    for (const [subnets, path] of cases) {
      await assert.rejects(network('bad', { subnets }), refused('invalid-request', path));
    }
    await assert.rejects(network('bad', { mtu: 1451 }), refused('invalid-request', '/body/mtu'));
  });

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

  it('lets operators bind networks to switches, whose uplinks decide where VMs can be', async () => {
    const admin = as('system-admin');
    await admin.call(switchOperations.create, { body: { name: 'dc', mtu: 9000 } });
    const vlan = (body: object) =>
      network(`v${JSON.stringify(body).length}`, { switch: 'dc', ...body }, 'system-admin');
    const first = await vlan({ kind: 'vlan' });
    assert.deepEqual([first.kind, first.segment, first.mtu], ['vlan', 1, 1500]);
    await assert.rejects(vlan({ segment: 1 }), refused('name-taken', '/body/segment'));
    await assert.rejects(vlan({ segment: 4095 }), refused('invalid-request', '/body/segment'));
    await assert.rejects(vlan({ kind: 'vlan', mtu: 9001 }), refused('invalid-request', '/body/mtu'));
    const on = (body: object) =>
      admin.call(uplinkOperations.create, { body: { switch: 'dc', host: 'n2', nics: ['eth1'], ...body } });
    await assert.rejects(vm('nowhere', { network: first.name }), /n1: has no uplink to switch dc.*n2: has no uplink/);
    await assert.rejects(on({ bond: 'lacp' }), refused('invalid-request', '/body/bond'));
    const uplink = await on({ nics: ['eth1', 'eth2'] });
    assert.deepEqual([uplink.name, uplink.bond, uplink.state], ['dc-n2', 'active-backup', null]);
    await assert.rejects(on({}), refused('name-taken', '/body/host'));
    const { vmId } = await vm('linked', { network: first.name });
    assert.equal((await vms.get(world.store.db, vmId)).hostId, uplink.hostId);
    await assert.rejects(admin.call(uplinkOperations.delete, { params: { uplink: 'dc-n2' } }), refused('in-use'));
    await assert.rejects(admin.call(switchOperations.delete, { params: { switch: 'dc' } }), refused('in-use'));
  });

  it('connects networks by routers, leads out and translates', async () => {
    const member = as('member');
    await network(
      'outside',
      { kind: 'flat', external: true, shared: true, subnets: [{ cidr: '203.0.113.0/24', dhcp: false }] },
      'system-admin',
    );
    await withSubnet('r1', '10.10.0.0/24');
    await withSubnet('r2', '10.11.0.0/24');
    await withSubnet('r3', '10.10.0.128/25');
    const { id, ready } = await member.call(routerOperations.create, {
      query,
      body: { name: 'edge', externalNetwork: 'outside' },
    });
    assert.equal(ready, false);
    const connect = (name: string) =>
      member.call(routerOperations.addInterface, { params: { router: id }, query, body: { network: name } });
    await connect('r1');
    const both = await connect('r2');
    assert.deepEqual(both.interfaces.map(({ address }) => address).sort(), ['10.10.0.1', '10.11.0.1']);
    await assert.rejects(connect('r3'), refused('invalid-request', '/body/network'));
    const port = await vm('routed', { network: 'r1' });
    const floating = await member.call(floatingAddressOperations.create, {
      query,
      body: { network: 'outside', port: port.id },
    });
    assert.deepEqual([floating.fixedAddress, floating.routerId], [port.addresses[0], id]);
    assert.notEqual(floating.address, both.externalAddress);
    const apart = await vm('apart', { network: 'r3' });
    const elsewhere = { query, body: { network: 'outside', port: apart.id } };
    await assert.rejects(
      member.call(floatingAddressOperations.create, elsewhere),
      refused('invalid-request', '/body/port'),
    );
    await assert.rejects(
      member.call(routerOperations.delete, { params: { router: 'edge' }, query }),
      refused('in-use'),
    );
    await assert.rejects(
      as('system-admin').call(networkOperations.delete, { params: { network: 'outside' }, query }),
      refused('in-use'),
    );
    const found = await member.call(floatingAddressOperations.get, {
      params: { floatingAddress: floating.address },
      query,
    });
    assert.equal(found.id, floating.id);
  });

  it('holds a project to its quota for each thing of the switch, and says which', async () => {
    await world.store.transaction((tx) => insertProject(tx, world, 'narrow'));
    const [member, admin] = [as('member'), as('system-admin')];
    const narrow = { query: { project: 'narrow' } };
    const make = {
      networks: (name: string) => member.call(networkOperations.create, { ...narrow, body: { name } }),
      securityGroups: (name: string) => member.call(securityGroupOperations.create, { ...narrow, body: { name } }),
      routers: (name: string) => member.call(routerOperations.create, { ...narrow, body: { name } }),
      floatingAddresses: () =>
        member.call(floatingAddressOperations.create, { ...narrow, body: { network: 'outside' } }),
      ports: (name: string) => vm(name, { network: 'first' }, 'narrow'),
    };
    const limits = Object.keys(make) as (keyof typeof make)[];
    const params = { project: 'narrow' };
    const allow = (quota: object) => admin.call(projectOperations.update, { params, body: { quota } });
    const { used: before } = await admin.call(projectOperations.get, { params });
    for (const what of limits) {
      const limit = before[what] + 1;
      await allow({ [what]: limit });
      await make[what]('first');
      await assert.rejects(make[what]('second'), (error: Error) => {
        assert.match(error.message, new RegExp(`: ${limit} used, 1 asked, ${limit} allowed`));
        return refused('quota-exceeded')(error);
      });
    }
    // A VLAN of a trunk is a port, too.
    await allow({ networks: null });
    await make.networks('second');
    const [port] = (await member.call(portOperations.list, { query: { project: 'narrow' } })).items;
    const trunk = { params: { port: port!.id }, ...narrow, body: { network: 'second', vlanId: 7 } };
    await assert.rejects(member.call(portOperations.addSubPort, trunk), refused('quota-exceeded'));
    await allow({ ports: 2 });
    await member.call(portOperations.addSubPort, trunk);
    const { used } = await admin.call(projectOperations.get, { params });
    // The group `default` came with the first port: it counts, and is never refused.
    assert.deepEqual(
      limits.map((what) => used[what] - before[what]),
      [2, 2, 1, 1, 2],
    );
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
    await world.store.transaction(async (tx) => {
      const row = { memoryMib: 1_000_000, inventory: inventory as never };
      await insertHost(tx, await defaultClusterId(tx), 'n3', row);
    });
    await admin.call(switchOperations.create, { body: { name: 'fast' } });
    await admin.call(uplinkOperations.create, { body: { name: 'fast-n3', switch: 'fast', host: 'n3', nics: ['pf0'] } });
    const fast = { kind: 'vlan', switch: 'fast', shared: true };
    await network('direct', { ...fast, segment: 300, portSecurity: false }, 'system-admin');
    await network('guarded', { ...fast, segment: 301 }, 'system-admin');
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

  it('removes a project with its groups, but not with its routers', async () => {
    const admin = as('system-admin');
    await world.store.transaction((tx) => insertProject(tx, world, 'brief'));
    const there = { query: { project: 'brief' } };
    await admin.call(securityGroupOperations.create, { ...there, body: { name: 'web' } });
    const rule = { direction: 'in' as const, remoteGroup: 'default' };
    const group = { params: { securityGroup: 'web' }, ...there, body: rule };
    await admin.call(securityGroupOperations.addRule, group);
    await admin.call(routerOperations.create, { ...there, body: { name: 'r' } });
    const remove = () => admin.call(projectOperations.delete, { params: { project: 'brief' } });
    await assert.rejects(remove(), refused('in-use'));
    await admin.call(routerOperations.delete, { params: { router: 'r' }, ...there });
    await remove();
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
