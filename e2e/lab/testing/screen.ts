/** A console opened as the web console will: a one-time ticket, a WebSocket, and on it the bytes of RFB (RFC 6143). */
import assert from 'node:assert/strict';
import { inflateSync } from 'node:zlib';
import type { Client } from '@kvasir/api/client.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';

export interface Ticket {
  readonly address: string;
  readonly ticket: string;
}

export async function consoleTicket(client: Client, vm: string, kind: 'serial' | 'vnc'): Promise<Ticket> {
  const { path, ticket } = await client.call(vmOperations.openConsole, { params: { vm }, body: { kind } });
  const address = client.address(path);
  address.protocol = 'ws:';
  return { address: address.href, ticket };
}

/** The socket when it is open; rejects when the manager refuses it. */
export async function connectConsole({ address, ticket }: Ticket): Promise<WebSocket> {
  const socket = new WebSocket(address, [`kvasir.ticket.${ticket}`, 'kvasir.console']);
  socket.binaryType = 'arraybuffer';
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve(), { once: true });
    socket.addEventListener('error', () => reject(new Error('the manager refused the console')), { once: true });
  });
  return socket;
}

/** Speaks RFB up to the server's greeting; answers the size of the screen. */
export async function rfbHandshake(socket: WebSocket): Promise<{ readonly width: number; readonly height: number }> {
  let have = Buffer.alloc(0);
  let wake: () => void = () => undefined;
  socket.addEventListener('message', (event) => {
    have = Buffer.concat([have, Buffer.from(event.data as ArrayBuffer)]);
    wake();
  });
  const take = async (count: number): Promise<Buffer> => {
    const signal = AbortSignal.timeout(15_000);
    while (have.length < count) {
      await new Promise<void>((resolve, reject) => {
        wake = resolve;
        signal.addEventListener('abort', () => reject(new Error(`the screen said only ${have.toString('hex')}`)));
      });
    }
    const taken = have.subarray(0, count);
    have = have.subarray(count);
    return taken;
  };
  assert.equal((await take(12)).toString(), 'RFB 003.008\n');
  socket.send('RFB 003.008\n');
  const kinds = await take((await take(1))[0] ?? 0);
  assert.ok(kinds.includes(1), 'the screen asks for no password: the ticket admits');
  socket.send(Uint8Array.of(1));
  assert.equal((await take(4)).readUInt32BE(), 0);
  socket.send(Uint8Array.of(1));
  const greeting = await take(24);
  return { width: greeting.readUInt16BE(0), height: greeting.readUInt16BE(2) };
}

/** What a PNG shows, as far as tests ask. */
export function readPng(png: Buffer): { readonly width: number; readonly height: number; readonly black: boolean } {
  assert.equal(png.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
  let at = 8;
  const data: Buffer[] = [];
  while (at < png.length) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') data.push(png.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  const width = png.readUInt32BE(16);
  const height = png.readUInt32BE(20);
  const rows = inflateSync(Buffer.concat(data));
  const stride = rows.length / height;
  // Each row begins with the number of its filter; with any filter a black picture is all zeros.
  const black = rows.every((byte, index) => byte === 0 || index % stride === 0);
  return { width, height, black };
}
