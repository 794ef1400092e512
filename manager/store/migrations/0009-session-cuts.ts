/** Which sessions of a port were cut, so that the host it moves to does not take them up again. `guest_vlan` 0: the NIC itself. */
export const sessionCuts = {
  name: '0009-session-cuts',
  statements: [
    `create table session_cuts (port_id text not null references ports (id) on delete cascade, guest_vlan bigint not null,
      cuts text not null, primary key (port_id, guest_vlan))`,
  ],
} as const;
