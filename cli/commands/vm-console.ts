/**
 * `kvasir vm console NAME`: the serial console in this terminal, or (`--kind vnc`) a door on loopback for a VNC viewer.
 * Each connection takes its own one-time ticket, which travels as a WebSocket subprotocol and never in an address.
 */
import { type AddressInfo, createServer, type Socket as Viewer } from 'node:net';
import type { Client } from '@kvasir/api/client.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { type Command, Option } from 'commander';
import type { WebSocket } from 'ws';
import { connect, type GlobalFlags } from '../connection.ts';
import { addGlobalOptions } from '../option-set.ts';
import { groupOf } from '../own-commands.ts';
import type { Surroundings } from '../surroundings.ts';
import { attachTerminal } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';

interface ConsoleFlags extends GlobalFlags {
  readonly kind: 'serial' | 'vnc';
  readonly until?: string;
  readonly timeout?: string;
  readonly listen: string;
}

export function addVmConsole(program: Command, around: Surroundings): void {
  const command = groupOf(program, 'vm')
    .command('console')
    .description('Use the serial console in this terminal (Ctrl-] leaves), or open the screen for a VNC viewer')
    .argument('<vm>', 'Name or id')
    .addOption(new Option('--kind <kind>', 'serial or vnc').choices(['serial', 'vnc']).default('serial'))
    .option('--until <text>', 'leave with success when this text appears (for scripts)')
    .option('--timeout <seconds>', 'leave with failure after this time (for scripts)')
    .option('--listen <port>', 'vnc: loopback port for the viewer (default: any free one)', '0');
  addGlobalOptions(command, true);
  command.action(async (vm: string) => {
    const flags: ConsoleFlags = command.optsWithGlobals();
    const timeoutMs = flags.timeout === undefined ? undefined : Number(flags.timeout) * 1000;
    if (timeoutMs !== undefined && !(timeoutMs > 0)) throw new UsageError('--timeout: must be a number of seconds');
    const { client, project } = await connect(flags, around);
    const open = () => openConsole(client, vm, project, flags.kind);
    if (flags.kind === 'vnc') await serveViewer(open, Number(flags.listen), around);
    else await attachTerminal(await open(), { name: vm, until: flags.until, timeoutMs }, around);
  });
}

async function openConsole(client: Client, vm: string, project: string | undefined, kind: 'serial' | 'vnc') {
  const { path, ticket } = await client.call(vmOperations.openConsole, {
    params: { vm },
    query: { project },
    body: { kind },
  });
  const address = client.address(path);
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  const { WebSocket: Socket } = await import('ws');
  const socket = new Socket(address, [`kvasir.ticket.${ticket}`, 'kvasir.console'], {
    perMessageDeflate: false,
    handshakeTimeout: 15_000,
  });
  socket.binaryType = 'nodebuffer';
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => {
      // Nothing is read before somebody listens: the guest's first bytes may come with the handshake.
      socket.pause();
      resolve();
    });
    socket.once('error', (error) => reject(new Error(`the console did not open: ${error.message}`)));
  });
  return socket;
}

/** Serves viewers one after the other or at once, each with its own ticket, until interrupted. */
async function serveViewer(open: () => Promise<WebSocket>, port: number, around: Surroundings): Promise<void> {
  const { createWebSocketStream } = await import('ws');
  const viewers = new Set<Viewer>();
  const server = createServer((viewer) => {
    viewers.add(viewer);
    viewer.on('close', () => viewers.delete(viewer));
    viewer.on('error', () => viewer.destroy());
    void open().then(
      (socket) => {
        const stream = createWebSocketStream(socket);
        const close = () => {
          viewer.destroy();
          socket.terminate();
        };
        stream.on('error', close).on('close', close);
        viewer.on('close', close);
        viewer.pipe(stream).pipe(viewer);
      },
      (error: unknown) => {
        around.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
        viewer.destroy();
      },
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const { port: chosen } = server.address() as AddressInfo;
  around.stdout.write(`VNC at 127.0.0.1:${chosen}; Ctrl-C closes it\n`);
  await new Promise<void>((resolve) => {
    if (around.interrupted.aborted) resolve();
    around.interrupted.addEventListener('abort', () => resolve(), { once: true });
  });
  for (const viewer of viewers) viewer.destroy();
  await new Promise((resolve) => server.close(resolve));
}
