/**
 * A real Open vSwitch whose ports end in sockets of the test: frames go in and come out as bytes, nothing needs a kernel device.
 *
 * That *nothing* arrived can be stated without waiting: behind each frame goes a marker, which the switch hands to every port. Ports keep
 * their order, so when all markers are there, everything else is there too.
 */
import { writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { formatFlow, formatMeter } from '../../format-flow.ts';
import type { FlowTable } from '../../flow.ts';
import { TestSwitch } from '../../testing/switch.ts';
import { frameText } from './frame-text.ts';
import { ethernet, broadcastMac, nobodysMac } from './frames.ts';

const markerType = 0x88b5;
const markerMatch = `dl_type=0x${markerType.toString(16)}`;
const marker = ethernet(broadcastMac, nobodysMac, markerType, Buffer.alloc(46));

class Wire {
  readonly #server: net.Server;
  readonly #connected = Promise.withResolvers<net.Socket>();
  #rest = Buffer.alloc(0);
  #marked: PromiseWithResolvers<void> | null = null;
  frames: Buffer[] = [];

  readonly bridge: string;

  constructor(path: string, bridge: string) {
    this.bridge = bridge;
    this.#server = net.createServer((socket) => {
      socket.on('data', (data) => this.#take(data));
      socket.on('error', () => undefined);
      this.#connected.resolve(socket);
    });
    this.#server.listen(path);
  }

  async send(frame: Buffer): Promise<void> {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(frame.length);
    (await this.#connected.promise).write(Buffer.concat([length, frame]));
  }

  /** Fulfilled when the next marker has come. */
  nextMarker(): Promise<void> {
    this.#marked = Promise.withResolvers();
    return this.#marked.promise;
  }

  async close(): Promise<void> {
    this.#server.close();
    (await this.#connected.promise).destroy();
  }

  #take(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data]);
    while (this.#rest.length >= 2 && this.#rest.length >= 2 + this.#rest.readUInt16BE(0)) {
      const frame = this.#rest.subarray(2, 2 + this.#rest.readUInt16BE(0));
      this.#rest = this.#rest.subarray(2 + frame.length);
      if (frame.readUInt16BE(12) === markerType) this.#marked?.resolve();
      else this.frames.push(Buffer.from(frame));
    }
  }
}

export class FlowLab {
  readonly #switch: TestSwitch;
  readonly #wires = new Map<string, Wire>();
  readonly #loaded = new Set<number>();

  private constructor(started: TestSwitch) {
    this.#switch = started;
  }

  /** A bridge `br` with these ports, by OpenFlow port number. */
  static async start(ports: Readonly<Record<string, number>>): Promise<FlowLab> {
    const lab = new FlowLab(await TestSwitch.start({ withSwitch: true, switchArguments: ['--enable-dummy'] }));
    const settings = ['datapath_type=dummy', 'fail_mode=secure', 'protocols=[OpenFlow14,OpenFlow15]'];
    await lab.vsctl('add-br', 'br', '--', 'set', 'bridge', 'br', ...settings);
    for (const [name, ofport] of Object.entries(ports)) await lab.addPort('br', name, ofport);
    return lab;
  }

  /**
   * A bridge under the tunnel, with this address; its other end is the port `wire`. `neighbours`: address -> MAC, as ARP
   * would find out.
   */
  async addUnderlay(address: string, macAddress: string, neighbours: Readonly<Record<string, string>>): Promise<void> {
    const settings = ['datapath_type=dummy', `other-config:hwaddr="${macAddress}"`];
    await this.vsctl('add-br', 'br-phy', '--', 'set', 'bridge', 'br-phy', ...settings);
    await this.addPort('br-phy', 'wire', 1);
    await this.appctl('netdev-dummy/ip4addr', 'br-phy', `${address}/24`);
    await this.appctl('ovs/route/add', `${address.replace(/\d+$/, '0')}/24`, 'br-phy');
    for (const [peer, mac] of Object.entries(neighbours)) await this.appctl('tnl/neigh/set', 'br-phy', peer, mac);
    const management = join(this.#switch.directory, 'br-phy.mgmt');
    await this.#switch.exec(['ovs-ofctl', 'add-flow', management, `priority=65535,${markerMatch} actions=IN_PORT`]);
  }

  async addPort(bridge: 'br' | 'br-phy', name: string, ofport: number): Promise<void> {
    const path = join(this.#switch.directory, name);
    this.#wires.set(name, new Wire(path, bridge));
    const row = ['type=dummy', `options:stream=unix:${path}`, `ofport_request=${ofport}`];
    await this.vsctl('add-port', bridge, name, '--', 'set', 'interface', name, ...row);
  }

  vsctl(...args: readonly string[]): Promise<string> {
    return this.#switch.vsctl(...args);
  }

  appctl(...args: readonly string[]): Promise<string> {
    return this.#switch.exec(['ovs-appctl', '-t', join(this.#switch.directory, 'vswitchd.ctl'), ...args]);
  }

  ofctl(command: string, ...args: readonly string[]): Promise<string> {
    const management = join(this.#switch.directory, 'br.mgmt');
    return this.#switch.exec(['ovs-ofctl', '-O', 'OpenFlow15', '--bundle', command, management, ...args]);
  }

  /** Replaces everything that the bridge holds, also its connections. */
  async load(table: FlowTable): Promise<void> {
    for (const meter of table.meters) {
      await this.ofctl(this.#loaded.has(meter.meterId) ? 'mod-meter' : 'add-meter', formatMeter(meter));
      this.#loaded.add(meter.meterId);
    }
    const marked = `table=0,priority=65535,${markerMatch} actions=ALL,IN_PORT`;
    const path = join(this.#switch.directory, 'flows');
    await writeFile(path, [...table.flows.map(formatFlow), marked, ''].join('\n'));
    await this.ofctl('replace-flows', path);
    // What was cached for the old flows goes on for a moment.
    await this.appctl('revalidator/purge');
    await this.appctl('dpctl/flush-conntrack');
  }

  /** Sends, and says what came out where; ports with nothing are not named. */
  async send(port: string, frame: Buffer): Promise<Record<string, string[]>> {
    return Object.fromEntries(
      Object.entries(await this.exchange(port, frame)).map(([name, frames]) => [name, frames.map(frameText)]),
    );
  }

  /** All of `frames` at once. */
  async exchange(port: string, ...frames: readonly Buffer[]): Promise<Record<string, Buffer[]>> {
    const wire = this.#wires.get(port) as Wire;
    for (const frame of frames) await wire.send(frame);
    await this.#settle(wire);
    const other = [...this.#wires.values()].find(({ bridge }) => bridge !== wire.bridge);
    if (other !== undefined) await this.#settle(other);
    const came = [...this.#wires]
      .filter(([, { frames }]) => frames.length > 0)
      .map(([name, { frames }]) => [name, frames]);
    for (const each of this.#wires.values()) each.frames = [];
    return Object.fromEntries(came) as Record<string, Buffer[]>;
  }

  /** Everything that was sent by `wire` has come out on all ports of its bridge. */
  async #settle(wire: Wire): Promise<void> {
    const bridge = [...this.#wires.values()].filter((each) => each.bridge === wire.bridge);
    const markers = bridge.map((each) => each.nextMarker());
    await wire.send(marker);
    await Promise.all(markers);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#wires.values()].map((wire) => wire.close()));
    await this.#switch.stop();
  }
}
