/** Flags of statistics, CPU comparison and guest operations, under libvirt's own names. */
/** Groups of statistics; none = all that the hypervisor has. */
export const DomainStats = {
  VIR_DOMAIN_STATS_STATE: 1,
  VIR_DOMAIN_STATS_CPU_TOTAL: 2,
  VIR_DOMAIN_STATS_BALLOON: 4,
  VIR_DOMAIN_STATS_VCPU: 8,
  VIR_DOMAIN_STATS_INTERFACE: 16,
  VIR_DOMAIN_STATS_BLOCK: 32,
  VIR_DOMAIN_STATS_PERF: 64,
  VIR_DOMAIN_STATS_IOTHREAD: 128,
  VIR_DOMAIN_STATS_MEMORY: 256,
  VIR_DOMAIN_STATS_DIRTYRATE: 512,
  VIR_DOMAIN_STATS_VM: 1024,
} as const;

/** Which domains, and how: NOWAIT skips what a busy domain cannot answer at once. */
export const AllDomainStatsFlags = {
  VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE: 1,
  VIR_CONNECT_GET_ALL_DOMAINS_STATS_INACTIVE: 2,
  VIR_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT: 4,
  VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT: 8,
  VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING: 16,
  VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED: 32,
  VIR_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF: 64,
  VIR_CONNECT_GET_ALL_DOMAINS_STATS_OTHER: 128,
  VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT: 536870912,
  VIR_CONNECT_GET_ALL_DOMAINS_STATS_BACKING: 1073741824,
  VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS: 2147483648,
} as const;

/** Comparison of CPUs. */
export const CompareCpuFlags = {
  VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE: 1,
  VIR_CONNECT_COMPARE_CPU_VALIDATE_XML: 2,
} as const;

/** Common CPU of several hosts. */
export const BaselineCpuFlags = {
  VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES: 1,
  VIR_CONNECT_BASELINE_CPU_MIGRATABLE: 2,
} as const;

/** Result of a comparison; not a bit mask. */
export const CpuCompareResult = {
  VIR_CPU_COMPARE_ERROR: -1,
  VIR_CPU_COMPARE_INCOMPATIBLE: 0,
  VIR_CPU_COMPARE_IDENTICAL: 1,
  VIR_CPU_COMPARE_SUPERSET: 2,
} as const;

/** Where addresses come from; not a bit mask. */
export const AddressSource = {
  VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE: 0,
  VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT: 1,
  VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP: 2,
} as const;

/** Parts of the guest agent information. */
export const GuestInfoTypes = {
  VIR_DOMAIN_GUEST_INFO_USERS: 1,
  VIR_DOMAIN_GUEST_INFO_OS: 2,
  VIR_DOMAIN_GUEST_INFO_TIMEZONE: 4,
  VIR_DOMAIN_GUEST_INFO_HOSTNAME: 8,
  VIR_DOMAIN_GUEST_INFO_FILESYSTEM: 16,
  VIR_DOMAIN_GUEST_INFO_DISKS: 32,
  VIR_DOMAIN_GUEST_INFO_INTERFACES: 64,
} as const;

/** Guest clock. */
export const TimeFlags = {
  VIR_DOMAIN_TIME_SYNC: 1,
} as const;

/** Special values beside a number of seconds. */
export const AgentTimeout = {
  VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK: -2,
  VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_DEFAULT: -1,
  VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_NOWAIT: 0,
} as const;

/** Monitor commands: HMP is the human form, else the command is QMP JSON. */
export const MonitorFlags = {
  VIR_DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT: 0,
  VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP: 1,
} as const;
