/** Procedures of a domain's life and definition. */
import { counter, flags, int, optional, string, struct, truth, uint } from '../codec.ts';
import { long, quick } from '../procedure.ts';
import { domainRef, uuid } from '../wire-types.ts';

const domain = struct({ domain: domainRef });
const domainFlags = struct({ domain: domainRef, flags });

export const domainProcedures = {
  domainCreateXml: long(10, struct({ xml: string, flags }), domain),
  domainGetXmlDesc: long(14, domainFlags, struct({ xml: string })),
  domainGetAutostart: quick(15, domain, struct({ autostart: truth })),
  domainGetInfo: quick(
    16,
    domain,
    struct({ state: uint, maxMemoryKib: counter, memoryKib: counter, vcpus: uint, cpuTimeNs: counter }),
  ),
  domainLookupByName: quick(23, struct({ name: string }), domain),
  domainLookupByUuid: quick(24, struct({ uuid }), domain),
  domainReboot: long(27, domainFlags),
  domainResume: long(28, domain),
  domainSetAutostart: quick(29, struct({ domain: domainRef, autostart: truth })),
  domainSuspend: long(34, domain),
  domainIsActive: quick(150, domain, struct({ active: truth })),
  domainIsPersistent: quick(151, domain, struct({ persistent: truth })),
  domainManagedSave: long(182, domainFlags),
  domainHasManagedSaveImage: long(183, domainFlags, struct({ result: truth })),
  domainManagedSaveRemove: long(184, domainFlags),
  domainCreateWithFlags: long(196, domainFlags, domain),
  domainGetState: quick(212, domainFlags, struct({ state: int, reason: int })),
  domainUndefineFlags: long(231, domainFlags),
  domainDestroyFlags: long(234, domainFlags),
  domainReset: long(245, domainFlags),
  domainShutdownFlags: long(258, domainFlags),
  domainSetMetadata: long(
    264,
    struct({
      domain: domainRef,
      type: int,
      metadata: optional(string),
      key: optional(string),
      uri: optional(string),
      flags,
    }),
  ),
  domainGetMetadata: quick(
    265,
    struct({ domain: domainRef, type: int, uri: optional(string), flags }),
    struct({ metadata: string }),
  ),
  domainDefineXmlFlags: long(350, struct({ xml: string, flags }), domain),
  domainRename: long(358, struct({ domain: domainRef, newName: optional(string), flags }), struct({ returned: int })),
} as const;
