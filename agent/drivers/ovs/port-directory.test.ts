/** Which names a guest may ask for: those of its own project, on whatever host, also where networks are shared. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { NetworkSlice, SlicePort } from '@kvasir/api/agent/network-slice.ts';
import { flatSlice } from '../flat-slice.ts';
import { PortDirectory } from './port-directory.ts';

const [red, blue] = ['project red', 'project blue'];
const numbers = { networks: {}, ports: { a: 1, b: 2, c: 3 }, routers: {}, profiles: {} };

function port(nicId: string, name: string | null, address: string, facts: Partial<SlicePort> = {}): SlicePort {
  return {
    ...{ nicId, vmId: nicId, networkId: 'n', macAddress: '52:54:00:00:00:01', addresses: [address], name },
    ...{ antiSpoofing: true, filtered: true, securityGroupIds: [], phase: 'active', connected: true, qos: null },
    ...{ guestVlan: null, hardware: false },
    ...facts,
  };
}

function names(slice: NetworkSlice, number: number): string[] {
  const directory = new PortDirectory(slice, numbers, '');
  const { hosts } = directory.zone(directory.port(number)!);
  return hosts.map(({ name, addresses }) => `${name} ${addresses.join(' ')}`).sort();
}

const [network] = flatSlice('n').networks;
const remote = (name: string, address: string, of: { readonly projectId?: string } = {}) => ({
  ...{ name, addresses: [address], macAddress: '52:54:00:00:00:02', vteps: [] },
  ...of,
});

it('names are of the own project alone where several share a network, whoever is near', () => {
  const slice: NetworkSlice = {
    ...flatSlice('n'),
    networks: [
      {
        ...network!,
        domain: 'shared.test',
        remotePorts: [
          remote('web', '10.0.0.3', { projectId: blue }),
          remote('db', '10.0.0.4', { projectId: red }),
          remote('mail', '10.0.0.5', { projectId: blue }),
        ],
      },
    ],
    ports: [
      port('a', 'web', '10.0.0.1', { projectId: red }),
      port('b', 'db', '10.0.0.2', { projectId: blue }),
      port('c', null, '10.0.0.6', { projectId: blue }),
    ],
  };
  assert.deepEqual(names(slice, 1), ['db 10.0.0.4', 'web 10.0.0.1']);
  assert.deepEqual(names(slice, 2), ['db 10.0.0.2', 'mail 10.0.0.5', 'web 10.0.0.3']);
  assert.deepEqual(names(slice, 3), names(slice, 2), 'also for one without a name');
});

it('names are those of all ports where a network is of one project', () => {
  const slice: NetworkSlice = {
    ...flatSlice('n'),
    networks: [{ ...network!, domain: 'own.test', remotePorts: [remote('db', '10.0.0.4')] }],
    ports: [port('a', 'web', '10.0.0.1'), port('b', 'mail', '10.0.0.2', { networkId: 'other' })],
  };
  assert.deepEqual(names(slice, 1), ['db 10.0.0.4', 'web 10.0.0.1']);
});
