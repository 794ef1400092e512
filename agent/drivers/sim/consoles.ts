/** What a simulated domain shows: a serial console that echoes, the greeting of RFB, and the smallest picture. */
import { Duplex } from 'node:stream';
import { crc32, deflateSync } from 'node:zlib';

/** Says whose console it is, then answers every byte with itself. */
export function serialConsole(name: string): Duplex {
  const console = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _encoding, done) {
      this.push(chunk);
      done();
    },
    final(done) {
      this.push(null);
      done();
    },
  });
  console.push(`Simulated console of ${name}\r\n`);
  return console;
}

export function vncConsole(): Duplex {
  const console = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => done(),
    final(done) {
      this.push(null);
      done();
    },
  });
  console.push('RFB 003.008\n');
  return console;
}

/** A PNG of one black pixel. */
export const onePixel: Buffer = Buffer.concat([
  Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
  pngChunk('IHDR', Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0])),
  pngChunk('IDAT', deflateSync(Buffer.from([0, 0]))),
  pngChunk('IEND', Buffer.alloc(0)),
]);

function pngChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}
