/** Security groups hold both ways and on live sessions, nobody forges addresses, and no fault of the switch opens anything. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { until } from '@kvasir/lab/processes.ts';
import { idOf, type Model, type ModelGuest, type ModelRule } from './testing/switch/model.ts';
import { Session } from './testing/switch/session.ts';
import { type Guest, useSwitchBed } from './testing/switch/switch-bed.ts';

const guests: readonly ModelGuest[] = [
  ['client', 'h1', 1],
  ['server', 'h2', 2],
  ['neighbour', 'h1', 3],
].map(([name, host, last]) => ({
  name: String(name),
  host: String(host),
  network: 'net',
  macAddress: `52:54:00:0c:00:0${last}`,
  addresses: [`10.0.0.${last}`],
  groups: [name === 'server' ? 'servers' : 'clients'],
}));
const tcp = 6;
const out: readonly ModelRule[] = [{ direction: 'out' }];
const web: ModelRule = { direction: 'in', protocol: tcp, ports: { from: 80, to: 80 } };
/** What the switch may take to be right again. */
const healMs = 2000;

describe('policy is enforced', { timeout: 300_000 }, () => {
  const bed = useSwitchBed(2);
  const at = new Map<string, Guest>();
  const on = (name: string): Guest => at.get(name)!;
  const apply = (servers: readonly ModelRule[], clients: readonly ModelRule[] = out): Promise<void> =>
    bed().apply({
      hosts: bed().vteps,
      networks: [{ name: 'net', kind: 'vxlan', segment: 70_001 }],
      guests,
      groups: { servers, clients },
    } satisfies Model);
  /** Forbidden packets at 100 a second until stopped; answers those that arrived. */
  const forbidden = async (): Promise<() => Promise<readonly string[]>> => {
    const capture = await on('server').capture('icmp and src host 10.0.0.1');
    const ping = on('client').start(['ping', '-q', '-i', '0.01', '10.0.0.2']);
    return async () => {
      ping.kill('SIGKILL');
      return capture.stop();
    };
  };
  const flowsOf = async (host: string): Promise<number> => {
    const shown = await bed().host(host).host.tryExec(['ovs-ofctl', '-O', 'OpenFlow14', 'dump-flows', 'br-int']);
    return shown.stdout.split('\n').filter((line) => line.includes('cookie=')).length;
  };
  /** How long it takes until the web server is reached again. */
  const healed = async (): Promise<number> => {
    const start = performance.now();
    await until('the web server is reached', 20_000, () => on('client').connects('10.0.0.2', 80, 0.2));
    return performance.now() - start;
  };

  before(async () => {
    await apply([...out, web]);
    for (const item of guests) at.set(item.name, await bed().plug(item, { prefixLength: 24 }));
    for (const port of [80, 81]) await on('server').serve(port);
  });

  it('in comes what a rule lets in, and nothing else', async () => {
    assert.equal(await on('client').connects('10.0.0.2', 80), true);
    assert.equal(await on('client').connects('10.0.0.2', 81), false);
    assert.equal(await on('client').reaches('10.0.0.2'), false);
  });

  it('out goes what a rule lets out; the remote end of a rule may be a group', async () => {
    await apply([web], [{ direction: 'out', protocol: tcp, ports: { from: 81, to: 81 } }]);
    assert.equal(await on('client').connects('10.0.0.2', 80), false);
    await apply([{ ...web, remote: { groupId: idOf('clients') } }]);
    assert.equal(await on('neighbour').connects('10.0.0.2', 80), true);
    await apply([{ ...web, remote: { cidr: '10.0.0.3/32' } }]);
    assert.equal(await on('neighbour').connects('10.0.0.2', 80), true);
    assert.equal(await on('client').connects('10.0.0.2', 80), false);
    await apply([...out, web]);
  });

  it('removing a rule cuts the sessions that it allowed, at once; others go on', async () => {
    const ssh: ModelRule = { ...web, ports: { from: 81, to: 81 } };
    await apply([...out, web, ssh]);
    const [cut, kept] = [
      await Session.open(on('client'), '10.0.0.2', 81),
      await Session.open(on('client'), '10.0.0.2', 80),
    ];
    await apply([...out, web]);
    assert.equal(await cut.echoes(1500), false);
    assert.equal(await kept.echoes(3000), true);
    cut.end();
    kept.end();
  });

  it('a session that is cut stays so, although its server goes on sending and may open connections out', async () => {
    const stream: ModelRule = { ...web, ports: { from: 82, to: 82 } };
    await apply([...out, web, stream]);
    on('server').start(['socat', '-u', 'EXEC:yes', 'TCP-LISTEN:82,reuseaddr']);
    await until('the stream', 5000, async () => (await on('server').exec('ss', '-ltn')).includes(':82 '));
    const kept = await Session.open(on('client'), '10.0.0.2', 80);
    const reader = on('client').start(['socat', '-u', 'TCP:10.0.0.2:82', '-'], 'pipe');
    let heard = 0;
    reader.stdout!.on('data', (data: Buffer) => {
      heard += data.length;
    });
    await until('the stream flows', 5000, () => heard > 100_000);
    await apply([...out, web]);
    const retries = async (): Promise<number> => {
      const shown = await on('server').exec('ss', '-tinH', 'state', 'established', 'sport', '=', ':82');
      return Number(/ backoff:(\d+)/.exec(shown)?.[1] ?? 0);
    };
    await until('the server has tried again', 20_000, async () => (await retries()) > 2);
    const atFirst = heard;
    await until('the server has tried again', 20_000, async () => (await retries()) > 4);
    assert.equal(heard, atFirst);
    assert.equal(await kept.echoes(3000), true);
    // A new connection is what the rules say of it.
    assert.equal(await on('client').connects('10.0.0.2', 82), false);
    reader.kill('SIGKILL');
    kept.end();
  });

  it('counters and traces say which rule lets a packet through, and what stops it', async () => {
    await apply([...out, web]);
    assert.equal(await on('client').connects('10.0.0.2', 80), true);
    assert.equal(await on('client').connects('10.0.0.2', 81, 0.5), false);
    const [counted] = (
      await bed()
        .host('h2')
        .call({ call: 'counters', nicIds: [idOf('nic server')] })
    ).counters!;
    const webRule = idOf(`servers ${JSON.stringify(web)}`);
    assert.ok((counted!.rules.find(({ ruleId }) => ruleId === webRule)?.packets ?? 0) > 0, JSON.stringify(counted));
    assert.ok((counted!.drops.find(({ reason }) => reason === 'no rule lets it in')?.packets ?? 0) > 0);
    const packet = {
      protocol: tcp,
      sourceMac: guests[0]!.macAddress,
      destinationMac: guests[1]!.macAddress,
      sourceAddress: '10.0.0.1',
      destinationAddress: '10.0.0.2',
      sourcePort: 40_000,
      destinationPort: 80,
    };
    const sent = (
      await bed()
        .host('h1')
        .call({ call: 'trace', from: { nicId: idOf('nic client') }, packet })
    ).trace!;
    assert.deepEqual([sent.verdict, sent.to], ['sent', { vtep: bed().host('h2').vtep, networkId: idOf('net') }]);
    const from = { vtep: bed().host('h1').vtep, networkId: idOf('net') };
    const arrived = (await bed().host('h2').call({ call: 'trace', from, packet })).trace!;
    assert.deepEqual([arrived.verdict, arrived.to], ['delivered', { nicId: idOf('nic server') }]);
    assert.ok(arrived.hops.some(({ stage, ruleId }) => stage === 'rules in' && ruleId === webRule));
    const forged = { ...packet, destinationPort: 81 };
    const stopped = (await bed().host('h2').call({ call: 'trace', from, packet: forged })).trace!;
    assert.deepEqual([stopped.verdict, stopped.droppedBy], ['dropped', 'no rule lets it in']);
  });

  it('nobody sends from addresses that are not its own', async () => {
    await apply([{ direction: 'in' }, ...out]);
    const capture = await on('server').capture(
      'host 10.0.0.77 or ether src 52:54:00:ff:ff:01 or arp src host 10.0.0.77',
    );
    const exec = (...argv: string[]): Promise<string> => on('client').exec(...argv);
    await exec('ip', 'address', 'add', '10.0.0.77/24', 'dev', 'eth0');
    await on('client').try('ping', '-c', '3', '-i', '0.2', '-W', '1', '-I', '10.0.0.77', '10.0.0.2');
    await exec('ip', 'address', 'del', '10.0.0.77/24', 'dev', 'eth0');
    await exec('ip', 'link', 'set', 'eth0', 'address', '52:54:00:ff:ff:01');
    assert.equal(await on('client').reaches('10.0.0.2'), false);
    await exec('ip', 'link', 'set', 'eth0', 'address', '52:54:00:0c:00:01');
    await until('it is itself again', 10_000, () => on('client').reaches('10.0.0.2'));
    assert.deepEqual(await capture.stop(), []);
    await apply([...out, web]);
  });

  it('flows that somebody deletes are back in time, and nothing was open', async () => {
    const before = await flowsOf('h2');
    const stop = await forbidden();
    await bed().host('h2').ovs('ovs-ofctl', 'del-flows', 'br-int');
    const start = performance.now();
    await until('all flows', healMs, async () => (await flowsOf('h2')) === before);
    assert.ok(performance.now() - start < healMs);
    assert.equal(await on('client').connects('10.0.0.2', 80), true);
    assert.deepEqual(await stop(), []);
  });

  it('a flow that somebody adds is gone in time', async () => {
    await bed().host('h2').ovs('ovs-ofctl', 'add-flow', 'br-int', 'table=51,priority=60000,actions=resubmit(,60)');
    await until('the foreign flow is gone', healMs, async () => {
      return !(await bed().host('h2').ovs('ovs-ofctl', '-O', 'OpenFlow14', 'dump-flows', 'br-int')).includes('60000');
    });
    assert.equal(await on('client').connects('10.0.0.2', 81), false);
  });

  it('rows that somebody changes are put right', async () => {
    const vsctl = (...words: string[]): Promise<string> =>
      bed()
        .host('h2')
        .ovs('ovs-vsctl', ...words);
    const { device } = on('server');
    const stop = await forbidden();
    await vsctl('--no-wait', 'set', 'Bridge', 'br-int', 'fail_mode=standalone', '--', 'set', 'Port', device, 'tag=5');
    await until('the rows are ours again', healMs, async () => {
      const mode = await vsctl('get', 'Bridge', 'br-int', 'fail_mode');
      return mode.trim() === 'secure' && (await vsctl('get', 'Port', device, 'tag')).trim() === '[]';
    });
    await vsctl('--no-wait', 'del-port', device);
    assert.ok((await healed()) < healMs);
    assert.deepEqual(await stop(), []);
  });

  it('a switch that is killed is right again in time after it is back, one without its database later; neither is ever open', async () => {
    const stop = await forbidden();
    const { host } = bed().host('h2');
    for (const service of ['ovs-vswitchd', 'ovsdb-server']) {
      const pidOf = async (): Promise<string> => (await host.tryExec(['cat', `/run/${service}.pid`])).stdout.trim();
      const before = await pidOf();
      await host.exec(['kill', '-9', before]);
      // The lab's supervisor waits for a second before it starts it again.
      await until(`${service} is back`, 10_000, async () => !['', before].includes(await pidOf()));
      const tookMs = await healed();
      // In user space a switch without its database forwards nothing, and takes its own time to ask for it again.
      if (service === 'ovs-vswitchd') assert.ok(tookMs < healMs, `${tookMs.toFixed(0)} ms`);
    }
    assert.deepEqual(await stop(), []);
  });

  it('the driver may be killed: everything goes on, and the next one knows what it was told', async () => {
    const host = bed().host('h2');
    const stop = await forbidden();
    const kept = await Session.open(on('client'), '10.0.0.2', 80);
    await host.kill();
    assert.equal(await kept.echoes(2000), true);
    host.start();
    await apply([...out, web]);
    assert.equal(await kept.echoes(2000), true);
    kept.end();
    assert.deepEqual(await stop(), []);
  });
});
