/** A lab of three real hosts with power devices, guarded leases and a client, for one run of the benchmark. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@kvasir/api/client.ts';
import { clusterOperations } from '@kvasir/api/resources/cluster.ts';
import { fenceDeviceOperations } from '@kvasir/api/resources/fence-device.ts';
import { haOperations } from '@kvasir/api/resources/ha.ts';
import { type Host, hostOperations } from '@kvasir/api/resources/host.ts';
import type { Lab } from '@kvasir/lab/lab.ts';
import { until } from '@kvasir/lab/processes.ts';
import { withLabCloud } from '../lab-cloud.ts';

const options = { hosts: 3, firstPort: 18_400, power: true };
const sizes = ['--image', 'tiny', '--cpus', '1', '--memory', '128MiB'];

export interface Bed {
  readonly lab: Lab;
  readonly client: Client;
  /** Makes a VM on this host and waits until it runs; answers its id. */
  createVm(name: string, host: string): Promise<string>;
  /** All hosts up and well, their leases guarded, their power devices verified, no incident open. */
  quiet(): Promise<void>;
  /** The manager has listened for long enough to take silence for a loss. */
  settled(): Promise<void>;
}

/** Makes it, works with it, removes it, also when the work fails. */
export function withBed<T>(work: (bed: Bed) => Promise<T>): Promise<T> {
  return withLabCloud(options, ({ lab, cloud, client }) =>
    work({
      lab,
      client,
      createVm: async (vmName, host) => {
        await cloud.kvasir(['vm', 'create', vmName, ...sizes, '--host', host, '--wait']);
        const vms = await cloud.kvasir<readonly { readonly id: string; readonly name: string }[]>(['vm', 'list']);
        return vms.find((vm) => vm.name === vmName)!.id;
      },
      quiet: () => untilQuiet(client, lab),
      settled: async () => {
        const { items } = await client.call(clusterOperations.list, {});
        await delay(Math.max(...items.map(({ ha }) => ha.graceMs)));
      },
    }),
  );
}

async function untilQuiet(client: Client, lab: Lab): Promise<void> {
  await until('three hosts that are well', 120_000, async () => {
    const hosts: readonly Host[] = (await client.call(hostOperations.list, {})).items;
    const { items } = await client.call(haOperations.list, { query: { open: true } });
    return items.length === 0 && hosts.every(({ state, ha }) => state === 'up' && ha.state === 'running');
  });
  await until('verified power devices', 60_000, async () => {
    const { items } = await client.call(fenceDeviceOperations.list, {});
    return items.every(({ trust }) => trust === 'verified');
  });
  await until('armed watchdogs', 60_000, () => lab.status().hosts.every(({ watchdog }) => watchdog === 'armed'));
}
