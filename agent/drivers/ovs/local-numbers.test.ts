import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { emptySlice } from '@kvasir/api/agent/network-slice.ts';
import { LocalNumbers } from './local-numbers.ts';

const directory = await mkdtemp(join(tmpdir(), 'kvasir-numbers-'));
after(() => rm(directory, { recursive: true }));

it('numbers outlive a restart, and a freed one is not given away at once', async () => {
  const path = join(directory, 'numbers.json');
  const first = await new LocalNumbers(path).allocate(new Set(['a', 'b']), emptySlice);
  const numbers = new LocalNumbers(path);
  const again = await numbers.allocate(new Set(['b', 'c']), emptySlice);
  assert.equal(again.ports.get('b'), first.ports.get('b'));
  assert.equal(again.ports.has('a'), false);
  assert.ok(![...first.ports.values()].includes(again.ports.get('c')!), 'a new number');
  const later = await numbers.allocate(new Set(['b', 'c', 'a']), emptySlice);
  assert.equal(new Set(later.ports.values()).size, 3);
  assert.notEqual(later.ports.get('a'), first.ports.get('a'));
});
