import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { emptySlice, type NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import { LocalNumbers } from './local-numbers.ts';

const directory = await mkdtemp(join(tmpdir(), 'kvasir-numbers-'));
after(() => rm(directory, { recursive: true }));

it('numbers outlive a restart, and a freed one is not given away at once', async () => {
  const path = join(directory, 'numbers.json');
  const first = await new LocalNumbers(path).allocate(new Set(['a', 'b']), emptySlice);
  const numbers = new LocalNumbers(path);
  const again = await numbers.allocate(new Set(['b', 'c']), emptySlice);
  assert.equal(again.ports.get('b'), first.ports.get('b'));
  assert.equal(again.ports.has('a'), false);
  assert.ok(![...first.ports.values()].includes(again.ports.get('c')!), 'a new number');
  const later = await numbers.allocate(new Set(['b', 'c', 'a']), emptySlice);
  assert.equal(new Set(later.ports.values()).size, 3);
  assert.notEqual(later.ports.get('a'), first.ports.get('a'));
});

it('a zone that came free is nobody’s until it was flushed, also when the agent ended before that', async () => {
  const path = join(directory, 'zones.json');
  const withPort = (nicId: string): NetworkSlice => ({
    ...emptySlice,
    ports: [
      {
        ...{
          nicId,
          vmId: 'vm',
          networkId: 'net',
          macAddress: '52:54:00:00:00:01',
          addresses: ['10.0.0.1'],
          name: null,
        },
        ...{ antiSpoofing: true, filtered: true, securityGroupIds: [], phase: 'active', connected: true },
        ...{ qos: null, guestVlan: null, hardware: false },
      },
    ],
  });
  const numbers = new LocalNumbers(path);
  const zone = (await numbers.allocate(new Set(), withPort('a'))).numbers.ports.a!;
  assert.deepEqual((await numbers.allocate(new Set(), emptySlice)).releasedZones, [zone]);
  const next = new LocalNumbers(path);
  const later = await next.allocate(new Set(), withPort('b'));
  assert.deepEqual(later.releasedZones, [zone]);
  assert.notEqual(later.numbers.ports.b, zone);
  await next.flushed(later.releasedZones);
  const last = await new LocalNumbers(path).allocate(new Set(), withPort('c'));
  assert.deepEqual(last.releasedZones, [later.numbers.ports.b]);
  assert.equal(last.numbers.ports.c, zone);
});
