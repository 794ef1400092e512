import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { simDrivers } from './sim/drivers.ts';
import { simImage } from './sim/image-content.ts';
import { simBed } from './sim/testing.ts';
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

storageContract(
  'simulated host',
  (sizeBytes) => Promise.resolve(simImage(sizeBytes)),
  async () => {
    const [host] = (await simBed(1)).hosts;
    return {
      driver: simDrivers(host!).storage,
      restart: () => Promise.resolve(simDrivers(host!).storage),
      poolPath: '/pool',
      putImport: async (name, content) => void host!.directory('/pool', false).imports.set(name, content),
      close: () => Promise.resolve(),
    };
  },
);
