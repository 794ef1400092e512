/** High availability as operators see it: incidents with their timelines, and what would happen if a host died now. */
import { type Static, Type } from 'typebox';
import { operation, resource } from '../operation.ts';
import { closed, Id, listQuery, Name, NameOrId, nullable, oneOf, page, projectQuery, Timestamp } from '../schema.ts';
import { HostHaState } from './host.ts';

export const HaIncident = closed({
  id: Id,
  clusterId: Id,
  hostId: nullable({ ...Id, description: 'null: the host was removed since' }),
  hostName: Name,
  state: HostHaState,
  because: Type.String(),
  alarms: Type.Array(Type.String(), {
    description: 'Codes of the alarms that were raised: the events are named ha.<code>',
  }),
  openedAt: Timestamp,
  closedAt: nullable(Timestamp),
});

export const HaTimelineEntry = closed({
  at: Timestamp,
  sinceMs: Type.Integer({ description: 'Milliseconds since the incident began' }),
  kind: oneOf(['seen', 'decided', 'done', 'failed', 'alarm'] as const),
  message: Type.String(),
  because: nullable(Type.String()),
  vmId: nullable(Id),
});

export const HaRestart = closed({
  vmId: Id,
  vmName: Type.String(),
  state: oneOf(['waiting', 'placed', 'starting', 'booting', 'failed', 'recovered', 'dropped'] as const, {
    description:
      'waiting: for a proof or for room; placed: a host is promised to it; booting: it runs, its guest has not answered; dropped: it needs no restart any more',
  }),
  fromHostName: nullable(Name),
  toHostName: nullable(Name),
  attempts: Type.Integer(),
  reason: nullable(Type.String()),
});

const Rehearsed = closed({
  vmId: Id,
  vmName: Type.String(),
  position: nullable(Type.Integer({ description: 'Its turn, from 1; null: it would not be restarted' })),
  hostName: nullable(Name),
  because: Type.String(),
  after: Type.Array(Type.String(), { description: 'VMs that have to run first' }),
});

export const HaRehearsal = closed({
  hostId: Id,
  hostName: Name,
  fenced: Type.Boolean({ description: 'Whether the host would be proven dead without an operator' }),
  proofs: Type.Array(
    closed({
      method: Type.String(),
      possible: Type.Boolean(),
      because: Type.String(),
    }),
    { description: 'What could prove it dead, in the order of the cluster' },
  ),
  restarts: Type.Array(Rehearsed),
});
export type HaRehearsal = Static<typeof HaRehearsal>;

export const HaExplanation = closed({
  ...Rehearsed.properties,
  currentHostName: nullable(Name),
  proofs: HaRehearsal.properties.proofs,
});

export const haOperations = resource('ha', {
  list: operation({
    method: 'GET',
    path: '/ha/incidents',
    summary: 'List incidents of hosts',
    access: 'system.viewer',
    query: listQuery(['openedAt', 'closedAt'], {
      cluster: Type.Optional(NameOrId),
      host: Type.Optional(NameOrId),
      open: Type.Optional(Type.Boolean({ description: 'Only those that are not over, or only those that are' })),
    }),
    response: page(HaIncident),
    cli: { columns: ['id', 'hostName', 'state', 'openedAt', 'closedAt', 'because'] },
  }),
  get: operation({
    method: 'GET',
    path: '/ha/incidents/{incident}',
    summary: 'Show an incident: what was seen, when, what was decided and why, until the guests answered',
    access: 'system.viewer',
    params: closed({ incident: Id }),
    response: closed({
      ...HaIncident.properties,
      timeline: Type.Array(HaTimelineEntry),
      restarts: Type.Array(HaRestart),
    }),
  }),
  explain: operation({
    method: 'GET',
    path: '/ha/explain/{vm}',
    summary: 'Say what would happen to a VM if its host died now',
    access: 'system.viewer',
    params: closed({ vm: NameOrId }),
    query: closed(projectQuery),
    response: HaExplanation,
  }),
  drill: operation({
    method: 'GET',
    path: '/ha/drill/{host}',
    summary: "Rehearse a host's death without touching anything",
    access: 'system.viewer',
    params: closed({ host: NameOrId }),
    response: HaRehearsal,
  }),
});
