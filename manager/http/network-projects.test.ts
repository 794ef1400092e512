/** What of the distributed switch counts against a project, and what goes with it. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { floatingAddressOperations } from '@kvasir/api/resources/floating-address.ts';
import { networkOperations } from '@kvasir/api/resources/network.ts';
import { portOperations } from '@kvasir/api/resources/port.ts';
import { routerOperations } from '@kvasir/api/resources/router.ts';
import { projectOperations } from '@kvasir/api/resources/project.ts';
import { securityGroupOperations } from '@kvasir/api/resources/security-group.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { insertProject } from './testing/api-world.ts';
import { refused, switchWorld } from './testing/switch-world.ts';

forEachDatabase('distributed switch', (open) => {
  const bed = switchWorld(open);
  const { as, outside, vm } = bed;

  it('holds a project to its quota for each thing of the switch, and says which', async () => {
    await outside();
    await bed.world.store.transaction((tx) => insertProject(tx, bed.world, 'narrow'));
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

  it('removes a project with its groups, but not with its routers', async () => {
    const admin = as('system-admin');
    await bed.world.store.transaction((tx) => insertProject(tx, bed.world, 'brief'));
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
});
