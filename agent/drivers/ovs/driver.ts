/**
 * The network driver on Open vSwitch: a tap in the kernel and a port on the integration bridge for each NIC, and the distributed
 * switch's flows around them. Taps are this file's; everything in the switch is the keeper's, which is told what is plugged in.
 *
 * A port without a place in the slice is plugged in but forwards nothing.
 */
import { isIP } from 'node:net';
import { dirname } from 'node:path';
import type { ParamsOf } from '@kvasir/api/agent/method.ts';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import type { NetworkChanged } from '@kvasir/api/agent/link.ts';
import type { networkTrace, PortCounters, PortCuts, TraceResult } from '@kvasir/api/agent/network.ts';
import type { NicSpec } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { OvsdbClient } from '@kvasir/ovs/ovsdb-client.ts';
import { OvsdbError } from '@kvasir/ovs/ovsdb-operations.ts';
import { optionalString, record } from '@kvasir/ovs/ovsdb-values.ts';
import { Unixctl } from '@kvasir/ovs/unixctl.ts';
import { KeyedLock } from '../../keyed-lock.ts';
import type { FunctionState, NetworkDriver, Port, PortDevice, VmMetadata } from '../network.ts';
import { type RunProgram, runProgram } from '../program.ts';
import { withoutGateways } from '../without-gateways.ts';
import { readPhysicalFunctions } from './sriov/physical-functions.ts';
import { VirtualFunctions } from './sriov/virtual-functions.ts';
import { portCounters } from './counters.ts';
import { deviceName } from './device-name.ts';
import { wantedFunction } from './direct-port.ts';
import { ExternalNeighbours } from './external-neighbours.ts';
import { FlowChannel } from './flow-channel.ts';
import { HostKernel, switchLife } from './host-kernel.ts';
import { LocalNumbers } from './local-numbers.ts';
import { readNics, uplinkReport } from './network-report.ts';
import { PacketAnswers } from './packet-answers.ts';
import { PendingCuts } from './pending-cuts.ts';
import { pluggedNics } from './rows/plugged-nics.ts';
import { bondName, type PluggedNic } from './rows/wanted-switch.ts';
import { Services } from './services.ts';
import { SwitchKeeper } from './switch-keeper.ts';
import { listTaps, makeTap, removeTap, tapInOrder } from './tap.ts';
import { traceFlow, traceResult } from './trace.ts';
import { VtepNeighbours } from './vtep-neighbours.ts';

export interface OvsNetworkOptions {
  /** Default `/run/openvswitch/db.sock`; the switch's other sockets are beside it. */
  readonly socketPath?: string;
  /** Integration bridge, made when it is missing; default `br-int`. */
  readonly bridge?: string;
  /** Of bridges that are made here; default `system` (the kernel's switch), `netdev` switches in user space. */
  readonly datapathType?: 'system' | 'netdev';
  /** The administrator's bridge to the physical network. */
  readonly uplinkBridge?: string;
  /** Of this host's tunnels, plain or with a prefix length. */
  readonly tunnelAddress?: string;
  /** Where numbers are kept over restarts; default: nowhere, for tests. */
  readonly numbersFile?: string;
  /** Where cut sessions are kept until the manager knows them; default: nowhere, for tests. */
  readonly cutsFile?: string;
  /** What guests are told of themselves; default: no metadata and no names are served. */
  readonly metadataOf?: (vmId: string) => VmMetadata | undefined;
  /** How `ip` and `nft` are run; for tests that work in a network namespace of their own. */
  readonly run?: RunProgram;
  /** Where devices that can be divided are read; for tests without such hardware. */
  readonly sysfs?: string;
  /** Of one request to the database or one change of the switch; default 30 s. */
  readonly timeoutMs?: number;
  readonly log?: (message: string, error?: unknown) => void;
}

export class OvsNetworkDriver implements NetworkDriver {
  readonly #db: OvsdbClient;
  readonly #keeper: SwitchKeeper;
  readonly #flows: FlowChannel;
  readonly #answers: PacketAnswers;
  readonly #services: Services | null;
  readonly #neighbours: ExternalNeighbours;
  readonly #run: RunProgram;
  readonly #sysfs: string | undefined;
  readonly #functions: VirtualFunctions;
  readonly #lock = new KeyedLock();
  readonly #timeoutMs: number;
  readonly #hush: boolean;
  readonly #control: Unixctl;
  readonly #bridge: string;
  readonly #cuts: PendingCuts;
  readonly #tunnelAddress: string | null;
  #generation: number | null = null;
  #known: Promise<void> | null = null;

  constructor(options: OvsNetworkOptions = {}) {
    const socketPath = options.socketPath ?? '/run/openvswitch/db.sock';
    const datapathType = options.datapathType ?? 'system';
    const bridge = options.bridge ?? 'br-int';
    const uplinkBridge = options.uplinkBridge ?? null;
    const [tunnelAddress = null] = options.tunnelAddress?.split('/') ?? [];
    if (tunnelAddress !== null && isIP(tunnelAddress) === 0) throw new TypeError(`${tunnelAddress} is no address`);
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#hush = datapathType === 'netdev';
    this.#tunnelAddress = tunnelAddress;
    this.#run = options.run ?? runProgram;
    this.#sysfs = options.sysfs;
    const plugged = () => [...this.#keeper.plugged.values()].map(({ macAddress }) => macAddress);
    this.#functions = new VirtualFunctions(this.#run, plugged, options.sysfs);
    this.#db = new OvsdbClient({ socketPath, timeoutMs: this.#timeoutMs });
    const kernel = new HostKernel({
      run: this.#run,
      datapathType,
      uplinkBridge,
      tunnelAddress: options.tunnelAddress?.includes('/') === true ? options.tunnelAddress : null,
    });
    const control = new Unixctl({ runDirectory: dirname(socketPath) });
    this.#control = control;
    this.#bridge = bridge;
    this.#cuts = new PendingCuts(options.cutsFile ?? null);
    const vteps =
      !this.#hush || uplinkBridge === null || tunnelAddress === null
        ? null
        : new VtepNeighbours({
            ownAddress: tunnelAddress,
            bridge: uplinkBridge,
            run: this.#run,
            tellSwitch: (vtep, mac) => control.setTunnelNeighbor(uplinkBridge, vtep, mac),
          });
    this.#flows = new FlowChannel({
      runDirectory: dirname(socketPath),
      bridge,
      onDrift: () => this.#keeper.nudge(),
      onPacket: (packet) => this.#answers.take(packet),
    });
    this.#neighbours = new ExternalNeighbours({
      send: (packet) => this.#flows.send(packet),
      changed: () => this.#keeper.nudge(),
    });
    this.#keeper = new SwitchKeeper({
      ...{ bridge, datapathType, uplinkBridge, tunnelAddress },
      db: this.#db,
      numbers: new LocalNumbers(options.numbersFile ?? null),
      program: (table) => this.#flows.program(table),
      purgeCache: () => control.purgeRevalidators(),
      ask: (command, ...args) => control.call(command, ...args),
      cuts: this.#cuts,
      tendKernel: async (rows, bridges, slice) => {
        await kernel.tend(rows, bridges);
        if (uplinkBridge !== null) vteps?.meet(slice, switchLife(rows, uplinkBridge));
        // Guests without metadata are better off than guests without a network.
        await this.#services?.open().catch((error: unknown) => options.log?.('metadata is not served', error));
      },
      neighbours: this.#neighbours,
      log: options.log ?? (() => undefined),
    });
    const directory = () => this.#keeper.directory;
    this.#answers = new PacketAnswers({
      directory,
      ports: () => this.#keeper.slice?.ports ?? [],
      portOf: (nicId) => this.#keeper.rows.portNumber(deviceName(nicId)),
      neighbours: this.#neighbours,
      send: (packet) => this.#flows.send(packet),
    });
    this.#services =
      options.metadataOf === undefined ? null : new Services({ directory, metadataOf: options.metadataOf });
  }

  close(): Promise<void> {
    this.#answers.close();
    this.#neighbours.close();
    this.#services?.close();
    this.#keeper.close();
    this.#flows.close();
    this.#db.close();
    return Promise.resolve();
  }

  apply(generation: number, slice: NetworkSlice, before: NetworkSlice | null = null): Promise<readonly PortCuts[]> {
    return this.#exclusive('slice', async () => {
      if (this.#generation !== null && generation < this.#generation) {
        throw new KvasirError('wrong-state', {
          action: `apply generation ${generation} of`,
          kind: 'network list',
          name: 'host',
          state: `at generation ${this.#generation}`,
        });
      }
      await this.#learn();
      this.#generation = generation;
      this.#keeper.setSlice(slice, before);
      await this.#keeper.settled(this.#timeoutMs);
      return this.#cuts.list;
    });
  }

  endGateways(): Promise<void> {
    return this.#exclusive('slice', async () => {
      const { slice } = this.#keeper;
      if (slice === null) return;
      this.#keeper.setSlice(withoutGateways(slice));
      await this.#keeper.settled(this.#timeoutMs);
    });
  }

  attachPort(vmId: string, nic: NicSpec, state?: FunctionState): Promise<PortDevice> {
    return this.#exclusive(nic.nicId, async () => {
      await this.#learn();
      const slice = this.#keeper.slice;
      if (slice?.networks.some(({ networkId }) => networkId === nic.networkId) !== true) {
        throw new KvasirError('not-found', { kind: 'network', id: nic.networkId });
      }
      const device = deviceName(nic.nicId);
      const port: Port = { nicId: nic.nicId, vmId, networkId: nic.networkId };
      const tap = { device, port, mtu: nic.mtu, hush: this.#hush };
      const before = this.#keeper.plugged.get(device);
      if (before !== undefined && before.nicId !== nic.nicId) {
        throw new KvasirError('host-failed', {
          reason: `the device name ${device} is taken by NIC ${before.nicId}`,
        });
      }
      if (before === undefined || !(await tapInOrder(this.#run, tap))) {
        const { created } = await makeTap(this.#run, tap);
        // The switch may still hold a device that is gone: it has to let go first.
        if (created && this.#keeper.plugged.delete(device)) await this.#keeper.settled(this.#timeoutMs);
      }
      const plugged: PluggedNic = { ...port, device, macAddress: nic.macAddress };
      this.#keeper.plugged.set(device, plugged);
      await this.#keeper.settled(this.#timeoutMs);
      if (this.#keeper.rows.portNumber(device) === undefined) {
        const words = this.#keeper.rows.problem(device);
        throw new KvasirError('host-failed', { reason: `Open vSwitch does not serve ${device}: ${words}` });
      }
      const offload = !this.#hush;
      if (nic.direct !== true) return { device, offload };
      return { device, offload, virtualFunction: await this.#functions.hand(wantedFunction(slice, nic), state) };
    });
  }

  setFunction(nicId: string, state: FunctionState): Promise<void> {
    return this.#exclusive(nicId, async () => {
      await this.#learn();
      const macAddress = this.#keeper.plugged.get(deviceName(nicId))?.macAddress ?? '';
      if (macAddress !== '') await this.#functions.setState(macAddress, state);
    });
  }

  detachPort(nicId: string): Promise<void> {
    return this.#exclusive(nicId, async () => {
      await this.#learn();
      const device = deviceName(nicId);
      const macAddress = this.#keeper.plugged.get(device)?.macAddress ?? '';
      if (macAddress !== '') await this.#functions.takeBack(macAddress);
      if (this.#keeper.plugged.delete(device)) await this.#keeper.settled(this.#timeoutMs);
      await removeTap(this.#run, device);
    });
  }

  /** Also those of which a crash left only one half: the caller detaches what it does not know. */
  listPorts(): Promise<Port[]> {
    return translated(async () => {
      await this.#learn();
      const all = new Map<string, Port>([...(await listTaps(this.#run)), ...this.#keeper.plugged]);
      return [...all.values()].map(({ nicId, vmId, networkId }) => ({ nicId, vmId, networkId }));
    });
  }

  counters(nicIds: readonly string[]): Promise<PortCounters[]> {
    return translated(async () => {
      const { slice, rows } = this.#keeper;
      const here = nicIds.filter((nicId) => rows.portNumber(deviceName(nicId)) !== undefined);
      if (slice === null || here.length === 0) return [];
      const cookies = await (await this.#flows.client()).counters();
      const results = await this.#db.transact(
        here.map((nicId) => ({
          op: 'select',
          table: 'Interface',
          where: [['name', '==', deviceName(nicId)]],
          columns: ['statistics'],
        })),
      );
      return here.map((nicId, index) => {
        const statistics = Object.entries(record(results[index]?.rows?.[0]?.statistics));
        const numbers = Object.fromEntries(statistics.map(([name, value]) => [name, Number(value)]));
        return portCounters(nicId, slice, cookies, numbers);
      });
    });
  }

  trace(params: ParamsOf<typeof networkTrace>): Promise<TraceResult> {
    return translated(async () => {
      const { scene } = this.#keeper;
      if (scene === null) throw new KvasirError('host-failed', { reason: 'the switch is not programmed yet' });
      const next = ['--ct-next', 'trk,new'];
      const passes = Array.from({ length: 4 }, () => next).flat();
      const text = await this.#control.call('ofproto/trace', this.#bridge, traceFlow(params, scene), ...passes);
      return traceResult(text, params.packet, scene);
    });
  }

  report(): Promise<NetworkChanged> {
    return translated(async () => {
      await this.#keeper.ready(this.#timeoutMs);
      const { rows, slice } = this.#keeper;
      const nics = await readNics(rows);
      const uplinks = await Promise.all(
        (slice?.uplinks ?? []).map(async (uplink) => {
          const asked = uplink.bond === 'lacp' ? this.#control.showLacp(bondName(uplink)).catch(() => '') : '';
          return uplinkReport(uplink, rows, nics, await asked);
        }),
      );
      const physicalFunctions = await readPhysicalFunctions(this.#sysfs);
      return { tunnelAddress: this.#tunnelAddress, nics, uplinks, physicalFunctions };
    });
  }

  versions(): Promise<Record<string, string>> {
    return translated(async () => {
      const [result] = await this.#db.transact([
        { op: 'select', table: 'Open_vSwitch', where: [], columns: ['ovs_version'] },
      ]);
      return { openvswitch: optionalString(result?.rows?.[0]?.ovs_version) ?? 'unknown' };
    });
  }

  /** What an earlier agent plugged in: in the switch, and taps whose ports somebody took away. */
  #learn(): Promise<void> {
    this.#known ??= this.#read().catch((error: unknown) => {
      this.#known = null;
      throw error;
    });
    return this.#known;
  }

  async #read(): Promise<void> {
    await this.#keeper.ready(this.#timeoutMs);
    const taps = await listTaps(this.#run);
    for (const [device, port] of taps) this.#keeper.plugged.set(device, { ...port, device, macAddress: '' });
    for (const nic of pluggedNics(this.#keeper.rows)) this.#keeper.plugged.set(nic.device, nic);
  }

  #exclusive<T>(key: string, work: () => Promise<T>): Promise<T> {
    return this.#lock.run(key, () => translated(work));
  }
}

/** The database's refusals as ours. */
async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    throw new KvasirError('host-failed', { reason: `Open vSwitch: ${error.message}` }, undefined, { cause: error });
  }
}
