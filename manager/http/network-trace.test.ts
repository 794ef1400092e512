/** A packet followed over two hosts, whose flows are played here; and what of it tenants are told. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import type { ParamsOf } from '@kvasir/api/agent/method.ts';
import type { networkTrace } from '@kvasir/api/agent/network.ts';
import { createClient } from '@kvasir/api/client.ts';
import { networkOperations } from '@kvasir/api/resources/network.ts';
import { traceOperations } from '@kvasir/api/resources/network-trace.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import type { HostRow } from '../store/hosts.ts';
import { type PortRow, ports } from '../store/networks.ts';
import { securityGroupRules, securityGroups } from '../store/security-groups.ts';
import { vms } from '../store/vms.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld, type Person } from './testing/api-world.ts';
import { defaultClusterId, insertHost } from './testing/inventory.ts';

type Asked = { readonly hostId: string } & ParamsOf<typeof networkTrace>;

forEachDatabase('network trace', (open) => {
  let world: ApiWorld;
  let near: PortRow;
  let far: PortRow;
  const hostIds: string[] = [];
  const asked: Asked[] = [];
  /** Of one rule in each of the two projects. */
  const ruleIds: Record<string, string> = {};
  const as = (who: Person) => createClient({ baseUrl: world.baseUrl, token: world.tokens[who] });
  const vm = async (project: string, name: string, hostId: string): Promise<PortRow> => {
    const body = { name, memoryMib: 64, start: false, network: 'common' };
    const { target } = await as('system-admin').call(vmOperations.create, { query: { project }, body });
    await world.store.transaction((tx) => vms.set(tx, { id: target.id }, { hostId }));
    const group = await securityGroups.find(world.store.db, {
      name: 'default',
      projectId: (await vms.get(world.store.db, target.id)).projectId,
    });
    const [rule] = await securityGroupRules.select(world.store.db, { groupId: group!.id });
    ruleIds[project] = rule!.id;
    return (await ports.select(world.store.db, { vmId: target.id }))[0]!;
  };
  const trace = (who: Person, to: string) =>
    as(who).call(traceOperations.trace, { query: { project: 'tenant', from: 'near', to, protocol: 'tcp', port: 80 } });

  before(async () => {
    world = await openApiWorld(await open());
    await world.store.transaction(async (tx) => {
      await insertProject(tx, world, 'tenant');
      await insertProject(tx, world, 'owner');
      for (const [index, name] of ['n1', 'n2'].entries()) {
        const inventory = { tunnelAddress: `172.31.0.${index + 1}` } as HostRow['inventory'];
        const { id } = await insertHost(tx, await defaultClusterId(tx), name, { memoryMib: 1_000_000, inventory });
        hostIds.push(id);
      }
    });
    await as('system-admin').call(networkOperations.create, {
      query: { project: 'owner' },
      body: { name: 'common', shared: true, subnets: [{ cidr: '10.30.0.0/24' }] },
    });
    near = await vm('tenant', 'near', hostIds[0]!);
    far = await vm('owner', 'far', hostIds[1]!);
    world.links.traceNetwork = async (hostId, params) => {
      asked.push({ hostId, ...params });
      const hop = (stage: string, text: string, ruleId: string | null) => ({ stage, text, ruleId, cookie: null });
      if ('nicId' in params.from) {
        const out = hop('rules out', 'ct(commit)', ruleIds['tenant']!);
        const tunnel = hop('switch', 'set_field:172.31.0.2->tun_dst, output:1', null);
        const to = { vtep: '172.31.0.2', networkId: near.networkId };
        return { hops: [out, tunnel], verdict: 'sent', to, droppedBy: null, packet: null };
      }
      const hops = [hop('rules in', 'ct(commit)', ruleIds['owner']!)];
      return { hops, verdict: 'delivered', to: { nicId: far.id }, droppedBy: null, packet: null };
    };
  });
  after(() => world.close());

  it('asks the next host as the packet arrives there, from the tunnel of the one before', async () => {
    asked.length = 0;
    const { verdict, hops } = await trace('system-admin', '10.30.0.3');
    assert.equal(verdict, 'delivered');
    assert.deepEqual(
      asked.map(({ hostId, from }) => ({ hostId, from })),
      [
        { hostId: hostIds[0], from: { nicId: near.id } },
        { hostId: hostIds[1], from: { vtep: '172.31.0.1', networkId: near.networkId } },
      ],
    );
    const { packet } = asked[0]!;
    assert.deepEqual(
      [packet.sourceMac, packet.destinationMac, packet.protocol, packet.destinationPort],
      [near.macAddress, far.macAddress, 6, 80],
    );
    assert.deepEqual(
      hops.map(({ host, stage, ruleId }) => [host, stage, ruleId]),
      [
        ['n1', 'rules out', ruleIds['tenant']],
        ['n1', 'switch', null],
        ['n2', 'rules in', ruleIds['owner']],
      ],
    );
  });

  it('tells tenants neither hosts nor tunnels, and no rules of others', async () => {
    const { hops } = await trace('member', '10.30.0.3');
    assert.deepEqual(
      hops.map(({ host, text, ruleId, securityGroupName }) => [host, text, ruleId, securityGroupName]),
      [
        [null, 'goes on', ruleIds['tenant'], 'default'],
        [null, 'goes on', null, null],
        [null, 'goes on', null, null],
      ],
    );
  });

  it("knows no other project's VMs and ports as ends", async () => {
    for (const to of ['far', far.id]) await assert.rejects(trace('member', to), { code: 'not-found' });
    await assert.rejects(trace('outsider', '10.30.0.3'), { code: 'not-found' });
  });
});
