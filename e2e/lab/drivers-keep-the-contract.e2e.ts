/**
 * The libvirt driver keeps the contract that simulated hosts keep in every test run, on two real hosts. (The contracts of
 * networks and storage run on a real Open vSwitch and real directories among the unit tests.)
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { deviceName } from '@kvasir/agent/drivers/ovs/device-name.ts';
import { tinyGuestImage } from '@kvasir/lab/guest/build.ts';
import { Lab } from '@kvasir/lab/lab.ts';
import { checkoutDirectory, nodeBinary } from '@kvasir/lab/layout.ts';
import { testLabName } from '@kvasir/lab/test-labs.ts';
import { tracesOf } from './testing/machine-snapshot.ts';

interface ResultLine {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped' | 'to do';
  readonly error?: string;
}

describe('drivers keep the contract', { timeout: 300_000 }, () => {
  const name = testLabName();
  let lab: Lab;

  before(async () => {
    const image = await tinyGuestImage();
    lab = await Lab.up({ name, hosts: 2 });
    copyFileSync(image.path, lab.sharedPath('contract-image.qcow2'));
  });
  after(async () => {
    await Lab.remove(name);
    assert.deepEqual(tracesOf(name), []);
  });

  it('libvirt on two hosts: every point of the hypervisor contract', async (test) => {
    const nics = [randomUUID(), randomUUID()];
    for (const nic of nics) {
      const device = deviceName(nic);
      await lab.host('h2').exec(['ip', 'tuntap', 'add', 'dev', device, 'mode', 'tap']);
      await lab.host('h2').exec(['ip', 'link', 'set', 'dev', device, 'mtu', '1450', 'up']);
    }
    const { stdout, stderr } = await lab
      .host('h1')
      .tryExec(
        [
          'KVASIR_CONTRACT_IMAGE=/srv/kvasir/shared/contract-image.qcow2',
          `KVASIR_CONTRACT_NICS=${nics.join(',')}`,
          ...[nodeBinary, '--test', `--test-reporter=${join(checkoutDirectory, 'tools/test-reporter.ts')}`],
          join(import.meta.dirname, 'testing/libvirt-contract.ts'),
        ],
        { timeoutMs: 150_000 },
      );
    const results = stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as ResultLine);
    assert.ok(results.length >= 15, `${stdout}\n${stderr}`);
    for (const result of results) {
      await test.test(result.name, () => assert.equal(result.outcome, 'passed', result.error));
    }
  });
});
