import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { VmSpec } from '@kvasir/api/agent/vm.ts';
import { FileVmSpecs } from './vm-specs.ts';

const spec: VmSpec = {
  vmId: '0b4e6add-ffe0-4b62-a2a3-5fd6935a59f9',
  name: 'web',
  projectId: '13e6bdcd-11f4-4f57-99f6-e69705506de2',
  cpus: 1,
  maxCpus: 1,
  memoryMib: 128,
  maxMemoryMib: 128,
  cpuModel: 'host',
  firmware: 'bios',
  bootOrder: ['disk'],
  disks: [],
  nics: [],
  cloudInit: { instanceId: 'web', userData: 'a secret' },
};

describe('what a host knows of its VMs', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kvasir-specs-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('outlives the agent, without the secrets', async () => {
    await (await FileVmSpecs.open(folder)).set(spec);
    const later = await FileVmSpecs.open(folder);
    assert.deepEqual(later.get(spec.vmId), { ...spec, cloudInit: null });
    await later.delete(spec.vmId);
    assert.deepEqual([...(await FileVmSpecs.open(folder)).all()], []);
  });

  it('loses what a crash left half written, and the file with it', async () => {
    await writeFile(join(folder, `${spec.vmId}.json.new`), '{"vmId":"0b4e');
    assert.deepEqual([...(await FileVmSpecs.open(folder)).all()], []);
    assert.deepEqual(await readdir(folder), []);
  });
});
