/** What the API promises of networks, of switches and of routers, and what it refuses with which field. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { floatingAddressOperations } from '@kvasir/api/resources/floating-address.ts';
import { networkOperations } from '@kvasir/api/resources/network.ts';
import { routerOperations } from '@kvasir/api/resources/router.ts';
import { switchOperations } from '@kvasir/api/resources/switch.ts';
import { uplinkOperations } from '@kvasir/api/resources/uplink.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { query, refused, switchWorld } from './testing/switch-world.ts';

forEachDatabase('distributed switch', (open) => {
  const bed = switchWorld(open);
  const { as, network, outside, vm, withSubnet } = bed;

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
    const vteps = (...externalVteps: string[]) => network('bad', { externalVteps }, 'system-admin');
    await assert.rejects(vteps('192.0.2.1', 'fd00::1'), refused('invalid-request', '/body/externalVteps/1'));
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
    assert.equal((await vms.get(bed.world.store.db, vmId)).hostId, uplink.hostId);
    await assert.rejects(admin.call(uplinkOperations.delete, { params: { uplink: 'dc-n2' } }), refused('in-use'));
    await assert.rejects(admin.call(switchOperations.delete, { params: { switch: 'dc' } }), refused('in-use'));
  });

  it('connects networks by routers, leads out and translates', async () => {
    const member = as('member');
    await outside();
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
});
