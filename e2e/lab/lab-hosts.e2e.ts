/**
 * The lab's hosts are what they claim to be: separate machines with their own libvirt, switch, networks, storage and
 * power, which leave nothing behind. Kvasir's own programs play no part here.
 */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CommandError, attempt, run } from '@kvasir/lab/command.ts';
import { tinyGuestImage } from '@kvasir/lab/guest/build.ts';
import { HostIsOffError } from '@kvasir/lab/host.ts';
import { Lab } from '@kvasir/lab/lab.ts';
import { besideHosts } from '@kvasir/lab/layout.ts';
import { isRunning, until } from '@kvasir/lab/processes.ts';
import { testLabName } from '@kvasir/lab/test-labs.ts';
import { tracesOf } from './testing/machine-snapshot.ts';
import { tinyDomainXml } from './testing/tiny-domain.ts';

const name = testLabName();
const virsh = ['virsh', '--quiet', '--connect', 'qemu:///system'];

describe('lab hosts', { timeout: 300_000 }, () => {
  let lab: Lab;

  before(async () => {
    lab = await Lab.up({ name, hosts: 2 });
  });

  after(async () => {
    await Lab.remove(name);
    assert.deepEqual(tracesOf(name), []);
  });

  it('keeps its files to its owner', () => {
    assert.equal(statSync(lab.layout.directory).mode & 0o777, 0o700);
  });

  it('answers with a libvirt and an Open vSwitch of its own in each host', async () => {
    const uuids = new Set<string>();
    for (const host of lab.hosts()) {
      assert.match(await host.exec([...virsh, 'version']), /Running hypervisor: QEMU/);
      uuids.add(/<uuid>(.*)<\/uuid>/.exec(await host.exec([...virsh, 'capabilities']))?.[1] ?? '');
      assert.equal(
        (await host.exec(['ovs-vsctl', 'get', 'Open_vSwitch', '.', 'external_ids:system-id'])).trim(),
        host.name,
      );
      assert.equal((await host.exec(['ovs-vsctl', 'list-ports', 'br-phy'])).trim(), 'vm0');
      assert.equal((await host.exec(['hostname'])).trim(), host.name);
    }
    assert.equal(uuids.size, 2);
  });

  it('reaches another host over the management and the VM network, and nothing beyond', async () => {
    const [first, second] = lab.hosts();
    await first!.exec(['ping', '-c1', '-W5', '10.77.0.2']);
    await first!.exec(['ping', '-c1', '-W5', '10.78.0.2']);
    await first!.exec(['ping', '-c1', '-W5', '10.77.0.254']);
    await first!.exec(['ping', '-c1', '-W5', '-s1550', '-Mdo', second!.layout.addresses.tunnel]);
    assert.equal(await first!.exec(['ip', 'route', 'show', 'default']), '');
    assert.equal(await run(['ip', '-n', lab.layout.fabricNamespace, 'route', 'show', 'default']), '');
  });

  it('sees the shared storage from both hosts, and keeps the local one to itself', async () => {
    const [first, second] = lab.hosts();
    await first!.exec(['tee', '/srv/kvasir/shared/note'], { input: 'for all' });
    assert.equal(await second!.exec(['cat', '/srv/kvasir/shared/note']), 'for all');
    await first!.exec(['tee', '/srv/kvasir/local/note'], { input: 'mine' });
    assert.deepEqual(await second!.exec(['ls', '/srv/kvasir/local']), '');
  });

  it('cuts and heals one network of one host', async () => {
    const [first] = lab.hosts();
    await lab.cut('h2', ['management']);
    await assert.rejects(first!.exec(['ping', '-c1', '-W1', '10.77.0.2']), CommandError);
    await first!.exec(['ping', '-c1', '-W5', '10.78.0.2']);
    assert.deepEqual(lab.status().hosts[1]?.cuts, ['management']);
    await lab.heal('h2', ['management']);
    await first!.exec(['ping', '-c1', '-W5', '10.77.0.2']);
  });

  it('keeps the addresses of the fabric, so nobody loses the manager, whichever host loses power', async () => {
    const addresses = (): Promise<string> =>
      run(['ip', '-n', lab.layout.fabricNamespace, '-br', 'link', 'show', 'type', 'bridge']);
    const before = await addresses();
    for (const { name: off } of lab.hosts()) {
      await lab.powerOff(off);
      const during = await addresses();
      await lab.powerOn(off);
      assert.equal(during, before);
      assert.equal(await addresses(), before);
    }
  });

  it('hangs storage I/O of a host whose storage is cut, and only its', async () => {
    await lab.cut('h2', ['storage']);
    await assert.rejects(lab.host('h2').exec(['ls', '/srv/kvasir/shared'], { timeoutMs: 500 }), /time limit/);
    await lab.host('h1').exec(['ls', '/srv/kvasir/shared']);
    await lab.heal('h2', ['storage']);
    await lab.host('h2').exec(['ls', '/srv/kvasir/shared']);
  });

  it('restarts a killed agent unless told to keep it down', async () => {
    const host = lab.host('h1');
    assert.equal(lab.status().hosts[0]?.agent, 'none');
    await lab.setAgentCommand(['{node}', '-e', 'setInterval(() => {}, 1e6)', '{managementAddress}']);
    await lab.startAgent('h1');
    const before = await until('the agent of h1', 10_000, () => host.agent());
    await until('the agent with its argument', 5_000, () =>
      readFileSync(`/proc/${before.pid}/cmdline`, 'utf8').split('\0').includes('10.77.0.1'),
    );
    assert.equal(await lab.killAgent('h1'), true);
    const after = await until('the restarted agent', 10_000, () => {
      const agent = host.agent();
      return agent?.pid === before.pid ? undefined : agent;
    });
    assert.equal(isRunning(after), true);
    await lab.killAgent('h1', { stayDown: true });
    assert.equal(lab.status().hosts[0]?.agent, 'held down');
    await lab.startAgent('h1');
    assert.equal(lab.status().hosts[0]?.agent, 'running');
    await lab.setAgentCommand(undefined);
    await lab.killAgent('h1');
  });

  it('boots the tiny guest, which a power failure kills and a boot does not bring back', async () => {
    const image = await tinyGuestImage();
    copyFileSync(image.path, lab.sharedPath('vm.qcow2'));
    await writeSeed(lab.sharedPath('seed.iso'), join(lab.layout.directory, 'seed'));
    const host = lab.host('h1');
    const domain = { name: 'vm', disk: '/srv/kvasir/shared/vm.qcow2', seed: '/srv/kvasir/shared/seed.iso' };
    writeFileSync(lab.sharedPath('vm.xml'), tinyDomainXml({ ...domain, macAddress: '52:54:00:00:00:01' }));
    await host.exec([...virsh, 'define', '/srv/kvasir/shared/vm.xml']);
    await host.exec([...virsh, 'start', 'vm']);
    await until('the guest agent', 120_000, () => guestAgent(host, 'vm', { execute: 'guest-ping' }));
    assert.match(await host.exec(['cat', '/var/log/vm.serial']), /USERSPACE-UP [0-9.]+ web1/);
    assert.match((await guestAgent(host, 'vm', { execute: 'guest-network-get-interfaces' })) ?? '', /10\.9\.0\.77/);

    const pid = Number(await host.exec(['cat', '/run/libvirt/qemu/vm.pid']));
    const qemu = host.processInside(pid);
    assert.equal(isRunning(qemu), true);
    await lab.powerOff('h1');
    assert.equal(isRunning(qemu), false);
    assert.throws(() => host.command(['true']), HostIsOffError);
    await assert.rejects(lab.host('h2').exec(['ping', '-c1', '-W1', '10.77.0.1']), CommandError);
    await Lab.up({ name, hosts: 2 });
    assert.equal(lab.status().hosts[0]?.power, 'off');

    await lab.powerOn('h1');
    assert.equal((await host.exec([...virsh, 'domstate', 'vm'])).trim(), 'shut off');
    assert.equal((await host.exec(['cat', '/srv/kvasir/local/note'])).trim(), 'mine');
  });

  it('takes up an interrupted making, and removes one', async () => {
    const other = testLabName('b');
    try {
      await run(['ip', 'netns', 'add', `kv-${other}-fabric`]);
      await run(['ip', 'netns', 'add', `kv-${other}-h1`]);
      mkdirSync(`/var/lib/kvasir-lab/${other}/hosts`, { recursive: true });
      const second = await Lab.up({ name: other, hosts: 1 });
      assert.equal(second.status().hosts[0]?.power, 'on');
      // What an `up` killed before its first record leaves: hosts that no file knows.
      await attempt(['rm', second.layout.stateFile]);
      // And a test that was killed: the guests that it had put beside the hosts.
      await run(['ip', 'netns', 'add', besideHosts(second.layout, 'web')]);
    } finally {
      await Lab.remove(other);
    }
    assert.deepEqual(tracesOf(other), []);
    assert.equal(existsSync(lab.layout.stateFile), true);
  });
});

async function guestAgent(host: ReturnType<Lab['host']>, domain: string, request: object): Promise<string | undefined> {
  const answer = await host.tryExec([...virsh, 'qemu-agent-command', domain, JSON.stringify(request)]);
  return answer.exitCode === 0 ? answer.stdout : undefined;
}

async function writeSeed(target: string, directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'meta-data'), 'instance-id: i-1\nlocal-hostname: web1\n');
  writeFileSync(join(directory, 'user-data'), '#cloud-config\nssh_authorized_keys:\n  - ssh-ed25519 AAAA someone\n');
  writeFileSync(
    join(directory, 'network-config'),
    JSON.stringify({
      version: 2,
      ethernets: { nic: { match: { macaddress: '52:54:00:00:00:01' }, addresses: ['10.9.0.77/24'] } },
    }),
  );
  await run([
    'genisoimage',
    '-quiet',
    '-V',
    'cidata',
    '-J',
    '-r',
    '-o',
    target,
    ...readdirSync(directory).map((f) => join(directory, f)),
  ]);
}
