/** Procedures that talk to the guest, through its agent or its monitor. */
import { array, flags, hyper, int, optional, string, struct, uint } from '../codec.ts';
import { long, qemuLong, qemuQuick } from '../procedure.ts';
import { typedParams } from '../typed-params.ts';
import { domainRef, strings } from '../wire-types.ts';

const mountPoints = struct({ domain: domainRef, mountPoints: strings, flags });
const frozen = struct({ fileSystems: int });

export const guestProcedures = {
  domainFsFreeze: long(335, mountPoints, frozen),
  domainFsThaw: long(336, mountPoints, frozen),
  domainGetTime: long(337, struct({ domain: domainRef, flags }), struct({ seconds: hyper, nanoseconds: uint })),
  domainSetTime: long(338, struct({ domain: domainRef, seconds: hyper, nanoseconds: uint, flags })),
  domainInterfaceAddresses: long(
    353,
    struct({ domain: domainRef, source: uint, flags }),
    struct({
      interfaces: array(
        struct({
          name: string,
          macAddress: optional(string),
          addresses: array(struct({ type: int, address: string, prefix: uint })),
        }),
      ),
    }),
  ),
  domainSetUserPassword: long(
    357,
    struct({ domain: domainRef, user: optional(string), password: optional(string), flags }),
  ),
  domainGetGuestInfo: long(418, struct({ domain: domainRef, types: uint, flags }), struct({ params: typedParams })),
  qemuDomainMonitorCommand: qemuLong(
    1,
    struct({ domain: domainRef, command: string, flags }),
    struct({ result: string }),
  ),
  /** `timeout` in seconds, or one of AgentTimeout. */
  qemuDomainAgentCommand: qemuLong(
    3,
    struct({ domain: domainRef, command: string, timeout: int, flags }),
    struct({ result: optional(string) }),
  ),
  /** Domain null: of all; `event`: the monitor's own name of it. */
  qemuConnectDomainMonitorEventRegister: qemuQuick(
    4,
    struct({ domain: optional(domainRef), event: optional(string), flags }),
    struct({ callbackId: int }),
  ),
} as const;
