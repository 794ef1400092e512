/** Consoles, pictures and images over the link of a real agent. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { echo } from '@kvasir/agent/testing/fake-drivers.ts';
import { domainReport } from '@kvasir/agent/testing/fake-drivers.ts';
import { systemIds } from '@kvasir/manager/ids.ts';
import { type TestHost, until, World } from './testing/world.ts';

const vmId = systemIds.uuid();

describe('over the agent link', () => {
  let world: World;
  let host: TestHost;
  before(async () => {
    world = await World.open();
    host = await world.addHost((drivers) => drivers.hypervisor.put(domainReport(vmId, { state: 'running' })));
  });
  after(() => world.close());

  it('a console carries megabytes both ways', async () => {
    const console = await world.hosts.openConsole(host.hostId, vmId, 'serial');
    const content = Buffer.alloc(4_000_000, 'kvasir');
    let got = 0;
    console.on('data', (chunk: Buffer) => {
      got += chunk.byteLength;
    });
    console.write(content);
    await until('the echo', () => got === content.byteLength);
    console.destroy();
  });

  it('a console that the host ends ends for the viewer, and the other way round', async () => {
    let hostSide = echo();
    host.drivers.hypervisor.console = () => {
      hostSide = echo();
      return hostSide;
    };
    const console = await world.hosts.openConsole(host.hostId, vmId, 'vnc');
    hostSide.push('bye');
    hostSide.push(null);
    assert.equal((await buffer(console)).toString(), 'bye');
    const second = await world.hosts.openConsole(host.hostId, vmId, 'vnc');
    second.end();
    await until('end of the console on the host', () => hostSide.destroyed);
    const third = await world.hosts.openConsole(host.hostId, vmId, 'vnc');
    third.destroy();
    await until('end of the console on the host', () => hostSide.destroyed);
    host.drivers.hypervisor.console = echo;
  });

  it('a viewer who does not read does not hold up the others', async () => {
    const slow = await world.hosts.openConsole(host.hostId, vmId, 'serial');
    slow.write(Buffer.alloc(3_000_000));
    const quick = await world.hosts.openConsole(host.hostId, vmId, 'serial');
    quick.write('hello');
    const [answer] = (await once(quick, 'data')) as [Buffer];
    assert.equal(answer.toString(), 'hello');
    assert.ok(slow.readableLength <= 400_000);
    slow.destroy();
    quick.destroy();
  });

  it('a picture arrives whole', async () => {
    host.drivers.hypervisor.picture = Buffer.alloc(2_000_000, 'png');
    assert.ok((await world.hosts.screenshot(host.hostId, vmId)).equals(host.drivers.hypervisor.picture));
  });

  it('an image is read', async () => {
    const imageId = systemIds.uuid();
    host.drivers.storage.images.set(imageId, Buffer.alloc(1_500_000, 'i'));
    const { content, sizeBytes } = await world.hosts.streams.openImage(host.hostId, {
      imageId,
      poolId: imageId,
      format: 'raw',
    });
    assert.equal(sizeBytes, 1_500_000);
    assert.ok((await buffer(content)).equals(host.drivers.storage.images.get(imageId)!));
  });

  it('what the host refuses is refused with its words', async () => {
    await assert.rejects(world.hosts.openConsole(host.hostId, systemIds.uuid(), 'serial'), { code: 'not-found' });
    await assert.rejects(world.hosts.screenshot(systemIds.uuid(), vmId), { code: 'host-unreachable' });
  });

  it('a console breaks with its link', async () => {
    const console = await world.hosts.openConsole(host.hostId, vmId, 'serial');
    world.breakLink(host.hostId);
    await new Promise((resolve) => console.once('close', resolve));
    assert.match(console.errored?.message ?? '', /link closed/);
    await until('a new link', () => world.hosts.isConnected(host.hostId));
  });
});
