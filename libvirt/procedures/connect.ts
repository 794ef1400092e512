/** Procedures of the connection and the host. */
import { array, charArray, counter, flags, int, nothing, optional, string, struct, truth, uint } from '../codec.ts';
import { long, quick } from '../procedure.ts';
import { typedParams } from '../typed-params.ts';
import { domainRef, strings } from '../wire-types.ts';

const hostStatistics = struct({ params: array(struct({ field: string, value: counter })), count: int });
const cpuTarget = {
  emulator: optional(string),
  arch: optional(string),
  machine: optional(string),
  virtType: optional(string),
};

export const connectProcedures = {
  connectOpen: quick(1, struct({ uri: optional(string), flags })),
  connectClose: quick(2),
  connectGetType: quick(3, nothing, struct({ type: string })),
  connectGetVersion: quick(4, nothing, struct({ version: counter })),
  nodeGetInfo: quick(
    6,
    nothing,
    struct({
      model: charArray(32),
      memoryKib: counter,
      cpus: int,
      mhz: int,
      nodes: int,
      sockets: int,
      cores: int,
      threads: int,
    }),
  ),
  connectGetCapabilities: long(7, nothing, struct({ xml: string })),
  connectGetHostname: quick(59, nothing, struct({ hostname: string })),
  connectSupportsFeature: quick(60, struct({ feature: int }), struct({ supported: truth })),
  authList: quick(66, nothing, struct({ types: array(int) })),
  authPolkit: quick(70, nothing, struct({ complete: int })),
  nodeGetFreeMemory: quick(102, nothing, struct({ freeBytes: counter })),
  connectGetUri: quick(110, nothing, struct({ uri: string })),
  connectGetLibVersion: quick(157, nothing, struct({ version: counter })),
  nodeGetCpuStats: quick(227, struct({ cpu: int, count: int, flags }), hostStatistics),
  nodeGetMemoryStats: quick(228, struct({ count: int, cell: int, flags }), hostStatistics),
  connectListAllDomains: quick(
    273,
    struct({ needResults: truth, flags }),
    struct({ domains: array(domainRef), count: uint }),
  ),
  connectGetCpuModelNames: long(
    312,
    struct({ arch: string, needResults: truth, flags }),
    struct({ models: strings, count: int }),
  ),
  connectDomainEventCallbackRegisterAny: quick(
    316,
    struct({ eventId: int, domain: optional(domainRef) }),
    struct({ callbackId: int }),
  ),
  connectDomainEventCallbackDeregisterAny: quick(317, struct({ callbackId: int })),
  connectGetDomainCapabilities: long(342, struct({ ...cpuTarget, flags }), struct({ xml: string })),
  connectGetAllDomainStats: long(
    344,
    struct({ domains: array(domainRef), stats: uint, flags }),
    struct({ records: array(struct({ domain: domainRef, params: typedParams })) }),
  ),
  connectCompareHypervisorCpu: long(393, struct({ ...cpuTarget, xml: string, flags }), struct({ result: int })),
  connectBaselineHypervisorCpu: long(394, struct({ ...cpuTarget, xmls: strings, flags }), struct({ cpu: string })),
} as const;
