/** What is read from agents as byte streams: consoles, pictures, image files. */
import type { Duplex, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { imageOpen } from '@kvasir/api/agent/storage.ts';
import type { AgentMethod, ParamsOf } from '@kvasir/api/agent/method.ts';
import { vmConsole, vmScreenshot } from '@kvasir/api/agent/vm.ts';
import { LinkClosedError } from '@kvasir/api/agent/wire/link.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { LinkHub } from './link-hub.ts';
import { readResult } from './reports.ts';

const openTimeoutMs = 30_000;
const maxPictureBytes = 64 * 1024 * 1024;

export class HostStreams {
  readonly #hub: LinkHub;

  constructor(hub: LinkHub) {
    this.#hub = hub;
  }

  /** @throws KvasirError host-unreachable, or what the agent answered */
  async openConsole(hostId: string, vmId: string, kind: 'serial' | 'vnc'): Promise<Duplex> {
    const { stream } = await this.#open(hostId, vmConsole, { vmId, kind });
    // When the console ends, so does the viewer's side.
    stream.allowHalfOpen = false;
    return stream;
  }

  /** PNG. */
  async screenshot(hostId: string, vmId: string): Promise<Buffer> {
    const { stream } = await this.#open(hostId, vmScreenshot, { vmId });
    stream.end();
    let bytes = 0;
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.byteLength;
      if (bytes > maxPictureBytes) stream.destroy(new Error('the picture is too large'));
    });
    try {
      return await buffer(stream);
    } catch (error) {
      if (error instanceof LinkClosedError) throw new KvasirError('host-unreachable', { host: hostId });
      throw new KvasirError('host-failed', { reason: (error as Error).message }, undefined, { cause: error });
    }
  }

  async openImage(
    hostId: string,
    image: ParamsOf<typeof imageOpen>,
  ): Promise<{ readonly content: Readable; readonly sizeBytes: number }> {
    const { stream, answer } = await this.#open(hostId, imageOpen, image);
    stream.end();
    return { content: stream, sizeBytes: (answer as { readonly sizeBytes: number }).sizeBytes };
  }

  async #open(
    hostId: string,
    method: AgentMethod,
    params: unknown,
  ): Promise<{ readonly stream: Duplex; readonly answer: unknown }> {
    const link = this.#hub.find(hostId);
    if (link === undefined) return Promise.reject(await this.#hub.unreachable(hostId));
    try {
      const answer = readResult(method, await link.peer.call(method.name, params, { timeoutMs: openTimeoutMs }));
      return { stream: link.peer.streams.claim((answer as { readonly streamId: number }).streamId), answer };
    } catch (error) {
      if (error instanceof LinkClosedError) throw await this.#hub.unreachable(hostId);
      if (error instanceof KvasirError) throw error;
      link.peer.refuse((error as Error).message);
      throw new KvasirError('host-failed', { reason: (error as Error).message }, undefined, { cause: error });
    }
  }
}
