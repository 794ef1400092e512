import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { SliceUplink } from '@kvasir/api/agent/network-slice.ts';
import { TestSwitch } from '@kvasir/ovs/testing/switch.ts';
import { flatSlice } from '../flat-slice.ts';
import { OvsNetworkDriver } from './driver.ts';
import { runInside } from './testing.ts';

describe('uplinks of the distributed switch', () => {
  let ovs: TestSwitch;
  let driver: OvsNetworkDriver;
  let generation = 0;
  const bond = (kind: SliceUplink['bond']): SliceUplink => ({
    ...{ uplinkId: '0b5c1a52-5f0f-4a43-8b1b-000000000001', switchId: randomUUID(), name: 'up' },
    ...{ nics: kind === null ? ['e1'] : ['e1', 'e2'], bond: kind, lacpFast: true },
  });
  const apply = (uplinks: readonly SliceUplink[]): Promise<unknown> => {
    generation += 1;
    return driver.apply(generation, { ...flatSlice(randomUUID()), uplinks: [...uplinks] });
  };
  const bondRow = async (column: string): Promise<string> => {
    const rows = await ovs.vsctl('--bare', `--columns=${column}`, 'find', 'Port', 'name!=br-int');
    return rows
      .split('\n')
      .filter((line) => line !== '')
      .join(' ');
  };

  before(async () => {
    ovs = await TestSwitch.start();
    for (const name of ['e1', 'e2'])
      await ovs.exec(['ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', `far-${name}`]);
    driver = new OvsNetworkDriver({ socketPath: ovs.socketPath, datapathType: 'netdev', run: runInside(ovs) });
  });
  after(async () => {
    await driver.close();
    await ovs.stop();
  });

  it('a bond is made, changed and taken away, each on a plain bridge of its own', async () => {
    await apply([bond('active-backup')]);
    assert.ok((await bondRow('bond_mode')).includes('active-backup'));
    await apply([bond('lacp')]);
    assert.ok((await bondRow('bond_mode')).includes('balance-tcp'));
    assert.ok((await bondRow('lacp')).includes('active'));
    assert.equal((await ovs.vsctl('list-br')).trim().split('\n').length, 2);
    assert.match(await ovs.exec(['nft', 'list', 'ruleset']), /ingress device "e1" priority filter; policy drop/);
    const [report] = (await driver.report()).uplinks;
    // Open vSwitch believes in a partner until it has been silent for some seconds.
    assert.notEqual(report?.lacp ?? null, null);
    assert.deepEqual(
      report?.members.map(({ nic }) => nic),
      ['e1', 'e2'],
    );
    await apply([]);
    assert.equal((await ovs.vsctl('list-br')).trim(), 'br-int');
  });

  it('a NIC that is in a bridge of the administrator stays there, and that bridge is joined', async () => {
    await ovs.vsctl(
      'add-br',
      'br-admin',
      '--',
      'set',
      'Bridge',
      'br-admin',
      'datapath_type=netdev',
      '--',
      'add-port',
      'br-admin',
      'e1',
    );
    await apply([bond(null)]);
    assert.equal((await ovs.vsctl('port-to-br', 'e1')).trim(), 'br-admin');
    assert.equal((await ovs.vsctl('list-ports', 'br-admin')).trim().split('\n').length, 2);
    await apply([]);
    assert.equal((await ovs.vsctl('list-ports', 'br-admin')).trim(), 'e1');
  });
});
