/** All operations, for those who walk over the whole contract (routes, OpenAPI, CLI, tests). Callers of one operation import its resource. */
import type { Operation } from './operation.ts';
import { clusterOperations } from './resources/cluster.ts';
import { auditOperations, eventOperations } from './resources/event.ts';
import { hostOperations } from './resources/host.ts';
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

const resources: readonly Readonly<Record<string, unknown>>[] = [
  sessionOperations,
  apiTokenOperations,
  userOperations,
  organizationOperations,
  projectOperations,
  clusterOperations,
  hostOperations,
  poolOperations,
  imageOperations,
  volumeOperations,
  networkOperations,
  securityGroupOperations,
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
