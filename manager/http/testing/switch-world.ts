/** Two hosts and two projects, and short words for what tests of the distributed switch do with them. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { networkOperations } from '@kvasir/api/resources/network.ts';
import { portOperations } from '@kvasir/api/resources/port.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { ports } from '../../store/networks.ts';
import type { OpenStore } from '../../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld, type Person } from './api-world.ts';
import { defaultClusterId, insertHost } from './inventory.ts';

export function refused(code: string, path?: string): (error: unknown) => boolean {
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

/** Of members, beside `other`. */
export const project = 'tenant';
export const query = { project };

/** Opened before the tests and closed after them; `world` is there only within them. */
export function switchWorld(open: OpenStore) {
  let world: ApiWorld;
  const as = (who: Person) => createClient({ baseUrl: world.baseUrl, token: world.tokens[who] });
  const network = (name: string, body: object = {}, who: Person = 'member') =>
    as(who).call(networkOperations.create, { query, body: { name, ...body } });
  const withSubnet = (name: string, cidr: string) => network(name, { subnets: [{ cidr }] });
  const outside = () =>
    network(
      'outside',
      { kind: 'flat', external: true, shared: true, subnets: [{ cidr: '203.0.113.0/24', dhcp: false }] },
      'system-admin',
    );
  /** Makes a VM with this NIC; answers its first port. */
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
  return {
    get world() {
      return world;
    },
    as,
    network,
    withSubnet,
    outside,
    vm,
  };
}
