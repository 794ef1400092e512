/** A lab's BMC takes orders from those alone who know its password; it listens on the machine's loopback, where everybody is. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { bmcUser, powerFiles, prepareBmcs, readBmcs } from './bmc.ts';
import { BmcSimulator } from './bmc-simulator.ts';
import { attempt, type CommandResult } from './command.ts';
import { hostLayout, labLayout } from './layout.ts';
import { until } from './processes.ts';

it('a BMC obeys its password, and nobody without one', { timeout: 60_000 }, async () => {
  const parent = mkdtempSync(join(tmpdir(), 'kvasir-bmc-'));
  const lab = labLayout('bmc', parent);
  mkdirSync(hostLayout(lab, 'h1').control, { recursive: true });
  await prepareBmcs(lab, ['h1']);
  const files = powerFiles(lab);
  writeFileSync(files.control, '#!/bin/sh\necho power:1\n', { mode: 0o700 });
  const [bmc] = readBmcs(lab);
  const simulator = new BmcSimulator(lab, bmc!);
  const ask = (words: readonly string[], password: string): Promise<CommandResult> => {
    const place = ['-H', '127.0.0.1', '-p', String(bmc!.port), '-U', bmcUser, '-N', '1', '-R', '1'];
    const env = { PATH: process.env['PATH'], IPMI_PASSWORD: password };
    return attempt(['ipmitool', ...words, ...place, 'chassis', 'power', 'status'], { env });
  };
  const lanplus = ['-I', 'lanplus', '-C', '3', '-E'];
  try {
    simulator.tend();
    await until('an answer of the BMC', 20_000, async () => {
      const { exitCode, stdout } = await ask(lanplus, readFileSync(files.password, 'utf8'));
      return exitCode === 0 && stdout.includes('Chassis Power is on');
    });
    assert.notEqual((await ask(lanplus, 'another')).exitCode, 0);
    assert.notEqual((await ask(['-I', 'lan', '-A', 'NONE', '-L', 'ADMINISTRATOR'], '')).exitCode, 0);
  } finally {
    simulator.stop();
    rmSync(parent, { recursive: true, force: true });
  }
});
