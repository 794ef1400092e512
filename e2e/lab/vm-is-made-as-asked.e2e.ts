/** A VM is made from an image as it was asked for: its disks, its cloud-init, its name, its place on the network. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { volumeOperations } from '@kvasir/api/resources/volume.ts';
import type { Vm } from '@kvasir/api/resources/vm.ts';
import { until } from '@kvasir/lab/processes.ts';
import { useCloud } from './testing/cloud.ts';
import { booted, guestShell, virsh } from './testing/guest.ts';

const sshKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcdefghijklmnopqrstuvwxyz someone@example';

function staticAddress(macAddress: string, address: string): string {
  return JSON.stringify({
    version: 2,
    ethernets: { nic: { match: { macaddress: macAddress }, addresses: [address] } },
  });
}

describe('a VM is made as asked', { timeout: 400_000 }, () => {
  const cloud = useCloud();

  it('a VM made from an image is called by its name, runs, and says since when and where it is reached', async () => {
    const { kvasir, createVm } = bound(cloud());
    const before = Date.now();
    const vm = await createVm('plain', '--network', 'default');
    assert.equal(vm.state, 'running');
    assert.ok(vm.startedAt !== null, 'startedAt');
    assert.ok(Math.abs(Date.parse(vm.startedAt) - before) < 60_000, vm.startedAt);
    await booted(cloud().hostOf(vm), vm.id);
    assert.equal(await guestShell(cloud().hostOf(vm), vm.id, 'hostname'), 'plain');
    const shown = await until('the guest in vm show', 20_000, async () => {
      const now = await kvasir<Vm>('vm', 'show', 'plain');
      return now.guest?.agent === true && now.guest.hostname !== null ? now : undefined;
    });
    assert.equal(shown.guest?.hostname, 'plain');
    assert.ok(shown.startedAt !== null);
    await cloud().purge('plain');
  });

  it('a full clone stands alone, a linked clone on the image, and a larger disk is larger in the guest', async () => {
    const { createVm } = bound(cloud());
    const linked = await createVm('linked', '--disk-size', '0.25', '--disks', 'sizeGib=0.125,pool=shared');
    const full = await createVm('full', '--clone', 'full', '--no-start');
    const images = await cloud().client.call(volumeOperations.list, { query: {} });
    const volumeOf = (vm: Vm, index: number) => images.items.find(({ id }) => id === vm.disks[index]?.volumeId);
    assert.equal(volumeOf(linked, 0)?.linked, true);
    assert.equal(volumeOf(full, 0)?.linked, false);
    const backing = async (vm: Vm): Promise<string | undefined> => {
      const xml = await cloud()
        .hostOf(vm)
        .exec([...virsh, 'dumpxml', '--inactive', vm.id]);
      const path = /<source file='([^']*\.qcow2)'/.exec(xml)?.[1] ?? '';
      const info = await cloud().hostOf(vm).exec(['qemu-img', 'info', '-U', '--output=json', path]);
      return (JSON.parse(info) as { readonly 'backing-filename'?: string })['backing-filename'];
    };
    assert.match((await backing(linked)) ?? '', /images/);
    assert.equal(await backing(full), undefined);

    const host = cloud().hostOf(linked);
    await booted(host, linked.id);
    const blocks = await guestShell(host, linked.id, 'cat /sys/block/vda/size /sys/block/vdb/size');
    assert.deepEqual(blocks.split('\n').map(Number), [524_288, 262_144]);
    await cloud().purge('linked', 'full');
  });

  it('cloud-init gives host name, SSH key, script and static address; two VMs on two hosts reach each other', async () => {
    const { createVm } = bound(cloud());
    const left = await createVm(
      ...(['left', '--host', 'h1', '--cloud-init-hostname', 'other-name'] as const),
      ...['--nics', 'network=default,macAddress=52:54:00:aa:00:01'],
      ...['--cloud-init-network-config', staticAddress('52:54:00:aa:00:01', '10.9.1.1/24')],
      ...['--cloud-init-ssh-keys', sshKey],
      ...['--cloud-init-user-data', '#!/bin/sh\necho made by user-data >/mnt/made\n'],
    );
    const right = await createVm(
      ...(['right', '--host', 'h2'] as const),
      ...['--nics', 'network=default,macAddress=52:54:00:aa:00:02'],
      ...['--cloud-init-network-config', staticAddress('52:54:00:aa:00:02', '10.9.1.2/24')],
    );
    assert.deepEqual([left.hostName, right.hostName], ['h1', 'h2']);
    const host = cloud().hostOf(left);
    await Promise.all([booted(host, left.id), booted(cloud().hostOf(right), right.id)]);
    assert.equal(await guestShell(host, left.id, 'hostname'), 'other-name');
    assert.equal(await guestShell(host, left.id, 'cat /root/.ssh/authorized_keys'), sshKey);
    await until('the user-data script', 30_000, () =>
      guestShell(host, left.id, 'cat /mnt/made').then(
        (text) => text === 'made by user-data',
        () => false,
      ),
    );
    await guestShell(host, left.id, 'ping -c 1 -W 10 10.9.1.2');
    const shown = await cloud().untilVm(
      'its address',
      left.id,
      (vm) => vm.guest?.addresses.includes('10.9.1.1') === true,
      45_000,
    );
    assert.equal(shown.guest?.hostname, 'other-name');
    await cloud().purge('left', 'right');
  });
});

/** The two verbs that every test uses, without their object. */
function bound(cloud: ReturnType<ReturnType<typeof useCloud>>) {
  return { kvasir: cloud.kvasir.bind(cloud), createVm: cloud.createVm.bind(cloud) };
}
