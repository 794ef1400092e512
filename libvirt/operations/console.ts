/** A domain's consoles and its screen, as streams. */
import type { Caller } from '../caller.ts';
import { LibvirtConnectionError } from '../error.ts';
import type { LibvirtStream } from '../stream.ts';
import { byUuid } from '../wire-types.ts';

export interface Screenshot {
  /** As the hypervisor says: `image/png` or `image/x-portable-pixmap`. */
  readonly mime: string;
  readonly image: Buffer;
}

export class ConsoleOperations {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /**
   * The serial console (a `pty` device), or another one by its alias. `flags`: ConsoleFlags. The stream ends when the
   * domain stops; destroy() it to leave.
   */
  async open(
    uuid: string,
    options: { readonly device?: string; readonly flags?: number } = {},
  ): Promise<LibvirtStream> {
    const { device = null, flags = 0 } = options;
    return (await this.#caller.openStream('domainOpenConsole', { domain: byUuid(uuid), device, flags })).stream;
  }

  /** A virtio channel by its target name. */
  async openChannel(uuid: string, channel: string): Promise<LibvirtStream> {
    return (await this.#caller.openStream('domainOpenChannel', { domain: byUuid(uuid), channel, flags: 0 })).stream;
  }

  /** Rejects when the image is larger than `maxBytes`. */
  async screenshot(uuid: string, screen = 0, maxBytes = 64 * 1024 * 1024): Promise<Screenshot> {
    const args = { domain: byUuid(uuid), screen, flags: 0 };
    const { result, stream } = await this.#caller.openStream('domainScreenshot', args);
    const chunks: Buffer[] = [];
    let size = 0;
    // Leaving the loop early destroys the stream.
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > maxBytes) throw new LibvirtConnectionError('STREAM_ABORTED', `a screenshot of over ${maxBytes} bytes`);
    }
    return { mime: result.mime ?? 'application/octet-stream', image: Buffer.concat(chunks) };
  }
}
