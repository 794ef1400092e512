/** Slots in a file: what was written is read by others, and whatever is not surely ours is not taken for it. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { FileLeaseStore, leaseFileName } from './file-store.ts';
import { Observations } from './observation.ts';
import { isNeverKept, NothingWrittenError } from './parts.ts';
import { decodeSlot, encodeSlot, type LeaseRecord, type Slot, slotBytes } from './record.ts';

function record(changes: Partial<LeaseRecord> = {}): LeaseRecord {
  return { hostId: 'h1', counter: 1, bootId: 'b1', guarded: true, leaseMs: 9000, ...changes };
}

describe('a lease file', () => {
  const poolId = randomUUID();
  let directory: string;
  beforeEach(() => {
    // Not below /tmp, which may be a file system in memory, without direct access.
    directory = mkdtempSync('/var/tmp/kvasir-lease-');
    writeFileSync(join(directory, '.kvasir-pool'), `${poolId}\n`);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('shows each host what the others wrote, and nothing where nobody did', () => {
    const [one, two] = [new FileLeaseStore(directory, poolId), new FileLeaseStore(directory, poolId)];
    assert.deepEqual(one.exchange(null, [0, 7]), [{ kind: 'empty' }, { kind: 'empty' }]);
    one.exchange({ slot: 0, record: record() }, []);
    const other = record({ hostId: 'h2', counter: 5 });
    assert.deepEqual(two.exchange({ slot: 200, record: other }, [200, 0, 1]), [
      { kind: 'record', record: other },
      { kind: 'record', record: record() },
      { kind: 'empty' },
    ]);
  });

  it('is not used below a mount that is missing, or of another pool', () => {
    const store = new FileLeaseStore(directory, randomUUID());
    assert.throws(() => store.exchange({ slot: 0, record: record() }, []), NothingWrittenError);
    rmSync(join(directory, '.kvasir-pool'));
    const own = new FileLeaseStore(directory, poolId);
    assert.throws(() => own.exchange({ slot: 0, record: record() }, []), NothingWrittenError);
  });

  it('is refused on a file system without direct access', () => {
    const memory = mkdtempSync('/dev/shm/kvasir-lease-');
    try {
      writeFileSync(join(memory, '.kvasir-pool'), poolId);
      const store = new FileLeaseStore(memory, poolId);
      try {
        // Newer kernels do have direct access in memory.
        store.exchange({ slot: 0, record: record() }, []);
      } catch (error) {
        assert.ok(error instanceof NothingWrittenError && error.isUnsupported && isNeverKept(error.message));
      }
    } finally {
      rmSync(memory, { recursive: true, force: true });
    }
  });

  it('says of a torn slot that it cannot be told', () => {
    const store = new FileLeaseStore(directory, poolId);
    store.exchange({ slot: 1, record: record() }, []);
    const file = openSync(join(directory, leaseFileName), 'r+');
    writeSync(file, 'X', slotBytes + 100);
    closeSync(file);
    assert.deepEqual(store.exchange(null, [1]), [{ kind: 'torn' }]);
  });
});

describe('a slot', () => {
  it('with any one byte changed is torn', () => {
    const bytes = new Uint8Array(slotBytes);
    encodeSlot(record(), bytes);
    const length = bytes.indexOf(0);
    for (let at = 0; at < length - 1; at += 1) {
      const changed = Uint8Array.from(bytes);
      changed[at] = changed[at]! ^ 1;
      assert.equal(decodeSlot(changed).kind, 'torn', `byte ${at}`);
    }
  });
});

describe('an observation', () => {
  const shown = (changes: Partial<LeaseRecord> = {}): Slot => ({ kind: 'record', record: record(changes) });
  const unchanged = (seen: Observations): number | undefined => seen.all(10_000)[0]?.unchangedMs;

  it('counts from the end of the first read to the start of the last', () => {
    const seen = new Observations();
    seen.take('h1', shown(), 0, 50);
    assert.equal(unchanged(seen), 0);
    seen.take('h1', shown(), 1000, 5000);
    assert.equal(unchanged(seen), 950);
    seen.take('h1', shown({ counter: 2 }), 6000, 6010);
    assert.equal(unchanged(seen), 0);
  });

  it('begins anew after a read that could not be told, and grows only with reads', () => {
    const seen = new Observations();
    seen.take('h1', shown(), 0, 10);
    seen.take('h1', shown(), 5000, 5010);
    seen.take('h1', { kind: 'torn' }, 6000, 6010);
    seen.take('h1', shown(), 7000, 7010);
    assert.equal(unchanged(seen), 990);
  });

  it('tells since when nothing was read any more', () => {
    const seen = new Observations();
    seen.take('h1', shown(), 0, 10);
    seen.take('h1', shown(), 1000, 1010);
    assert.equal(seen.all(9000)[0]?.readMsAgo, 8000);
  });

  it('takes no other host’s record for its own', () => {
    const seen = new Observations();
    seen.take('h1', shown({ hostId: 'h9' }), 0, 10);
    assert.deepEqual(seen.all(10), []);
  });
});
