/** Limits of rate hold in both directions, and mirrors copy to a port, by GRE and by ERSPAN. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { idOf, type Model, type ModelGuest } from './testing/switch/model.ts';
import { startCapture, tcpdump } from './testing/switch/capture.ts';
import { type Guest, useSwitchBed } from './testing/switch/switch-bed.ts';

const guests: readonly ModelGuest[] = [
  ['talker', 'h1', 1],
  ['listener', 'h1', 2],
  ['watcher', 'h1', 3],
].map(([name, host, last]) => ({
  ...{ name: String(name), host: String(host), network: 'net' },
  macAddress: `52:54:00:0f:00:0${last}`,
  addresses: [`10.0.0.${last}`],
}));
const limit = { rateKbps: 10_000, burstKb: 1000 };
const megabytes = 3;

describe('QoS and mirrors', { timeout: 180_000 }, () => {
  const bed = useSwitchBed(2);
  const at = new Map<string, Guest>();
  const on = (name: string): Guest => at.get(name)!;
  const apply = (change: Partial<Model> = {}): Promise<void> =>
    bed().apply({
      hosts: bed().vteps,
      networks: [{ name: 'net', kind: 'vxlan', segment: 300_001 }],
      guests,
      ...change,
    });
  const limited = (name: string, qos: ModelGuest['qos']): readonly ModelGuest[] =>
    guests.map((guest) => (guest.name === name ? { ...guest, qos: qos ?? null } : guest));
  /** Mbit/s of one TCP transfer from talker to listener. */
  const rate = async (port: number): Promise<number> => {
    on('listener').start(['socat', '-u', `TCP-LISTEN:${port},reuseaddr`, 'OPEN:/dev/null']);
    while (!(await on('listener').exec('ss', '-ltn')).includes(`:${port} `));
    const start = performance.now();
    await on('talker').exec('sh', '-c', `head -c ${megabytes}000000 /dev/zero | socat -u - TCP:10.0.0.2:${port}`);
    // What the socket took last is still on its way when the writer ends: the listener says when all is there.
    while ((await on('listener').exec('ss', '-tn')).includes(`:${port} `));
    return (megabytes * 8) / ((performance.now() - start) / 1000);
  };

  before(async () => {
    await apply();
    for (const item of guests) at.set(item.name, await bed().plug(item, { prefixLength: 24 }));
    assert.ok(await on('talker').reaches('10.0.0.2'));
  });

  it('without a limit it is fast, with one from or to the VM as fast as that says', async () => {
    const free = await rate(5001);
    await apply({ guests: limited('talker', { fromVm: limit, toVm: null, dscp: null }) });
    const from = await rate(5002);
    await apply({ guests: limited('listener', { fromVm: null, toVm: limit, dscp: null }) });
    const to = await rate(5003);
    await apply();
    const again = await rate(5004);
    console.error(
      `Mbit/s: free ${free.toFixed(0)}, from ${from.toFixed(1)}, to ${to.toFixed(1)}, again ${again.toFixed(0)}`,
    );
    for (const measured of [from, to]) assert.ok(measured > 4 && measured < 15, `${measured} Mbit/s`);
    assert.ok(free > 30 && again > 30, `${free} and ${again} Mbit/s`);
    assert.equal((await bed().host('h1').ovs('ovs-vsctl', '--columns=_uuid', 'list', 'QoS')).trim(), '');
    assert.equal((await bed().host('h1').ovs('ovs-vsctl', '--columns=_uuid', 'list', 'Queue')).trim(), '');
  });

  it('DSCP is set as told', async () => {
    await apply({ guests: limited('talker', { fromVm: null, toVm: null, dscp: 46 }) });
    const capture = await on('listener').capture('ip[1] == 184 and icmp[icmptype] == 8');
    assert.ok(await on('talker').reaches('10.0.0.2'));
    assert.ok((await capture.stop()).length > 0);
    await apply();
  });

  const mirror = (target: NonNullable<Model['mirrors']>[number]['target']): Partial<Model> => ({
    mirrors: [
      {
        mirrorId: idOf('mirror'),
        name: 'mirror',
        sources: { nicIds: [idOf('nic listener')] },
        direction: 'both',
        target,
      },
    ],
  });

  it('a mirror copies both directions to another port', async () => {
    await apply(mirror({ nicId: idOf('nic watcher') }));
    const capture = await on('watcher').capture('icmp and host 10.0.0.1 and host 10.0.0.2');
    assert.ok(await on('talker').reaches('10.0.0.2'));
    const lines = await capture.stop();
    assert.ok(lines.some((line) => line.includes('echo request')) && lines.some((line) => line.includes('echo reply')));
    await apply();
    const after = await on('watcher').capture('icmp');
    assert.ok(await on('talker').reaches('10.0.0.2'));
    assert.deepEqual(await after.stop(), []);
  });

  for (const remote of ['gre', 'erspan'] as const) {
    it(`a mirror copies to another machine by ${remote}`, async () => {
      const { lab } = bed();
      await apply(mirror({ remote, address: bed().host('h2').vtep, key: 7 }));
      const argv = [...tcpdump, '-i', 'vm', 'ip proto 47 and dst host 10.79.0.2'];
      const capture = await startCapture(bed().start(lab.layout.fabricNamespace, argv, 'pipe'));
      for (let tries = 0; tries < 3; tries += 1) assert.ok(await on('talker').reaches('10.0.0.2'));
      assert.ok((await capture.stop()).length > 0);
      await apply();
    });
  }
});
