/**
 * A database as a new manager makes it, in memory's file system; made once for each process and copied for each world, because to
 * make it costs more than a whole world.
 */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CertificateAuthority } from '@kvasir/manager/hosts/ca.ts';
import { bootstrap } from '@kvasir/manager/store/bootstrap.ts';
import { openDatabase, type Store } from '@kvasir/manager/store/database.ts';
import { Chance } from './chance.ts';
import { VirtualClock } from './virtual-clock.ts';

let folder: string | undefined;
let template: Promise<string> | undefined;
let copies = 0;

export interface CopiedStore {
  readonly store: Store;
  close(): Promise<void>;
}

export async function copyStore(): Promise<CopiedStore> {
  template ??= makeTemplate();
  const from = await template;
  copies += 1;
  const path = join(folder!, `world-${copies}.db`);
  copyFileSync(from, path);
  const store = await openDatabase(`sqlite:${path}`, new VirtualClock());
  return {
    store,
    close: async () => {
      await store.close();
      for (const ending of ['', '-wal', '-shm']) rmSync(`${path}${ending}`, { force: true });
    },
  };
}

async function makeTemplate(): Promise<string> {
  folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'kvasir-sim-'));
  const made = folder;
  process.on('exit', () => rmSync(made, { recursive: true, force: true }));
  const path = join(folder, 'template.db');
  const clock = new VirtualClock();
  const store = await openDatabase(`sqlite:${path}`, clock);
  await bootstrap(store, { clock, ids: new Chance('template').ids() });
  await CertificateAuthority.open(store, () => clock.now());
  await store.close();
  return path;
}
