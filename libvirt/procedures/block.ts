/** Procedures of a domain's disks: size, block jobs, snapshots. */
import { array, counter, flags, int, optional, string, struct, truth } from '../codec.ts';
import { long } from '../procedure.ts';
import { typedParams } from '../typed-params.ts';
import { domainRef, snapshotRef } from '../wire-types.ts';

const disk = { domain: domainRef, disk: string };

export const blockProcedures = {
  domainSnapshotCreateXml: long(
    185,
    struct({ domain: domainRef, xml: string, flags }),
    struct({ snapshot: snapshotRef }),
  ),
  domainSnapshotDelete: long(193, struct({ snapshot: snapshotRef, flags })),
  domainGetBlockInfo: long(
    194,
    struct({ ...disk, flags }),
    struct({ allocationBytes: counter, capacityBytes: counter, physicalBytes: counter }),
  ),
  domainBlockJobAbort: long(237, struct({ ...disk, flags })),
  domainGetBlockJobInfo: long(
    238,
    struct({ ...disk, flags }),
    struct({ found: truth, type: int, bandwidth: counter, current: counter, end: counter }),
  ),
  domainBlockJobSetSpeed: long(239, struct({ ...disk, bandwidth: counter, flags })),
  domainBlockPull: long(240, struct({ ...disk, bandwidth: counter, flags })),
  domainBlockResize: long(251, struct({ ...disk, size: counter, flags })),
  domainSetBlockIoTune: long(252, struct({ ...disk, params: typedParams, flags })),
  domainListAllSnapshots: long(
    274,
    struct({ domain: domainRef, needResults: truth, flags }),
    struct({ snapshots: array(snapshotRef), count: int }),
  ),
  domainBlockCommit: long(
    290,
    struct({ ...disk, base: optional(string), top: optional(string), bandwidth: counter, flags }),
  ),
  domainBlockCopy: long(345, struct({ ...disk, xml: string, params: typedParams, flags })),
} as const;
