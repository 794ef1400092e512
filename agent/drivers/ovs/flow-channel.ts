/**
 * The flows of the integration bridge, over connections that come and go: an ovs-vswitchd that was killed comes back without any
 * flow, and somebody may change them by hand. Either way `onDrift` is called, and the keeper programs them again.
 */
import { join } from 'node:path';
import type { FlowTable } from '@kvasir/ovs/flow.ts';
import { FlowClient } from '@kvasir/ovs/openflow/client.ts';
import { OpenFlowError } from '@kvasir/ovs/openflow/errors.ts';
import type { PacketIn, PacketOut } from '@kvasir/ovs/openflow/packets.ts';

export interface FlowChannelOptions {
  /** Where the switch's sockets are. */
  readonly runDirectory: string;
  readonly bridge: string;
  /** The flows may not be what was programmed last: by others' hands, or because the switch was away. */
  readonly onDrift: () => void;
  readonly onPacket: (packet: PacketIn) => void;
}

const reconnectMs = 100;

export class FlowChannel {
  readonly #options: FlowChannelOptions;
  #client: FlowClient | null = null;
  #opening: Promise<FlowClient> | null = null;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: FlowChannelOptions) {
    this.#options = options;
  }

  /** Makes the bridge hold exactly these flows and meters, in one stroke. Throws `OpenFlowError` when the switch is away or refuses. */
  async program(table: FlowTable): Promise<void> {
    await (await this.#connected()).replace(table);
  }

  async client(): Promise<FlowClient> {
    return this.#connected();
  }

  /** Lost when the switch is away: whoever asked asks again. */
  send(packet: PacketOut): void {
    this.#client?.packetOut(packet).catch(() => undefined);
  }

  close(): void {
    this.#closed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#client?.close();
  }

  #connected(): Promise<FlowClient> {
    if (this.#client !== null) return Promise.resolve(this.#client);
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #open(): Promise<FlowClient> {
    if (this.#closed) throw new OpenFlowError('not connected', 'the driver is closed');
    const { runDirectory, bridge, onDrift, onPacket } = this.#options;
    const client = await FlowClient.open({ socketPath: join(runDirectory, `${bridge}.mgmt`) });
    if (this.#closed) {
      client.close();
      throw new OpenFlowError('not connected', 'the driver is closed');
    }
    this.#client = client;
    client.on('changed', onDrift);
    client.on('packetIn', onPacket);
    client.on('closed', () => {
      this.#client = null;
      this.#reconnect();
    });
    return client;
  }

  #reconnect(): void {
    if (this.#closed || this.#retry !== null) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#connected().then(this.#options.onDrift, () => this.#reconnect());
    }, reconnectMs).unref();
  }
}
