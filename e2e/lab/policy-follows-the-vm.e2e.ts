/**
 * A VM on a tenant's network moves between hosts with its addresses, its sessions and its rules: what was forbidden stays so at every
 * moment, and little more is lost than the moment in which the VM itself stands still.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { networkOperations } from '@kvasir/api/resources/network.ts';
import { securityGroupOperations } from '@kvasir/api/resources/security-group.ts';
import { taskOperations } from '@kvasir/api/resources/task.ts';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import { until } from '@kvasir/lab/processes.ts';
import { useCloud } from './testing/cloud.ts';
import { booted, guestShell } from './testing/guest.ts';
import { addForeignVtep, removeForeignVtep } from './testing/switch/foreign-vtep.ts';
import { startCapture } from './testing/switch/switch-bed.ts';

const foreign = { vtep: '10.79.0.200', macAddress: '52:54:00:0a:00:09', address: '10.20.0.200' };
const moves = 6;
const pingEveryMs = 10;
/** Beyond the standstill that QEMU reports. */
const mostLostMs = 50;

describe('policy follows the VM', { timeout: 600_000 }, () => {
  // Before the cloud, which says so when something of it stays.
  after(() => removeForeignVtep(cloud().lab));
  const cloud = useCloud();
  const on = (vm: Vm, line: string): Promise<string> => guestShell(cloud().hostOf(vm), vm.id, line);
  let server: Vm;
  let client: Vm;
  let outside: string;
  const addressOf = (vm: Vm): string => vm.nics[0]!.addresses[0]!;

  before(async () => {
    const { client: api, lab } = cloud();
    const network = await api.call(networkOperations.create, {
      body: {
        name: 'tenant',
        subnets: [{ cidr: '10.20.0.0/24', allocationFrom: '10.20.0.10', allocationTo: '10.20.0.100' }],
        domain: 'tenant.example',
        externalVteps: [foreign.vtep],
      },
    });
    // Servers that open no connections: where they may, one that keeps sending is taken for the opener after the cut.
    const servers = await api.call(securityGroupOperations.create, { body: { name: 'servers' } });
    for (const { id, direction } of servers.rules) {
      if (direction !== 'out') continue;
      await api.call(securityGroupOperations.removeRule, { params: { securityGroup: 'servers', rule: id } });
    }
    const vteps = lab.hosts().map((host) => host.layout.addresses.tunnel);
    const vtep = { ...foreign, vni: network.segment!, addresses: [`${foreign.address}/24`] };
    outside = await addForeignVtep(lab, vtep, vteps);
    client = await cloud().createVm('client', '--host', 'h3', '--nics', 'network=tenant');
    server = await cloud().createVm(
      'server',
      '--host',
      'h1',
      '--nics',
      JSON.stringify({ network: 'tenant', securityGroups: ['servers'] }),
    );
    const address = addressOf(client);
    for (const rule of [
      { direction: 'in', protocol: 'tcp', portFrom: 80, remoteCidr: `${address}/32` },
      { direction: 'in', protocol: 'icmp', remoteCidr: `${address}/32` },
    ] as const) {
      await api.call(securityGroupOperations.addRule, { params: { securityGroup: 'servers' }, body: rule });
    }
    await Promise.all([server, client].map((vm) => booted(cloud().hostOf(vm), vm.id)));
  });
  it('the guests have the addresses that are theirs, by DHCP, and find each other by name', async () => {
    for (const vm of [server, client]) {
      await until(`the address of ${vm.name}`, 30_000, async () =>
        (await on(vm, 'ip address')).includes(addressOf(vm)),
      );
    }
    assert.ok((await on(client, 'cat /etc/resolv.conf')).includes('169.254.169.254'));
    await on(client, `ping -c 2 -W 5 ${addressOf(server)}`);
  });

  it('while it moves to and fro its session goes on, nothing forbidden arrives, little is lost', async () => {
    const to = addressOf(server);
    await on(server, '(nc -ll -p 80 -e /bin/cat) >/dev/null 2>&1 </dev/null &');
    await on(
      client,
      `: >/run/echo; ((while :; do echo x; usleep 20000; done) | nc ${to} 80 | while read -r l; do echo $l >>/run/echo; done) >/dev/null 2>&1 </dev/null &`,
    );
    const echoes = async (): Promise<number> => Number(await on(client, 'wc -c </run/echo'));
    await until('the first echoes', 20_000, async () => (await echoes()) > 4);
    const hosts = cloud().lab.hosts();
    const captures = await Promise.all(
      hosts.map((host) => {
        const filter = `icmp and src host ${foreign.address}`;
        const argv = ['ip', 'netns', 'exec', host.layout.namespace, 'tcpdump', '-l', '-nn', '-i', 'any', filter];
        return startCapture(
          spawn('setpriv', ['--pdeathsig', 'KILL', ...argv], { stdio: ['ignore', 'pipe', 'ignore'] }),
        );
      }),
    );
    const prober = spawn('ip', ['netns', 'exec', outside, 'ping', '-q', '-i', '0.01', to], { stdio: 'ignore' });
    const beyond: number[] = [];
    for (let move = 0; move < moves; move += 1) {
      const before = await echoes();
      await on(client, `ping -q -i ${pingEveryMs / 1000} ${to} >/run/ping 2>&1 </dev/null & echo $! >/run/ping.pid`);
      await cloud().kvasir('vm', 'migrate', 'server', move % 2 === 0 ? 'h2' : 'h1', '--wait');
      server = await cloud().vm('server');
      await on(client, 'sleep 1; kill -INT $(cat /run/ping.pid); sleep 0.2');
      const report = await on(client, 'cat /run/ping');
      const [, sent, received] = /(\d+) packets transmitted, (\d+) packets received/.exec(report) ?? [];
      const tasks = await cloud().client.call(taskOperations.list, { query: { kind: 'vm-migrate', limit: 500 } });
      const newest = [...tasks.items].sort((a, b) => a.createdAt.localeCompare(b.createdAt)).at(-1);
      const downtimeMs = newest?.progress.downtimeMs ?? 0;
      beyond.push((Number(sent) - Number(received)) * pingEveryMs - downtimeMs);
      await until('the session goes on', 15_000, async () => (await echoes()) > before);
    }
    prober.kill('SIGKILL');
    for (const capture of captures) assert.deepEqual(await capture.stop(), []);
    const median = [...beyond].sort((a, b) => a - b)[Math.floor(beyond.length / 2)]!;
    process.stdout.write(`lost beyond the standstill, ms a move: ${beyond.join(' ')}\n`);
    assert.ok(median <= mostLostMs, `median ${median} ms of ${beyond.join(', ')}`);
  });

  it('a rule that is taken away holds on the new host as well, and cuts the session', async () => {
    const { client: api } = cloud();
    const group = await api.call(securityGroupOperations.get, { params: { securityGroup: 'servers' } });
    const web = group.rules.find(({ protocol }) => protocol === 'tcp')!;
    await api.call(securityGroupOperations.removeRule, { params: { securityGroup: 'servers', rule: web.id } });
    const count = (): Promise<string> => on(client, 'wc -c </run/echo; sleep 1; wc -c </run/echo');
    await until('the session stands still', 10_000, async () => {
      const [first, second] = (await count()).split('\n');
      return first === second;
    });
  });
});
