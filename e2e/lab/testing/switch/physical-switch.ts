/**
 * The physical switch that the hosts' spare NICs are plugged into: an Open vSwitch in a namespace of its own, which learns MACs, knows
 * VLANs and speaks LACP as a rack's switch does. Owns it, the cables' far ends and the machines beside the hosts.
 */
import { spawn } from 'node:child_process';
import { attempt, run } from '@kvasir/lab/command.ts';
import type { Lab } from '@kvasir/lab/lab.ts';
import { besideHosts, spareCables } from '@kvasir/lab/layout.ts';
import { TestSwitch } from '@kvasir/ovs/testing/switch.ts';
import { type Capture, startCapture, tcpdump } from './capture.ts';

const bridge = 'rack';

export class PhysicalSwitch {
  readonly #ovs: TestSwitch;
  readonly #lab: Lab;
  readonly #machines = new Map<string, string>();

  private constructor(ovs: TestSwitch, lab: Lab) {
    this.#ovs = ovs;
    this.#lab = lab;
  }

  static async start(lab: Lab): Promise<PhysicalSwitch> {
    const ovs = await TestSwitch.start();
    await ovs.vsctl('add-br', bridge, '--', 'set', 'Bridge', bridge, 'datapath_type=netdev');
    return new PhysicalSwitch(ovs, lab);
  }

  async stop(): Promise<void> {
    for (const namespace of this.#machines.values()) await attempt(['ip', 'netns', 'del', namespace]);
    await this.#ovs.stop();
  }

  /** Takes the far ends of a host's spare cables, all VLANs on each. Answers its ports. */
  async plug(host: string, cables: number): Promise<string[]> {
    const ports = spareCables(cables, host).map(({ port }) => port);
    for (const port of ports) {
      const fabric = this.#lab.layout.fabricNamespace;
      await run(['ip', '-n', fabric, 'link', 'set', 'dev', port, 'netns', this.#ovs.namespacePath]);
      await this.#ovs.exec(['ip', 'link', 'set', 'dev', port, 'up']);
      await this.#ovs.vsctl('add-port', bridge, port);
    }
    return ports;
  }

  /** Makes two ports one by LACP, which only the right partner talks to. */
  async aggregate(ports: readonly string[]): Promise<void> {
    const name = `lag-${ports[0]}`;
    const removals = ports.flatMap((port) => ['--', 'del-port', bridge, port]);
    const settings = ['lacp=active', 'bond_mode=balance-tcp', 'other_config:lacp-time=fast'];
    await this.#ovs.vsctl(...removals.slice(1), '--', 'add-bond', bridge, name, ...ports, ...settings);
  }

  /** Pulls a cable out or plugs it in: the host sees its carrier go or come. */
  async setCable(port: string, state: 'in' | 'out'): Promise<void> {
    await this.#ovs.exec(['ip', 'link', 'set', 'dev', port, state === 'in' ? 'up' : 'down']);
  }

  /** A machine that is no host, on an access port. `address` has a prefix length. Answers its namespace. */
  async addMachine(name: string, vlan: number, address: string): Promise<string> {
    const namespace = besideHosts(this.#lab.layout, name);
    await run(['ip', 'netns', 'add', namespace]);
    this.#machines.set(name, namespace);
    await run(['ip', '-n', namespace, '-batch', '-'], {
      input: [
        `link add eth0 type veth peer name ${name} netns ${this.#ovs.namespacePath}`,
        'link set dev lo up',
        `address add ${address} dev eth0`,
        'link set dev eth0 up',
        '',
      ].join('\n'),
    });
    await run(['ip', 'netns', 'exec', namespace, 'ethtool', '-K', 'eth0', 'tx', 'off']);
    await this.#ovs.exec(['ethtool', '-K', name, 'tx', 'off']);
    await this.#ovs.exec(['ip', 'link', 'set', 'dev', name, 'up']);
    await this.#ovs.vsctl('add-port', bridge, name, `tag=${vlan}`);
    return namespace;
  }

  async reaches(machine: string, address: string): Promise<boolean> {
    const ping = ['ping', '-c', '2', '-i', '0.2', '-W', '1', address];
    return (await attempt(['ip', 'netns', 'exec', this.#machines.get(machine)!, ...ping])).exitCode === 0;
  }

  /** What is on a cable, in both directions. */
  async capture(port: string, filter: string): Promise<Capture> {
    const listen = [...tcpdump, '-e', '-i', port, filter];
    const argv = ['setpriv', '--pdeathsig', 'KILL', ...this.#ovs.inside(listen)];
    return startCapture(spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] }));
  }
}
