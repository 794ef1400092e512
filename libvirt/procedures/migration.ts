/** Procedures of migration and of the job that a domain is in. */
import { counter, flags, int, opaque, optional, string, struct } from '../codec.ts';
import { long } from '../procedure.ts';
import { typedParams } from '../typed-params.ts';
import { domainRef } from '../wire-types.ts';

const domainFlags = struct({ domain: domainRef, flags });

export const migrationProcedures = {
  domainAbortJob: long(164, struct({ domain: domainRef })),
  domainMigrateSetMaxDowntime: long(166, struct({ domain: domainRef, downtimeMs: counter, flags })),
  domainMigrateSetMaxSpeed: long(207, struct({ domain: domainRef, bandwidthMibps: counter, flags })),
  domainGetJobStats: long(298, domainFlags, struct({ type: int, params: typedParams })),
  domainMigratePerform3Params: long(
    305,
    struct({
      domain: domainRef,
      destinationUri: optional(string),
      params: typedParams,
      cookieIn: opaque,
      flags,
    }),
    struct({ cookieOut: opaque }),
  ),
  domainMigrateStartPostCopy: long(364, domainFlags),
  domainMigrateGetMaxDowntime: long(387, domainFlags, struct({ downtimeMs: counter })),
} as const;
