/** Hosts hear each other, and nobody else. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import dns from 'node:dns';
import { afterEach, describe, it, mock } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { sendFromPortZero } from '../testing/port-zero.ts';
import { Probes } from './probes.ts';

const key = randomBytes(32).toString('base64');
const time = {
  nowMs: () => performance.now(),
  after: (ms: number, work: () => void) => {
    const timer = setTimeout(work, ms / 20);
    return () => clearTimeout(timer);
  },
};

function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  return new Promise((resolve) => {
    socket.bind(0, '127.0.0.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}

async function until(condition: () => boolean): Promise<void> {
  for (const end = performance.now() + 5000; performance.now() < end; await delay(5)) if (condition()) return;
  throw new Error('not within 5 s');
}

describe('probes', () => {
  const open: Probes[] = [];
  afterEach(() => {
    for (const probes of open.splice(0)) probes.close();
  });
  /** Each on an address of its own, as hosts are. */
  const probing = (hostId: string, address: string, peer: string, at: string, port: number, probeKey = key): Probes => {
    const probes = new Probes({ hostId, address, time, log: () => {} });
    open.push(probes);
    probes.apply({ peers: [{ hostId: peer, name: peer, address: at, slot: 0 }], probePort: port, probeKey });
    return probes;
  };
  const heard = (probes: Probes): number | null => probes.report()[0]?.heardMsAgo ?? null;

  it('of two hosts with one key are heard, until one falls silent', async () => {
    const port = await freePort();
    const one = probing('h1', '127.0.0.1', 'h2', '127.0.0.2', port);
    assert.equal(heard(one), null);
    const two = probing('h2', '127.0.0.2', 'h1', '127.0.0.1', port);
    await until(() => heard(one) !== null && heard(two) !== null);
    two.close();
    await until(() => (heard(one) ?? 0) > 300);
  });

  it('signed with another key are not heard', async () => {
    const port = await freePort();
    const one = probing('h1', '127.0.0.1', 'h2', '127.0.0.2', port);
    const two = probing('h2', '127.0.0.2', 'h1', '127.0.0.1', port, randomBytes(32).toString('base64'));
    await delay(300);
    assert.deepEqual([heard(one), heard(two)], [null, null]);
  });

  it('that were recorded are worth nothing', async () => {
    const port = await freePort();
    const recorded: Buffer[] = [];
    const tap = createSocket('udp4');
    await new Promise<void>((resolve) => tap.bind(port, '127.0.0.2', resolve));
    tap.on('message', (datagram) => recorded.push(datagram));
    const one = probing('h1', '127.0.0.1', 'h2', '127.0.0.2', port);
    await until(() => recorded.length > 2);
    for (const datagram of recorded) tap.send(datagram, port, '127.0.0.1');
    tap.send('x'.repeat(100), port, '127.0.0.1');
    await delay(100);
    assert.equal(heard(one), null);
    tap.close();
  });

  it('that come from no port are not answered, and do no harm', async () => {
    const port = await freePort();
    const recorded: Buffer[] = [];
    const tap = createSocket('udp4');
    await new Promise<void>((resolve) => tap.bind(port, '127.0.0.2', resolve));
    const one = probing('h1', '127.0.0.1', 'h2', '127.0.0.2', port);
    const two = probing('h2', '127.0.0.3', 'h1', '127.0.0.2', port);
    tap.on('message', (datagram, from) => void (from.address === '127.0.0.3' && recorded.push(datagram)));
    await until(() => recorded.length > 0);
    await sendFromPortZero(recorded[0]!, '127.0.0.3', { address: '127.0.0.1', port });
    two.close();
    tap.close();
    const late = probing('h2', '127.0.0.2', 'h1', '127.0.0.1', port);
    await until(() => heard(one) !== null && heard(late) !== null);
  });

  it('wait for a name that nobody resolves, instead of piling up behind it', async () => {
    const port = await freePort();
    const { lookup } = dns;
    let open = 0;
    const hanging = mock.method(dns, 'lookup', (...args: Parameters<typeof lookup>) => {
      if (args[0] === 'h3.example') open += 1;
      else lookup(...args);
    });
    const one = new Probes({ hostId: 'h1', address: '127.0.0.1', time, log: () => {} });
    const two = probing('h2', '127.0.0.2', 'h1', '127.0.0.1', port);
    const peers = [
      { hostId: 'h2', name: 'h2', address: '127.0.0.2', slot: 1 },
      { hostId: 'h3', name: 'h3', address: 'h3.example', slot: 2 },
    ];
    one.apply({ peers, probePort: port, probeKey: key });
    await until(() => heard(one) !== null && heard(two) !== null);
    await delay(500);
    assert.equal(open, 1);
    assert.ok((heard(one) ?? Number.POSITIVE_INFINITY) < 300);
    // On another port everybody is asked anew.
    one.apply({ peers, probePort: await freePort(), probeKey: key });
    await until(() => open === 2);
    one.close();
    hanging.mock.restore();
  });
});
