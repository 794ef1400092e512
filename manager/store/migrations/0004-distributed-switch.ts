/** The distributed switch: switches and uplinks, segments and subnets of networks, policy of ports, groups, routers, mirrors. */
const id = 'id text primary key';
const times = 'revision bigint not null, created_at bigint not null, updated_at bigint not null';
const named = "name text not null, description text not null, labels text not null default '{}'";
const project = 'project_id text not null references projects (id)';

export const distributedSwitch = {
  name: '0004-distributed-switch',
  statements: [
    `create table switches (${id}, ${times}, ${named}, cluster_id text references clusters (id), host_ids text not null,
      default_bond text not null, mtu bigint not null, unique (name))`,
    `create table uplinks (${id}, ${times}, name text not null unique, switch_id text not null references switches (id),
      host_id text not null references hosts (id) on delete cascade, nics text not null, bond text, lacp_fast bigint not null,
      unique (switch_id, host_id))`,
    'create index uplinks_by_host on uplinks (host_id)',

    // A network without a switch that is there already stays as open as it was.
    'alter table networks add column switch_id text references switches (id)',
    'alter table networks add column segment bigint not null default 0',
    'alter table networks add column domain text',
    'alter table networks add column external bigint not null default 0',
    'alter table networks add column port_security bigint not null default 0',
    "alter table networks add column subnets text not null default '[]'",
    "alter table networks add column external_vteps text not null default '[]'",
    "create unique index networks_by_vni on networks (segment) where kind = 'vxlan'",
    "create unique index networks_by_vlan on networks (switch_id, segment) where kind <> 'vxlan' and switch_id is not null",

    `create table qos_policies (${id}, ${times}, ${named}, ${project}, shared bigint not null, from_vm text, to_vm text, dscp bigint,
      unique (project_id, name))`,
    'alter table ports add column anti_spoofing bigint not null default 0',
    'alter table ports add column port_security bigint not null default 0',
    'alter table ports add column qos_policy_id text references qos_policies (id)',
    'create index ports_by_qos_policy on ports (qos_policy_id)',
    `create table sub_ports (${id}, ${times}, port_id text not null references ports (id) on delete cascade,
      network_id text not null references networks (id), vlan_id bigint not null, mac_address text not null,
      unique (port_id, vlan_id))`,
    'create index sub_ports_by_network on sub_ports (network_id)',

    `create table security_groups (${id}, ${times}, ${named}, project_id text not null references projects (id) on delete cascade,
      unique (project_id, name))`,
    `create table security_group_rules (${id}, created_at bigint not null, description text not null,
      group_id text not null references security_groups (id) on delete cascade, direction text not null, family text not null,
      protocol bigint, port_from bigint, port_to bigint, icmp_type bigint, icmp_code bigint, remote_cidr text,
      remote_group_id text references security_groups (id))`,
    'create index security_group_rules_by_group on security_group_rules (group_id)',
    'create index security_group_rules_by_remote on security_group_rules (remote_group_id)',
    `create table port_security_groups (port_id text not null references ports (id) on delete cascade,
      group_id text not null references security_groups (id), primary key (port_id, group_id))`,
    'create index port_security_groups_by_group on port_security_groups (group_id)',

    `create table routers (${id}, ${times}, ${named}, ${project}, mac_address text not null,
      external_network_id text references networks (id), external_address text, external_mac_address text not null,
      snat bigint not null, gateway_host_id text references hosts (id) on delete set null, unique (project_id, name))`,
    'create index routers_by_external_network on routers (external_network_id)',
    `create table router_interfaces (router_id text not null references routers (id) on delete cascade,
      network_id text not null references networks (id), family text not null, address text not null,
      prefix_length bigint not null, primary key (router_id, network_id, family))`,
    'create index router_interfaces_by_network on router_interfaces (network_id)',
    `create table floating_addresses (${id}, ${times}, ${named}, ${project}, network_id text not null references networks (id),
      port_id text references ports (id) on delete set null, fixed_address text, unique (network_id, name))`,
    'create unique index floating_addresses_by_port on floating_addresses (port_id)',
    'create index floating_addresses_by_project on floating_addresses (project_id)',

    // Every address that is taken on a network, by whom: the one place that makes it unique.
    `create table network_addresses (network_id text not null references networks (id) on delete cascade, address text not null,
      port_id text references ports (id) on delete cascade, sub_port_id text references sub_ports (id) on delete cascade,
      router_id text references routers (id) on delete cascade,
      floating_address_id text references floating_addresses (id) on delete cascade, primary key (network_id, address))`,
    'create index network_addresses_by_port on network_addresses (port_id)',
    'create index network_addresses_by_sub_port on network_addresses (sub_port_id)',
    'create index network_addresses_by_router on network_addresses (router_id)',
    'create index network_addresses_by_floating_address on network_addresses (floating_address_id)',

    `create table mirrors (${id}, ${times}, ${named}, source_network_id text references networks (id), source_port_ids text not null,
      direction text not null, target_port_id text references ports (id) on delete cascade, target_kind text,
      target_address text, target_key bigint, unique (name))`,
  ],
} as const;
