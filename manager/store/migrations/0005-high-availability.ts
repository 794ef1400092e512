/**
 * High availability stands in tables of its own beside clusters, hosts and VMs: what it learns of a host changes often and is
 * nobody's edit, and a cluster or VM without a row has the defaults.
 */
const id = 'id text primary key';

export const highAvailability = {
  name: '0005-high-availability',
  statements: [
    `create table cluster_ha (cluster_id text primary key references clusters (id) on delete cascade, policy text not null,
      suspects_itself bigint not null)`,
    `create table host_ha (host_id text primary key references hosts (id) on delete cascade, state text not null, because text,
      since bigint not null, boot_id text)`,
    `create table vm_ha (vm_id text primary key references vms (id) on delete cascade, settings text not null)`,
    `create table ha_incidents (${id}, cluster_id text not null references clusters (id) on delete cascade, host_id text,
      host_name text not null, state text not null, because text not null, alarms text not null, opened_at bigint not null,
      closed_at bigint)`,
    'create index ha_incidents_open on ha_incidents (host_id) where closed_at is null',
    'create index ha_incidents_by_age on ha_incidents (opened_at, id)',
    `create table ha_timeline (incident_id text not null references ha_incidents (id) on delete cascade, seq bigint not null,
      at bigint not null, kind text not null, message text not null, because text, vm_id text, details text not null,
      primary key (incident_id, seq))`,
    `create table fence_proofs (${id}, host_id text not null references hosts (id) on delete cascade, incident_id text,
      boot_id text, kind text not null, at bigint not null, pool_ids text, because text not null, ended_at bigint)`,
    'create index fence_proofs_valid on fence_proofs (host_id) where ended_at is null',
    `create table fence_attempts (${id}, incident_id text not null references ha_incidents (id) on delete cascade,
      device_id text not null, started_at bigint not null, finished_at bigint, error text)`,
    'create index fence_attempts_by_incident on fence_attempts (incident_id)',
    `create table ha_restarts (${id}, vm_id text not null references vms (id) on delete cascade, incident_id text not null,
      state text not null, from_host_id text not null, to_host_id text, task_id text, attempts bigint not null,
      not_before bigint not null, since bigint not null, had_guest_agent bigint not null, reason text, created_at bigint not null,
      ended_at bigint)`,
    'create unique index ha_restarts_open on ha_restarts (vm_id) where ended_at is null',
    'create index ha_restarts_by_vm on ha_restarts (vm_id, created_at)',
    'create index ha_restarts_by_incident on ha_restarts (incident_id)',
  ],
} as const;
