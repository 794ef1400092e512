/** A picture as the hypervisor gives it (PNG, or PPM in its binary form P6) as PNG. */
import { crc32, deflateSync } from 'node:zlib';

export function toPng(mime: string, image: Buffer): Buffer {
  return mime === 'image/png' ? image : encodePng(readPpm(image));
}

interface Picture {
  readonly width: number;
  readonly height: number;
  /** Rows of RGB, 3 bytes a pixel. */
  readonly rgb: Buffer;
}

function readPpm(image: Buffer): Picture {
  const header = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(image.subarray(0, 64).toString('latin1'));
  const [width, height] = [Number(header?.[1]), Number(header?.[2])];
  const rgb = image.subarray(header?.[0].length ?? 0);
  if (!header || rgb.length < width * height * 3) throw new Error('the screenshot is neither PNG nor a whole PPM');
  return { width, height, rgb };
}

function encodePng({ width, height, rgb }: Picture): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  // 8 bits a channel, RGB, default compression and filter, not interlaced.
  head.set([8, 2, 0, 0, 0], 8);
  const rowBytes = width * 3;
  const rows = Buffer.alloc((rowBytes + 1) * height);
  for (let y = 0; y < height; y++) rgb.copy(rows, y * (rowBytes + 1) + 1, y * rowBytes, (y + 1) * rowBytes);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}
