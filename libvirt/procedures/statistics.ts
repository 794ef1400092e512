/** Procedures that measure a domain. */
import { array, counter, flags, int, opaque, signedCounter, string, struct, uint } from '../codec.ts';
import { long, quick } from '../procedure.ts';
import { typedParams } from '../typed-params.ts';
import { domainRef } from '../wire-types.ts';

export const statisticsProcedures = {
  domainGetVcpus: long(
    20,
    struct({ domain: domainRef, maxInfo: int, mapLength: int }),
    struct({ info: array(struct({ number: uint, state: int, cpuTimeNs: counter, cpu: int })), cpuMaps: opaque }),
  ),
  domainBlockStats: long(
    64,
    struct({ domain: domainRef, disk: string }),
    struct({
      readRequests: signedCounter,
      readBytes: signedCounter,
      writeRequests: signedCounter,
      writeBytes: signedCounter,
      errors: signedCounter,
    }),
  ),
  domainInterfaceStats: quick(
    65,
    struct({ domain: domainRef, device: string }),
    struct({
      rxBytes: signedCounter,
      rxPackets: signedCounter,
      rxErrors: signedCounter,
      rxDrops: signedCounter,
      txBytes: signedCounter,
      txPackets: signedCounter,
      txErrors: signedCounter,
      txDrops: signedCounter,
    }),
  ),
  domainMemoryStats: long(
    159,
    struct({ domain: domainRef, maxStats: uint, flags }),
    struct({ stats: array(struct({ tag: int, value: counter })) }),
  ),
  domainGetCpuStats: long(
    262,
    struct({ domain: domainRef, count: uint, startCpu: int, cpus: uint, flags }),
    struct({ params: typedParams, count: int }),
  ),
  domainSetMemoryStatsPeriod: long(308, struct({ domain: domainRef, periodSeconds: int, flags })),
} as const;
