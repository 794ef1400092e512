/**
 * A real Open vSwitch (user space) between two network namespaces that stand for two guests, once as a plain learning bridge and
 * once for each variant of our pipeline: every path has a NIC of its own at both ends, so all are there at the same time and can
 * be measured in turn. Nothing reaches beyond the namespaces; they end with this process.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { FlowTable } from '@kvasir/ovs/flow.ts';
import { FlowClient } from '@kvasir/ovs/openflow/client.ts';
import { TestSwitch } from '@kvasir/ovs/testing/switch.ts';
import { type ProcessUsage, processUsage } from '../process-usage.ts';
import type { Received } from './traffic-program.ts';

const run = promisify(execFile);
const program = join(import.meta.dirname, 'traffic-program.ts');
const waitMs = 20_000;

/** `flows` null: a plain bridge that learns MACs. */
export interface Path {
  readonly name: string;
  readonly flows: FlowTable | null;
}

export const ends = ['a', 'b'] as const;
export type End = (typeof ends)[number];
/** OpenFlow port numbers on every bridge. */
export const endPorts = { a: 11, b: 12 } as const;

export function endAddress(path: number, end: End): string {
  return `10.77.${path}.${endPorts[end]}`;
}

export function endMac(path: number, end: End): string {
  return `52:54:00:77:0${path}:${endPorts[end]}`;
}

export class TwoHosts {
  readonly #switch: TestSwitch;
  readonly #namespaces: Readonly<Record<End, ChildProcess>>;
  readonly #receivers: ChildProcess[] = [];

  private constructor(started: TestSwitch) {
    this.#switch = started;
    this.#namespaces = { a: namespace(), b: namespace() };
  }

  static async start(paths: readonly Path[]): Promise<TwoHosts> {
    const made = new TwoHosts(await TestSwitch.start());
    try {
      for (const end of ends) await until(() => isOwn(made.#namespaces[end]), 'a namespace exists');
      for (const [index, path] of paths.entries()) await made.#path(index, path);
      return made;
    } catch (error) {
      await made.stop();
      throw error;
    }
  }

  /** The switch's processor time, over all paths. */
  usage(): Promise<ProcessUsage> {
    return processUsage(this.#switch.switchPid);
  }

  /** Sends on one path for so long; the receiver, which stays, says what came. */
  async receiver(path: number): Promise<(ms: number) => Promise<Received>> {
    const child = this.#node('b', ['receive', endAddress(path, 'b')]);
    this.#receivers.push(child);
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    if ((await lines.next()).value !== 'ready') throw new Error('the receiver did not start');
    return async (ms) => {
      const sender = this.#node('a', ['send', endAddress(path, 'b'), String(ms)]);
      const [code] = await once(sender, 'exit');
      if (code !== 0) throw new Error(`the sender ended with ${code}`);
      return JSON.parse(String((await lines.next()).value)) as Received;
    };
  }

  async stop(): Promise<void> {
    for (const child of [...this.#receivers, this.#namespaces.a, this.#namespaces.b]) await ended(child);
    await this.#switch.stop();
  }

  async #path(index: number, { flows }: Path): Promise<void> {
    const bridge = `br${index}`;
    const settings = ['datapath_type=netdev', `fail_mode=${flows === null ? 'standalone' : 'secure'}`];
    await this.#switch.vsctl('add-br', bridge, '--', 'set', 'bridge', bridge, ...settings);
    for (const end of ends) await this.#connect(index, bridge, end);
    if (flows === null) return;
    const client = await FlowClient.open({ socketPath: join(this.#switch.directory, `${bridge}.mgmt`) });
    await client.replace(flows);
    client.close();
  }

  async #connect(index: number, bridge: string, end: End): Promise<void> {
    const [inside, outside] = [`eth${index}`, `p${index}${end}`];
    const peer = ['peer', 'name', inside, 'netns', String(this.#namespaces[end].pid)];
    await this.#switch.exec(['ip', 'link', 'add', outside, 'type', 'veth', ...peer]);
    // A user-space switch takes packets as they are: checksums must be there, and its own kernel must not answer.
    await this.#switch.exec(['ethtool', '-K', outside, 'tx', 'off']);
    await this.#switch.exec(['ip', 'link', 'set', outside, 'addrgenmode', 'none', 'up']);
    await this.#switch.exec(['nft', 'add', 'table', 'netdev', 'bench']);
    const hook = `{ type filter hook ingress device ${outside} priority 0; policy drop; }`;
    await this.#switch.exec(['nft', `add chain netdev bench ${outside} ${hook}`]);
    await this.#inside(end, ['ethtool', '-K', inside, 'tx', 'off']);
    await this.#inside(end, ['ip', 'link', 'set', inside, 'address', endMac(index, end), 'up']);
    await this.#inside(end, ['ip', 'address', 'add', `${endAddress(index, end)}/24`, 'dev', inside]);
    const row = [`ofport_request=${endPorts[end]}`];
    await this.#switch.vsctl('add-port', bridge, outside, '--', 'set', 'interface', outside, ...row);
  }

  async #inside(end: End, argv: readonly string[]): Promise<void> {
    const [file, ...args] = this.#enter(end, argv);
    await run(file!, args);
  }

  #node(end: End, args: readonly string[]): ChildProcess {
    const [file, ...rest] = this.#enter(end, [process.execPath, program, ...args]);
    return spawn('setpriv', ['--pdeathsig', 'KILL', file!, ...rest], { stdio: ['ignore', 'pipe', 'inherit'] });
  }

  #enter(end: End, argv: readonly string[]): string[] {
    return ['nsenter', `--net=/proc/${this.#namespaces[end].pid}/ns/net`, '--', ...argv];
  }
}

function namespace(): ChildProcess {
  return spawn('setpriv', ['--pdeathsig', 'KILL', 'unshare', '--net', 'sleep', 'infinity'], { stdio: 'ignore' });
}

async function isOwn({ pid }: ChildProcess): Promise<boolean> {
  return (await readlink(`/proc/${pid}/ns/net`)) !== (await readlink('/proc/self/ns/net'));
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

async function until(check: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + waitMs;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`it did not happen in time that ${what}`);
    await delay(10);
  }
}
