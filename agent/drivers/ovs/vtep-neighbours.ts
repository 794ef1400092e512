/**
 * A user-space switch that does not know the MAC of a tunnel's far end asks for it and drops the packet that needed it. So the host's
 * kernel is made to ask beforehand (by a datagram to nobody), and the switch is told what the kernel learned.
 */
import { createSocket } from 'node:dgram';
import { setTimeout as delay } from 'node:timers/promises';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import type { RunProgram } from '../program.ts';

export interface VtepNeighboursOptions {
  readonly ownAddress: string;
  /** The bridge with the tunnel's address. */
  readonly bridge: string;
  readonly run: RunProgram;
  readonly tellSwitch: (vtep: string, macAddress: string) => Promise<void>;
}

/** "Discard": nobody listens. */
const port = 9;
const patienceMs = 3000;
const lookEveryMs = 50;

export class VtepNeighbours {
  readonly #options: VtepNeighboursOptions;
  #life = '';
  #known = new Set<string>();

  constructor(options: VtepNeighboursOptions) {
    this.#options = options;
  }

  /** Goes on by itself; a far end that does not answer is tried again at the next call. @param life changes when the switch has forgotten */
  meet(slice: NetworkSlice, life: string): void {
    if (life !== this.#life) this.#known = new Set();
    this.#life = life;
    const known = this.#known;
    const unknown = [...vtepsOf(slice)].filter((vtep) => vtep !== this.#options.ownAddress && !known.has(vtep));
    if (unknown.length === 0) return;
    for (const vtep of unknown) known.add(vtep);
    this.#learn(new Set(unknown)).then(
      (left) => left.forEach((vtep) => known.delete(vtep)),
      () => unknown.forEach((vtep) => known.delete(vtep)),
    );
  }

  /** Answers those that could not be learned. */
  async #learn(left: Set<string>): Promise<ReadonlySet<string>> {
    await sendTo([...left], this.#options.ownAddress);
    const { run, bridge, tellSwitch } = this.#options;
    const deadline = performance.now() + patienceMs;
    while (left.size > 0 && performance.now() < deadline) {
      const { stdout } = await run('ip', ['-json', 'neigh', 'show', 'dev', bridge]);
      const entries = JSON.parse(stdout === '' ? '[]' : stdout) as { readonly dst: string; readonly lladdr?: string }[];
      for (const { dst, lladdr } of entries) {
        if (lladdr === undefined || !left.has(dst)) continue;
        await tellSwitch(dst, lladdr);
        left.delete(dst);
      }
      if (left.size > 0) await delay(lookEveryMs);
    }
    return left;
  }
}

function sendTo(vteps: readonly string[], ownAddress: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    let open = vteps.length;
    // Binding is refused where the address is not there yet: then there is nobody to ask from.
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind({ address: ownAddress }, () => {
      for (const vtep of vteps) {
        socket.send(Buffer.alloc(1), port, vtep, () => {
          open -= 1;
          if (open > 0) return;
          socket.close();
          resolve();
        });
      }
    });
  });
}

function vtepsOf({ networks, routers }: NetworkSlice): Set<string> {
  return new Set([
    ...networks.flatMap((network) => [
      ...network.memberVteps,
      ...network.externalVteps,
      ...network.remotePorts.flatMap(({ vteps }) => vteps),
    ]),
    ...routers.flatMap(({ gateway }) => gateway?.vtep ?? []),
  ]);
}
