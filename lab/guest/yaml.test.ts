import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { run } from '../command.ts';

const program = join(import.meta.dirname, 'root/lib/kvasir/yaml.awk');

/** What the guest makes of a document, as path -> value. */
async function flatten(document: string): Promise<Record<string, string>> {
  const printed = await run(['busybox', 'awk', '-f', program], { input: document });
  return Object.fromEntries(
    printed
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('\t') as [string, string]),
  );
}

describe("the guest's reader of cloud-init documents", () => {
  it('reads block maps, sequences at either indentation, comments and quotes', async () => {
    const text = [
      '#cloud-config',
      'hostname: web1   # the name',
      'ssh_authorized_keys:',
      '- ssh-ed25519 AAAA me@there',
      "- 'ssh-rsa ''B'' x'",
      'network:',
      '  config:',
      '  - type: physical',
      '    subnets:',
      '      - address: 10.0.0.5/24',
      '    mac_address: "52:54:00:aa:bb:cc"',
      'empty:',
      'url: http://127.0.0.1:80/x',
    ].join('\n');
    assert.deepEqual(await flatten(text), {
      hostname: 'web1',
      'ssh_authorized_keys.0': 'ssh-ed25519 AAAA me@there',
      'ssh_authorized_keys.1': "ssh-rsa 'B' x",
      'network.config.0.type': 'physical',
      'network.config.0.subnets.0.address': '10.0.0.5/24',
      'network.config.0.mac_address': '52:54:00:aa:bb:cc',
      url: 'http://127.0.0.1:80/x',
    });
  });

  it('reads commands as text and as lists', async () => {
    const text =
      'runcmd:\n  - echo a > /mnt/x\n  - [ sh, -c, "echo \'a, b: c\' > /mnt/y" ]\n  - - touch\n    - /mnt/z\n';
    assert.deepEqual(await flatten(text), {
      'runcmd.0': 'echo a > /mnt/x',
      'runcmd.1.0': 'sh',
      'runcmd.1.1': '-c',
      'runcmd.1.2': "echo 'a, b: c' > /mnt/y",
      'runcmd.2.0': 'touch',
      'runcmd.2.1': '/mnt/z',
    });
  });

  it('reads literal blocks with their line ends and backslashes', async () => {
    const text =
      'write_files:\n  - path: /etc/motd\n    content: |\n      one\n        two\n\n      c:\\n\n    permissions: "0644"\n';
    assert.deepEqual(await flatten(text), {
      'write_files.0.path': '/etc/motd',
      'write_files.0.content': 'one\\n  two\\n\\nc:\\\\n\\n',
      'write_files.0.permissions': '0644',
    });
  });

  it('reads JSON, on one line or on many', async () => {
    const value = {
      version: 2,
      ethernets: { nic0: { match: { macaddress: '52:54:00:00:00:01' }, addresses: ['10.0.0.5/24'], dhcp4: false } },
    };
    const expected = {
      version: '2',
      'ethernets.nic0.match.macaddress': '52:54:00:00:00:01',
      'ethernets.nic0.addresses.0': '10.0.0.5/24',
      'ethernets.nic0.dhcp4': 'false',
    };
    assert.deepEqual(await flatten(JSON.stringify(value)), expected);
    assert.deepEqual(await flatten(JSON.stringify(value, undefined, 2)), expected);
  });

  it('ends on nonsense', async () => {
    assert.deepEqual(await flatten(''), {});
    assert.deepEqual(await flatten('just text\n  - more\n'), {});
    await flatten('a: [1, 2\nb: {x: ');
  });
});
