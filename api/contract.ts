/** All operations, for those who walk over the whole contract (routes, OpenAPI, CLI, tests). Callers of one operation import its resource. */
import type { Operation } from './operation.ts';
import { admissionOperations } from './resources/admission.ts';
import { balanceOperations } from './resources/balance.ts';
import { clusterOperations } from './resources/cluster.ts';
import { auditOperations, eventOperations } from './resources/event.ts';
import { haOperations } from './resources/ha.ts';
import { fenceDeviceOperations, hostPowerOperations } from './resources/fence-device.ts';
import { hostMaintenanceOperations } from './resources/host-maintenance.ts';
import { hostStandbyOperations } from './resources/host-standby.ts';
import { powerSavingOperations } from './resources/power-saving.ts';
import { hostOperations } from './resources/host.ts';
import { leaseSettingsOperations } from './resources/lease-settings.ts';
import { imageOperations } from './resources/image.ts';
import { networkOperations } from './resources/network.ts';
import { organizationOperations } from './resources/organization.ts';
import { poolOperations } from './resources/pool.ts';
import { projectOperations } from './resources/project.ts';
import { securityGroupOperations } from './resources/security-group.ts';
import { apiTokenOperations, sessionOperations } from './resources/session.ts';
import { taskOperations } from './resources/task.ts';
import { userOperations } from './resources/user.ts';
import { vmOperations } from './resources/vm-operations.ts';
import { volumeOperations } from './resources/volume.ts';
import { floatingAddressOperations } from './resources/floating-address.ts';
import { mirrorOperations } from './resources/mirror.ts';
import { traceOperations } from './resources/network-trace.ts';
import { portOperations } from './resources/port.ts';
import { qosPolicyOperations } from './resources/qos-policy.ts';
import { routerOperations } from './resources/router.ts';
import { switchOperations } from './resources/switch.ts';
import { uplinkOperations } from './resources/uplink.ts';

const resources: readonly Readonly<Record<string, unknown>>[] = [
  sessionOperations,
  apiTokenOperations,
  userOperations,
  organizationOperations,
  projectOperations,
  clusterOperations,
  admissionOperations,
  balanceOperations,
  hostOperations,
  hostMaintenanceOperations,
  hostStandbyOperations,
  powerSavingOperations,
  hostPowerOperations,
  fenceDeviceOperations,
  leaseSettingsOperations,
  haOperations,
  poolOperations,
  imageOperations,
  volumeOperations,
  switchOperations,
  uplinkOperations,
  networkOperations,
  traceOperations,
  portOperations,
  securityGroupOperations,
  qosPolicyOperations,
  mirrorOperations,
  routerOperations,
  floatingAddressOperations,
  vmOperations,
  taskOperations,
  eventOperations,
  auditOperations,
];

export const allOperations: readonly Operation[] = resources.flatMap(
  (operations) => Object.values(operations) as Operation[],
);

/** Prefix of every path of the API. */
export const apiPrefix = '/v1';
