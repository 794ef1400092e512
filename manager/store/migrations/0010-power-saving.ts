/** How clusters save power, the hosts that are in standby, and whether the power devices of hosts answer. */
export const powerSaving = {
  name: '0010-power-saving',
  statements: [
    `create table cluster_power_saving (cluster_id text primary key references clusters (id) on delete cascade,
      policy text not null, dispensable text not null, told text not null)`,
    `create table host_standby (host_id text primary key references hosts (id) on delete cascade,
      was_schedulable bigint not null, phase text not null, by_policy bigint not null, because text not null,
      task_id text not null, since bigint not null)`,
    `create table host_power_checks (host_id text primary key references hosts (id) on delete cascade,
      at bigint not null, error text)`,
  ],
} as const;
