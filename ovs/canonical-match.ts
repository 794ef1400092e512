/**
 * One form for matches that mean the same: fields in a fixed order (what others presuppose first), no mask where it has
 * all bits, no field where the mask has none, and 128-bit registers as the four of 32 bits that Open vSwitch makes of
 * them. So two matches are equal when their encodings are.
 */
import type { FieldMatch, FieldName, Match } from './flow.ts';
import { allOnes, fieldPosition, fields } from './openflow/fields.ts';

export function canonicalMatch(match: Match): Match {
  const narrow = splitWideRegisters(match);
  const names = (Object.keys(narrow) as FieldName[]).sort((a, b) => fieldPosition(a) - fieldPosition(b));
  const out: Partial<Record<FieldName, FieldMatch>> = {};
  for (const name of names) {
    const wanted = narrow[name];
    if (wanted !== undefined && wanted.mask !== 0n) out[name] = withoutFullMask(name, wanted);
  }
  return out;
}

/** `xxreg0` begins with `reg0`. */
export function partsOfWideRegister(name: FieldName): readonly FieldName[] {
  const first = 4 * Number(name.slice('xxreg'.length));
  return [0, 1, 2, 3].map((n) => `reg${first + n}` as FieldName);
}

function withoutFullMask(name: FieldName, { value, mask }: FieldMatch): FieldMatch {
  // Open vSwitch knows eight of the 32 bits; a mask of all is listed as 0xff.
  if (name === 'ct_state') return { value, mask: (mask ?? 0xffn) & 0xffn };
  if (mask === undefined) return { value };
  const all = allOnes(fields[name].bits);
  return (mask & all) === all ? { value } : { value, mask };
}

function splitWideRegisters(match: Match): Match {
  if (!Object.keys(match).some((name) => name.startsWith('xxreg'))) return match;
  const out: Partial<Record<FieldName, FieldMatch>> = { ...match };
  for (const name of ['xxreg0', 'xxreg1', 'xxreg2', 'xxreg3'] as const) {
    const wanted = match[name];
    if (wanted === undefined) continue;
    delete out[name];
    for (const [n, register] of partsOfWideRegister(name).entries()) {
      const part = (bits: bigint) => (bits >> BigInt(96 - 32 * n)) & 0xffffffffn;
      out[register] = { value: part(wanted.value), mask: part(wanted.mask ?? allOnes(128)) };
    }
  }
  return out;
}
