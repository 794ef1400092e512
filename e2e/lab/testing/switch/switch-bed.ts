/**
 * Lab hosts with their drivers, and guests in network namespaces on the taps that the drivers make: a guest here costs nothing
 * and sends what it is told, forged frames too. Owns all of it and takes it away.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { attempt, type CommandResult, run } from '@kvasir/lab/command.ts';
import { Lab } from '@kvasir/lab/lab.ts';
import { besideHosts } from '@kvasir/lab/layout.ts';
import { until } from '@kvasir/lab/processes.ts';
import { testLabName } from '@kvasir/lab/test-labs.ts';
import { after, before } from 'node:test';
import { tracesOf } from '../machine-snapshot.ts';
import { type Capture, endOf, startCapture, tcpdump } from './capture.ts';
import { idOf, type Model, type ModelGuest, sliceFor } from './model.ts';
import { SwitchHost } from './switch-host.ts';

export class SwitchBed {
  readonly lab: Lab;
  readonly hosts: ReadonlyMap<string, SwitchHost>;
  readonly #children = new Set<ChildProcess>();
  readonly #namespaces = new Set<string>();
  #generation = 0;

  constructor(lab: Lab) {
    this.lab = lab;
    this.hosts = new Map(lab.hosts().map((host) => [host.name, new SwitchHost(host)]));
    for (const host of this.hosts.values()) host.start();
  }

  host(name: string): SwitchHost {
    const host = this.hosts.get(name);
    if (host === undefined) throw new Error(`no host ${name}`);
    return host;
  }

  get vteps(): Record<string, string> {
    return Object.fromEntries([...this.hosts].map(([name, { vtep }]) => [name, vtep]));
  }

  /** Tells every host its part. */
  async apply(model: Model): Promise<void> {
    this.#generation += 1;
    const generation = this.#generation;
    await Promise.all(
      [...this.hosts].map(([name, host]) => host.call({ call: 'apply', generation, slice: sliceFor(model, name) })),
    );
  }

  /** Plugs a guest in: its tap, and a namespace with the other end as eth0, with the guest's MAC and addresses. */
  async plug(
    guest: ModelGuest,
    options: { readonly prefixLength?: number; readonly mtu?: number } = {},
  ): Promise<Guest> {
    const { host } = this.host(guest.host);
    const mtu = options.mtu ?? 1450;
    const nic = {
      nicId: idOf(`nic ${guest.name}`),
      networkId: idOf(guest.network),
      macAddress: guest.macAddress,
      model: 'virtio' as const,
      mtu,
    };
    const { device } = await this.host(guest.host).call({ call: 'attach', vmId: idOf(`vm ${guest.name}`), nic });
    const namespace = await this.namespace(guest.name);
    const inner = `g${device!.slice(2)}`;
    const tap = (name: string): string => `TUN,tun-type=tap,tun-name=${name},iff-no-pi`;
    this.start(host.layout.namespace, ['socat', '-b', '65536', tap(device!), tap(inner)]);
    await until(`the guest's end of ${device}`, 10_000, async () => {
      return (await attempt(['ip', '-n', host.layout.namespace, 'link', 'show', 'dev', inner])).exitCode === 0;
    });
    await run(['ip', '-n', host.layout.namespace, 'link', 'set', 'dev', inner, 'netns', namespace, 'name', 'eth0']);
    const lines = [
      `link set dev eth0 address ${guest.macAddress} mtu ${mtu} up`,
      ...(options.prefixLength === undefined
        ? []
        : guest.addresses
            .filter((address) => !address.includes(':'))
            .map((address) => `address add ${address}/${options.prefixLength} dev eth0`)),
    ];
    await run(['ip', '-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
    return new Guest(this, guest, namespace, device!);
  }

  async namespace(name: string): Promise<string> {
    const namespace = besideHosts(this.lab.layout, name);
    await run(['ip', 'netns', 'add', namespace]);
    this.#namespaces.add(namespace);
    await run(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
    return namespace;
  }

  /** A program in a namespace that runs until it ends or the bed does. */
  start(namespace: string, argv: readonly string[], stdio: 'ignore' | 'pipe' = 'ignore'): ChildProcess {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'ip', 'netns', 'exec', namespace, ...argv], {
      stdio: [stdio, stdio, stdio],
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  async stop(): Promise<void> {
    for (const child of [...this.#children]) await endOf(child, 'SIGKILL');
    for (const host of this.hosts.values()) await host.kill();
    for (const namespace of this.#namespaces) await run(['ip', 'netns', 'del', namespace]);
  }
}

export class Guest {
  readonly namespace: string;
  readonly device: string;
  readonly guest: ModelGuest;
  readonly #bed: SwitchBed;

  constructor(bed: SwitchBed, guest: ModelGuest, namespace: string, device: string) {
    this.#bed = bed;
    this.guest = guest;
    this.namespace = namespace;
    this.device = device;
  }

  exec(...argv: readonly string[]): Promise<string> {
    return run(['ip', 'netns', 'exec', this.namespace, ...argv]);
  }

  try(...argv: readonly string[]): Promise<CommandResult> {
    return attempt(['ip', 'netns', 'exec', this.namespace, ...argv]);
  }

  start(argv: readonly string[], stdio: 'ignore' | 'pipe' = 'ignore'): ChildProcess {
    return this.#bed.start(this.namespace, argv, stdio);
  }

  async reaches(address: string): Promise<boolean> {
    return (await this.try('ping', '-c', '2', '-i', '0.2', '-W', '1', address)).exitCode === 0;
  }

  /** Whether a TCP connection opens in time. */
  async connects(address: string, port: number, timeoutSeconds = 1): Promise<boolean> {
    const to = `TCP:${address}:${port},connect-timeout=${timeoutSeconds}`;
    return (await this.try('socat', '-u', 'OPEN:/dev/null', to)).exitCode === 0;
  }

  /** Answers TCP on a port by echo. */
  async serve(port: number): Promise<void> {
    this.start(['socat', `TCP-LISTEN:${port},fork,reuseaddr`, 'EXEC:cat']);
    await until(`the server on ${port}`, 5000, async () => (await this.exec('ss', '-ltn')).includes(`:${port} `));
  }

  /** Notes every frame that arrives and matches; stop it to read the lines. */
  async capture(filter: string, device = 'eth0'): Promise<Capture> {
    return startCapture(this.start([...tcpdump, '-e', '-Q', 'in', '-i', device, filter], 'pipe'));
  }
}

/** Makes hosts with drivers before the tests of the suite and removes everything after them. */
export function useSwitchBed(hosts: number): () => SwitchBed {
  const name = testLabName();
  let bed: SwitchBed | undefined;
  before(async () => {
    bed = new SwitchBed(await Lab.up({ name, hosts }));
  });
  after(async () => {
    await bed?.stop();
    await Lab.remove(name);
    assert.deepEqual(tracesOf(name), []);
  });
  return () => {
    if (bed === undefined) throw new Error('the hosts are not up');
    return bed;
  };
}
