/**
 * What a service function receives beside the request: who asks, the database (of a change: its one transaction), time and
 * chance, and the rest of the manager. The API makes one for each request; controllers and tests may make their own.
 *
 * Invariant: an operation for a project or an organization answers only after `access.ts` has noted in `scope` that the
 * actor's role was checked; the API turns an answer without that note into an internal error.
 */
import type { Operation, RequestOf, ResponseOf } from '@kvasir/api/operation.ts';
import type { ProjectRole } from '@kvasir/api/resources/project.ts';
import type { SystemRole } from '@kvasir/api/resources/user.ts';
import type { Static } from 'typebox';
import type { Clock } from '@kvasir/api/clock.ts';
import type { Ids } from '../ids.ts';
import type { SecretBox } from '../secret-box.ts';
import type { ClusterSnapshots } from '../store/cluster-snapshots.ts';
import type { Executor, Store, Tx } from '../store/database.ts';
import type { CapacityWishes } from '../tasks/capacity-wishes.ts';
import type { HostSignals } from '../tasks/ha-snapshot.ts';
import type { PowerControl } from '../tasks/power-control.ts';
import type { ConsoleTickets } from './console-tickets.ts';
import type { EventFeed } from './event-feed.ts';
import type { FileSpool } from './file-spool.ts';
import type { HostLinks } from './host-links.ts';
import type { LoginLimit } from './login-limit.ts';

export type RoleInProject = Static<typeof ProjectRole>;

/** The rest of the manager, as far as services use it. */
export interface Environment {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly links: HostLinks;
  readonly tickets: ConsoleTickets;
  readonly logins: LoginLimit;
  readonly feed: EventFeed;
  /** What placement chooses by. */
  readonly clusterSnapshots: ClusterSnapshots;
  /** What hosts were heard to say, for high availability. */
  readonly signals: HostSignals;
  /** Where the content of uploads waits. */
  readonly spool: FileSpool;
  /** Devices that control the power of hosts. */
  readonly power: PowerControl;
  /** Requests for which there was no room. */
  readonly wishes: CapacityWishes;
  readonly secrets: SecretBox;
  readonly version: string;
}

/** A user as authenticated now. */
export interface Actor {
  readonly userId: string;
  readonly userName: string;
  readonly systemRole: Static<typeof SystemRole>;
  readonly credential: {
    readonly kind: 'session' | 'api-token';
    readonly id: string;
    readonly expiresAtMs: number | null;
  };
  /** Roles given in projects, by project id. */
  readonly projectRoles: ReadonlyMap<string, RoleInProject>;
  /** Organizations that the user administers. */
  readonly organizationIds: ReadonlySet<string>;
}

/** Noted while a request is served: whether access was checked, and what the audit entry says of project and user. */
export interface Scope {
  checked: boolean;
  projectId: string | null;
  /** Who it was about when nobody is logged in yet: the user of a login. */
  user: { readonly id: string; readonly name: string } | undefined;
}

export interface Call {
  readonly env: Environment;
  readonly op: Operation;
  readonly actor: Actor | undefined;
  readonly sourceAddress: string;
  /** Revision that the client has seen (`If-Match`), if it said so. */
  readonly ifMatch: number | undefined;
  readonly scope: Scope;
  readonly db: Executor;
  /** Who the same credential belongs to by now: for streams, which outlive a role or a session. */
  reauthenticate(): Promise<Actor | undefined>;
}

/** A call that changes state: everything it writes goes into `tx` and is committed or dropped as one. */
export interface Change extends Call {
  readonly tx: Tx;
}

/** A call that has work to do before or beside its transaction (hashing, asking a host). */
export interface OpenCall extends Call {
  change<T>(work: (change: Change) => Promise<T>): Promise<T>;
}

export type ReadService<O extends Operation> = (call: Call, request: RequestOf<O>) => Promise<ResponseOf<O>>;
export type ChangeService<O extends Operation> = (change: Change, request: RequestOf<O>) => Promise<ResponseOf<O>>;
export type OpenService<O extends Operation, R = ResponseOf<O>> = (call: OpenCall, request: RequestOf<O>) => Promise<R>;
