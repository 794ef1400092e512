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

const screenshotAttempts = 5;
/** Without data for so long, a screenshot is tried anew: the daemon has the whole file before it answers. */
const stallMs = 1000;
/** The last chunk of every PNG. */
const pngEnd = Buffer.from('0000000049454e44ae426082', 'hex');

/** What reading raises when the stream was destroyed without an error, here by the stall timer. */
const isPrematureClose = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE';

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

  /**
   * Rejects with STREAM_ABORTED when the image is larger than `maxBytes`, or when libvirt gives none in several attempts:
   * in one of twenty screenshots libvirtd 9.0 was seen to end the stream before its data, or to send nothing at all.
   */
  async screenshot(uuid: string, screen = 0, maxBytes = 64 * 1024 * 1024): Promise<Screenshot> {
    for (let attempt = 0; attempt < screenshotAttempts; attempt++) {
      const screenshot = await this.#screenshot(uuid, screen, maxBytes);
      if (screenshot !== null) return screenshot;
    }
    throw new LibvirtConnectionError('STREAM_ABORTED', 'libvirt gave no whole screenshot', { sent: true });
  }

  /** Null when what came is not whole. */
  async #screenshot(uuid: string, screen: number, maxBytes: number): Promise<Screenshot | null> {
    const args = { domain: byUuid(uuid), screen, flags: 0 };
    const { result, stream } = await this.#caller.openStream('domainScreenshot', args);
    const stalled = setTimeout(() => stream.destroy(), stallMs);
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      // Leaving the loop early destroys the stream.
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        stalled.refresh();
        chunks.push(chunk);
        size += chunk.length;
        if (size > maxBytes) {
          throw new LibvirtConnectionError('STREAM_ABORTED', `a screenshot of over ${maxBytes} bytes`, { sent: true });
        }
      }
    } catch (error) {
      if (isPrematureClose(error)) return null;
      throw error;
    } finally {
      clearTimeout(stalled);
    }
    const mime = result.mime ?? 'application/octet-stream';
    const image = Buffer.concat(chunks);
    const whole = mime === 'image/png' ? image.subarray(-pngEnd.length).equals(pngEnd) : size > 0;
    return whole ? { mime, image } : null;
  }
}
