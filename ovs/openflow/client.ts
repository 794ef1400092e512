/**
 * The flows of one bridge, over its management socket: read them, make them what is wanted in one stroke, and hear of
 * everything that others do to them.
 *
 * Lives as long as its connection. Whoever owns it opens another after `closed` and starts from `dump` again: an
 * ovs-vswitchd that comes back holds no flows. Changes are applied one after the other, in the order of the calls.
 */
import { EventEmitter } from 'node:events';
import type { FlowTable } from '../flow.ts';
import { formatFlow, formatMeter } from '../format-flow.ts';
import { checkNumber } from './action-frame.ts';
import { type BundledMessage, commitBundle } from './bundle.ts';
import { OpenFlowConnection } from './connection.ts';
import { difference, type FlowDifference, type InstalledTable, isEmpty } from './difference.ts';
import { type OpenFlowError, refused } from './errors.ts';
import {
  decodeFlows,
  encodeAdd,
  encodeDelete,
  encodeFlowRequest,
  type FlowFilter,
  type InstalledFlow,
} from './flow-codec.ts';
import { decodeFlowChanges, encodeMonitorRequest, type FlowChange } from './flow-monitor.ts';
import { type Message, messageType, multipartType, niciraVendor } from './message.ts';
import {
  decodeMeters,
  encodeMeterAdd,
  encodeMeterDelete,
  encodeMeterModify,
  encodeMeterRequest,
  type InstalledMeter,
} from './meter-codec.ts';
import { naming } from './naming.ts';
import { decodePacketIn, encodePacketInFormat, encodePacketOut, type PacketIn, type PacketOut } from './packets.ts';
import { decodePortChange, decodePorts, type PortChange, type SwitchPort } from './ports.ts';

export interface FlowClientEvents {
  /** Flows that somebody else added, changed or removed. */
  readonly changed: [changes: readonly FlowChange[]];
  /** A `controller` action was hit. */
  readonly packetIn: [packet: PacketIn];
  readonly port: [change: PortChange];
  /** Once, however the connection ends. */
  readonly closed: [];
}

export interface FlowClientOptions {
  /** `/run/openvswitch/<bridge>.mgmt` */
  readonly socketPath: string;
  /** For each answer of the switch. */
  readonly timeoutMs?: number;
}

/** Sums over all flows with the same cookie. */
export interface CookieCounters {
  readonly flowCount: number;
  readonly packetCount: bigint;
  readonly byteCount: bigint;
}

const flushZoneSubtype = 29;
const defaultTimeoutMs = 10_000;
/** A client of the management socket gets packets only when it says how much of them. */
const wholePackets = Buffer.from([0, 0, 0xff, 0xff]);

export class FlowClient extends EventEmitter<FlowClientEvents> {
  #connection!: OpenFlowConnection;
  #lastChange: Promise<unknown> = Promise.resolve();

  private constructor() {
    super();
  }

  /** @throws OpenFlowError */
  static async open({ socketPath, timeoutMs = defaultTimeoutMs }: FlowClientOptions): Promise<FlowClient> {
    const client = new FlowClient();
    const handlers = { onMessage: (message: Message) => client.#take(message), onEnd: () => client.emit('closed') };
    client.#connection = await OpenFlowConnection.connect(socketPath, handlers, timeoutMs);
    try {
      client.#connection.send(messageType.setConfig, wholePackets);
      await client.#acknowledged([
        { type: messageType.experimenter, body: encodePacketInFormat(), describe: () => 'packets with userdata' },
      ]);
      await client.#connection.multipart(multipartType.flowMonitor, encodeMonitorRequest(), 'a flow monitor');
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Everything that the switch holds. @throws OpenFlowError */
  async dump(): Promise<InstalledTable> {
    const [flows, meters] = await Promise.all([this.flows(), this.meters()]);
    return { flows, meters };
  }

  /** @throws OpenFlowError */
  async flows(filter: FlowFilter = {}): Promise<InstalledFlow[]> {
    const parts = await this.#connection.multipart(multipartType.flow, encodeFlowRequest(filter), 'the flows');
    return parts.flatMap((part) => decodeFlows(part));
  }

  /** @throws OpenFlowError */
  async meters(): Promise<InstalledMeter[]> {
    const parts = await this.#connection.multipart(multipartType.meterConfig, encodeMeterRequest(), 'the meters');
    return parts.flatMap((part) => decodeMeters(part));
  }

  /** Counters by cookie. Counters of a flow go on when its actions change. @throws OpenFlowError */
  async counters(filter: FlowFilter = {}): Promise<Map<bigint, CookieCounters>> {
    const sums = new Map<bigint, CookieCounters>();
    for (const { cookie, packetCount, byteCount } of await this.flows(filter)) {
      const sum = sums.get(cookie) ?? { flowCount: 0, packetCount: 0n, byteCount: 0n };
      sums.set(cookie, {
        flowCount: sum.flowCount + 1,
        packetCount: sum.packetCount + packetCount,
        byteCount: sum.byteCount + byteCount,
      });
    }
    return sums;
  }

  /** @throws OpenFlowError */
  async ports(): Promise<SwitchPort[]> {
    const parts = await this.#connection.multipart(multipartType.portDescription, Buffer.alloc(0), 'the ports');
    return parts.flatMap((part) => decodePorts(part));
  }

  /** @throws OpenFlowError, FlowEncodingError */
  packetOut(packet: PacketOut): Promise<void> {
    const message = { type: messageType.packetOut, body: encodePacketOut(packet), describe: () => 'a packet' };
    return this.#acknowledged([message]);
  }

  /**
   * Applies a difference. All flows change at the same moment or none does. Meters cannot be part of that: new and changed
   * ones come before, those that are gone after, so that no flow is ever without its meter.
   * @throws OpenFlowError `refused` with the flow or meter: the flows are as before, meters may have been added or changed
   */
  apply(change: FlowDifference): Promise<void> {
    return this.#afterOthers(() => this.#apply(change));
  }

  /**
   * Makes the switch hold exactly this. Returns what had to change.
   * @throws OpenFlowError, FlowEncodingError as `apply`; nothing has changed after a FlowEncodingError
   */
  replace(wanted: FlowTable): Promise<FlowDifference> {
    return this.#afterOthers(async () => {
      const change = difference(await this.dump(), wanted);
      await this.#apply(change);
      return change;
    });
  }

  /** Forgets all connections of a conntrack zone. @throws OpenFlowError */
  flushConntrack(zone: number): Promise<void> {
    const body = Buffer.alloc(16);
    body.writeUInt32BE(niciraVendor, 0);
    body.writeUInt32BE(flushZoneSubtype, 4);
    body.writeUInt16BE(checkNumber(zone, 0, 0xffff, 'a conntrack zone'), 14);
    const describe = () => `to flush zone ${zone}`;
    return this.#acknowledged([{ type: messageType.experimenter, body, describe }]);
  }

  close(): void {
    this.#connection.close();
  }

  async #apply(change: FlowDifference): Promise<void> {
    if (isEmpty(change)) return;
    const flows = flowMessages(change);
    await this.#acknowledged(meterMessages(change));
    if (flows.length > 0) await commitBundle(this.#connection, flows);
    await this.#acknowledged(
      change.removeMeters.map((meterId) => ({
        type: messageType.meterMod,
        body: encodeMeterDelete(meterId),
        describe: () => `to delete meter ${meterId}`,
      })),
    );
  }

  #afterOthers<T>(run: () => Promise<T>): Promise<T> {
    const mine = this.#lastChange.then(run, run);
    this.#lastChange = mine;
    return mine;
  }

  /** Sends messages that are answered only when they are refused. */
  async #acknowledged(messages: readonly BundledMessage[]): Promise<void> {
    if (messages.length === 0) return;
    const sent = new Map<number, BundledMessage>();
    let refusal: OpenFlowError | null = null;
    const unwatch = this.#connection.watchRefusals((xid, body) => {
      const message = sent.get(xid);
      if (message !== undefined) refusal ??= refused(body, message.describe());
    });
    try {
      for (const message of messages) sent.set(this.#connection.send(message.type, message.body), message);
      await this.#connection.barrier();
    } finally {
      unwatch();
    }
    if (refusal !== null) throw refusal as OpenFlowError;
  }

  #take(message: Message): void {
    const changes = decodeFlowChanges(message);
    if (changes.length > 0) this.emit('changed', changes);
    const packet = decodePacketIn(message);
    if (packet !== null) this.emit('packetIn', packet);
    const port = decodePortChange(message);
    if (port !== null) this.emit('port', port);
  }
}

function flowMessages({ put, remove }: FlowDifference): BundledMessage[] {
  const type = messageType.flowMod;
  return [
    ...remove.map((flow) => ({ type, body: encodeDelete(flow), describe: () => `to delete from table ${flow.table}` })),
    ...put.map((flow) => ({ type, body: naming(flow, () => encodeAdd(flow)), describe: () => formatFlow(flow) })),
  ];
}

function meterMessages({ addMeters, changeMeters }: FlowDifference): BundledMessage[] {
  const type = messageType.meterMod;
  return [
    ...addMeters.map((meter) => ({ type, body: encodeMeterAdd(meter), describe: () => formatMeter(meter) })),
    ...changeMeters.map((meter) => ({ type, body: encodeMeterModify(meter), describe: () => formatMeter(meter) })),
  ];
}
