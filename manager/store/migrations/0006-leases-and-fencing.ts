/** How long leases last in a cluster, which slot a host has, and what its power can be cut with. */
const id = 'id text primary key';
const times = 'revision bigint not null, created_at bigint not null, updated_at bigint not null';

export const leasesAndFencing = {
  name: '0006-leases-and-fencing',
  statements: [
    `create table cluster_leases (cluster_id text primary key references clusters (id) on delete cascade,
      enabled bigint not null, renew_every_ms bigint not null, kill_after_ms bigint not null, lease_ms bigint not null,
      probe_port bigint, probe_key text not null)`,
    `create table host_lease_slots (host_id text primary key references hosts (id) on delete cascade,
      cluster_id text not null references clusters (id) on delete cascade, slot bigint not null, unique (cluster_id, slot))`,
    `create table fence_devices (${id}, ${times}, name text not null unique,
      host_id text not null references hosts (id) on delete cascade, kind text not null, address text not null,
      port bigint not null, user_name text not null, sealed_password text not null, certificate_fingerprint text,
      system_path text, position bigint not null)`,
    'create index fence_devices_by_host on fence_devices (host_id, position)',
  ],
} as const;
