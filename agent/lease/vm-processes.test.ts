/** Whose processes are ended with a pool, and what is said of those that hang or cannot be read: never that they are gone. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { VmProcesses } from './vm-processes.ts';

const pool = { poolId: 'pool', path: '/pool' };
/** The kernel gives no process such a number. */
const firstPid = 90_000_000;

describe('processes of VMs', () => {
  const root = mkdtempSync(join(tmpdir(), 'kvasir-processes-'));
  after(() => rmSync(root, { recursive: true, force: true }));
  let count = 0;

  /** A /proc that tests write. */
  function made(): { readonly proc: string; readonly vms: VmProcesses } {
    const proc = join(root, `proc-${(count += 1)}`);
    mkdirSync(proc);
    const vms = new VmProcesses(specs({}), proc);
    after(() => vms.close());
    return { proc, vms };
  }

  function specs(poolOf: Readonly<Record<string, string>>): string {
    const directory = join(root, `specs-${(count += 1)}`);
    mkdirSync(directory);
    for (const [vmId, poolId] of Object.entries(poolOf)) {
      writeFileSync(join(directory, `${vmId}.json`), JSON.stringify({ vmId, disks: [{ poolId }] }));
    }
    return directory;
  }

  function add(
    proc: string,
    options: { readonly state?: string; readonly words?: string; readonly name?: string } = {},
  ) {
    const pid = String(firstPid + (count += 1));
    const { state = 'S', words = '', name = 'qemu-system-x86' } = options;
    for (const folder of [join(proc, pid), join(proc, pid, 'task', pid)]) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'stat'), `${pid} (${name}) ${state}${' 0'.repeat(18)} 4242 0\n`);
      writeFileSync(join(folder, 'cmdline'), words.replaceAll(' ', '\0'));
    }
    mkdirSync(join(proc, pid, 'fd'));
    return join(proc, pid);
  }

  it('those of the pool are ended, and no others', async () => {
    // By this name the kernel knows them.
    const qemu = join(root, 'qemu-system-x86_64');
    symlinkSync('/bin/bash', qemu);
    const start = (vmId: string) =>
      spawn(qemu, ['-c', 'read -r line', '-uuid', vmId], { stdio: ['pipe', 'ignore', 'ignore'] });
    const [mine, other] = [start('mine'), start('other')];
    after(() => other.kill('SIGKILL'));
    await Promise.all([once(mine, 'spawn'), once(other, 'spawn')]);
    const vms = new VmProcesses(specs({ mine: 'pool', other: 'local' }));
    after(() => vms.close());
    assert.deepEqual(await vms.find(pool), ['mine']);
    const gone = once(mine, 'exit');
    assert.deepEqual((await vms.end(pool)).vmIds, ['mine']);
    await gone;
    while ((await vms.end(pool)).left > 0);
    assert.equal(mine.signalCode, 'SIGKILL');
    assert.deepEqual([other.exitCode, other.signalCode], [null, null]);
  });

  it('one whose first thread has ended while another hangs is still there', async () => {
    const { proc, vms } = made();
    const vm = add(proc, { state: 'Z' });
    mkdirSync(join(vm, 'task', '7'));
    writeFileSync(join(vm, 'task', '7', 'stat'), '7 (CPU 0/TCG) D 0');
    writeFileSync(join(vm, 'task', '7', 'cmdline'), 'qemu\0-uuid\0vm\0-blockdev\0{"filename":"/pool/volumes/v"}');
    assert.deepEqual(await vms.end(pool), { vmIds: ['vm'], left: 1 });
    writeFileSync(join(vm, 'task', '7', 'stat'), '7 (CPU 0/TCG) X 0');
    assert.deepEqual(await vms.end(pool), { vmIds: ['vm'], left: 0 });
  });

  it('one that does not tell which VM it is may use any pool, until it is gone', async () => {
    const { proc, vms } = made();
    const vm = add(proc);
    rmSync(join(vm, 'cmdline'));
    mkdirSync(join(vm, 'cmdline'));
    assert.deepEqual(await vms.end(pool), { vmIds: [], left: 1 });
    await assert.rejects(vms.find(pool), /does not tell which VM/);
    rmSync(vm, { recursive: true });
    assert.deepEqual(await vms.end(pool), { vmIds: [], left: 0 });
    assert.deepEqual(await vms.find(pool), []);
  });

  it('one that has ended and says nothing any more is gone', async () => {
    const { proc, vms } = made();
    add(proc, { state: 'Z' });
    assert.deepEqual(await vms.end(pool), { vmIds: [], left: 0 });
  });

  it('one of which it cannot be read whether it is there is not gone', async () => {
    const { proc, vms } = made();
    const vm = add(proc, { words: 'qemu -uuid vm /pool/volumes/v' });
    assert.deepEqual(await vms.end(pool), { vmIds: ['vm'], left: 1 });
    rmSync(join(vm, 'stat'));
    mkdirSync(join(vm, 'stat'));
    await assert.rejects(vms.end(pool), /EISDIR/);
  });

  it('one that hangs when it is asked holds up no other, however often it is asked', { timeout: 60_000 }, async () => {
    const { proc, vms } = made();
    const hanging = [add(proc), add(proc, { name: 'something else' })];
    for (const path of hanging.map((process) => join(process, 'cmdline'))) {
      rmSync(path);
      execFileSync('mkfifo', [path]);
    }
    for (let asked = 0; asked < 6; asked += 1) assert.deepEqual(await vms.end(pool), { vmIds: [], left: 1 });
    add(proc, { words: 'qemu -uuid vm /pool/volumes/v' });
    assert.deepEqual(await vms.end(pool), { vmIds: ['vm'], left: 2 });
    // Ends the read that hangs.
    await (await open(join(hanging[0]!, 'cmdline'), 'r+')).close();
  });
});
