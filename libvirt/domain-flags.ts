/**
 * Flags of domain operations, under libvirt's own names and with its values; combine them with `|`.
 */
/** Which configuration a change touches: the running domain, its definition, or both. */
export const AffectFlags = {
  VIR_DOMAIN_AFFECT_CURRENT: 0,
  VIR_DOMAIN_AFFECT_LIVE: 1,
  VIR_DOMAIN_AFFECT_CONFIG: 2,
} as const;

/** Start. Auto-destroy is left out: it ties the domain to one connection, and calls here travel on several. */
export const CreateFlags = {
  VIR_DOMAIN_NONE: 0,
  VIR_DOMAIN_START_PAUSED: 1,
  VIR_DOMAIN_START_BYPASS_CACHE: 4,
  VIR_DOMAIN_START_FORCE_BOOT: 8,
  VIR_DOMAIN_START_VALIDATE: 16,
  VIR_DOMAIN_START_RESET_NVRAM: 32,
} as const;

/** Define. */
export const DefineFlags = {
  VIR_DOMAIN_DEFINE_VALIDATE: 1,
} as const;

/** Undefine. */
export const UndefineFlags = {
  VIR_DOMAIN_UNDEFINE_MANAGED_SAVE: 1,
  VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA: 2,
  VIR_DOMAIN_UNDEFINE_NVRAM: 4,
  VIR_DOMAIN_UNDEFINE_KEEP_NVRAM: 8,
  VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA: 16,
  VIR_DOMAIN_UNDEFINE_TPM: 32,
  VIR_DOMAIN_UNDEFINE_KEEP_TPM: 64,
} as const;

/** Destroy; graceful never escalates to SIGKILL and so may fail. */
export const DestroyFlags = {
  VIR_DOMAIN_DESTROY_DEFAULT: 0,
  VIR_DOMAIN_DESTROY_GRACEFUL: 1,
  VIR_DOMAIN_DESTROY_REMOVE_LOGS: 2,
} as const;

/** How the guest is asked to shut down. */
export const ShutdownFlags = {
  VIR_DOMAIN_SHUTDOWN_DEFAULT: 0,
  VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN: 1,
  VIR_DOMAIN_SHUTDOWN_GUEST_AGENT: 2,
  VIR_DOMAIN_SHUTDOWN_INITCTL: 4,
  VIR_DOMAIN_SHUTDOWN_SIGNAL: 8,
  VIR_DOMAIN_SHUTDOWN_PARAVIRT: 16,
} as const;

/** How the guest is asked to reboot. */
export const RebootFlags = {
  VIR_DOMAIN_REBOOT_DEFAULT: 0,
  VIR_DOMAIN_REBOOT_ACPI_POWER_BTN: 1,
  VIR_DOMAIN_REBOOT_GUEST_AGENT: 2,
  VIR_DOMAIN_REBOOT_INITCTL: 4,
  VIR_DOMAIN_REBOOT_SIGNAL: 8,
  VIR_DOMAIN_REBOOT_PARAVIRT: 16,
} as const;

/** Managed save. */
export const SaveFlags = {
  VIR_DOMAIN_SAVE_BYPASS_CACHE: 1,
  VIR_DOMAIN_SAVE_RUNNING: 2,
  VIR_DOMAIN_SAVE_PAUSED: 4,
  VIR_DOMAIN_SAVE_RESET_NVRAM: 8,
} as const;

/** Which XML is wanted. */
export const XmlFlags = {
  VIR_DOMAIN_XML_SECURE: 1,
  VIR_DOMAIN_XML_INACTIVE: 2,
  VIR_DOMAIN_XML_UPDATE_CPU: 4,
  VIR_DOMAIN_XML_MIGRATABLE: 8,
} as const;

/** Attach, detach and update of a device. */
export const DeviceFlags = {
  VIR_DOMAIN_DEVICE_MODIFY_CURRENT: 0,
  VIR_DOMAIN_DEVICE_MODIFY_LIVE: 1,
  VIR_DOMAIN_DEVICE_MODIFY_CONFIG: 2,
  VIR_DOMAIN_DEVICE_MODIFY_FORCE: 4,
} as const;

/** Number of virtual CPUs. */
export const VcpuFlags = {
  VIR_DOMAIN_VCPU_CURRENT: 0,
  VIR_DOMAIN_VCPU_LIVE: 1,
  VIR_DOMAIN_VCPU_CONFIG: 2,
  VIR_DOMAIN_VCPU_MAXIMUM: 4,
  VIR_DOMAIN_VCPU_GUEST: 8,
  VIR_DOMAIN_VCPU_HOTPLUGGABLE: 16,
} as const;

/** Size of the memory. */
export const MemoryFlags = {
  VIR_DOMAIN_MEM_CURRENT: 0,
  VIR_DOMAIN_MEM_LIVE: 1,
  VIR_DOMAIN_MEM_CONFIG: 2,
  VIR_DOMAIN_MEM_MAXIMUM: 4,
} as const;

/** Filter of a list; none = all domains. */
export const ListFlags = {
  VIR_CONNECT_LIST_DOMAINS_ACTIVE: 1,
  VIR_CONNECT_LIST_DOMAINS_INACTIVE: 2,
  VIR_CONNECT_LIST_DOMAINS_PERSISTENT: 4,
  VIR_CONNECT_LIST_DOMAINS_TRANSIENT: 8,
  VIR_CONNECT_LIST_DOMAINS_RUNNING: 16,
  VIR_CONNECT_LIST_DOMAINS_PAUSED: 32,
  VIR_CONNECT_LIST_DOMAINS_SHUTOFF: 64,
  VIR_CONNECT_LIST_DOMAINS_OTHER: 128,
  VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE: 256,
  VIR_CONNECT_LIST_DOMAINS_NO_MANAGEDSAVE: 512,
  VIR_CONNECT_LIST_DOMAINS_AUTOSTART: 1024,
  VIR_CONNECT_LIST_DOMAINS_NO_AUTOSTART: 2048,
  VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT: 4096,
  VIR_CONNECT_LIST_DOMAINS_NO_SNAPSHOT: 8192,
  VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT: 16384,
  VIR_CONNECT_LIST_DOMAINS_NO_CHECKPOINT: 32768,
} as const;

/** Console: force throws another client off, safe demands exclusive access. */
export const ConsoleFlags = {
  VIR_DOMAIN_CONSOLE_FORCE: 1,
  VIR_DOMAIN_CONSOLE_SAFE: 2,
} as const;

/** Kind of metadata; not a bit mask. */
export const MetadataType = {
  VIR_DOMAIN_METADATA_DESCRIPTION: 0,
  VIR_DOMAIN_METADATA_TITLE: 1,
  VIR_DOMAIN_METADATA_ELEMENT: 2,
} as const;
