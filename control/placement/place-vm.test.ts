import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeRefusals, placeVm } from './place-vm.ts';
import { cluster, commit, host, request, vm } from './testing/worlds.ts';
import type { PlacementHost, PlacementRequest, PlacementWorld } from './world.ts';

function placedOn(asked: Partial<PlacementRequest>, hosts: PlacementHost[], settings = {}): string {
  const decision = placeVm(request(asked), { cluster: { ...cluster, ...settings }, hosts });
  assert.ok(decision.ok, describeRefusals(decision.refusals));
  return decision.hostId.replace('id-', '');
}

function refusedBecause(asked: Partial<PlacementRequest>, hosts: PlacementHost[], settings = {}): string {
  const decision = placeVm(request(asked), { cluster: { ...cluster, ...settings }, hosts });
  assert.equal(decision.ok, false);
  return describeRefusals(decision.refusals);
}

describe('placement policy', () => {
  const hosts = [host('h3', { vms: [vm('x')] }), host('h2'), host('h1', { vms: [vm('y'), vm('z')] })];

  it('spreads to the host with the largest free share of memory', () => {
    assert.equal(placedOn({}, hosts), 'h2');
  });

  it('packs onto the fullest host that fits', () => {
    assert.equal(placedOn({}, hosts, { placementPolicy: 'pack' }), 'h1');
    assert.equal(placedOn({ memoryMib: 800 }, hosts, { placementPolicy: 'pack' }), 'h3');
  });

  it('breaks ties by name', () => {
    assert.equal(placedOn({}, [host('h2'), host('h1'), host('h3')]), 'h1');
    assert.equal(placedOn({}, [host('h2'), host('h1'), host('h3')], { placementPolicy: 'pack' }), 'h1');
  });

  it('does not fill a small empty host while a large one has more left', () => {
    const hosts = [host('small', { memoryMib: 1024 }), host('large', { memoryMib: 8192, vms: [vm('x')] })];
    assert.equal(placedOn({ memoryMib: 1000 }, hosts), 'large');
  });

  it('says why it chose', () => {
    const because = (asked: Partial<PlacementRequest>, among: PlacementHost[]): string => {
      const decision = placeVm(request(asked), { cluster, hosts: among });
      return decision.ok ? decision.because : 'refused';
    };
    assert.equal(because({}, hosts), 'h2 keeps 88 % of its memory free, the most of 3 hosts that fit');
    assert.equal(because({}, [host('h1')]), 'h1 is the only host that fits');
    assert.equal(because({ hostId: 'id-h3' }, hosts), 'h3 was asked for and fits');
  });
});

describe('capacity', () => {
  it('refuses what does not fit into memory, host by host', () => {
    const full = [host('h2', { memoryMib: 224, vms: [vm('x')] }), host('h1', { memoryMib: 128, vms: [vm('y')] })];
    assert.equal(refusedBecause({}, full), 'h1: 0 MiB free of 128 asked; h2: 96 MiB free of 128 asked');
  });

  it('fits exactly', () => {
    assert.equal(placedOn({}, [host('h1', { memoryMib: 256, vms: [vm('x')] })]), 'h1');
  });

  it('keeps the reserve and applies the overcommit to the rest', () => {
    const hosts = [host('h1', { memoryMib: 256 })];
    assert.equal(refusedBecause({}, hosts, { memoryReservedMib: 156 }), 'h1: 100 MiB free of 128 asked');
    assert.equal(placedOn({}, hosts, { memoryReservedMib: 156, memoryOvercommit: 1.5 }), 'h1');
    assert.equal(
      refusedBecause({}, hosts, { memoryReservedMib: 500, memoryOvercommit: 4 }),
      'h1: 0 MiB free of 128 asked',
    );
  });

  it('counts processors by the ratio of the cluster', () => {
    const hosts = [host('h1', { cpus: 2, vms: [vm('x', { cpus: 2 })] })];
    assert.equal(refusedBecause({ cpus: 2 }, hosts, { cpuOvercommit: 1.5 }), 'h1: 1 CPUs free of 2 asked');
    assert.equal(placedOn({ cpus: 2 }, hosts, { cpuOvercommit: 2 }), 'h1');
  });

  it('does not count the VM against itself', () => {
    assert.equal(placedOn({ vmId: 'x' }, [host('h1', { memoryMib: 128, vms: [vm('x')] })]), 'h1');
  });
});

describe('reach', () => {
  it('takes hosts that are up and open only', () => {
    const hosts = [host('h1', { state: 'down' }), host('h2', { state: 'joining' }), host('h3', { schedulable: false })];
    assert.equal(refusedBecause({}, hosts), 'h1: is down; h2: has never connected; h3: takes no new VMs');
  });

  it('lets a host that is closed to new VMs take one of its own', () => {
    const hosts = [host('h1', { schedulable: false }), host('h2', { schedulable: false })];
    assert.equal(placedOn({ residentHostId: 'id-h2' }, hosts), 'h2');
  });

  it('needs every pool and every network', () => {
    const hosts = [host('h1', { reachablePoolIds: [] }), host('h2', { networkIds: [] })];
    assert.equal(
      refusedBecause({ names: { pool: 'gold' } }, hosts),
      'h1: does not reach the pool gold; h2: does not have the network net',
    );
  });

  it('stays with its local volumes', () => {
    assert.equal(placedOn({ volumeHostIds: ['id-h2'] }, [host('h1'), host('h2')]), 'h2');
    assert.equal(
      refusedBecause({ volumeHostIds: ['id-h1', 'id-h2'] }, [host('h1'), host('h2')]),
      'h1: a local volume is on another host; h2: a local volume is on another host',
    );
  });

  it('needs uplinks to the switches of its networks, and says which are lacking', () => {
    const unlinkedHosts = { 'id-h1': ['blue', 'green'], 'id-h2': ['green'] };
    assert.equal(placedOn({ unlinkedHosts }, [host('h1'), host('h2'), host('h3')]), 'h3');
    assert.equal(
      refusedBecause({ unlinkedHosts }, [host('h1'), host('h2')]),
      'h1: has no uplink to switch blue, has no uplink to switch green; h2: has no uplink to switch green',
    );
  });

  it('needs virtual functions, so many on each switch', () => {
    const hosts = [host('h1', { vms: [vm('x')] }), host('h2'), host('h3')];
    const needs = (count: number) => [
      { switchName: 'blue', count, onHosts: { 'id-h1': { total: 4, free: 2 }, 'id-h2': { total: 4, free: 0 } } },
    ];
    assert.equal(placedOn({ virtualFunctions: needs(2) }, hosts), 'h1');
    assert.equal(
      refusedBecause({ virtualFunctions: needs(3) }, hosts),
      'h1: 2 of 4 virtual functions free on switch blue; h2: 0 of 4 virtual functions free on switch blue; ' +
        'h3: 0 of 0 virtual functions free on switch blue',
    );
  });

  it('needs a named CPU model; host and maximum fit everywhere', () => {
    const hosts = [host('h1'), host('h2', { cpuModels: ['qemu64', 'EPYC'] })];
    assert.equal(placedOn({ cpuModel: 'EPYC' }, hosts), 'h2');
    assert.equal(placedOn({ cpuModel: 'host' }, [host('h1', { cpuModels: [] })]), 'h1');
    assert.equal(placedOn({ cpuModel: 'maximum' }, [host('h1', { cpuModels: [] })]), 'h1');
    assert.equal(refusedBecause({ cpuModel: 'Snowridge' }, [host('h1')]), 'h1: cannot run the CPU model Snowridge');
  });

  it('takes exactly the host asked for, and never an excluded one', () => {
    assert.equal(placedOn({ hostId: 'id-h2' }, [host('h1'), host('h2', { vms: [vm('x')] })]), 'h2');
    assert.equal(placedOn({ excludeHostIds: ['id-h1'] }, [host('h1'), host('h2')]), 'h2');
    assert.equal(
      refusedBecause({ hostId: 'id-h2' }, [host('h1'), host('h2', { state: 'down' })]),
      'h1: another host is asked for; h2: is down',
    );
  });

  it('lists every reason of a host, and a cluster without hosts', () => {
    assert.equal(
      refusedBecause({ memoryMib: 4096, cpus: 40 }, [host('h1')]),
      'h1: 1024 MiB free of 4096 asked, 16 CPUs free of 40 asked',
    );
    assert.equal(refusedBecause({}, []), 'the cluster has no hosts');
  });
});

describe('groups', () => {
  it('joins its affinity group, or says where that is', () => {
    const member = vm('x', { affinity: ['web'] });
    assert.equal(placedOn({ affinity: ['web'] }, [host('h1'), host('h2', { vms: [member] })]), 'h2');
    assert.equal(
      refusedBecause({ affinity: ['web'] }, [host('h1'), host('h2', { memoryMib: 200, vms: [member] })]),
      'h1: the affinity group web is on h2; h2: 72 MiB free of 128 asked',
    );
  });

  it('leaves the members of its affinity group behind on hosts that all of them leave', () => {
    const member = vm('x', { affinity: ['web'] });
    const left = { affinity: ['web'], excludeHostIds: ['id-h1'], leftHostIds: ['id-h1'] };
    assert.equal(placedOn(left, [host('h1', { vms: [member] }), host('h2')]), 'h2');
    const gone = vm('y', { affinity: ['web'] });
    assert.equal(placedOn(left, [host('h1', { vms: [member] }), host('h2'), host('h3', { vms: [gone] })]), 'h3');
  });

  it('keeps away from its anti-affinity group', () => {
    const hosts = [host('h1', { memoryMib: 9999, vms: [vm('x', { antiAffinity: ['db'] })] }), host('h2')];
    assert.equal(placedOn({ antiAffinity: ['db'] }, hosts), 'h2');
    assert.equal(
      refusedBecause({ antiAffinity: ['db'], hostId: 'id-h1' }, hosts),
      'h1: has a VM of the anti-affinity group db; h2: another host is asked for',
    );
  });

  it('minds only groups of its own project, and not itself', () => {
    const foreign = vm('x', { projectId: 'theirs', affinity: ['web'], antiAffinity: ['web'] });
    const itself = vm('new', { affinity: ['web'], antiAffinity: ['web'] });
    const asked = { affinity: ['web'], antiAffinity: ['web'] };
    assert.equal(placedOn(asked, [host('h1'), host('h2', { vms: [foreign] })]), 'h1');
    assert.equal(placedOn(asked, [host('h1', { memoryMib: 4096 }), host('h2', { vms: [itself] })]), 'h1');
  });
});

it('places 200 VMs one after the other without overcommitting a host, spread within one VM', () => {
  const hosts = ['h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'h7'].map((name) =>
    host(name, { memoryMib: 30 * 128 + 64, cpus: 8 }),
  );
  let world: PlacementWorld = { cluster, hosts };
  for (let i = 0; i < 200; i++) {
    const asked = request({ vmId: `vm-${i}` });
    const decision = placeVm(asked, world);
    assert.ok(decision.ok, describeRefusals(decision.refusals));
    world = commit(world, decision.hostId, asked);
    const counts = world.hosts.map((each) => each.vms.length);
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, `after ${i + 1}: ${counts.join(' ')}`);
  }
  for (let i = 200; i < 220; i++) {
    const asked = request({ vmId: `vm-${i}` });
    const decision = placeVm(asked, world);
    if (decision.ok) world = commit(world, decision.hostId, asked);
    assert.equal(decision.ok, i < 210, 'the 7 x 30 places are used up, and not one more');
  }
  for (const each of world.hosts) assert.equal(each.vms.length, 30);
});
