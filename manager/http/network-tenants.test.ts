/** What a tenant cannot get of others by way of a network that it shares with them. Networks themselves: `networks.test.ts`. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { floatingAddressOperations } from '@kvasir/api/resources/floating-address.ts';
import { networkOperations } from '@kvasir/api/resources/network.ts';
import { portOperations } from '@kvasir/api/resources/port.ts';
import { routerOperations } from '@kvasir/api/resources/router.ts';
import { securityGroupOperations } from '@kvasir/api/resources/security-group.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { systemIds } from '../ids.ts';
import { ports, subPorts } from '../store/networks.ts';
import { routers } from '../store/routers.ts';
import { securityGroupRules } from '../store/security-groups.ts';
import { sliceFor } from '@kvasir/control/network/slice.ts';
import { readSwitchWorld } from '../store/switch-world.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld, type Person } from './testing/api-world.ts';
import { defaultClusterId, insertHost } from './testing/inventory.ts';

function refused(code: string, path: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof KvasirError, String(error));
    assert.deepEqual([error.code, error.fields?.map((field) => field.path)], [code, [path]], error.message);
    return true;
  };
}

const emptyWorld = { uplinks: [], groups: [], addressSets: new Map<string, string[]>(), routers: [], mirrors: [] };

forEachDatabase('tenants on shared networks', (open) => {
  let world: ApiWorld;
  const query = { project: 'tenant' };
  const as = (who: Person) => createClient({ baseUrl: world.baseUrl, token: world.tokens[who] });
  const network = (name: string, body: object, who: Person = 'member') =>
    as(who).call(networkOperations.create, { query, body: { name, ...body } });
  const shared = (name: string, cidr: string, body: object = {}) =>
    as('system-admin').call(networkOperations.create, {
      query: { project: 'owner' },
      body: { name, shared: true, subnets: [{ cidr }], ...body },
    });
  const vm = async (name: string, nic: object) => {
    const body = { name, memoryMib: 64, start: false, ...nic };
    const { target } = await as('member').call(vmOperations.create, { query, body });
    const [first] = await ports.select(world.store.db, { vmId: target.id });
    return first!;
  };
  const update = (port: string, body: object, who: Person = 'member') =>
    as(who).call(portOperations.update, { params: { port }, query, body });
  const trunk = (port: string, network: string, vlanId: number, who: Person = 'member') =>
    as(who).call(portOperations.addSubPort, { params: { port }, query, body: { network, vlanId } });

  before(async () => {
    world = await openApiWorld(await open());
    await world.store.transaction(async (tx) => {
      await insertProject(tx, world, 'tenant');
      await insertProject(tx, world, 'owner');
      await insertHost(tx, await defaultClusterId(tx), 'n1', { memoryMib: 1_000_000 });
    });
    await shared('common', '10.30.0.0/24');
    const outside = { kind: 'flat', external: true };
    await shared('outside', '203.0.113.0/24', outside);
    await network('own', { subnets: [{ cidr: '10.31.0.0/24' }] });
  });
  after(() => world.close());

  it('a loose port does not become a trunk of a network of others', async () => {
    const port = await vm('loose', { network: 'own' });
    await update(port.id, { antiSpoofing: false });
    await assert.rejects(trunk(port.id, 'common', 7), refused('invalid-request', '/body/network'));
    await trunk(port.id, 'common', 7, 'system-admin');
  });

  it('a trunk of a network of others is not loosened', async () => {
    const port = await vm('trunk', { network: 'own' });
    await trunk(port.id, 'common', 7);
    await assert.rejects(update(port.id, { antiSpoofing: false }), refused('forbidden', '/body/antiSpoofing'));
    await assert.rejects(update(port.id, { portSecurity: false }), refused('forbidden', '/body/portSecurity'));
  });

  it('a port cannot shed its addresses, and its anti-spoofing with them, on a network of others', async () => {
    const port = await vm('bare', { network: 'common' });
    await assert.rejects(update(port.id, { addresses: [] }), refused('forbidden', '/body/addresses'));
    await update(port.id, { addresses: ['10.30.0.77'] });
  });

  it('on a network of others a tenant takes no address beside those that it gives out', async () => {
    const given = { allocationFrom: '10.33.0.100', allocationTo: '10.33.0.199' };
    await shared('served', '10.33.0.0/24', { subnets: [{ cidr: '10.33.0.0/24', ...given }] });
    const asked = (address: string) =>
      vm(`asks-${address.split('.')[3]}`, { nics: [{ network: 'served', addresses: [address] }] });
    await assert.rejects(asked('10.33.0.9'), refused('invalid-request', '/body/nics/0/addresses/0'));
    await assert.rejects(asked('10.33.0.200'), refused('invalid-request', '/body/nics/0/addresses/0'));
    const port = await asked('10.33.0.199');
    const move = (address: string, who: Person = 'member') => update(port.id, { addresses: [address] }, who);
    await assert.rejects(move('10.33.0.9'), refused('invalid-request', '/body/addresses/0'));
    await move('10.33.0.9', 'system-admin');
    await move('10.33.0.9');
    const carrier = await vm('carries-served', { network: 'own' });
    const body = { network: 'served', vlanId: 8, address: '10.33.0.10' };
    const add = as('member').call(portOperations.addSubPort, { params: { port: carrier.id }, query, body });
    await assert.rejects(add, refused('invalid-request', '/body/address'));
    const own = await vm('at-home', { network: 'own' });
    await update(own.id, { addresses: ['10.31.0.200'] });
  });

  it('nor is a floating address one that its network does not give out', async () => {
    const given = { allocationFrom: '198.51.100.100', allocationTo: '198.51.100.199' };
    const subnets = [{ cidr: '198.51.100.0/24', ...given }];
    await shared('far', '198.51.100.0/24', { kind: 'flat', external: true, subnets });
    const take = (address: string, who: Person = 'member') =>
      as(who).call(floatingAddressOperations.create, { query, body: { network: 'far', address } });
    await assert.rejects(take('198.51.100.9'), refused('invalid-request', '/body/address'));
    assert.equal((await take('198.51.100.150')).address, '198.51.100.150');
    assert.equal((await take('198.51.100.9', 'system-admin')).address, '198.51.100.9');
  });

  it('on the wire of others a tenant chooses no MAC: it may be that of a machine there', async () => {
    await shared('wire', '10.34.0.0/24', { kind: 'flat' });
    const create = (who: Person, network: string, macAddress: string) =>
      as(who).call(vmOperations.create, {
        query,
        body: { name: `mac-${macAddress.slice(-2)}`, memoryMib: 64, start: false, nics: [{ network, macAddress }] },
      });
    const refusal = refused('forbidden', '/body/nics/0/macAddress');
    await assert.rejects(create('member', 'wire', '00:1b:21:00:00:01'), refusal);
    await create('system-admin', 'wire', '00:1b:21:00:00:01');
    await create('member', 'own', '00:1b:21:00:00:02');
  });

  it('nobody takes the MAC of a router, of a sub-port or of the services', async () => {
    const { id } = await as('member').call(routerOperations.create, {
      query,
      body: { name: 'edge', externalNetwork: 'outside' },
    });
    const router = await routers.get(world.store.db, id);
    const port = await vm('carrier', { network: 'own' });
    await trunk(port.id, 'common', 9);
    const [sub] = await subPorts.select(world.store.db, { portId: port.id });
    const taken = [router.macAddress, router.externalMacAddress, sub!.macAddress, '02:6b:76:a9:fe:a9'];
    for (const macAddress of taken) {
      const twin = vm('twin', { network: 'own', nics: [{ network: 'common', macAddress }] });
      await assert.rejects(twin, refused('name-taken', '/body/nics/0/macAddress'));
    }
  });

  it('only operators let a router send untranslated addresses out', async () => {
    const create = (who: Person, name: string) =>
      as(who).call(routerOperations.create, { query, body: { name, snat: false } });
    await assert.rejects(create('member', 'plain'), refused('forbidden', '/body/snat'));
    const { id } = await create('system-admin', 'plain');
    const change = (snat: boolean) =>
      as('member').call(routerOperations.update, { params: { router: id }, query, body: { snat } });
    assert.equal((await change(true)).snat, true);
    await assert.rejects(change(false), refused('forbidden', '/body/snat'));
  });

  it('an address that a floating address leads to is not given away', async () => {
    const body = { name: 'way-out', externalNetwork: 'outside' };
    const { id } = await as('member').call(routerOperations.create, { query, body });
    await network('inside', { subnets: [{ cidr: '10.32.0.0/24' }] });
    const connect = { params: { router: id }, query, body: { network: 'inside' } };
    await as('member').call(routerOperations.addInterface, connect);
    const port = await vm('led', { network: 'inside' });
    const floating = await as('member').call(floatingAddressOperations.create, {
      query,
      body: { network: 'outside', port: port.id },
    });
    await assert.rejects(update(port.id, { addresses: ['10.32.0.9'] }), refused('in-use', '/body/addresses'));
    await as('member').call(floatingAddressOperations.update, {
      params: { floatingAddress: floating.id },
      query,
      body: { port: null },
    });
    await update(port.id, { addresses: ['10.32.0.9'] });
  });

  it('a security group does not grow without end', async () => {
    const call = as('member');
    const { id } = await call.call(securityGroupOperations.create, { query, body: { name: 'large', denyOut: true } });
    const add = (portFrom: number) =>
      call.call(securityGroupOperations.addRule, {
        params: { securityGroup: id },
        query,
        body: { direction: 'in', protocol: 'tcp', portFrom },
      });
    const { id: ruleId } = await add(1);
    await world.store.transaction(async (tx) => {
      const rule = await securityGroupRules.find(tx, { id: ruleId });
      for (let port = 2; port < 500; port += 1) {
        const more = { id: systemIds.uuid(), portFrom: port, portTo: port };
        await securityGroupRules.insert(tx, { ...rule!, ...more });
      }
    });
    await add(500);
    await assert.rejects(add(501), { code: 'unsupported' });
  });

  it('a network that is shared no more says whose its ports are as long as others have some there', async () => {
    await shared('brief', '10.35.0.0/24', { domain: 'brief.test' });
    await vm('guest-of-brief', { nics: [{ network: 'brief' }] });
    const of = { params: { network: 'brief' }, query: { project: 'owner' } };
    await as('system-admin').call(networkOperations.update, { ...of, body: { shared: false } });
    const { hosts, networks, ports: all } = await readSwitchWorld(world.store.db);
    const { networkId } = networks.find(({ name }) => name === 'brief')!;
    const seen = hosts.flatMap(({ hostId }) => sliceFor(hostId, { ...emptyWorld, hosts, networks, ports: all }).ports);
    const owners = seen.filter((port) => port.networkId === networkId).map(({ projectId }) => projectId);
    assert.deepEqual(owners, [all.find((port) => port.networkId === networkId)!.projectId]);
  });
});
