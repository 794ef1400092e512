/**
 * Keeps the switch as the slice says, for ever: one loop that compares and corrects. It is woken when the slice or a port
 * changes, when the database changes under it, when the switch came back or its flows are not ours any more; a failed round is
 * tried again. What it does never depends on why it was woken.
 *
 * Order within a round: numbers on disk, rows in one transaction, limits, flows in one bundle, then sessions that lost their
 * permission. A port that the flows do not know yet forwards nothing, so nothing is open meanwhile.
 */
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { compile } from '@kvasir/ovs/compile/compile.ts';
import type { LocalSwitch } from '@kvasir/ovs/compile/local.ts';
import type { FlowTable } from '@kvasir/ovs/flow.ts';
import type { OvsdbClient } from '@kvasir/ovs/ovsdb-client.ts';
import { optionalString } from '@kvasir/ovs/ovsdb-values.ts';
import type { Exit, ExternalNeighbours } from './external-neighbours.ts';
import type { LocalNumbering, LocalNumbers } from './local-numbers.ts';
import { CurrentRows, watchedTables } from './rows/current.ts';
import { changesMirrors, difference, removePort } from './rows/difference.ts';
import { pluggedNics } from './rows/plugged-nics.ts';
import type { WantedBridge } from './rows/wanted.ts';
import {
  defaultPatch,
  metadataPort,
  namedKeys,
  type PluggedNic,
  servicesMac,
  type SwitchInput,
  type SwitchOptions,
  tunnelPort,
  uplinkPatch,
  wantedBridges,
} from './rows/wanted-switch.ts';
import { PortDirectory } from './port-directory.ts';
import type { PendingCuts } from './pending-cuts.ts';
import { Sessions } from './sessions.ts';
import type { TraceScene } from './trace.ts';
import { Waiters } from './waiters.ts';
import type { ZoneLimits } from './zone-limits.ts';

export interface KeeperOptions extends SwitchOptions {
  readonly db: OvsdbClient;
  readonly numbers: LocalNumbers;
  readonly program: (table: FlowTable) => Promise<void>;
  /** A command to ovs-vswitchd. */
  readonly ask: (command: string, ...args: readonly string[]) => Promise<string>;
  readonly cuts: PendingCuts;
  readonly limits: ZoneLimits;
  /** What the switch decided once it repeats for a while; a mirror counts for running streams only after this. */
  readonly purgeCache: () => Promise<void>;
  /** Puts in order what lies in the kernel, after the rows. */
  readonly tendKernel: (rows: CurrentRows, bridges: readonly WantedBridge[], slice: NetworkSlice) => Promise<void>;
  readonly neighbours: ExternalNeighbours;
  readonly log: (message: string, error?: unknown) => void;
}

const rowsTimeoutMs = 5000;
const retryMs = 250;
/** A look without a reason, should a wake-up ever be missed. */
const idleMs = 30_000;

export class SwitchKeeper {
  readonly rows: CurrentRows;
  readonly plugged = new Map<string, PluggedNic>();
  readonly #options: KeeperOptions;
  readonly #monitor;
  readonly #waiters = new Waiters();
  #slice: NetworkSlice | null = null;
  #programmed: NetworkSlice | null = null;
  #numbering: LocalNumbering | null = null;
  #directory: PortDirectory | null = null;
  #scene: TraceScene | null = null;
  #knownPorts = '';
  readonly #sessions: Sessions;
  #dirty = false;
  #running = false;
  #timer: NodeJS.Timeout | null = null;
  #lastError: unknown = null;
  #closed = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#sessions = new Sessions({ ask: options.ask, pending: options.cuts });
    this.#monitor = options.db.monitor(watchedTables);
    this.rows = new CurrentRows(this.#monitor);
    this.#monitor.onChange(() => {
      if (this.#slice !== null && !this.#running && this.#rowsDiffer()) this.nudge();
    });
  }

  get slice(): NetworkSlice | null {
    return this.#slice;
  }

  get numbering(): LocalNumbering | null {
    return this.#numbering;
  }

  /** Who is behind which number, as the flows in force know it. */
  get directory(): PortDirectory | null {
    return this.#directory;
  }

  /** What the flows in force were made from. */
  get scene(): TraceScene | null {
    return this.#scene;
  }

  /** Resolves when the copy of the database is there. */
  ready(timeoutMs: number): Promise<void> {
    return this.#monitor.until(() => true, timeoutMs, 'reading the database');
  }

  /** @param before what was in force when the agent before this one ended */
  setSlice(slice: NetworkSlice, before: NetworkSlice | null = null): void {
    this.#programmed ??= before;
    this.#slice = slice;
    this.nudge();
  }

  nudge(): void {
    this.#dirty = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    void this.#run();
  }

  /** Resolves when a round that began after this call has succeeded. Throws `host-failed` with the last failure. */
  async settled(timeoutMs: number): Promise<void> {
    const done = this.#waiters.wait(timeoutMs);
    this.nudge();
    if (await done) return;
    const cause = this.#lastError;
    if (cause instanceof KvasirError) throw cause;
    const words = cause instanceof Error ? cause.message : 'it takes too long';
    throw new KvasirError('host-failed', { reason: `Open vSwitch: ${words}` }, undefined, { cause });
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#waiters.finish(this.#waiters.mark(), false);
    this.#monitor.stop();
  }

  async #run(): Promise<void> {
    if (this.#running || this.#closed) return;
    this.#running = true;
    let delayMs = idleMs;
    while (this.#dirty && !this.#closed) {
      this.#dirty = false;
      const mark = this.#waiters.mark();
      try {
        await this.#round();
        this.#lastError = null;
        this.#waiters.finish(mark, true);
        delayMs = idleMs;
      } catch (error) {
        if (this.#closed) break;
        if (this.#lastError === null) this.#options.log('the switch is not as it should be yet', error);
        this.#lastError = error;
        delayMs = retryMs;
      }
    }
    this.#running = false;
    if (this.#closed) return;
    this.#timer = setTimeout(() => this.nudge(), delayMs).unref();
  }

  async #round(): Promise<void> {
    await this.ready(rowsTimeoutMs);
    if (this.#slice === null) return this.#removeUnplugged();
    const slice = this.#slice;
    const { numbers, db, cuts, limits } = this.#options;
    await cuts.load();
    const keys = new Set([
      ...slice.ports.map(({ nicId }) => nicId),
      ...[...this.plugged.values()].map(({ nicId }) => nicId),
      ...namedKeys(slice),
    ]);
    const numbering = await numbers.allocate(keys, slice);
    this.#numbering = numbering;
    const bridges = wantedBridges(this.#input(slice));
    const operations = difference(this.rows, bridges);
    if (operations.length > 0) {
      await db.commit(operations);
      const agreed = () => difference(this.rows, bridges).length === 0;
      await this.#monitor.until(agreed, rowsTimeoutMs, 'the database taking over our rows');
      if (changesMirrors(operations)) await this.#options.purgeCache();
    }
    await this.#options.tendKernel(this.rows, bridges, slice);
    await limits.keep(numbering.numbers);
    const local = this.#local(slice);
    const program = () => this.#options.program(compile(cuts.addedTo(slice), local));
    await program();
    const exits = exitsOf(slice, local);
    this.#scene = { slice, local, exits, ownVtep: this.#options.tunnelAddress };
    this.#options.neighbours.serve(slice, numbering.numbers, exits);
    this.#directory = new PortDirectory(slice, numbering.numbers, servicesMac);
    const before = this.#programmed;
    this.#programmed = slice;
    this.#sessions.note(before, slice, numbering.releasedZones);
    const { ports, routers } = numbering.numbers;
    await this.#sessions.end(slice, { ...ports, ...routers }, program);
    await limits.drop(numbering.releasedZones);
    await numbers.flushed(numbering.releasedZones);
    await cuts.settle(before, slice);
    this.#programmed = cuts.addedTo(slice);
  }

  /** All that can be done before it is known what this host serves. */
  async #removeUnplugged(): Promise<void> {
    const operations = pluggedNics(this.rows)
      .filter(({ device }) => !this.plugged.has(device))
      .flatMap(({ device }) => removePort(this.rows, device));
    if (operations.length > 0) await this.#options.db.commit(operations);
  }

  #rowsDiffer(): boolean {
    if (this.#slice === null || this.#numbering === null || !this.#monitor.ready) return true;
    return difference(this.rows, wantedBridges(this.#input(this.#slice))).length > 0 || this.#portsMoved();
  }

  #portsMoved(): boolean {
    const key = this.#portNumbersNow();
    if (key === this.#knownPorts) return false;
    this.#knownPorts = key;
    return true;
  }

  #portNumbersNow(): string {
    return JSON.stringify(this.rows.all('Interface').map(({ row }) => [row.name, row.ofport]));
  }

  #input(slice: NetworkSlice): SwitchInput {
    const { bridge, datapathType, uplinkBridge, tunnelAddress } = this.#options;
    return {
      ...{ bridge, datapathType, uplinkBridge, tunnelAddress },
      slice,
      plugged: [...this.plugged.values()].sort((a, b) => (a.device < b.device ? -1 : 1)),
      numbers: this.#numbering?.ports ?? new Map(),
      bridgeOfNic: this.#bridgeOfNic(slice),
    };
  }

  #bridgeOfNic(slice: NetworkSlice): Map<string, string> {
    const nics = slice.uplinks.flatMap((uplink) => uplink.nics);
    return new Map(
      nics.flatMap((nic): [string, string][] => {
        const port = this.rows.byName('Port', nic);
        const bridge = port === undefined || this.rows.isOurs(port) ? undefined : this.rows.bridgeOf(port);
        return bridge === undefined ? [] : [[nic, String(bridge.row.name)]];
      }),
    );
  }

  #local(slice: NetworkSlice): LocalSwitch {
    const { rows } = this;
    const input = this.#input(slice);
    this.#knownPorts = this.#portNumbersNow();
    const services = rows.portNumber(metadataPort);
    const patches = slice.uplinks.map(
      (uplink) => [uplink.switchId, rows.portNumber(uplinkPatch(uplink, input))] as const,
    );
    return {
      numbers: this.#numbering!.numbers,
      nicPorts: defined(input.plugged.map(({ nicId, device }) => [nicId, rows.portNumber(device)] as const)),
      uplinkPorts: defined(patches),
      defaultUplinkPort: input.uplinkBridge === null ? null : (rows.portNumber(defaultPatch) ?? null),
      tunnelPort: input.tunnelAddress === null ? null : (rows.portNumber(tunnelPort) ?? null),
      tunnelAddress: input.tunnelAddress,
      services: services === undefined ? null : { port: services, macAddress: servicesMac },
      bridgeMac: bridgeMac(rows, input.bridge),
      neighbours: this.#options.neighbours.macs,
    };
  }
}

/** Where frames of each network leave this host untunnelled. */
function exitsOf(slice: NetworkSlice, local: LocalSwitch): Map<string, Exit> {
  return new Map(
    slice.networks.flatMap(({ networkId, kind, segment, switchId }): [string, Exit][] => {
      const port = switchId === null ? (kind === 'flat' ? local.defaultUplinkPort : null) : local.uplinkPorts[switchId];
      return kind === 'vxlan' || port === null || port === undefined ? [] : [[networkId, { port, vlan: segment }]];
    }),
  );
}

function defined(entries: readonly (readonly [string, number | undefined])[]): Record<string, number> {
  return Object.fromEntries(entries.filter((entry): entry is readonly [string, number] => entry[1] !== undefined));
}

/** A bridge's datapath id ends in its MAC. */
function bridgeMac(rows: CurrentRows, bridge: string): string {
  const datapathId = optionalString(rows.byName('Bridge', bridge)?.row.datapath_id);
  if (datapathId === null)
    throw new KvasirError('host-failed', { reason: `Open vSwitch does not serve ${bridge} yet` });
  return datapathId.slice(-12).match(/../g)!.join(':');
}
