/**
 * Questions and orders to ovs-vswitchd itself: what `ovs-appctl` does, without a process for each. One connection a call:
 * commands are rare, and a switch that was restarted listens on another socket.
 */
import { readdir } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { JsonStream } from './json-stream.ts';

export type UnixctlErrorKind = 'not connected' | 'no answer' | 'refused';

export class UnixctlError extends Error {
  readonly kind: UnixctlErrorKind;

  constructor(kind: UnixctlErrorKind, message: string) {
    super(message);
    this.name = 'UnixctlError';
    this.kind = kind;
  }
}

export interface UnixctlOptions {
  /** Where the switch's sockets are, `/run/openvswitch`. */
  readonly runDirectory: string;
  readonly timeoutMs?: number;
}

/** `ovs-vswitchd.<pid>.ctl`; the number is missing where the socket was named on the command line. */
const socketName = /vswitchd(\.\d+)?\.ctl$/;
const defaultTimeoutMs = 10_000;

export class Unixctl {
  readonly #runDirectory: string;
  readonly #timeoutMs: number;

  constructor({ runDirectory, timeoutMs = defaultTimeoutMs }: UnixctlOptions) {
    this.#runDirectory = runDirectory;
    this.#timeoutMs = timeoutMs;
  }

  /** Answers what the command prints. `ovs-appctl list-commands` lists them. @throws UnixctlError */
  async call(command: string, ...args: readonly string[]): Promise<string> {
    const socket = await this.#connect();
    try {
      return await this.#ask(socket, command, args);
    } finally {
      socket.destroy();
    }
  }

  /**
   * What the pipeline does with a packet, such as `in_port=1,tcp,nw_src=…`, table by table, to be read with `parseTrace`.
   * Nothing is sent. `ctStates`: what the first, second … conntrack is to find; default: `trk,new`.
   * @throws UnixctlError
   */
  trace(bridge: string, flow: string, ctStates: readonly string[] = []): Promise<string> {
    return this.call('ofproto/trace', bridge, flow, ...ctStates.flatMap((state) => ['--ct-next', state]));
  }

  /** LACP as negotiated, of one bond or of all. */
  showLacp(bond?: string): Promise<string> {
    return this.call('lacp/show', ...(bond === undefined ? [] : [bond]));
  }

  showBond(bond?: string): Promise<string> {
    return this.call('bond/show', ...(bond === undefined ? [] : [bond]));
  }

  /** Forgets the cached decisions, so that a change of mirrors counts for streams that run. */
  async purgeRevalidators(): Promise<void> {
    await this.call('revalidator/purge');
  }

  /** Tells the user-space switch the MAC of a tunnel's far end, which it would have to ask for with the first packet. */
  async setTunnelNeighbor(bridge: string, address: string, macAddress: string): Promise<void> {
    await this.call('tnl/neigh/set', bridge, address, macAddress);
  }

  /** After a kill the socket of the one before may still lie there: the one that answers counts. */
  async #connect(): Promise<net.Socket> {
    const names = await readdir(this.#runDirectory).catch(() => []);
    for (const name of names.filter((file) => socketName.test(file))) {
      const socket = await connectTo(join(this.#runDirectory, name));
      if (socket !== null) return socket;
    }
    throw new UnixctlError('not connected', `no ovs-vswitchd answers in ${this.#runDirectory}`);
  }

  #ask(socket: net.Socket, command: string, args: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      const fail = (kind: UnixctlErrorKind, message: string) => reject(new UnixctlError(kind, message));
      const stream = new JsonStream();
      socket.setTimeout(this.#timeoutMs, () => fail('no answer', `${command} took more than ${this.#timeoutMs} ms`));
      socket.on('error', (error) => fail('no answer', `${command}: ${error.message}`));
      socket.on('close', () => fail('no answer', `ovs-vswitchd went away before it answered ${command}`));
      socket.on('data', (chunk) => {
        try {
          const [answer] = stream.push(chunk) as { readonly result?: unknown; readonly error?: unknown }[];
          if (answer === undefined) return;
          if (answer.error === null || answer.error === undefined) resolve(String(answer.result ?? ''));
          else fail('refused', `${command}: ${String(answer.error).trim()}`);
        } catch {
          fail('no answer', `${command}: ovs-vswitchd answers no JSON`);
        }
      });
      socket.write(JSON.stringify({ id: 0, method: command, params: args }));
    });
  }
}

function connectTo(path: string): Promise<net.Socket | null> {
  return new Promise((resolve) => {
    const socket = net.connect(path);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', () => resolve(null));
  });
}
