import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, describe, it } from 'node:test';
import { powersOfTheUnit, runWithPowers } from '../testing/unit-powers.ts';
import { endingBoth, HungStarts } from './hung-starts.ts';
import { PendingStarts } from './pending-starts.ts';

/** Asked to stop, it lets go of its socket and stays, as one that waits for a start. */
const listen = `process.title = process.argv[2];
  const server = require('node:net').createServer().listen(process.argv[1], () => process.stdout.write('listens'));
  setInterval(() => {}, 1e6);
  process.on('SIGTERM', () => server.close(() => process.stdout.write('closed')));`;
const end = `const [modules, notes] = process.argv.slice(1);
  const { HungStarts } = await import(modules + '/hung-starts.ts');
  const { PendingStarts } = await import(modules + '/pending-starts.ts');
  await new HungStarts(new PendingStarts(notes)).end({ poolId: 'pool', path: '/pool' });`;

describe('a start that hangs in the daemon', () => {
  const root = mkdtempSync(join(tmpdir(), 'kvasir-hung-'));
  const children: ChildProcess[] = [];
  after(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(root, { recursive: true, force: true });
  });
  const daemon = async (name: string, before: readonly string[] = []) => {
    const directory = join(root, String(children.length));
    mkdirSync(directory);
    const socketPath = join(directory, 'libvirt-sock');
    const words = [...before, process.execPath, '-e', listen, socketPath, name];
    const child = spawn(words[0]!, words.slice(1), { stdio: ['ignore', 'pipe', 'ignore'] });
    children.push(child);
    await once(child.stdout, 'data');
    return { child, socketPath };
  };
  const pool = { poolId: 'pool', path: '/pool' };
  const starts = new PendingStarts(join(root, 'starts'));
  const hung = new HungStarts(starts);
  /** By a process of root's that has these powers and no others. */
  const endWith = (powers: readonly string[]): Promise<void> =>
    runWithPowers(powers, end, { args: [import.meta.dirname, join(root, 'starts')] });
  const ended = async (): Promise<readonly [readonly string[], number]> => {
    const { vmIds, left } = await hung.end(pool);
    return [vmIds, left];
  };

  it('is ended with the daemon that was asked, and with no other', async () => {
    const [asked, other] = [await daemon('libvirtd'), await daemon('libvirtd')];
    await starts.note({ vmId: 'vm', poolIds: ['pool'], socketPath: asked.socketPath });
    await starts.note({ vmId: 'elsewhere', poolIds: ['local'], socketPath: other.socketPath });
    assert.deepEqual(await hung.find(pool), ['vm']);
    const gone = once(asked.child, 'exit');
    while ((await ended())[1] > 0);
    await gone;
    assert.equal(asked.child.signalCode, 'SIGKILL');
    assert.deepEqual([other.child.exitCode, other.child.signalCode], [null, null]);
    assert.deepEqual(await starts.all(), [{ vmId: 'elsewhere', poolIds: ['local'], socketPath: other.socketPath }]);
    assert.deepEqual(await ended(), [[], 0]);
  });

  it('is ended with a daemon that stops and has let go of its socket, and with none that serves elsewhere', async () => {
    const [asked, other] = [await daemon('libvirtd'), await daemon('virtqemud')];
    const elsewhere = await daemon('libvirtd', ['unshare', '--net']);
    await starts.note({ vmId: 'vm', poolIds: ['pool'], socketPath: asked.socketPath });
    const closed = once(asked.child.stdout, 'data');
    asked.child.kill('SIGTERM');
    await closed;
    const gone = once(asked.child, 'exit');
    while ((await ended())[1] > 0);
    await gone;
    assert.equal(asked.child.signalCode, 'SIGKILL');
    for (const { child } of [other, elsewhere]) assert.deepEqual([child.exitCode, child.signalCode], [null, null]);
    assert.deepEqual(await hung.find(pool), []);
  });

  it('is not known to have ended while a program of another kind holds the socket', async () => {
    const { child, socketPath } = await daemon('virtproxyd');
    await starts.note({ vmId: 'vm', poolIds: ['pool'], socketPath });
    assert.deepEqual(await ended(), [['vm'], 1]);
    assert.deepEqual([child.exitCode, child.signalCode], [null, null]);
    assert.deepEqual(await hung.find(pool), ['vm']);
    await starts.forget('vm');
    assert.deepEqual(await ended(), [[], 0]);
  });

  it('has ended when the daemon has', async () => {
    await starts.note({ vmId: 'vm', poolIds: ['pool'], socketPath: join(root, 'nobody', 'libvirt-sock') });
    assert.deepEqual(await ended(), [['vm'], 0]);
    assert.deepEqual(await hung.find(pool), []);
  });

  it('is ended also where the daemon knows its socket by another path', async () => {
    const { child, socketPath } = await daemon('virtqemud');
    const gone = once(child, 'exit');
    symlinkSync(root, `${root}/var-run`);
    await starts.note({ vmId: 'vm', poolIds: ['pool'], socketPath: join(root, 'var-run', relative(root, socketPath)) });
    while ((await ended())[1] > 0);
    await gone;
    assert.equal(child.signalCode, 'SIGKILL');
  });

  it('is ended with the powers that the unit of the agent leaves', async () => {
    const { child, socketPath } = await daemon('libvirtd');
    const gone = once(child, 'exit');
    await starts.note({ vmId: 'vm', poolIds: ['pool'], socketPath });
    await endWith(powersOfTheUnit());
    await gone;
    assert.equal(child.signalCode, 'SIGKILL');
    await starts.forget('vm');
  });

  it('is not taken for ended by who may not see which process holds the socket', async () => {
    const { child, socketPath } = await daemon('libvirtd');
    await starts.note({ vmId: 'vm', poolIds: ['pool'], socketPath });
    await assert.rejects(endWith(powersOfTheUnit().filter((power) => power !== 'sys_ptrace')), /cannot be seen/);
    assert.deepEqual([child.exitCode, child.signalCode], [null, null]);
    assert.deepEqual(await hung.find(pool), ['vm']);
    await starts.forget('vm');
  });

  it('counts beside the VMs that run', async () => {
    const running = { find: async () => ['a', 'b'], end: async () => ({ vmIds: ['a', 'b'], left: 1 }) };
    const starting = { find: async () => ['b', 'c'], end: async () => ({ vmIds: ['b', 'c'], left: 2 }) };
    const both = endingBoth(running, starting);
    assert.deepEqual(await both.find(pool), ['a', 'b', 'c']);
    assert.deepEqual(await both.end(pool), { vmIds: ['a', 'b', 'c'], left: 3 });
  });

  it('is not taken for none when its note cannot be read, and what runs is ended all the same', async () => {
    writeFileSync(join(root, 'starts', 'torn.json'), '{');
    mkdirSync(join(root, 'starts', 'unreadable.json'));
    let ends = 0;
    const end = async (): Promise<{ readonly vmIds: readonly string[]; readonly left: number }> => {
      ends += 1;
      return { vmIds: [], left: 0 };
    };
    const both = endingBoth({ find: async () => [], end }, hung);
    await assert.rejects(both.end(pool), /EISDIR/);
    rmSync(join(root, 'starts', 'unreadable.json'), { recursive: true });
    await assert.rejects(both.end(pool), SyntaxError);
    rmSync(join(root, 'starts', 'torn.json'));
    assert.deepEqual(await both.end(pool), { vmIds: [], left: 0 });
    assert.equal(ends, 3);
  });
});
