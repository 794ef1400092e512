/**
 * Whether the hosts of a cluster hear each other over the management network: a small datagram a second to each peer, which
 * answers with the number that it got. A peer is heard when it answered one of our last questions, so recorded datagrams
 * are worth nothing to whoever plays them again. All are signed with the cluster's key.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import type { Liveness, LivenessPlan } from '@kvasir/api/agent/liveness.ts';
import type { KeeperTime } from './parts.ts';

const everyMs = 1000;
const rememberedQuestions = 5;
const tagBytes = 32;
const maxBytes = 512;

interface Probe {
  readonly kind: 'ask' | 'answer';
  readonly from: string;
  readonly to: string;
  readonly nonce: string;
}

interface Peer {
  readonly hostId: string;
  readonly address: string;
  heardMs: number | null;
  readonly asked: string[];
  /** The last question is not sent yet: its address may be a name that nobody resolves. */
  sending: boolean;
}

export interface ProbesOptions {
  readonly hostId: string;
  /** Own management address, to listen on. */
  readonly address: string;
  readonly time: KeeperTime;
  readonly log: (message: string) => void;
}

export class Probes {
  readonly #options: ProbesOptions;
  #socket: Socket | null = null;
  #port: number | null = null;
  #key: Buffer | null = null;
  #peers = new Map<string, Peer>();
  #cancel: () => void = () => {};
  #problem = '';

  constructor(options: ProbesOptions) {
    this.#options = options;
  }

  apply({ peers, probePort, probeKey }: Pick<LivenessPlan, 'peers' | 'probePort' | 'probeKey'>): void {
    const before = this.#peers;
    this.#peers = new Map(
      peers.map(({ hostId, address }) => {
        const known = before.get(hostId);
        return [
          hostId,
          known?.address === address ? known : { hostId, address, heardMs: null, asked: [], sending: false },
        ];
      }),
    );
    this.#key = probeKey === null ? null : Buffer.from(probeKey, 'base64');
    const port = this.#key === null ? null : probePort;
    if (port !== this.#port || (port !== null && this.#socket === null)) this.#listen(port);
  }

  report(): Liveness['peers'] {
    const now = this.#options.time.nowMs();
    return [...this.#peers.values()].map(({ hostId, heardMs }) => ({
      hostId,
      heardMsAgo: heardMs === null ? null : Math.max(0, Math.round(now - heardMs)),
    }));
  }

  close(): void {
    this.#cancel();
    this.#socket?.close();
    this.#socket = null;
    // What was under way is not told of any more.
    for (const peer of this.#peers.values()) peer.sending = false;
  }

  #listen(port: number | null): void {
    this.close();
    this.#port = port;
    if (port === null) return;
    const socket = createSocket({ type: this.#options.address.includes(':') ? 'udp6' : 'udp4', reuseAddr: true });
    this.#socket = socket;
    socket.on('message', (datagram, from) => this.#hear(datagram, from.address, from.port));
    socket.on('error', (error) => {
      this.#complain(`peers cannot be probed: ${error.message}`);
      if (this.#socket === socket) this.#socket = null;
      socket.close();
    });
    socket.bind(port, this.#options.address);
    this.#ask();
  }

  #ask(): void {
    if (this.#socket === null && this.#port !== null) {
      this.#listen(this.#port);
      return;
    }
    for (const peer of this.#peers.values()) {
      if (peer.sending) continue;
      const nonce = randomBytes(16).toString('hex');
      peer.asked.push(nonce);
      if (peer.asked.length > rememberedQuestions) peer.asked.shift();
      const question = { kind: 'ask', from: this.#options.hostId, to: peer.hostId, nonce } as const;
      peer.sending = this.#send(question, peer.address, this.#port ?? 0, () => (peer.sending = false));
    }
    this.#cancel = this.#options.time.after(everyMs, () => this.#ask());
  }

  /** Answers whether `done` will be called. */
  #send(probe: Probe, address: string, port: number, done = (): void => {}): boolean {
    if (this.#key === null || this.#socket === null) return false;
    const content = Buffer.from(JSON.stringify(probe));
    // What cannot be sent is a peer that is not heard.
    this.#socket.send(Buffer.concat([this.#tag(content), content]), port, address, done);
    return true;
  }

  #hear(datagram: Buffer, address: string, port: number): void {
    if (this.#key === null || datagram.length <= tagBytes || datagram.length > maxBytes) return;
    // Nothing can be sent there, but a recorded datagram can be made to come from there.
    if (port === 0) return;
    const content = datagram.subarray(tagBytes);
    if (!timingSafeEqual(datagram.subarray(0, tagBytes), this.#tag(content))) return;
    const probe = JSON.parse(content.toString()) as Probe;
    const peer = this.#peers.get(probe.from);
    if (peer === undefined || probe.to !== this.#options.hostId) return;
    if (probe.kind === 'ask') {
      this.#send({ kind: 'answer', from: this.#options.hostId, to: probe.from, nonce: probe.nonce }, address, port);
    } else if (peer.asked.includes(probe.nonce)) peer.heardMs = this.#options.time.nowMs();
  }

  #tag(content: Buffer): Buffer {
    return createHmac('sha256', this.#key!).update(content).digest();
  }

  #complain(problem: string): void {
    if (problem !== this.#problem) this.#options.log(problem);
    this.#problem = problem;
  }
}
