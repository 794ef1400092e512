/**
 * One host answers for the outer addresses of a router, whatever is cut: a gateway host ends its part before another takes over, when it
 * lost its VM network and when it lost its management, also when the plug is pulled; and the death of the manager ends nothing.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { eventOperations } from '@kvasir/api/resources/event.ts';
import type { Router } from '@kvasir/api/resources/router.ts';
import { attempt, run } from '@kvasir/lab/command.ts';
import { besideHosts, cable, insideHost } from '@kvasir/lab/layout.ts';
import { until } from '@kvasir/lab/processes.ts';
import { useCloud } from './testing/cloud.ts';
import { type Capture, startCapture, tcpdump } from './testing/switch/capture.ts';

const internet = '203.0.113.1';

describe('networks are routed by one host', { timeout: 600_000 }, () => {
  // Before the cloud, which says so when something of it stays.
  after(() => attempt(['ip', 'netns', 'del', outside]));
  const cloud = useCloud();
  let [outside, address] = ['', ''];

  const router = (): Promise<Router> => cloud().kvasir<Router>('router', 'show', 'edge');
  const inside = (...argv: readonly string[]) => attempt(['ip', 'netns', 'exec', outside, ...argv]);
  /** Asks once who has the router's address; answers from how many it was told. */
  const answers = async (): Promise<number> => {
    const { stdout } = await inside('busybox', 'arping', '-c', '1', '-w', '1', '-I', 'o0', address);
    return stdout.split('\n').filter((line) => line.includes('reply from')).length;
  };
  /** ARP for the router's address from each host. */
  const listen = async (): Promise<Record<string, Capture>> => {
    const names = cloud()
      .lab.hosts()
      .map(({ name }) => name);
    const captures = names.map((name) => {
      const inFabric = ['ip', 'netns', 'exec', cloud().lab.layout.fabricNamespace];
      const argv = [...inFabric, ...tcpdump, '-Q', 'in', '-i', cable('vm', name).port];
      const filter = `arp[6:2] = 2 and arp src host ${address}`;
      const stdio = ['ignore', 'pipe', 'pipe'] as const;
      return startCapture(spawn('setpriv', ['--pdeathsig', 'KILL', ...argv, filter], { stdio: [...stdio] }));
    });
    const listening = await Promise.all(captures);
    return Object.fromEntries(names.map((name, index) => [name, listening[index]!]));
  };
  const heard = async (captures: Record<string, Capture>): Promise<string[]> => {
    const stopped = Object.entries(captures).map(async ([name, capture]) =>
      (await capture.stop()).length > 0 ? name : '',
    );
    return (await Promise.all(stopped)).filter((name) => name !== '');
  };

  const carrier = (name: string): Promise<string> =>
    cloud()
      .lab.host(name)
      .exec(['cat', `/sys/class/net/${insideHost.uplink}/carrier`]);
  /** Its bridge forwards by more than nothing: an agent was there since its boot. */
  const isProgrammed = async (name: string): Promise<boolean> => {
    const dump = ['ovs-ofctl', '-O', 'OpenFlow14', 'dump-flows', insideHost.integrationBridge];
    const { stdout } = await cloud().lab.host(name).tryExec(dump);
    return stdout.split('\n').filter((line) => line.includes('cookie=')).length > 20;
  };

  before(async () => {
    const { lab } = cloud();
    outside = besideHosts(lab.layout, 'outside');
    await run(['ip', 'netns', 'add', outside]);
    await run(['ip', '-n', lab.layout.fabricNamespace, '-batch', '-'], {
      input: `link add vm-outside type veth peer name o0 netns ${outside}\nlink set dev vm-outside master vm up\n`,
    });
    await run(['ip', '-n', outside, '-batch', '-'], {
      input: `link set dev o0 up\naddress add ${internet}/24 dev o0\n`,
    });
    await run(['ip', 'netns', 'exec', outside, 'ethtool', '-K', 'o0', 'tx', 'off']);
    const subnets = `cidr=203.0.113.0/24,gateway=${internet}`;
    await cloud().kvasir('network', 'create', 'outer', '--kind', 'flat', '--external', '--subnets', subnets);
    await cloud().kvasir('router', 'create', 'edge', '--external-network', 'outer');
    address = (await router()).externalAddress!;
    await until('the router answers the outside', 30_000, async () => (await answers()) === 1);
  });

  it('goes on without the manager for longer than a cut host may', async () => {
    await cloud().lab.killManager();
    // 20 s, every second of it.
    const { stdout } = await inside('ping', '-c', '40', '-i', '0.5', '-W', '1', address);
    assert.match(stdout, /40 received/);
    await cloud().cloud.startManager();
    for (const { name } of cloud().lab.hosts()) await cloud().untilHost(name, 'up');
    assert.equal(await answers(), 1);
  });

  it('a gateway host without management ends its part, another takes over, and never do two answer', async () => {
    const first = (await router()).gatewayHostName!;
    // The manager has just begun: of a host that it heard for a moment only it cannot tell whether that knows of others.
    const upAt = performance.now();
    await until('reports of all hosts', 10_000, () => performance.now() - upAt > 4000);
    const before = await listen();
    assert.equal(await answers(), 1);
    assert.deepEqual(await heard(before), [first]);
    await cloud().lab.cut(first, ['management']);
    let most = 0;
    await until('another gateway host', 90_000, async () => {
      most = Math.max(most, await answers());
      return (await router()).gatewayHostName !== first;
    });
    const second = (await router()).gatewayHostName!;
    await until('the router answers again', 30_000, async () => (await answers()) === 1);
    assert.equal(most, 1, 'at no time two');
    const during = await listen();
    for (let asked = 0; asked < 5; asked += 1) assert.equal(await answers(), 1);
    assert.equal((await inside('ping', '-c', '3', '-i', '0.2', '-W', '1', address)).exitCode, 0);
    assert.deepEqual(await heard(during), [second]);
    await cloud().lab.heal(first, ['management']);
    await cloud().untilHost(first, 'up');
    const healed = await listen();
    for (let asked = 0; asked < 5; asked += 1) assert.equal(await answers(), 1);
    assert.deepEqual(await heard(healed), [second]);
    assert.equal((await router()).gatewayHostName, second);
  });

  it('a gateway host without its VM network gives its place to another, and does not take it back', async () => {
    const first = (await router()).gatewayHostName!;
    await cloud().lab.cut(first, ['vm']);
    const cutAt = performance.now();
    await until('the router answers by another host', 60_000, async () => (await answers()) === 1);
    console.log(`without an answer for ${Math.round(performance.now() - cutAt)} ms after the VM network was cut`);
    const second = (await router()).gatewayHostName!;
    assert.notEqual(second, first);
    let most = 0;
    await cloud().lab.heal(first, ['vm']);
    await until('the first host has its network again', 30_000, async () => {
      most = Math.max(most, await answers());
      return (await carrier(first)).trim() === '1';
    });
    assert.equal(most, 1, 'at no time two');
    const healed = await listen();
    for (let asked = 0; asked < 8; asked += 1) assert.equal(await answers(), 1);
    assert.deepEqual(await heard(healed), [second]);
    assert.equal((await router()).gatewayHostName, second);
    const { items } = await cloud().client.call(eventOperations.list, { query: { target: (await router()).id } });
    const [moved] = items.filter(({ kind }) => kind === 'router.gateway-moved').toReversed();
    assert.match(moved!.message, new RegExp(`leads out by host ${second}: .* uplink .* is down`));
  });

  it('a gateway host that lost its power and boots again does not answer beside the one that took over', async () => {
    const first = (await router()).gatewayHostName!;
    await cloud().lab.powerOff(first);
    await until('another gateway host', 90_000, async () => (await router()).gatewayHostName !== first);
    const second = (await router()).gatewayHostName!;
    await until('the router answers again', 30_000, async () => (await answers()) === 1);
    // The manager is away: what the booted host does then is its own decision.
    await cloud().lab.killManager();
    await cloud().lab.powerOn(first);
    let most = 0;
    await until('its agent has programmed the switch', 60_000, async () => {
      most = Math.max(most, await answers());
      return await isProgrammed(first);
    });
    assert.equal(most, 1, 'at no time two');
    const booted = await listen();
    for (let asked = 0; asked < 4; asked += 1) assert.equal(await answers(), 1);
    assert.deepEqual(await heard(booted), [second]);
    await cloud().cloud.startManager();
    await cloud().untilHost(first, 'up');
    assert.equal(await answers(), 1);
  });
});
