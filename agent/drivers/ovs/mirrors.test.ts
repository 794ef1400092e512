/** Which traffic a mirror of a network copies: on a real switch whose ports end in the test, and as rows that the driver writes. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { emptySlice, type NetworkSlice, type SliceMirror, type SlicePort } from '@kvasir/api/agent/network-slice.ts';
import { compile } from '@kvasir/ovs/compile/compile.ts';
import { FlowLab } from '@kvasir/ovs/compile/testing/flow-lab.ts';
import { type Station, udp, withVlan } from '@kvasir/ovs/compile/testing/frames.ts';
import { localSwitch } from '@kvasir/ovs/compile/testing/slices.ts';
import { TestSwitch } from '@kvasir/ovs/testing/switch.ts';
import { flatSlice } from '../flat-slice.ts';
import { deviceName } from './device-name.ts';
import { OvsNetworkDriver } from './driver.ts';
import { type PluggedNic, wantedBridges } from './rows/wanted-switch.ts';
import { runInside } from './testing.ts';

const id = (last: number): string => `0b5c1a52-5f0f-4a43-8b1b-00000000000${last}`;
const [blue, green, vm, mirrorId] = [id(1), id(2), id(3), id(4)];
/** `trunk` has `blue` as the VLAN 30 of its NIC, `other` has `green` as that. */
const nics = { plain: id(5), trunk: id(6), other: id(7), watcher: id(8) };
type Name = keyof typeof nics;
const guestVlan = 30;

const port = (name: Name, networkId: string, last: number, vlan: number | null = null): SlicePort => ({
  ...{ nicId: nics[name], vmId: vm, networkId, macAddress: `52:54:00:00:00:0${last}`, addresses: [`10.0.0.${last}`] },
  ...{ name: null, antiSpoofing: true, filtered: false, securityGroupIds: [], phase: 'active', connected: true },
  ...{ qos: null, guestVlan: vlan, hardware: false },
});
const mirror = (sources: SliceMirror['sources']): SliceMirror => ({
  ...{ mirrorId, name: 'look', sources, direction: 'both', target: { nicId: nics.watcher } },
});
const sliceWith = (sources: SliceMirror['sources']): NetworkSlice => {
  const [network] = flatSlice(blue).networks;
  const vxlan = { ...network!, kind: 'vxlan' as const };
  return {
    ...emptySlice,
    networks: [
      { ...vxlan, networkId: blue, segment: 5001 },
      { ...vxlan, networkId: green, segment: 5002 },
    ],
    ports: [
      port('plain', blue, 1),
      port('trunk', green, 2),
      port('trunk', blue, 3, guestVlan),
      port('other', blue, 4),
      port('other', green, 5, guestVlan),
      port('watcher', green, 6),
    ],
    mirrors: [mirror(sources)],
  };
};

describe('what a mirror copies', () => {
  const names = Object.keys(nics) as Name[];
  const device = (name: Name): string => deviceName(nics[name]);
  const station = (last: number): Station => ({ mac: `52:54:00:00:00:0${last}`, ip: `10.0.0.${last}` });
  let lab: FlowLab;
  before(async () => {
    lab = await FlowLab.start(Object.fromEntries(names.map((name, index) => [device(name), 11 + index])));
  });
  after(() => lab.stop());

  async function load(sources: SliceMirror['sources']): Promise<void> {
    const slice = sliceWith(sources);
    await lab.load(compile(slice, localSwitch(slice, { tunnelPort: null })));
    const plugged = names.map(
      (name): PluggedNic => ({ device: device(name), nicId: nics[name], vmId: vm, networkId: blue, macAddress: '' }),
    );
    const [bridge] = wantedBridges({
      ...{ bridge: 'br', datapathType: 'netdev', uplinkBridge: null, tunnelAddress: null },
      ...{ slice, plugged, numbers: new Map(), bridgeOfNic: new Map() },
    });
    await lab.vsctl('clear', 'bridge', 'br', 'mirrors');
    for (const { name, fromPorts, toPorts, output, vlan } of bridge!.mirrors) {
      const ports = [...new Set([...fromPorts, ...toPorts, output])];
      const refs = (list: readonly string[]): string => list.map((one) => `@${one}`).join(',');
      await lab.vsctl(
        ...ports.flatMap((one) => ['--', `--id=@${one}`, 'get', 'port', one]),
        ...['--', '--id=@mirror', 'create', 'mirror', `name=${name}`, `output_port=@${output}`],
        ...[`select_src_port=${refs(fromPorts)}`, `select_dst_port=${refs(toPorts)}`],
        ...(vlan === null ? [] : [`select_vlan=${vlan}`]),
        ...['--', 'add', 'bridge', 'br', 'mirrors', '@mirror'],
      );
    }
    await lab.appctl('revalidator/purge');
  }

  /** What comes to the watcher when this is sent. */
  const copied = async (from: Name, frame: Buffer): Promise<string[]> =>
    (await lab.send(device(from), frame))[device('watcher')] ?? [];
  const fromTrunk = udp(station(2), station(5), [1, 2]);
  const toTrunk = withVlan(guestVlan, udp(station(5), station(2), [1, 2]));

  it('of a network: on a trunk’s tap its VLAN alone, with the guest’s tag, and on other taps what has none', async () => {
    await load({ networkId: blue });
    assert.deepEqual(await copied('plain', udp(station(1), station(3), [1, 2])), ['1>3 10.0.0.1>10.0.0.3 udp 1>2']);
    assert.deepEqual(await copied('trunk', withVlan(guestVlan, udp(station(3), station(1), [1, 2]))), [
      '3>1 vlan 30 10.0.0.3>10.0.0.1 udp 1>2',
    ]);
    assert.deepEqual(await copied('other', udp(station(4), station(9), [1, 2])), ['4>9 10.0.0.4>10.0.0.9 udp 1>2']);
    assert.deepEqual(await copied('trunk', fromTrunk), [], 'another network of a trunk');
    assert.deepEqual(await copied('other', toTrunk), [], 'another network, as the VLAN of a trunk');
  });

  it('of a port: all its VLANs', async () => {
    await load({ nicIds: [nics.trunk] });
    assert.deepEqual(await copied('trunk', fromTrunk), ['2>5 10.0.0.2>10.0.0.5 udp 1>2']);
    assert.deepEqual(await copied('trunk', withVlan(guestVlan, udp(station(3), station(1), [1, 2]))), [
      '3>1 vlan 30 10.0.0.3>10.0.0.1 udp 1>2',
    ]);
  });
});

it('the rows of mirrors follow what is copied', async () => {
  const ovs = await TestSwitch.start();
  const driver = new OvsNetworkDriver({ socketPath: ovs.socketPath, datapathType: 'netdev', run: runInside(ovs) });
  const rows = async (): Promise<string[]> => {
    const text = await ovs.vsctl('--bare', '--columns=name,select_vlan', 'list', 'mirror');
    return text
      .trim()
      .split('\n\n')
      .map((row) => row.replace('\n', ' '))
      .sort();
  };
  try {
    await driver.apply(1, sliceWith({ networkId: blue }));
    for (const nicId of Object.values(nics)) {
      const nic = { nicId, networkId: blue, macAddress: '52:54:00:00:00:01', mtu: 1400 };
      await driver.attachPort(vm, { ...nic, model: 'virtio' });
    }
    assert.deepEqual(await rows(), [`kvasir-${mirrorId} 0`, `kvasir-${mirrorId}-30 30`]);
    await driver.apply(2, sliceWith({ nicIds: [nics.trunk] }));
    assert.deepEqual(await rows(), [`kvasir-${mirrorId}`]);
    const target = { remote: 'gre', address: '192.0.2.9', key: 7 } as const;
    await driver.apply(3, { ...sliceWith({ networkId: blue }), mirrors: [{ ...mirror({ networkId: blue }), target }] });
    assert.deepEqual(await rows(), [`kvasir-${mirrorId} 0`, `kvasir-${mirrorId}-30 30`]);
    const collectors = await ovs.vsctl('--bare', '--columns=options', 'find', 'interface', 'type=gre');
    assert.equal(collectors.trim(), 'key=7 remote_ip=192.0.2.9');
    await driver.apply(4, { ...sliceWith({ networkId: blue }), mirrors: [] });
    assert.deepEqual(await rows(), ['']);
    assert.equal(await ovs.vsctl('--bare', 'find', 'interface', 'type=gre'), '');
  } finally {
    await driver.close();
    await ovs.stop();
  }
});
