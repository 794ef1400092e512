import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { pieces } from './documents.ts';

const self = (item: string): string => item;
const items = fc.uniqueArray(fc.uuid(), { minLength: 1, maxLength: 200 });

describe('pieces of a list', () => {
  it('are the list, in its order', () => {
    fc.assert(fc.property(items, (list) => assert.deepEqual(pieces(list, 16, self).flat(), list)));
  });

  it('change only where an item comes or goes', () => {
    fc.assert(
      fc.property(items, fc.nat(), (list, at) => {
        const without = list.toSpliced(at % list.length, 1);
        const known = new Set(pieces(without, 16, self).map((piece) => piece.join()));
        const fresh = pieces(list, 16, self).filter((piece) => !known.has(piece.join()));
        // An item that ends a piece cuts one in two.
        assert.ok(fresh.length <= 2, `${fresh.length} new pieces`);
      }),
    );
  });

  it('are about as long as asked for, also of addresses that follow one another', () => {
    const addresses = Array.from({ length: 4000 }, (_, n) => `10.0.${n >> 8}.${n & 255}`);
    const count = pieces(addresses, 32, self).length;
    assert.ok(count > 90 && count < 170, `${count} pieces of 125`);
  });
});
