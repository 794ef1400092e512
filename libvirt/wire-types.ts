/**
 * The structures that many procedures share. A domain travels as {name, uuid, id}; the daemon finds it by its UUID alone,
 * so callers deal in UUIDs and the other two are filled in here.
 */
import { array, type CodecValue, type Codec, int, optional, string, struct } from './codec.ts';
import { XdrError } from './xdr.ts';

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Sixteen bytes <-> the lower-case dashed form. */
export const uuid: Codec<string> = {
  encode(e, value) {
    if (!uuidPattern.test(value)) throw new XdrError(`not a UUID: ${JSON.stringify(value)}`);
    e.fixed(Buffer.from(value.replaceAll('-', ''), 'hex'));
  },
  decode(d) {
    const hex = d.fixed(16).toString('hex');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  },
};

/** `id` is the number of a running domain, -1 for an inactive one. */
export const domainRef = struct({ name: string, uuid, id: int });
export type DomainRef = CodecValue<typeof domainRef>;

/** What goes out: the daemon needs only the UUID. */
export const byUuid = (domainUuid: string): DomainRef => ({ name: '', uuid: domainUuid, id: -1 });

export const snapshotRef = struct({ name: string, domain: domainRef });

export const strings = array(string);

/** The body of a failed reply or stream. */
export const wireError = struct({
  code: int,
  domain: int,
  message: optional(string),
  level: int,
  dom: optional(domainRef),
  str1: optional(string),
  str2: optional(string),
  str3: optional(string),
  int1: int,
  int2: int,
  network: optional(struct({ name: string, uuid })),
});
export type WireError = CodecValue<typeof wireError>;
