/**
 * Names of a network's ports (RFC 1035): A, AAAA and PTR. Pure. What is not of this network is refused, so that a resolver asks the
 * next server; nothing is asked of anybody on a guest's behalf.
 */
import { ipv4Bytes, ipv6Bytes } from './frame.ts';

export interface DnsZone {
  /** null: the network has no names. */
  readonly domain: string | null;
  readonly hosts: readonly { readonly name: string; readonly addresses: readonly string[] }[];
}

const type = { a: 1, ptr: 12, aaaa: 28, any: 255 } as const;
const code = { ok: 0, noSuchName: 3, notImplemented: 4, refused: 5 } as const;
const internet = 1;
const headerLength = 12;
const secondsToLive = 30;

interface Question {
  readonly name: string;
  readonly type: number;
  readonly bytes: Buffer;
}

/** null: no query at all. */
export function answerDns(query: Buffer, zone: DnsZone): Buffer | null {
  if (query.length < headerLength || (query[2]! & 0x80) !== 0) return null;
  const question = readQuestion(query);
  const isQuery = (query[2]! & 0x78) === 0;
  if (question === null || !isQuery) return response(query, null, code.notImplemented, []);
  const found = look(question, zone);
  return response(query, question, found.code, found.records);
}

interface Found {
  readonly code: number;
  readonly records: readonly { readonly type: number; readonly data: Buffer }[];
}

function look(question: Question, { domain, hosts }: DnsZone): Found {
  const name = question.name.toLowerCase();
  if (domain === null) return { code: code.refused, records: [] };
  const own = domain.toLowerCase();
  const address = addressOfPointer(name);
  if (address !== null) {
    const host = hosts.find(({ addresses }) => addresses.some((item) => hexOf(item) === address));
    if (host === undefined) return { code: code.refused, records: [] };
    const data = writeName(`${host.name}.${domain}`);
    return { code: code.ok, records: wants(question, type.ptr) ? [{ type: type.ptr, data }] : [] };
  }
  if (name === own) return { code: code.ok, records: [] };
  if (!name.endsWith(`.${own}`)) return { code: code.refused, records: [] };
  const label = name.slice(0, -own.length - 1);
  const named = hosts.filter((item) => item.name.toLowerCase() === label);
  if (named.length === 0) return { code: code.noSuchName, records: [] };
  // All of them, on whatever host they are and in one order: every host answers alike.
  const addresses = [...new Set(named.flatMap((item) => item.addresses))].sort();
  const records = addresses.map((item) =>
    item.includes(':') ? { type: type.aaaa, data: ipv6Bytes(item) } : { type: type.a, data: ipv4Bytes(item) },
  );
  return { code: code.ok, records: records.filter((record) => wants(question, record.type)) };
}

function wants(question: Question, wanted: number): boolean {
  return question.type === wanted || question.type === type.any;
}

/** The address in hexadecimal digits that a name like `5.0.0.10.in-addr.arpa` speaks of. */
function addressOfPointer(name: string): string | null {
  const v4 = /^([\d.]+)\.in-addr\.arpa$/.exec(name)?.[1]?.split('.').reverse();
  if (v4?.length === 4) return hexOf(v4.join('.'));
  const v6 = /^([\da-f.]+)\.ip6\.arpa$/.exec(name)?.[1]?.split('.').reverse();
  return v6?.length === 32 ? v6.join('') : null;
}

function hexOf(address: string): string {
  return (address.includes(':') ? ipv6Bytes(address) : ipv4Bytes(address)).toString('hex');
}

/** The only question; names in questions are never compressed. */
function readQuestion(query: Buffer): Question | null {
  if (query.readUInt16BE(4) !== 1) return null;
  const labels: string[] = [];
  let at = headerLength;
  for (;;) {
    const length = query[at];
    if (length === undefined || length > 63) return null;
    at += 1;
    if (length === 0) break;
    labels.push(query.toString('latin1', at, at + length));
    at += length;
  }
  if (at + 4 > query.length || query.readUInt16BE(at + 2) !== internet) return null;
  return { name: labels.join('.'), type: query.readUInt16BE(at), bytes: query.subarray(headerLength, at + 4) };
}

function response(query: Buffer, question: Question | null, status: number, records: Found['records']): Buffer {
  const header = Buffer.alloc(headerLength);
  query.copy(header, 0, 0, 2);
  // An answer with authority; whether recursion was desired comes back.
  header[2] = 0x84 | (query[2]! & 0x79);
  header[3] = status;
  header.writeUInt16BE(question === null ? 0 : 1, 4);
  header.writeUInt16BE(records.length, 6);
  const answers = records.map((record) => {
    const head = Buffer.alloc(12);
    // The name is that of the question.
    head.writeUInt16BE(0xc000 | headerLength, 0);
    head.writeUInt16BE(record.type, 2);
    head.writeUInt16BE(internet, 4);
    head.writeUInt32BE(secondsToLive, 6);
    head.writeUInt16BE(record.data.length, 10);
    return Buffer.concat([head, record.data]);
  });
  return Buffer.concat([header, question?.bytes ?? Buffer.alloc(0), ...answers]);
}

function writeName(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label, 'latin1')]));
  return Buffer.concat([...labels, Buffer.of(0)]);
}
