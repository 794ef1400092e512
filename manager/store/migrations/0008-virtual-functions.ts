/** Which NICs are carried by a virtual function of an uplink's device. */
export const virtualFunctions = {
  name: '0008-virtual-functions',
  statements: ["alter table ports add column vnic_type text not null default 'normal'"],
} as const;
