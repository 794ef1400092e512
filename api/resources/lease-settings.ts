/** How long the hosts' leases on shared pools last in a cluster: what lets others take over the VMs of a host that is silent. */
import { type Static, Type } from 'typebox';
import { operation, resource } from '../operation.ts';
import { closed, NameOrId, nullable } from '../schema.ts';

const Ms = (minimum: number, description: string) => Type.Integer({ minimum, maximum: 600_000, description });

export const LeaseSettings = closed({
  enabled: Type.Boolean({ description: 'false: hosts keep no leases, and end no VM by themselves' }),
  renewEveryMs: Ms(200, 'Each host writes its slot this often'),
  killAfterMs: Ms(1000, 'A host that could not write for this long ends its VMs of that pool; at least 3 renewals'),
  leaseMs: Ms(2000, 'Others may take them over after this long without a change; at least killAfterMs and 2 s'),
  probePort: nullable(
    Type.Integer({
      minimum: 1,
      maximum: 65_535,
      description: 'UDP port on which hosts probe each other; null: they do not',
    }),
  ),
});
export type LeaseSettings = Static<typeof LeaseSettings>;

const params = closed({ cluster: NameOrId });

export const leaseSettingsOperations = resource('leaseSettings', {
  get: operation({
    method: 'GET',
    path: '/clusters/{cluster}/lease-settings',
    summary: "Show the terms of a cluster's leases",
    access: 'system.viewer',
    params,
    response: LeaseSettings,
  }),
  update: operation({
    method: 'PATCH',
    path: '/clusters/{cluster}/lease-settings',
    summary: "Change the terms of a cluster's leases",
    access: 'system.admin',
    params,
    body: closed({
      enabled: Type.Optional(LeaseSettings.properties.enabled),
      renewEveryMs: Type.Optional(LeaseSettings.properties.renewEveryMs),
      killAfterMs: Type.Optional(LeaseSettings.properties.killAfterMs),
      leaseMs: Type.Optional(LeaseSettings.properties.leaseMs),
      probePort: Type.Optional(LeaseSettings.properties.probePort),
    }),
    response: LeaseSettings,
  }),
});
