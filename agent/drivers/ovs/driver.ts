/**
 * The network driver on Open vSwitch: a tap in the kernel and a port on the integration bridge for each NIC, and the distributed
 * switch's flows around them. Taps are this file's; everything in the switch is the keeper's, which is told what is plugged in.
 *
 * A port without a place in the slice is plugged in but forwards nothing.
 */
import type { ParamsOf } from '@kvasir/api/agent/method.ts';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import type { NetworkChanged } from '@kvasir/api/agent/link.ts';
import type { networkTrace, PortCounters, PortCuts, TraceResult } from '@kvasir/api/agent/network.ts';
import type { NicSpec } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { OvsdbError } from '@kvasir/ovs/ovsdb-operations.ts';
import { optionalString, record } from '@kvasir/ovs/ovsdb-values.ts';
import { KeyedLock } from '../../keyed-lock.ts';
import type { FunctionState, NetworkDriver, Port, PortDevice } from '../network.ts';
import type { RunProgram } from '../program.ts';
import { withoutGateways } from '../without-gateways.ts';
import { readPhysicalFunctions } from './sriov/physical-functions.ts';
import { portCounters } from './counters.ts';
import { deviceName } from './device-name.ts';
import { wantedFunction } from './direct-port.ts';
import { defaultUplinkReport, readNics, uplinkReport } from './network-report.ts';
import { pluggedNics } from './rows/plugged-nics.ts';
import { bondName, type PluggedNic } from './rows/wanted-switch.ts';
import type { SwitchKeeper } from './switch-keeper.ts';
import { type OvsNetworkOptions, type SwitchParts, switchParts } from './switch-parts.ts';
import { listTaps, makeTap, removeTap, tapInOrder } from './tap.ts';
import { traceFlow, traceResult } from './trace.ts';

/** A host that introduces itself waits for no more than some seconds. */
const answerWithinMs = 2000;

export class OvsNetworkDriver implements NetworkDriver {
  readonly #parts: SwitchParts;
  readonly #keeper: SwitchKeeper;
  readonly #run: RunProgram;
  readonly #sysfs: string | undefined;
  readonly #lock = new KeyedLock();
  readonly #timeoutMs: number;
  #generation: number | null = null;
  #known: Promise<void> | null = null;

  constructor(options: OvsNetworkOptions = {}) {
    this.#parts = switchParts(options);
    this.#keeper = this.#parts.keeper;
    this.#timeoutMs = this.#parts.timeoutMs;
    this.#run = this.#parts.run;
    this.#sysfs = options.sysfs;
  }

  close(): Promise<void> {
    this.#parts.close();
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
      return this.#parts.cuts.list;
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
      const tap = { device, port, mtu: nic.mtu, hush: this.#parts.hush };
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
      const offload = !this.#parts.hush;
      if (nic.direct !== true) return { device, offload };
      return { device, offload, virtualFunction: await this.#parts.functions.hand(wantedFunction(slice, nic), state) };
    });
  }

  setFunction(nicId: string, state: FunctionState): Promise<void> {
    return this.#exclusive(nicId, async () => {
      await this.#learn();
      const macAddress = this.#keeper.plugged.get(deviceName(nicId))?.macAddress ?? '';
      if (macAddress !== '') await this.#parts.functions.setState(macAddress, state);
    });
  }

  detachPort(nicId: string): Promise<void> {
    return this.#exclusive(nicId, async () => {
      await this.#learn();
      const device = deviceName(nicId);
      const macAddress = this.#keeper.plugged.get(device)?.macAddress ?? '';
      if (macAddress !== '') await this.#parts.functions.takeBack(macAddress);
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
      const cookies = await (await this.#parts.flows.client()).counters();
      const results = await this.#parts.db.transact(
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
      const text = await this.#parts.control.call(
        'ofproto/trace',
        this.#parts.bridge,
        traceFlow(params, scene),
        ...passes,
      );
      return traceResult(text, params.packet, scene);
    });
  }

  report(): Promise<NetworkChanged> {
    return translated(async () => {
      const { tunnelAddress } = this.#parts;
      if (!(await this.#answers())) return { tunnelAddress, nics: [], uplinks: [] };
      const { rows, slice } = this.#keeper;
      const nics = await readNics(rows);
      const uplinks = await Promise.all(
        (slice?.uplinks ?? []).map(async (uplink) => {
          const asked = uplink.bond === 'lacp' ? this.#parts.control.showLacp(bondName(uplink)).catch(() => '') : '';
          return uplinkReport(uplink, rows, nics, await asked);
        }),
      );
      const physicalFunctions = await readPhysicalFunctions(this.#sysfs);
      const defaultUplink = defaultUplinkReport(this.#parts.uplinkBridge, rows);
      return { tunnelAddress, nics, uplinks, defaultUplink, physicalFunctions };
    });
  }

  versions(): Promise<Record<string, string>> {
    return translated(async (): Promise<Record<string, string>> => {
      if (!(await this.#answers())) return {};
      const [result] = await this.#parts.db.transact([
        { op: 'select', table: 'Open_vSwitch', where: [], columns: ['ovs_version'] },
      ]);
      return { openvswitch: optionalString(result?.rows?.[0]?.ovs_version) ?? 'unknown' };
    });
  }

  /** Whether the switch has told of itself: the host introduces itself also without. */
  #answers(): Promise<boolean> {
    return this.#keeper.ready(Math.min(answerWithinMs, this.#timeoutMs)).then(
      () => true,
      () => false,
    );
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
