/** The port on 127.0.0.1 that a lab's manager serves people on: chosen once, then kept, so that addresses stay good. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { Lab } from './lab.ts';

const tries = 100;

/** The port of an earlier call, else the first free one from `preferred` on. */
export async function apiPort(lab: Lab, preferred: number): Promise<number> {
  const kept = join(lab.layout.managerDirectory, 'api-port');
  if (existsSync(kept)) return Number(readFileSync(kept, 'utf8'));
  for (let port = preferred; port < preferred + tries; port++) {
    if (!(await isFree(port))) continue;
    writeFileSync(kept, `${port}\n`);
    return port;
  }
  throw new Error(`no port from ${preferred} to ${preferred + tries - 1} is free on 127.0.0.1`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
