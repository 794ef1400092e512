import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { apiPort } from './api-port.ts';
import { Cloud } from './cloud.ts';
import { Lab } from './lab.ts';
import { type LabLayout, labLayout } from './layout.ts';
import { writeLabState } from './state.ts';
import { testLabName } from './test-labs.ts';

async function withLabs(work: (first: LabLayout, second: LabLayout) => Promise<void>): Promise<void> {
  const parent = mkdtempSync(join(tmpdir(), 'kvasir-lab-'));
  const labs = [labLayout('one', parent), labLayout('two', parent)] as const;
  try {
    for (const { managerDirectory } of labs) mkdirSync(managerDirectory, { recursive: true });
    await work(...labs);
  } finally {
    rmSync(parent, { recursive: true });
  }
}

/** A program of somebody else that has a port. */
async function stranger(): Promise<{ readonly port: number; close(): Promise<unknown> }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, close: () => new Promise((resolve) => server.close(resolve)) };
}

describe('the port of a lab', () => {
  it('stays as it was chosen, and is no port that a stranger has', async () => {
    await withLabs(async (lab) => {
      const other = await stranger();
      const port = await apiPort(lab, other.port);
      assert.ok(port > other.port);
      await other.close();
      assert.equal(await apiPort(lab, other.port), port);
    });
  });

  it('is not that of another lab, also while no manager serves there', async () => {
    await withLabs(async (first, second) => {
      const { port, close } = await stranger();
      await close();
      assert.notEqual(await apiPort(first, port), await apiPort(second, port));
    });
  });

  it('is chosen anew when a crash left half of the record', async () => {
    await withLabs(async (lab) => {
      const kept = join(lab.managerDirectory, 'api-port');
      writeFileSync(kept, '');
      const port = await apiPort(lab, 20_000);
      assert.ok(port >= 20_000);
      assert.equal(Number(readFileSync(kept, 'utf8')), port);
    });
  });

  it('is not asked for an answer while a stranger has it', async () => {
    const layout = labLayout(testLabName('p'));
    const { port, close } = await stranger();
    try {
      writeLabState(layout, { version: 1, name: layout.name, hosts: [] });
      const cloud = new Cloud(Lab.open(layout.name), { port, profile: layout.name });
      await assert.rejects(cloud.startManager(), /port [0-9]+ on 127\.0\.0\.1 .* another program/);
    } finally {
      await close();
      await Lab.remove(layout.name);
    }
  });
});
