/** Answers the packets that flows hand to the agent: DHCP and router solicitations of this host's ports, and what its
 * gateways want to know of their neighbours. */
import type { Action } from '@kvasir/ovs/flow.ts';
import { decodeQuestion } from '@kvasir/ovs/compile/packet-in.ts';
import type { PacketIn, PacketOut } from '@kvasir/ovs/openflow/packets.ts';
import type { SlicePort } from '@kvasir/api/agent/network-slice.ts';
import type { ExternalNeighbours } from './external-neighbours.ts';
import type { PortDirectory } from './port-directory.ts';
import { answerDhcp } from './responders/dhcp.ts';
import { advertise, answerSolicitation } from './responders/router-advertisement.ts';

export interface PacketAnswersOptions {
  readonly directory: () => PortDirectory | null;
  /** All ports that may hear advertisements. */
  readonly ports: () => readonly SlicePort[];
  /** OpenFlow port of a NIC; undefined: not plugged in. */
  readonly portOf: (nicId: string) => number | undefined;
  readonly neighbours: ExternalNeighbours;
  readonly send: (packet: PacketOut) => void;
}

/** A guest forgets its router when it does not hear of it for longer than the advertised lifetime. */
const advertiseEveryMs = 600_000;
const presentVlan = 0x1000n;

export class PacketAnswers {
  readonly #options: PacketAnswersOptions;
  readonly #timer: NodeJS.Timeout;

  constructor(options: PacketAnswersOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#advertiseAll(), advertiseEveryMs).unref();
  }

  /** What makes no sense gets no answer. */
  take({ userdata, data }: PacketIn): void {
    const question = decodeQuestion(userdata);
    const directory = this.#options.directory();
    if (question === null || directory === null) return;
    if ('router' in question) {
      if (question.asks === 'neighbour') this.#options.neighbours.needed(question.router, data);
      else this.#options.neighbours.heard(question.router, data);
      return;
    }
    const port = directory.port(question.port);
    if (port === undefined) return;
    if (question.asks === 'dhcp') {
      const lease = directory.lease(port);
      if (lease !== null) this.#reply(port, answerDhcp(data, lease));
    } else {
      const advertisement = directory.advertisement(port);
      if (advertisement !== null) this.#reply(port, answerSolicitation(data, advertisement));
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #advertiseAll(): void {
    const directory = this.#options.directory();
    for (const port of this.#options.ports()) {
      const advertisement = directory?.advertisement(port) ?? null;
      if (advertisement !== null) this.#reply(port, advertise(advertisement));
    }
  }

  #reply(port: SlicePort, frame: Buffer | null): void {
    const number = this.#options.portOf(port.nicId);
    if (frame === null || number === undefined) return;
    const tag: Action[] =
      port.guestVlan === null
        ? []
        : [{ do: 'push-vlan' }, { do: 'set', to: 'vlan_vid', value: presentVlan | BigInt(port.guestVlan) }];
    this.#options.send({ actions: [...tag, { do: 'output', port: number }], data: frame });
  }
}
