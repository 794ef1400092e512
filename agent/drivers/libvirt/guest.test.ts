/** A guest may answer anything; what is reported of it is always what the manager takes, or the link of its whole host would end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Guest } from '@kvasir/api/resources/vm.ts';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import { errorCodes } from '@kvasir/libvirt/error-codes.ts';
import { LibvirtError } from '@kvasir/libvirt/error.ts';
import { Value } from 'typebox/value';
import { LibvirtGuest } from './guest.ts';

function nic(name: string, addresses: readonly string[]) {
  return { name, 'ip-addresses': addresses.map((address) => ({ 'ip-address': address, prefix: 24 })) };
}

function info(hostName: unknown, osName: unknown, nics: unknown) {
  const answers: Readonly<Record<string, unknown>> = {
    'guest-get-host-name': { 'host-name': hostName },
    'guest-get-osinfo': { 'pretty-name': osName },
    'guest-network-get-interfaces': nics,
  };
  const guest = {
    agentCommand: async (_vmId: string, command: string) => {
      const { execute } = JSON.parse(command) as { execute: string };
      return JSON.stringify({ return: answers[execute] });
    },
  };
  return new LibvirtGuest({ guest } as unknown as LibvirtClient).info('vm');
}

test('what a guest says of itself is reported', async () => {
  const nics = [nic('lo', ['127.0.0.1']), { name: 'down' }, nic('eth0', ['10.0.0.5', 'fe80::1', 'fd00::5'])];
  const report = await info('web', 'Debian GNU/Linux 12', nics);
  const addresses = ['10.0.0.5', 'fd00::5'];
  assert.deepEqual(report, { agent: true, hostname: 'web', os: 'Debian GNU/Linux 12', addresses });
});

test('nonsense of a guest is left out, and what is too long is cut', async () => {
  for (const nonsense of [7, null, { a: 1 }, ['web'], true, '']) {
    const strange = [nonsense, { name: nonsense, 'ip-addresses': nonsense }, { 'ip-addresses': [nonsense] }];
    for (const nics of [nonsense, strange, [{ 'ip-addresses': [{ 'ip-address': nonsense }] }]]) {
      const report = await info(nonsense, nonsense, nics);
      assert.ok(Value.Check(Guest, report));
      assert.deepEqual([report.hostname, report.os, report.addresses], [null, null, []]);
    }
  }
  const long = await info('x'.repeat(1_000_000), '\u001B[2Jred\n', [
    nic('eth0', ['no address', ...Array.from({ length: 5000 }, () => '10.0.0.5')]),
  ]);
  assert.ok(Value.Check(Guest, long));
  assert.equal(long.hostname, 'x'.repeat(255));
  assert.equal(long.os, '[2Jred');
  assert.deepEqual(long.addresses, ['10.0.0.5']);
  const addresses = Array.from({ length: 5000 }, (_, n) => `10.0.${n >> 8}.${n & 255}`);
  const many = await info('web', 'os', [nic('eth0', addresses)]);
  assert.equal(many.addresses.length, 100);
});

test('an answer that is none does not count as one', async () => {
  const agentCommand = async () => 'null';
  await assert.rejects(new LibvirtGuest({ guest: { agentCommand } } as unknown as LibvirtClient).info('vm'));
});

test('only what says something of the agent is taken for its silence', async () => {
  const pinged = (code: number): Promise<boolean> => {
    const agentCommand = async () => {
      throw new LibvirtError({ code, domain: 10, message: 'so it is' });
    };
    return new LibvirtGuest({ guest: { agentCommand } } as unknown as LibvirtClient).ping('vm');
  };
  const { VIR_ERR_AGENT_UNRESPONSIVE, VIR_ERR_AGENT_COMMAND_TIMEOUT, VIR_ERR_OPERATION_TIMEOUT } = errorCodes;
  assert.equal(await pinged(VIR_ERR_AGENT_UNRESPONSIVE), false);
  assert.equal(await pinged(VIR_ERR_AGENT_COMMAND_TIMEOUT), false);
  await assert.rejects(pinged(VIR_ERR_OPERATION_TIMEOUT), { code: 'host-failed' });
});

test('every question to a guest is one that libvirt gives up by itself, and the agent after it', async () => {
  const asked: unknown[] = [];
  const agentCommand = async (_vmId: string, command: string, seconds: number, options: { timeoutMs: number }) => {
    asked.push((JSON.parse(command) as { execute: string }).execute);
    assert.ok(seconds > 0 && options.timeoutMs > 1000 * seconds);
    return '{"return":{}}';
  };
  // Nothing else can be asked.
  await new LibvirtGuest({ guest: { agentCommand } } as unknown as LibvirtClient).info('vm');
  assert.deepEqual(asked, ['guest-get-host-name', 'guest-get-osinfo', 'guest-network-get-interfaces']);
});
