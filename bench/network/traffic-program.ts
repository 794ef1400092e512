/**
 * One end of a TCP stream, run inside a network namespace.
 *
 *   node traffic-program.ts receive ADDRESS           # prints `ready`, then one line of JSON for each stream
 *   node traffic-program.ts send ADDRESS MILLISECONDS
 */
import net from 'node:net';

export interface Received {
  readonly bytes: number;
  /** From the first byte to the end of the stream. */
  readonly ms: number;
}

const port = 5201;
const chunk = Buffer.alloc(128 * 1024, 'kvasir');

const [what, address = '', milliseconds = '0'] = process.argv.slice(2);
if (what === 'receive') receive();
else send(Number(milliseconds));

function receive(): void {
  const server = net.createServer((socket) => {
    let bytes = 0;
    let began = 0;
    socket.on('data', (data) => {
      if (bytes === 0) began = performance.now();
      bytes += data.length;
    });
    socket.on('end', () => process.stdout.write(`${JSON.stringify({ bytes, ms: performance.now() - began })}\n`));
    socket.on('error', () => socket.destroy());
  });
  server.listen(port, address, () => process.stdout.write('ready\n'));
}

function send(forMs: number): void {
  const socket = net.connect(port, address);
  socket.on('connect', () => {
    const end = performance.now() + forMs;
    const more = (): void => {
      while (performance.now() < end) if (!socket.write(chunk)) return;
      socket.off('drain', more);
      socket.end();
    };
    socket.on('drain', more);
    more();
  });
  socket.on('error', (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  });
}
