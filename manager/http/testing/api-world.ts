/**
 * A manager's API for tests: a real server on a real database, people with every role, hosts that only exist as rows, and
 * links that answer from memory. No task runner: what was enqueued stays queued, so tests see intents.
 */
import { type Duplex, duplexPair } from 'node:stream';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { systemClock } from '@kvasir/api/clock.ts';
import { unlimitedQuota } from '@kvasir/api/resources/project.ts';
import { randomBytes } from 'node:crypto';
import { systemIds } from '../../ids.ts';
import { SecretBox } from '../../secret-box.ts';
import type { Environment } from '../../services/call.ts';
import { ConsoleTickets } from '../../services/console-tickets.ts';
import { EventFeed } from '../../services/event-feed.ts';
import { FileSpool } from '../../services/file-spool.ts';
import type { HostLinks } from '../../services/host-links.ts';
import { LoginLimit } from '../../services/login-limit.ts';
import { CapacityWishes } from '../../tasks/capacity-wishes.ts';
import type { PowerControl } from '../../tasks/power-control.ts';
import { hashSecret, newSecret } from '../../services/passwords.ts';
import { apiTokens } from '../../store/api-tokens.ts';
import { bootstrap } from '../../store/bootstrap.ts';
import { ClusterSnapshots } from '../../store/cluster-snapshots.ts';
import type { Store, Tx } from '../../store/database.ts';
import { organizationMembers, organizations } from '../../store/organizations.ts';
import { projectMembers, projects } from '../../store/projects.ts';
import { users } from '../../store/users.ts';
import { firstRevision } from '../../store/versioned.ts';
import { createServer } from '../server.ts';

export const people = [
  'outsider',
  'viewer',
  'member',
  'project-admin',
  'organization-admin',
  'system-viewer',
  'system-admin',
] as const;
export type Person = (typeof people)[number];

export class FakeLinks implements HostLinks {
  nudges = 0;
  readonly consoles: { hostId: string; vmId: string; near: Duplex; far: Duplex }[] = [];

  isConnected(): boolean {
    return true;
  }
  async openConsole(hostId: string, vmId: string): Promise<Duplex> {
    const [near, far] = duplexPair();
    this.consoles.push({ hostId, vmId, near, far });
    return near;
  }
  async screenshot(): Promise<Buffer> {
    return Buffer.from('\x89PNG fake');
  }
  async portCounters(_hostId: string, portId: string) {
    const traffic = { packets: 0, bytes: 0, dropped: 0 };
    return { nicId: portId, fromVm: traffic, toVm: traffic, rules: [], drops: [] };
  }
  /** Tests that follow packets put their own in its place. */
  traceNetwork: HostLinks['traceNetwork'] = async () => {
    const droppedBy = 'no rule lets it in';
    return { hops: [], verdict: 'dropped', to: null, droppedBy, packet: null };
  };
  nudge(): void {
    this.nudges += 1;
  }
  async createJoinToken() {
    return { token: 'kvasir-join-test', expiresAtMs: Date.now() + 60_000 };
  }
  async forgetHost(): Promise<void> {}
}

/** Devices that do as they are told. */
const fakePower: PowerControl = {
  powerState: async (deviceId) => ({ state: 'on', deviceId, kind: 'ipmi', confirmedAtMs: Date.now() }),
  powerOn: async (deviceId) => ({ state: 'on', deviceId, kind: 'ipmi', confirmedAtMs: Date.now() }),
  shutDown: async (deviceId) => ({ state: 'off', deviceId, kind: 'ipmi', confirmedAtMs: Date.now() }),
  powerOff: async (deviceId) => {
    const at = { confirmedAtMs: Date.now(), readBeforeAtMs: Date.now() };
    return { state: 'off', before: 'on', deviceId, kind: 'ipmi', ...at };
  },
};

export interface ApiWorld {
  readonly store: Store;
  readonly env: Environment;
  readonly app: FastifyInstance;
  readonly links: FakeLinks;
  readonly baseUrl: string;
  readonly tokens: Readonly<Record<Person, string>>;
  readonly userIds: Readonly<Record<Person, string>>;
  /** The organization that `organization-admin` administers. */
  readonly organizationId: string;
  /** Where `outsider` is an administrator. */
  readonly foreignProjectId: string;
  close(): Promise<void>;
}

export function fresh() {
  return firstRevision(systemIds.uuid(), systemClock.now());
}

export async function openApiWorld(store: Store): Promise<ApiWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'kvasir-api-'));
  await bootstrap(store, { clock: systemClock, ids: systemIds });
  const made = await store.transaction(insertPeople);
  const links = new FakeLinks();
  const feed = new EventFeed(store, systemClock);
  const env: Environment = {
    store,
    clock: systemClock,
    ids: systemIds,
    links,
    tickets: new ConsoleTickets(() => systemClock.now()),
    logins: new LoginLimit(() => systemClock.now()),
    feed,
    clusterSnapshots: new ClusterSnapshots(systemClock),
    spool: new FileSpool(join(folder, 'uploads')),
    signals: { lastHeartbeatMs: () => undefined, liveness: () => undefined },
    power: fakePower,
    wishes: new CapacityWishes(),
    secrets: new SecretBox(randomBytes(32)),
    version: 'test',
  };
  const app = await createServer(env);
  const baseUrl = await app.listen({ host: '127.0.0.1', port: 0 });
  const close = async (): Promise<void> => {
    feed.close();
    await app.close();
    rmSync(folder, { recursive: true });
  };
  return { store, env, app, links, baseUrl, ...made, close };
}

async function insertPeople(tx: Tx) {
  const tokens = {} as Record<Person, string>;
  const userIds = {} as Record<Person, string>;
  for (const name of people) {
    const systemRole = name === 'system-admin' ? 'admin' : name === 'system-viewer' ? 'viewer' : 'none';
    const user = await users.insert(tx, {
      ...fresh(),
      name,
      description: '',
      systemRole,
      disabled: false,
      passwordHash: 'none',
    });
    const secret = newSecret('kvt');
    const row = {
      name: 'test',
      userId: user.id,
      tokenHash: hashSecret(secret),
      expiresAt: null,
      lastUsedAt: Date.now(),
    };
    await apiTokens.insert(tx, { ...fresh(), ...row });
    tokens[name] = secret;
    userIds[name] = user.id;
  }
  const organization = await organizations.insert(tx, { ...fresh(), name: 'acme', description: '' });
  const createdAt = Date.now();
  const administrator = {
    organizationId: organization.id,
    userId: userIds['organization-admin'],
    role: 'admin' as const,
  };
  await organizationMembers.insert(tx, { ...administrator, createdAt });
  const elsewhere = await organizations.insert(tx, { ...fresh(), name: 'elsewhere', description: '' });
  const foreign = { name: 'foreign', organizationId: elsewhere.id, description: '', quota: unlimitedQuota };
  const { id: foreignProjectId } = await projects.insert(tx, { ...fresh(), ...foreign });
  await projectMembers.insert(tx, { projectId: foreignProjectId, userId: userIds.outsider, role: 'admin', createdAt });
  return { tokens, userIds, organizationId: organization.id, foreignProjectId };
}

/** A project of `acme` in which viewer, member and project-admin have their roles. */
export async function insertProject(tx: Tx, world: Pick<ApiWorld, 'userIds' | 'organizationId'>, name: string) {
  const project = { name, organizationId: world.organizationId, description: '', quota: unlimitedQuota };
  const row = await projects.insert(tx, { ...fresh(), ...project });
  const roles = { viewer: 'viewer', member: 'member', 'project-admin': 'admin' } as const;
  for (const [person, role] of Object.entries(roles)) {
    const userId = world.userIds[person as Person];
    await projectMembers.insert(tx, { projectId: row.id, userId, role, createdAt: Date.now() });
  }
  return row;
}
