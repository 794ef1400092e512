/**
 * Tenants do not see hosts. Views leave the fields of hosts out; this takes hosts out of words, for the same events, errors and
 * reasons are read by operators too. It works where answers leave the manager, so that nothing which is said anywhere is forgotten.
 *
 * The rule: in what is said (`message`, `reason`, `because`, `stateReason`, `details`) the name, the id and the address of a host
 * become `a host`. What calls itself a VM is not meant, though a host has the same name. The name of a host that was removed is
 * not known any more.
 */
import { errorFromWire, type KvasirError } from '@kvasir/api/errors.ts';
import type { Executor } from '../store/database.ts';
import { isOperator } from './access.ts';
import type { Actor } from './call.ts';

/** Takes hosts out of what is said to this actor. */
export interface HostNames {
  /** Of an answer: a copy, or itself where nothing is said. */
  answer(value: unknown): unknown;
  error(error: KvasirError): KvasirError;
}

const said: readonly string[] = ['message', 'reason', 'because', 'stateReason'];
const word = /(?:\b([Hh]ost|VM|vm) )?("?)(\w(?:[\w.-]*\w)?)\2/g;

/** Those that the actor must not read; undefined: it may read all. */
export async function hiddenHosts(db: Executor, actor: Actor | undefined): Promise<HostNames | undefined> {
  if (actor && isOperator(actor)) return undefined;
  const rows = await db.selectFrom('hosts').select(['id', 'name', 'address']).execute();
  const known = new Set(rows.flatMap(({ id, name, address }) => [id, name, address]));
  const hide = (text: string): string =>
    text.replace(word, (whole: string, kind: string | undefined, _quote: string, name: string) => {
      if (!known.has(name) || kind?.toLowerCase() === 'vm') return whole;
      return kind ?? 'a host';
    });
  const answer = (value: unknown): unknown => mapWords(value, hide);
  const error = (told: KvasirError): KvasirError => {
    const { code, details, fields } = told;
    const message = hide(told.message);
    const hidden = fields?.map((field) => ({ ...field, message: hide(field.message) }));
    return errorFromWire({ code, message, details, ...(hidden ? { fields: hidden } : {}) });
  };
  return { answer, error };
}

/** Whether an answer says anything in words: most do not. */
export function saysWords(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return value.some(saysWords);
  return Object.entries(value).some(
    ([key, part]) => (said.includes(key) && typeof part === 'string') || saysWords(part),
  );
}

function mapWords(value: unknown, hide: (text: string) => string): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((part) => mapWords(part, hide));
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => {
      if (key === 'details') return [key, mapDetails(part as object, hide)];
      return [key, said.includes(key) && typeof part === 'string' ? hide(part) : mapWords(part, hide)];
    }),
  );
}

/** Of an event: `hostId`, `sourceHostId` … are fields of hosts. */
function mapDetails(details: object, hide: (text: string) => string): object {
  const shown = Object.entries(details).filter(([key]) => !/host/i.test(key));
  return Object.fromEntries(
    shown.map(([key, part]) => [key, typeof part === 'string' ? hide(part) : mapWords(part, hide)]),
  );
}
