import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ChildPoolIo } from './child-pool-io.ts';

it('a process for the storage that cannot be started is tried again at the next call', async () => {
  // No process can be given such a word.
  const io = new ChildPoolIo({ poolId: 'pool', path: '/nowhere\0' });
  await assert.rejects(io.exchange(null, [0]), /null bytes/);
  await assert.rejects(io.exchange(null, [0]), /null bytes/);
  io.close();
});
