/** A demo that is killed after any of its steps goes on when it is started again, and its end leaves nothing behind. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, it } from 'node:test';
import { apiPort } from '@kvasir/lab/api-port.ts';
import { Cloud } from '@kvasir/lab/cloud.ts';
import { Lab } from '@kvasir/lab/lab.ts';
import { checkoutDirectory, nodeBinary } from '@kvasir/lab/layout.ts';
import { testLabName } from '@kvasir/lab/test-labs.ts';
import { tracesOf } from './testing/machine-snapshot.ts';

const labName = testLabName('d');
const steps = ['three hosts', 'manager', 'login', 'hosts join', 'pools', 'image tiny', 'VMs'];

describe('an interrupted demo', { timeout: 600_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'kvasir-demo-'));
  const env = { ...process.env, KVASIR_CONFIG: join(directory, 'config.json') };

  after(async () => {
    await Lab.remove(labName);
    rmSync(directory, { recursive: true, force: true });
  });

  /** Runs the demo; kills it (and only it) as soon as the step begins. Answers its exit code, null when killed, and its text. */
  async function demo(
    args: readonly string[],
    killAt?: string,
  ): Promise<{ exitCode: number | null; text: string; seconds: number }> {
    const started = performance.now();
    const child = spawn(join(checkoutDirectory, 'kvasir'), ['demo', '--name', labName, ...args], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    for await (const line of createInterface(child.stderr)) {
      text += `${line}\n`;
      if (killAt !== undefined && line.includes('…') && line.includes(killAt)) child.kill('SIGKILL');
    }
    return { exitCode: await exit, text, seconds: (performance.now() - started) / 1000 };
  }

  /** As a join that is killed when the manager has answered it: the manager has the host, and the host no identity. */
  async function joinWithoutHearing(name: string): Promise<void> {
    const lab = Lab.open(labName);
    const host = lab.host(name);
    const cloud = new Cloud(lab, {
      port: await apiPort(lab.layout, 0),
      profile: labName,
      configFile: env.KVASIR_CONFIG,
    });
    const { token } = await cloud.kvasir<{ readonly token: string }>(['host', 'join-token']);
    const program = [
      nodeBinary,
      join(checkoutDirectory, 'agent/main.ts'),
      'join',
      '--token-stdin',
      '--data',
      '/root/lost',
    ];
    await host.exec([...program, '--name', name, '--address', host.layout.addresses.management], { input: token });
    assert.ok((await cloud.names('host')).has(name));
  }

  for (const step of steps) {
    it(`is killed when it begins: ${step}`, async () => {
      const { exitCode, text } = await demo([], step);
      assert.equal(exitCode, null, text);
      if (step === 'hosts join') await joinWithoutHearing('h2');
    });
  }

  it('comes to its end when it is left alone', async () => {
    const { exitCode, text } = await demo([]);
    assert.equal(exitCode, 0, text);
    assert.match(text, /Kvasir runs at/);
  });

  it('finds what runs the second time, within a minute', async () => {
    const { exitCode, text, seconds } = await demo([]);
    assert.equal(exitCode, 0, text);
    assert.ok(seconds < 60, `took ${seconds} s`);
  });

  it('is stopped without a trace, twice over', async () => {
    assert.equal((await demo(['--stop'])).exitCode, 0);
    assert.deepEqual(tracesOf(labName), []);
    assert.equal((await demo(['--stop'])).exitCode, 0);
  });
});
