/**
 * The port on 127.0.0.1 that a lab's manager serves people on: chosen once, then kept, so that addresses stay good. No two labs keep
 * the same, also while their managers do not run: a person logged in to one would talk to the other.
 */
import { readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { readKeptFile, writeKeptFile } from '@kvasir/api/kept-file.ts';
import { isLabName, labLayout, type LabLayout } from './layout.ts';
import { withLock } from './state.ts';

const tries = 100;

/** The port of an earlier call, else the first free one from `preferred` on that no other lab keeps. */
export async function apiPort(lab: LabLayout, preferred: number): Promise<number> {
  return withLock('kvasir-labs-api-port', 'another lab chooses its port; its end', async () => {
    const known = await keptPort(lab);
    if (known !== undefined) return known;
    const parent = dirname(lab.directory);
    const names = readdirSync(parent).filter(isLabName);
    const taken = await Promise.all(names.map((name) => keptPort(labLayout(name, parent))));
    for (let port = preferred; port < preferred + tries; port++) {
      if (taken.includes(port) || !(await isPortFree(port))) continue;
      await writeKeptFile(portFile(lab), `${port}\n`);
      return port;
    }
    throw new Error(`no port from ${preferred} to ${preferred + tries - 1} is free on 127.0.0.1`);
  });
}

/** Undefined also when what is there is no port. */
async function keptPort(lab: LabLayout): Promise<number | undefined> {
  const port = Number(await readKeptFile(portFile(lab)));
  return Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined;
}

function portFile(lab: LabLayout): string {
  return join(lab.managerDirectory, 'api-port');
}

export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
