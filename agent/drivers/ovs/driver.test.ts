import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { SlicePort } from '@kvasir/api/agent/network-slice.ts';
import type { NicSpec } from '@kvasir/api/agent/vm.ts';
import { TestSwitch } from '@kvasir/ovs/testing/switch.ts';
import { flatSlice } from '../flat-slice.ts';
import { OvsNetworkDriver } from './driver.ts';
import { runInside } from './testing.ts';
import { connectionsOfPort } from './zone-limits.ts';

describe('Open vSwitch network driver', () => {
  let ovs: TestSwitch;
  let driver: OvsNetworkDriver;
  const networkId = randomUUID();
  const vmId = randomUUID();
  const nic = (): NicSpec => ({
    nicId: randomUUID(),
    networkId,
    macAddress: '52:54:00:aa:00:01',
    model: 'virtio',
    mtu: 1400,
  });

  before(async () => {
    ovs = await TestSwitch.start();
    driver = new OvsNetworkDriver({ socketPath: ovs.socketPath, datapathType: 'netdev', run: runInside(ovs) });
    await driver.apply(1, flatSlice(networkId));
  });
  after(async () => {
    await driver.close();
    await ovs.stop();
  });

  const served = async (device: string) => Number((await ovs.vsctl('get', 'Interface', device, 'ofport')).trim()) > 0;
  const link = async (device: string) => {
    const [found] = JSON.parse(await ovs.exec(['ip', '-json', '-details', 'link', 'show', 'dev', device])) as {
      ifindex: number;
      inet6_addr_gen_mode: string;
      mtu: number;
      flags: string[];
    }[];
    return found;
  };

  it('the tap is up with the MTU and never gets an address of its own', async () => {
    const port = nic();
    const { device } = await driver.attachPort(vmId, port);
    const found = await link(device);
    assert.equal(found?.mtu, 1400);
    assert.ok(found?.flags.includes('UP'));
    assert.equal(found?.inet6_addr_gen_mode, 'none');
    await driver.attachPort(vmId, { ...port, mtu: 1300 });
    assert.equal((await link(device))?.mtu, 1300);
    await driver.detachPort(port.nicId);
  });

  it('the port carries the ids of NIC, VM and network', async () => {
    const port = nic();
    const { device } = await driver.attachPort(vmId, port);
    const ids = await ovs.vsctl('get', 'Interface', device, 'external_ids');
    for (const word of [port.nicId, vmId, networkId, port.macAddress]) assert.ok(ids.includes(word), ids);
    assert.equal((await ovs.vsctl('port-to-br', device)).trim(), 'br-int');
    await driver.detachPort(port.nicId);
  });

  it('the kernel of the host hears nothing on a tap of a user-space switch, and the chain goes with the tap', async () => {
    const port = nic();
    const { device } = await driver.attachPort(vmId, port);
    const rules = await ovs.exec(['nft', 'list', 'ruleset']);
    assert.match(rules, new RegExp(`ingress device "${device}" priority filter; policy drop`));
    await driver.detachPort(port.nicId);
    assert.ok(!(await ovs.exec(['nft', 'list', 'ruleset'])).includes(device));
  });

  it('of the host, guests reach metadata and names behind the services’ port, in whole packets, and nothing else', async () => {
    const listed = await ovs.exec(['nft', 'list', 'chain', 'netdev', 'kvasir', 'on_kv_meta']);
    const rules = listed
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => /accept$|drop$/.test(line));
    const to = 'ip saddr 100.64.0.0/10 ip daddr 169.254.169.254';
    assert.deepEqual(rules, [
      'ether type arp accept',
      'ip frag-off & 16383 != 0 drop',
      `${to} tcp dport 80 accept`,
      `${to} udp dport 53 accept`,
    ]);
    assert.match(listed, /policy drop/);
  });

  it('a device without a port, left by a crash, is listed and completed', async () => {
    const port = nic();
    const { device } = await driver.attachPort(vmId, port);
    await ovs.vsctl('del-port', device);
    assert.deepEqual(await driver.listPorts(), [{ nicId: port.nicId, vmId, networkId }]);
    await driver.attachPort(vmId, port);
    assert.ok(await served(device));
    await ovs.vsctl('del-port', device);
    await driver.detachPort(port.nicId);
    assert.deepEqual(await driver.listPorts(), []);
  });

  it('a port without its device, left by a crash, is listed and completed', async () => {
    const port = nic();
    const { device } = await driver.attachPort(vmId, port);
    await ovs.exec(['ip', 'link', 'del', 'dev', device]);
    assert.deepEqual(await driver.listPorts(), [{ nicId: port.nicId, vmId, networkId }]);
    await driver.attachPort(vmId, port);
    assert.ok(await served(device));
    const seen = Number((await ovs.vsctl('get', 'Interface', device, 'ifindex')).trim());
    assert.equal(seen, (await link(device))?.ifindex, 'the switch has the new device, not the one that is gone');
    await ovs.exec(['ip', 'link', 'del', 'dev', device]);
    await driver.detachPort(port.nicId);
    assert.deepEqual(await driver.listPorts(), []);
  });

  it('ports that somebody else plugged in are neither listed nor touched', async () => {
    await ovs.vsctl('add-port', 'br-int', 'foreign', '--', 'set', 'Interface', 'foreign', 'type=internal');
    await driver.apply(2, flatSlice(networkId));
    assert.deepEqual(await driver.listPorts(), []);
    assert.equal((await ovs.vsctl('port-to-br', 'foreign')).trim(), 'br-int');
    await ovs.vsctl('del-port', 'foreign');
  });

  it('goes on after database and switch were restarted', async () => {
    const port = nic();
    const { device } = await driver.attachPort(vmId, port);
    await ovs.stopSwitch();
    await ovs.stopDatabase();
    const answer = driver.attachPort(vmId, nic());
    await ovs.startDatabase();
    ovs.startSwitch();
    await answer;
    assert.deepEqual(await driver.attachPort(vmId, port), { device, offload: false });
    assert.ok(await served(device));
    for (const { nicId } of await driver.listPorts()) await driver.detachPort(nicId);
  });

  it('limits the connections of each port, also after the switch was restarted, and until the port is gone', async () => {
    const limits = async (): Promise<string[]> => {
      const control = join(ovs.directory, 'vswitchd.ctl');
      const text = await ovs.exec(['ovs-appctl', '-t', control, 'dpctl/ct-get-limits']);
      return text.split('\n').filter((line) => line.startsWith('zone='));
    };
    const port: SlicePort = {
      ...{ nicId: randomUUID(), vmId, networkId, macAddress: '52:54:00:aa:00:02', addresses: [], name: null },
      ...{ antiSpoofing: true, filtered: true, securityGroupIds: [], phase: 'active', connected: true },
      ...{ qos: null, guestVlan: null, hardware: false },
    };
    const withPort = { ...flatSlice(networkId), ports: [port, { ...port, guestVlan: 7 }] };
    const both = [1, 2].map((zone) => `zone=${zone},limit=${connectionsOfPort},count=0`);
    await driver.apply(3, withPort);
    assert.deepEqual(await limits(), both);
    await ovs.stopSwitch();
    ovs.startSwitch();
    await driver.apply(4, withPort);
    assert.deepEqual(await limits(), both);
    await driver.apply(5, flatSlice(networkId));
    assert.deepEqual(await limits(), []);
  });

  it('refuses a device of the same name that is no tap', async () => {
    const port = nic();
    const { device } = await driver.attachPort(vmId, port);
    await driver.detachPort(port.nicId);
    // Somebody's own device has our name: it is no tap.
    await ovs.exec(['ip', 'link', 'add', device, 'type', 'veth', 'peer', 'name', 'other']);
    await assert.rejects(driver.attachPort(vmId, port), { code: 'host-failed' });
    await ovs.exec(['ip', 'link', 'del', 'dev', device]);
  });
});
