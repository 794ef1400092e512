/** What is known of whether a power device is wired to the host that it is registered for. */
export const powerDeviceTrust = {
  name: '0012-power-device-trust',
  statements: [
    'alter table fence_devices add column checked_at bigint',
    'alter table fence_devices add column check_error text',
    'alter table fence_devices add column seen_on_at bigint',
    'alter table fence_devices add column mistrusted_because text',
  ],
} as const;
