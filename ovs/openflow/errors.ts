/**
 * What goes wrong between us and a switch. `refused` carries OpenFlow's own type and code; the names are those of the
 * specification and of Open vSwitch, as found in its log.
 */
export type OpenFlowErrorKind =
  /** The socket cannot be reached. */
  | 'not connected'
  /** The connection broke before the answer came: whether the switch did it is not known. */
  | 'disconnected'
  | 'no answer'
  /** The switch speaks another version. */
  | 'version'
  /** The switch says no. */
  | 'refused'
  /** The switch says something that cannot be understood. */
  | 'malformed';

export interface Refusal {
  readonly type: number;
  readonly code: number;
  /** Such as `OFPBMC_BAD_PREREQ`; the numbers where the code is not known. */
  readonly symbol: string;
}

export class OpenFlowError extends Error {
  readonly kind: OpenFlowErrorKind;
  readonly refusal: Refusal | null;

  constructor(kind: OpenFlowErrorKind, message: string, refusal: Refusal | null = null) {
    super(message);
    this.name = 'OpenFlowError';
    this.kind = kind;
    this.refusal = refusal;
  }
}

/** Something that cannot be sent because it makes no sense; found before anything goes to the switch. */
export class FlowEncodingError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FlowEncodingError';
  }
}

/** Body of an error message. */
export function decodeRefusal(body: Buffer): Refusal {
  if (body.length < 4) throw new OpenFlowError('malformed', 'an error message is too short');
  const type = body.readUInt16BE(0);
  const code = body.readUInt16BE(2);
  if (type === experimenterError && body.length >= 8) {
    const known = niciraCodes[code];
    return { type, code, symbol: known ?? `experimenter error ${code}` };
  }
  const family = families[type];
  const name = family?.codes[code];
  return { type, code, symbol: name === undefined ? `error ${type}/${code}` : `${family!.prefix}_${name}` };
}

export function refused(body: Buffer, what: string): OpenFlowError {
  const refusal = decodeRefusal(body);
  return new OpenFlowError('refused', `the switch refuses ${what}: ${refusal.symbol}`, refusal);
}

const experimenterError = 0xffff;

const families: Readonly<Record<number, { readonly prefix: string; readonly codes: readonly string[] }>> = {
  0: { prefix: 'OFPHFC', codes: ['INCOMPATIBLE', 'EPERM'] },
  1: {
    prefix: 'OFPBRC',
    codes: [
      ...['BAD_VERSION', 'BAD_TYPE', 'BAD_MULTIPART', 'BAD_EXPERIMENTER', 'BAD_EXP_TYPE', 'EPERM', 'BAD_LEN'],
      ...['BUFFER_EMPTY', 'BUFFER_UNKNOWN', 'BAD_TABLE_ID', 'IS_SLAVE', 'BAD_PORT', 'BAD_PACKET'],
      'MULTIPART_BUFFER_OVERFLOW',
    ],
  },
  2: {
    prefix: 'OFPBAC',
    codes: [
      ...[
        'BAD_TYPE',
        'BAD_LEN',
        'BAD_EXPERIMENTER',
        'BAD_EXP_TYPE',
        'BAD_OUT_PORT',
        'BAD_ARGUMENT',
        'EPERM',
        'TOO_MANY',
      ],
      ...['BAD_QUEUE', 'BAD_OUT_GROUP', 'MATCH_INCONSISTENT', 'UNSUPPORTED_ORDER', 'BAD_TAG', 'BAD_SET_TYPE'],
      ...['BAD_SET_LEN', 'BAD_SET_ARGUMENT', 'BAD_SET_MASK'],
    ],
  },
  3: {
    prefix: 'OFPBIC',
    codes: [
      ...['UNKNOWN_INST', 'UNSUP_INST', 'BAD_TABLE_ID', 'UNSUP_METADATA', 'UNSUP_METADATA_MASK', 'BAD_EXPERIMENTER'],
      ...['BAD_EXP_TYPE', 'BAD_LEN', 'EPERM', 'DUP_INST'],
    ],
  },
  4: {
    prefix: 'OFPBMC',
    codes: [
      ...['BAD_TYPE', 'BAD_LEN', 'BAD_TAG', 'BAD_DL_ADDR_MASK', 'BAD_NW_ADDR_MASK', 'BAD_WILDCARDS', 'BAD_FIELD'],
      ...['BAD_VALUE', 'BAD_MASK', 'BAD_PREREQ', 'DUP_FIELD', 'EPERM'],
    ],
  },
  5: {
    prefix: 'OFPFMFC',
    codes: [
      ...['UNKNOWN', 'TABLE_FULL', 'BAD_TABLE_ID', 'OVERLAP', 'EPERM', 'BAD_TIMEOUT', 'BAD_COMMAND', 'BAD_FLAGS'],
      ...['CANT_SYNC', 'BAD_PRIORITY', 'IS_SYNC'],
    ],
  },
  12: {
    prefix: 'OFPMMFC',
    codes: [
      ...['UNKNOWN', 'METER_EXISTS', 'INVALID_METER', 'UNKNOWN_METER', 'BAD_COMMAND', 'BAD_FLAGS', 'BAD_RATE'],
      ...['BAD_BURST', 'BAD_BAND', 'BAD_BAND_VALUE', 'OUT_OF_METERS', 'OUT_OF_BANDS'],
    ],
  },
  14: {
    prefix: 'OFPBPC',
    codes: [
      'BAD_TYPE',
      'BAD_LEN',
      'BAD_VALUE',
      'TOO_MANY',
      'DUP_TYPE',
      'BAD_EXPERIMENTER',
      'BAD_EXP_TYPE',
      'BAD_EXP_VALUE',
      'EPERM',
    ],
  },
  16: {
    prefix: 'OFPMOFC',
    codes: [
      'UNKNOWN',
      'MONITOR_EXISTS',
      'INVALID_MONITOR',
      'UNKNOWN_MONITOR',
      'BAD_COMMAND',
      'BAD_FLAGS',
      'BAD_TABLE_ID',
      'BAD_OUT',
    ],
  },
  17: {
    prefix: 'OFPBFC',
    codes: [
      ...['UNKNOWN', 'EPERM', 'BAD_ID', 'BUNDLE_EXIST', 'BUNDLE_CLOSED', 'OUT_OF_BUNDLES', 'BAD_TYPE', 'BAD_FLAGS'],
      ...['MSG_BAD_LEN', 'MSG_BAD_XID', 'MSG_UNSUP', 'MSG_CONFLICT', 'MSG_TOO_MANY', 'MSG_FAILED', 'TIMEOUT'],
      'BUNDLE_IN_PROGRESS',
    ],
  },
};

/** Open vSwitch's own, of OpenFlow 1.2 and later; only those that our messages can call forth. */
const niciraCodes: Readonly<Record<number, string>> = {
  2: 'NXBRC_NXM_INVALID',
  3: 'NXBRC_NXM_BAD_TYPE',
  4: 'NXBRC_MUST_BE_ZERO',
  10: 'NXBRC_UNENCODABLE_ERROR',
  11: 'NXBAC_MUST_BE_ZERO',
  15: 'NXBAC_BAD_CONJUNCTION',
  4250: 'OFPBAC_BAD_SET_MASK',
};
