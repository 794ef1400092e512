/**
 * The network driver on Open vSwitch: a tap in the kernel and a port on the integration bridge for each NIC. Both halves are
 * made so that either alone, left by a crash, is found and completed at the next attach or removed at the next detach.
 *
 * One segment for now: every served network shares the integration bridge's plain switching. The distributed switch brings
 * separate networks, policy and anti-spoofing.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { NicSpec } from '@kvasir/api/agent/vm.ts';
import { OvsdbClient } from '@kvasir/ovs/ovsdb-client.ts';
import { OvsdbError } from '@kvasir/ovs/ovsdb-operations.ts';
import { optionalString } from '@kvasir/ovs/ovsdb-values.ts';
import { KeyedLock } from '../../keyed-lock.ts';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import type { PortCounters, TraceResult } from '@kvasir/api/agent/network.ts';
import type { NetworkDriver, Port, PortDevice } from '../network.ts';
import { type RunProgram, runProgram } from '../program.ts';
import { deviceName } from './device-name.ts';
import { IntegrationBridge, type SwitchPort } from './integration-bridge.ts';
import { listTaps, makeTap, removeTap, tapInOrder } from './tap.ts';

export interface OvsNetworkOptions {
  /** Default `/run/openvswitch/db.sock`. */
  readonly socketPath?: string;
  /** Integration bridge, made when it is missing; default `br-int`. */
  readonly bridge?: string;
  /** Of a bridge that is made here; default `system` (the kernel's switch), `netdev` switches in user space. */
  readonly datapathType?: 'system' | 'netdev';
  /** The bridge to the physical network, joined to the integration bridge by a pair of patch ports. */
  readonly uplinkBridge?: string;
  /** How `ip` and `nft` are run; for tests that work in a network namespace of their own. */
  readonly run?: RunProgram;
  /** Of one request to the database; default 30 s. */
  readonly timeoutMs?: number;
}

export class OvsNetworkDriver implements NetworkDriver {
  readonly #db: OvsdbClient;
  readonly #bridge: IntegrationBridge;
  readonly #run: RunProgram;
  readonly #lock = new KeyedLock();
  #generation: number | null = null;

  constructor(options: OvsNetworkOptions = {}) {
    this.#db = new OvsdbClient({
      socketPath: options.socketPath ?? '/run/openvswitch/db.sock',
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    });
    this.#bridge = new IntegrationBridge(this.#db, {
      name: options.bridge ?? 'br-int',
      datapathType: options.datapathType ?? 'system',
      ...(options.uplinkBridge === undefined ? {} : { uplinkBridge: options.uplinkBridge }),
    });
    this.#run = options.run ?? runProgram;
  }

  close(): Promise<void> {
    this.#db.close();
    return Promise.resolve();
  }

  apply(generation: number, slice: NetworkSlice): Promise<void> {
    return this.#exclusive('networks', async () => {
      if (this.#generation !== null && generation < this.#generation) {
        throw new KvasirError('wrong-state', {
          action: `apply generation ${generation} of`,
          kind: 'network list',
          name: 'host',
          state: `at generation ${this.#generation}`,
        });
      }
      await this.#bridge.ensure();
      await this.#bridge.setNetworks(slice.networks.map((network) => network.networkId));
      this.#generation = generation;
    });
  }

  attachPort(vmId: string, nic: NicSpec): Promise<PortDevice> {
    return this.#exclusive(nic.nicId, async () => {
      const { datapathType } = await this.#bridge.ensure();
      if (!(await this.#bridge.networks()).has(nic.networkId)) {
        throw new KvasirError('not-found', { kind: 'network', id: nic.networkId });
      }
      const device = deviceName(nic.nicId);
      const port: Port = { nicId: nic.nicId, vmId, networkId: nic.networkId };
      const wanted: SwitchPort = { ...port, device, macAddress: nic.macAddress };
      const inUserSpace = datapathType === 'netdev';
      const answer = { device, offload: !inUserSpace };
      const tap = { device, port, mtu: nic.mtu, hush: inUserSpace };
      const there = (await this.#bridge.ports()).get(device);
      if (there !== undefined && samePort(there, wanted) && (await tapInOrder(this.#run, tap))) {
        await this.#bridge.requireServed(device);
        return answer;
      }
      const { created } = await makeTap(this.#run, tap);
      // The switch may still hold a device that is gone: it has to let go first.
      if (there !== undefined && created) await this.#bridge.unplug(device);
      if (there === undefined || created || !samePort(there, wanted)) await this.#bridge.plug(wanted);
      else await this.#bridge.requireServed(device);
      return answer;
    });
  }

  detachPort(nicId: string): Promise<void> {
    return this.#exclusive(nicId, async () => {
      const device = deviceName(nicId);
      await this.#bridge.unplug(device);
      await removeTap(this.#run, device);
    });
  }

  /** Also those of which a crash left only one half: the caller detaches what it does not know. */
  listPorts(): Promise<Port[]> {
    return translated(async () => {
      const [ports, taps] = await Promise.all([this.#bridge.ports(), listTaps(this.#run)]);
      const all = new Map<string, Port>([...taps, ...ports]);
      return [...all.values()].map(({ nicId, vmId, networkId }) => ({ nicId, vmId, networkId }));
    });
  }

  counters(): Promise<PortCounters[]> {
    return Promise.reject(new KvasirError('unsupported', { reason: 'This host does not count by ports yet' }));
  }

  trace(): Promise<TraceResult> {
    return Promise.reject(new KvasirError('unsupported', { reason: 'This host cannot trace packets yet' }));
  }

  versions(): Promise<Record<string, string>> {
    return translated(async () => {
      const [result] = await this.#db.transact([
        { op: 'select', table: 'Open_vSwitch', where: [], columns: ['ovs_version'] },
      ]);
      return { openvswitch: optionalString(result?.rows?.[0]?.ovs_version) ?? 'unknown' };
    });
  }

  #exclusive<T>(key: string, work: () => Promise<T>): Promise<T> {
    return this.#lock.run(key, () => translated(work));
  }
}

function samePort(a: SwitchPort, b: SwitchPort): boolean {
  return a.nicId === b.nicId && a.vmId === b.vmId && a.networkId === b.networkId && a.macAddress === b.macAddress;
}

/** The database's refusals as ours; a connection that broke in the middle is tried once more, as every step repeats. */
async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    try {
      return await work();
    } catch (error) {
      if (error instanceof OvsdbError && error.code === 'disconnected') return await work();
      throw error;
    }
  } catch (error) {
    if (!(error instanceof OvsdbError)) throw error;
    throw new KvasirError('host-failed', { reason: `Open vSwitch: ${error.message}` }, undefined, { cause: error });
  }
}
