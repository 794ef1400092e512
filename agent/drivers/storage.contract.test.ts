import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storageContract } from './storage.contract.ts';
import { DirectoryStorageDriver } from './volumes/driver.ts';
import { qcow2Bytes } from './volumes/testing.ts';

storageContract('directories', qcow2Bytes, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'kvasir-storage-'));
  const poolPath = join(directory, 'pool');
  const make = () =>
    new DirectoryStorageDriver({
      hostId: 'host-1',
      seedDirectory: join(directory, 'seeds'),
      stateDirectory: join(directory, 'state'),
    });
  return {
    driver: make(),
    restart: () => Promise.resolve(make()),
    poolPath,
    putImport: (name, content) => writeFile(join(poolPath, 'import', name), content),
    close: () => rm(directory, { recursive: true, force: true }),
  };
});
