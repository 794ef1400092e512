/**
 * virTypedParameter: libvirt's named values, used where a call grew options over the years (migration, job statistics,
 * domain statistics). A name may occur more than once (`migrate_disks`), so a list is the true form and the record a view.
 */
import { array, type Codec, string } from './codec.ts';
import { XdrError } from './xdr.ts';

export type TypedParam =
  | { readonly field: string; readonly type: 'int' | 'uint' | 'double'; readonly value: number }
  | { readonly field: string; readonly type: 'llong' | 'ullong'; readonly value: bigint }
  | { readonly field: string; readonly type: 'boolean'; readonly value: boolean }
  | { readonly field: string; readonly type: 'string'; readonly value: string };

export const typedParam: Codec<TypedParam> = {
  encode(e, param) {
    string.encode(e, param.field);
    switch (param.type) {
      case 'int':
        e.int(1);
        return e.int(param.value);
      case 'uint':
        e.int(2);
        return e.uint(param.value);
      case 'llong':
        e.int(3);
        return e.hyper(param.value);
      case 'ullong':
        e.int(4);
        return e.uhyper(param.value);
      case 'double':
        e.int(5);
        return e.double(param.value);
      case 'boolean':
        e.int(6);
        return e.int(param.value ? 1 : 0);
      case 'string':
        e.int(7);
        return string.encode(e, param.value);
    }
  },
  decode(d) {
    const field = string.decode(d);
    const type = d.int();
    switch (type) {
      case 1:
        return { field, type: 'int', value: d.int() };
      case 2:
        return { field, type: 'uint', value: d.uint() };
      case 3:
        return { field, type: 'llong', value: d.hyper() };
      case 4:
        return { field, type: 'ullong', value: d.uhyper() };
      case 5:
        return { field, type: 'double', value: d.double() };
      case 6:
        return { field, type: 'boolean', value: d.int() !== 0 };
      case 7:
        return { field, type: 'string', value: string.decode(d) };
      default:
        throw new XdrError(`typed parameter ${field} has the unknown type ${type}`);
    }
  },
};

export const typedParams = array(typedParam);

/** Builders, e.g. `param.ullong('bandwidth', 100)`. */
export const param = {
  int: (field: string, value: number): TypedParam => ({ field, type: 'int', value }),
  uint: (field: string, value: number): TypedParam => ({ field, type: 'uint', value }),
  llong: (field: string, value: number | bigint): TypedParam => ({ field, type: 'llong', value: BigInt(value) }),
  ullong: (field: string, value: number | bigint): TypedParam => ({ field, type: 'ullong', value: BigInt(value) }),
  double: (field: string, value: number): TypedParam => ({ field, type: 'double', value }),
  boolean: (field: string, value: boolean): TypedParam => ({ field, type: 'boolean', value }),
  string: (field: string, value: string): TypedParam => ({ field, type: 'string', value }),
} as const;

export type ParamRecord = Readonly<Record<string, number | boolean | string>>;

/** By name; 64-bit values become numbers (exact up to 2^53); of a repeated name the last one stays. */
export function paramRecord(params: readonly TypedParam[]): ParamRecord {
  return Object.fromEntries(
    params.map(({ field, value }) => [field, typeof value === 'bigint' ? Number(value) : value]),
  );
}
