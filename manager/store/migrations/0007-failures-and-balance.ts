/** Failures of VMs, hosts that are being taken out, and how clusters balance their load. */
const id = 'id text primary key';

export const failuresAndBalance = {
  name: '0007-failures-and-balance',
  statements: [
    `create table vm_failures (${id}, vm_id text not null references vms (id) on delete cascade, host_id text,
      incident_id text not null, kind text not null, reaction text not null, because text not null, task_id text,
      at bigint not null, ended_at bigint)`,
    'create unique index vm_failures_open on vm_failures (vm_id) where ended_at is null',
    'create index vm_failures_by_vm on vm_failures (vm_id, at)',
    "create index vms_crashed on vms (cluster_id) where state = 'crashed'",
    `create table host_maintenance (host_id text primary key references hosts (id) on delete cascade,
      was_schedulable bigint not null, task_id text not null, since bigint not null, total bigint not null)`,
    `create table cluster_balance (cluster_id text primary key references clusters (id) on delete cascade,
      policy text not null, balanced_at bigint)`,
  ],
} as const;
