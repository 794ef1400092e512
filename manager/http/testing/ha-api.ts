/** A cluster of two hosts with a shared and a local pool, and a project with VMs on the first: for high availability in the API. */
import { after, before } from 'node:test';
import { createClient } from '@kvasir/api/client.ts';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { hostDomains } from '../../store/host-domains.ts';
import { type HostRow, hosts } from '../../store/hosts.ts';
import type { VmRow } from '../../store/vms.ts';
import type { OpenStore } from '../../testing/databases.ts';
import { type ApiWorld, insertProject, openApiWorld } from './api-world.ts';
import { defaultClusterId, insertHost, insertPool, insertVm, insertVolume } from './inventory.ts';

/** Of the VMs and of the volumes `disk`, in the shared pool, and `own-disk`, on h1. */
export const query = { project: 'shop' };

/** Opened before the tests and closed after them; what is no function is there only within them. */
export function haApi(open: OpenStore) {
  let world: ApiWorld;
  let clusterId: string;
  let projectId: string;
  let h1: HostRow;
  let h2: HostRow;
  const admin = () => createClient({ baseUrl: world.baseUrl, token: world.tokens['system-admin'] });

  before(async () => {
    world = await openApiWorld(await open());
    await world.store.transaction(async (tx) => {
      clusterId = await defaultClusterId(tx);
      projectId = (await insertProject(tx, world, query.project)).id;
      h1 = await insertHost(tx, clusterId, 'h1');
      h2 = await insertHost(tx, clusterId, 'h2');
      const pool = await insertPool(tx, clusterId, 'gold', [h1.id, h2.id]);
      const local = await insertPool(tx, clusterId, 'tin', [h1.id, h2.id], false);
      await insertVolume(tx, projectId, 'disk', pool.id);
      await insertVolume(tx, projectId, 'own-disk', local.id, { hostId: h1.id });
    });
  });
  after(() => world.close());

  return {
    get world() {
      return world;
    },
    get clusterId() {
      return clusterId;
    },
    get projectId() {
      return projectId;
    },
    get h1() {
      return h1;
    },
    get h2() {
      return h2;
    },
    admin,
    /** On h1, running and wanted to, unless said otherwise; its host has told of it. */
    async vm(name: string, facts: Partial<VmRow> = {}): Promise<VmRow> {
      return await world.store.transaction(async (tx) => {
        const row = await insertVm(tx, projectId, name, clusterId, { hostId: h1.id, ...facts });
        const state = facts.state === 'unknown' || facts.state === undefined ? 'running' : facts.state;
        const seen = { name, state, managed: true, vmId: row.id, seenAt: 1 };
        await hostDomains.insert(tx, { hostId: row.hostId!, domainId: row.id, ...seen });
        return row;
      });
    },
    /** h1 falls silent; h2 is heard, and does not see it. */
    async loseH1(): Promise<void> {
      await world.store.transaction((tx) => hosts.set(tx, { id: h1.id }, { state: 'down' }));
      world.env.signals.lastHeartbeatMs = (hostId) => (hostId === h2.id ? Date.now() : undefined);
    },
    /** An operator's word that h1 is off. */
    confirmOff: () =>
      admin().call(hostOperations.confirmOff, {
        params: { host: 'h1' },
        body: { confirm: true, statement: 'the rack is dark' },
      }),
  };
}
