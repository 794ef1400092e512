/** The header of a qcow2 file, read by ourselves: what decides whether any other program may open the file at all. */

export interface Qcow2Header {
  readonly version: number;
  readonly virtualSizeBytes: number;
  readonly clusterBits: number;
  readonly backingFile: string | null;
  readonly encrypted: boolean;
  readonly snapshots: number;
  readonly l1Entries: number;
  readonly l1Offset: number;
  readonly incompatibleFeatures: bigint;
  readonly extensions: readonly number[];
}

export const qcow2Magic = 0x51_46_49_fb;

export const incompatible = {
  dirty: 1n << 0n,
  corrupt: 1n << 1n,
  externalData: 1n << 2n,
  compressionType: 1n << 3n,
  extendedL2: 1n << 4n,
} as const;

/** Names the external data file, or the encryption header. */
export const extension = { end: 0, dataFile: 0x44_41_54_41, cryptoHeader: 0x05_37_be_77 } as const;

export class NotQcow2Error extends Error {}

/** How much of the file `readQcow2Header` needs: the header, its extensions and the backing file's name. */
export const headerBytes = 64 * 1024;

/** Parses the beginning of a file (as much as there is, at most `headerBytes`). Throws `NotQcow2Error` where it makes no sense. */
export function readQcow2Header(start: Buffer): Qcow2Header {
  if (start.length < 72 || start.readUInt32BE(0) !== qcow2Magic) throw new NotQcow2Error('it is no qcow2 file');
  const version = start.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw new NotQcow2Error(`its qcow2 version ${version} is not supported`);
  if (version === 3 && start.length < 104) throw new NotQcow2Error('its header is cut off');
  const headerLength = version === 3 ? start.readUInt32BE(100) : 72;
  if (headerLength < (version === 3 ? 104 : 72) || headerLength > start.length) {
    throw new NotQcow2Error('its header has an impossible length');
  }
  return {
    version,
    virtualSizeBytes: safeNumber(start.readBigUInt64BE(24), 'virtual size'),
    clusterBits: start.readUInt32BE(20),
    backingFile: readBackingFile(start),
    encrypted: start.readUInt32BE(32) !== 0,
    snapshots: start.readUInt32BE(60),
    l1Entries: start.readUInt32BE(36),
    l1Offset: safeNumber(start.readBigUInt64BE(40), 'table offset'),
    incompatibleFeatures: version === 3 ? start.readBigUInt64BE(72) : 0n,
    extensions: readExtensions(start, headerLength),
  };
}

function readBackingFile(start: Buffer): string | null {
  const offset = safeNumber(start.readBigUInt64BE(8), 'backing file offset');
  const length = start.readUInt32BE(16);
  if (offset === 0) return null;
  return start.subarray(offset, offset + Math.min(length, 1023)).toString('utf8');
}

function readExtensions(start: Buffer, headerLength: number): number[] {
  const found: number[] = [];
  let at = headerLength;
  while (at + 8 <= start.length) {
    const type = start.readUInt32BE(at);
    if (type === extension.end) break;
    found.push(type);
    at += 8 + Math.ceil(start.readUInt32BE(at + 4) / 8) * 8;
  }
  return found;
}

function safeNumber(value: bigint, what: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new NotQcow2Error(`its ${what} is impossible`);
  return Number(value);
}
