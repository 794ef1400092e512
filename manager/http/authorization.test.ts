/** Who may send what, for every operation of the contract: computed from `op.access` alone, tried with every kind of person. */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { allOperations } from '@kvasir/api/contract.ts';
import type { Access, Operation } from '@kvasir/api/operation.ts';
import { hosts } from '../store/hosts.ts';
import { forEachDatabase } from '../testing/databases.ts';
import { type ApiWorld, openApiWorld, people, type Person } from './testing/api-world.ts';
import { ask } from './testing/ask.ts';
import { type SampleRequest, sampleRequest } from './testing/targets.ts';

type Expected = 'allowed' | 401 | 403 | 404;

/** Open to all who are logged in, but the object is seen and changed by its project's people only. */
const objectAccess: Readonly<Record<string, Access>> = {
  'task.get': 'project.viewer',
  'task.cancel': 'project.member',
};

const roles: Readonly<Record<Person, 0 | 1 | 2 | 3>> = {
  outsider: 0,
  viewer: 1,
  member: 2,
  'project-admin': 3,
  'organization-admin': 3,
  'system-viewer': 1,
  'system-admin': 3,
};

function expected(op: Operation, who: Person | undefined): Expected {
  const access = objectAccess[op.id] ?? op.access;
  if (access === 'public') return 'allowed';
  if (who === undefined) return 401;
  const least = { 'project.viewer': 1, 'project.member': 2, 'project.admin': 3 } as const;
  switch (access) {
    case 'session':
      return 'allowed';
    case 'system.admin':
      return who === 'system-admin' ? 'allowed' : 403;
    case 'system.viewer':
      return who === 'system-admin' || who === 'system-viewer' ? 'allowed' : 403;
    case 'organization.admin':
      if (who === 'system-viewer') return op.method === 'GET' ? 'allowed' : 403;
      return who === 'organization-admin' || who === 'system-admin' ? 'allowed' : 404;
    case 'project.viewer':
    case 'project.member':
    case 'project.admin':
      if (roles[who] === 0) return 404;
      return roles[who] >= least[access] ? 'allowed' : 403;
  }
}

async function hearHosts({ store, env }: ApiWorld): Promise<void> {
  const up = new Set((await hosts.select(store.db, { state: 'up' })).map(({ id }) => id));
  env.signals.lastHeartbeatMs = (id) => (up.has(id) ? Date.now() : undefined);
}

forEachDatabase('access', (open) => {
  let world: ApiWorld;
  before(async () => {
    world = await openApiWorld(await open());
  });
  after(() => world.close());

  for (const op of allOperations) {
    it(`${op.id} is for ${op.access}`, async () => {
      // Who is refused or only reads leaves the objects as they were, so the next one can have them; unless they are one's own.
      const once = op.method === 'GET' && op.access !== 'session';
      let request: SampleRequest | undefined;
      for (const who of [undefined, ...people]) {
        const own = expected(op, who) === 'allowed';
        if (!request || (own && !once)) request = await sampleRequest(world, op, world.userIds[who ?? 'outsider']);
        // No word is taken about a host by who does not hear the others.
        if (op.id === 'host.confirmOff') await hearHosts(world);
        const { status, problem } = await ask(world, who, op, request);
        const label = `${who ?? 'nobody'} got ${status} ${problem?.message ?? ''}`;
        const want = expected(op, who);
        if (want !== 'allowed') assert.equal(status, want, label);
        else if (op.id === 'session.create' || op.id === 'session.changePassword')
          assert.equal(problem?.code, 'wrong-credentials', label);
        else if (op.id === 'session.delete') assert.equal(problem?.code, 'unsupported', label);
        else if (op.id === 'vm.console') assert.equal(status, 400, label);
        else assert.ok(status < 300, label);
      }
    });
  }
});
