import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Duplex, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { frameKind, initialWindowBytes, maxFramePayloadBytes } from '../link.ts';
import { decodeFrame, encodeFrame, encodeWindow } from './frame.ts';
import type { LinkClock } from './link.ts';
import { Streams } from './streams.ts';

const clock: LinkClock = { now: () => 0, after: () => () => {} };

/** Two ends joined directly; `log` has every message from the first to the second. */
function pair(): { one: Streams; two: Streams; log: Buffer[]; breaches: string[] } {
  const log: Buffer[] = [];
  const breaches: string[] = [];
  const deliver = (to: () => Streams) => (message: Buffer, flushed: () => void) => {
    setImmediate(() => {
      const breach = to().receive(Buffer.from(message));
      if (breach !== undefined) breaches.push(breach);
      flushed();
    });
  };
  const one: Streams = new Streams(
    (message, flushed) => {
      log.push(message);
      deliver(() => two)(message, flushed);
    },
    clock,
    'odd',
  );
  const two: Streams = new Streams(
    deliver(() => one),
    clock,
    'even',
  );
  return { one, two, log, breaches };
}

/** As `buffer`, but leaves the writing side alone: iterating over a Duplex destroys it at the end. */
async function collect(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'end');
  return Buffer.concat(chunks);
}

describe('a stream', () => {
  it('carries bytes both ways and leaves nothing behind', async () => {
    const { one, two, breaches } = pair();
    const { streamId, stream } = one.open();
    const other = two.claim(streamId);
    const content = Buffer.alloc(3_000_000, 'kvasir');
    const [there, back] = await Promise.all([
      collect(other),
      collect(stream),
      pipeline(Readable.from([content]), stream),
      pipeline(Readable.from([Buffer.from('and back')]), other),
    ]);
    assert.ok(there.equals(content));
    assert.equal(back.toString(), 'and back');
    await turn();
    assert.deepEqual([one.size, two.size, breaches], [0, 0, []]);
  });

  it('never sends more than a slow reader granted', async () => {
    const { one, two, log } = pair();
    const { streamId, stream } = one.open();
    const other = two.claim(streamId);
    stream.write(Buffer.alloc(1_000_000));
    for (let turns = 0; turns < 50; turns += 1) await turn();
    const sent = (): number =>
      log
        .map((message) => decodeFrame(message))
        .reduce(
          (sum, frame) =>
            sum + (typeof frame === 'string' || frame.kind !== frameKind.data ? 0 : frame.payload.byteLength),
          0,
        );
    assert.equal(sent(), initialWindowBytes);
    let read = 0;
    while (read < 1_000_000) {
      const chunk = other.read() as Buffer | null;
      if (chunk === null) await once(other, 'readable');
      else read += chunk.byteLength;
      assert.ok(sent() <= read + 2 * initialWindowBytes);
    }
    stream.destroy();
  });

  it('that is claimed after its first frames came has them all', async () => {
    const { one, two } = pair();
    const { streamId, stream } = one.open();
    stream.end('early');
    for (let turns = 0; turns < 5; turns += 1) await turn();
    assert.equal((await buffer(two.claim(streamId))).toString(), 'early');
    assert.throws(() => two.claim(streamId), /claimed/);
  });

  it('that one side destroys breaks on the other side, with the reason', async () => {
    const { one, two } = pair();
    const { streamId, stream } = one.open();
    const other = two.claim(streamId);
    stream.destroy(new Error('the file is gone'));
    const [error] = (await once(other, 'error')) as [Error];
    assert.match(error.message, /the file is gone/);
  });

  it('breaks with its link', async () => {
    const { one } = pair();
    const { stream } = one.open();
    one.cut('power failure');
    assert.match(stream.errored?.message ?? '', /power failure/);
  });
});

describe('frames', () => {
  it('survive encoding', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        fc.constantFrom(frameKind.data, frameKind.abort),
        fc.uint8Array({ maxLength: 100 }),
        (id, kind, payload) => {
          const frame = decodeFrame(encodeFrame(id, kind, payload));
          assert.ok(typeof frame === 'object');
          assert.deepEqual([frame.streamId, frame.kind, [...frame.payload]], [id, kind, [...payload]]);
        },
      ),
    );
  });

  it('of any bytes are taken or refused, never thrown', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), (messages) => {
        const streams = new Streams((_message, flushed) => flushed(), clock, 'even');
        for (const message of messages) {
          const breach = streams.receive(Buffer.from(message));
          assert.ok(breach === undefined || breach.length > 0);
        }
        streams.cut('end');
      }),
      { numRuns: 500 },
    );
  });

  const refused: Record<string, (streams: Streams) => string | undefined> = {
    'more data than the window': (streams) => {
      const frame = encodeFrame(1, frameKind.data, Buffer.alloc(maxFramePayloadBytes));
      streams.claim(1);
      for (let count = 0; count < 4; count += 1) assert.equal(streams.receive(frame), undefined);
      return streams.receive(frame);
    },
    'a frame that is too long': (streams) =>
      streams.receive(encodeFrame(1, frameKind.data, Buffer.alloc(maxFramePayloadBytes + 1))),
    'data after the end': (streams) => {
      streams.claim(1);
      streams.receive(encodeFrame(1, frameKind.end, Buffer.alloc(0)));
      return streams.receive(encodeFrame(1, frameKind.data, Buffer.alloc(1)));
    },
    'a frame of a stream of ours that was never opened': (streams) =>
      streams.receive(encodeFrame(8, frameKind.data, Buffer.alloc(1))),
    'a window that is far too large': (streams) => {
      streams.claim(1);
      streams.receive(encodeWindow(1, 2 ** 32 - 1));
      return streams.receive(encodeWindow(1, 2 ** 32 - 1));
    },
    'too many streams that nobody asked for': (streams) => {
      let breach: string | undefined;
      for (let id = 1; id < 1000 && breach === undefined; id += 2)
        breach = streams.receive(encodeFrame(id, frameKind.data, Buffer.alloc(1)));
      return breach;
    },
  };
  for (const [name, send] of Object.entries(refused)) {
    it(`refuse ${name}`, () => {
      const streams = new Streams((_message, flushed) => flushed(), clock, 'even');
      assert.equal(typeof send(streams), 'string');
      streams.cut('end');
    });
  }
});
