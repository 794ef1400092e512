/** Procedures that change a domain's devices, CPUs and memory, and those that open its console and screen. */
import { counter, flags, int, optional, string, struct, uint } from '../codec.ts';
import { long } from '../procedure.ts';
import { domainRef } from '../wire-types.ts';

const deviceChange = struct({ domain: domainRef, xml: string, flags });

export const deviceProcedures = {
  domainAttachDeviceFlags: long(160, deviceChange),
  domainDetachDeviceFlags: long(161, deviceChange),
  domainUpdateDeviceFlags: long(174, deviceChange),
  domainSetVcpusFlags: long(199, struct({ domain: domainRef, vcpus: uint, flags })),
  domainGetVcpusFlags: long(200, struct({ domain: domainRef, flags }), struct({ vcpus: int })),
  /** Answers with a stream. */
  domainOpenConsole: long(201, struct({ domain: domainRef, device: optional(string), flags })),
  domainSetMemoryFlags: long(204, struct({ domain: domainRef, memoryKib: counter, flags })),
  /** Answers with a stream. */
  domainScreenshot: long(211, struct({ domain: domainRef, screen: uint, flags }), struct({ mime: optional(string) })),
  /** Answers with a stream. */
  domainOpenChannel: long(296, struct({ domain: domainRef, channel: optional(string), flags })),
  domainDetachDeviceAlias: long(392, struct({ domain: domainRef, alias: string, flags })),
} as const;
