/**
 * The neighbours of gateways that this host keeps: their MACs are asked for by ARP when a packet needs one, learned from the answers, and
 * asked again from time to time; who is silent for long is forgotten. A gateway that comes here announces its addresses, so
 * that the outside sends to this host from then on.
 */
import type { NetworkSlice, SliceRouter } from '@kvasir/api/agent/network-slice.ts';
import type { Numbers } from '@kvasir/ovs/compile/numbers.ts';
import type { Action } from '@kvasir/ovs/flow.ts';
import type { PacketOut } from '@kvasir/ovs/openflow/packets.ts';
import { arpFrame, readArp } from './responders/arp.ts';
import { ipv4Bytes, readEthernet, readIpv4 } from './responders/frame.ts';

export interface ExternalNeighboursOptions {
  readonly send: (packet: PacketOut) => void;
  /** A neighbour became known, changed or was forgotten. */
  readonly changed: () => void;
}

/** Where frames of an external network leave this host. */
export interface Exit {
  readonly port: number;
  /** 0: untagged. */
  readonly vlan: number;
}

interface Neighbour {
  macAddress: string;
  heardMs: number;
}

const askAgainMs = 30_000;
const forgetMs = 120_000;
/** Of one question, however many packets need its answer. */
const patienceMs = 500;

export class ExternalNeighbours {
  readonly #options: ExternalNeighboursOptions;
  /** Network -> address -> who has it. */
  readonly #known = new Map<string, Map<string, Neighbour>>();
  readonly #asked = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #routers: ReadonlyMap<number, SliceRouter> = new Map();
  #exits: ReadonlyMap<string, Exit> = new Map();
  #announced = new Set<string>();

  constructor(options: ExternalNeighboursOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#refresh(), askAgainMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  get macs(): Record<string, Record<string, string>> {
    return Object.fromEntries(
      [...this.#known].map(([networkId, addresses]) => [
        networkId,
        Object.fromEntries([...addresses].map(([address, { macAddress }]) => [address, macAddress])),
      ]),
    );
  }

  /** The flows of this slice are in force. */
  serve(slice: NetworkSlice, numbers: Numbers, exits: ReadonlyMap<string, Exit>): void {
    const here = slice.routers.filter(({ gateway }) => gateway?.here === true);
    this.#routers = new Map(here.map((router) => [numbers.routers[router.routerId] ?? 0, router]));
    this.#exits = exits;
    const announced = new Set<string>();
    for (const { gateway } of here) {
      if (gateway === null || !exits.has(gateway.externalNetworkId)) continue;
      for (const { address } of [gateway, ...gateway.floating]) {
        const key = `${gateway.externalNetworkId} ${address} ${gateway.macAddress}`;
        announced.add(key);
        if (!this.#announced.has(key))
          this.#send(gateway.externalNetworkId, arpFrame(gateway.macAddress, address, address));
      }
      if (gateway.nextHop !== null) this.#ask(gateway, gateway.nextHop);
    }
    this.#announced = announced;
  }

  /** A packet of this router waits for nobody: it is lost, but the next one finds its way. */
  needed(routerNumber: number, frame: Uint8Array): void {
    const gateway = this.#routers.get(routerNumber)?.gateway ?? null;
    const packet = readIpv4(readEthernet(frame)?.payload ?? Buffer.alloc(0));
    if (gateway === null || packet === null) return;
    const isNear = sameSubnet(gateway.address, packet.destination, gateway.prefixLength);
    const hop = isNear ? packet.destination : gateway.nextHop;
    if (hop !== null) this.#ask(gateway, hop);
  }

  heard(routerNumber: number, frame: Uint8Array): void {
    const gateway = this.#routers.get(routerNumber)?.gateway ?? null;
    const answer = readArp(frame);
    if (gateway === null || answer === null || !answer.isReply) return;
    const known = this.#known.get(gateway.externalNetworkId) ?? new Map<string, Neighbour>();
    this.#known.set(gateway.externalNetworkId, known);
    const before = known.get(answer.senderAddress);
    // Nobody introduces himself unasked: that would fill the memory, and program the switch anew each time.
    if (before === undefined && !this.#asked.has(`${gateway.externalNetworkId} ${answer.senderAddress}`)) return;
    known.set(answer.senderAddress, { macAddress: answer.senderMac, heardMs: performance.now() });
    if (before?.macAddress !== answer.senderMac) this.#options.changed();
  }

  #ask(gateway: NonNullable<SliceRouter['gateway']>, address: string): void {
    const key = `${gateway.externalNetworkId} ${address}`;
    const now = performance.now();
    if (now - (this.#asked.get(key) ?? -Infinity) < patienceMs) return;
    this.#asked.set(key, now);
    this.#send(gateway.externalNetworkId, arpFrame(gateway.macAddress, gateway.address, address));
  }

  #send(networkId: string, frame: Buffer): void {
    const exit = this.#exits.get(networkId);
    if (exit === undefined) return;
    const tag: Action[] =
      exit.vlan === 0 ? [] : [{ do: 'push-vlan' }, { do: 'set', to: 'vlan_vid', value: 0x1000n | BigInt(exit.vlan) }];
    this.#options.send({ actions: [...tag, { do: 'output', port: exit.port }], data: frame });
  }

  #refresh(): void {
    this.#asked.clear();
    let forgotten = false;
    for (const { gateway } of this.#routers.values()) {
      const known = this.#known.get(gateway?.externalNetworkId ?? '');
      if (gateway === null || known === undefined) continue;
      for (const [address, { heardMs }] of known) {
        if (performance.now() - heardMs > forgetMs) forgotten = known.delete(address);
        else this.#ask(gateway, address);
      }
    }
    if (forgotten) this.#options.changed();
  }
}

function sameSubnet(a: string, b: string, prefixLength: number): boolean {
  const differing = (ipv4Bytes(a).readUInt32BE(0) ^ ipv4Bytes(b).readUInt32BE(0)) >>> 0;
  return prefixLength === 0 || differing >>> (32 - prefixLength) === 0;
}
