/** What hosts still have that is to go; and pools or hosts that are gone took it along. */
export const hostLeftovers = {
  name: '0013-host-leftovers',
  statements: [
    `create table host_leftovers (id text primary key, host_id text not null references hosts (id) on delete cascade,
      kind text not null, target_id text not null, pool_id text references pools (id) on delete cascade, format text,
      since bigint not null)`,
    'create index host_leftovers_place on host_leftovers (host_id, target_id)',
  ],
} as const;
