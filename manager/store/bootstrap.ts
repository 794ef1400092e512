/** What exists from the first start: organization, project, cluster and network `default`. */
import type { Clock } from '@kvasir/api/clock.ts';
import { unlimitedQuota } from '@kvasir/api/resources/project.ts';
import type { Ids } from '../ids.ts';
import { clusters } from './clusters.ts';
import type { Store } from './database.ts';
import { networks, plainNetwork } from './networks.ts';
import { organizations } from './organizations.ts';
import { projects } from './projects.ts';
import { firstRevision } from './versioned.ts';

const name = 'default';

/** Makes what is missing; does nothing on a later start, also when an administrator renamed or removed them. */
export async function bootstrap(store: Store, seams: { readonly clock: Clock; readonly ids: Ids }): Promise<void> {
  await store.transaction(async (tx) => {
    if ((await organizations.count(tx)) > 0) return;
    const fresh = () => firstRevision(seams.ids.uuid(), seams.clock.now());
    const organization = await organizations.insert(tx, { ...fresh(), name, description: '' });
    const project = await projects.insert(tx, {
      ...fresh(),
      name,
      organizationId: organization.id,
      description: '',
      quota: unlimitedQuota,
    });
    await clusters.insert(tx, {
      ...fresh(),
      name,
      description: '',
      placementPolicy: 'spread',
      cpuOvercommit: 8,
      memoryOvercommit: 1,
      memoryReservedMib: 512,
    });
    await networks.insert(tx, {
      ...fresh(),
      name,
      description: '',
      labels: {},
      projectId: project.id,
      shared: true,
      ...plainNetwork,
      mtu: 1500,
    });
  });
}
