/** A lab of three real hosts with power devices, guarded leases and a client, for one run of the benchmark. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient } from '@kvasir/api/client.ts';
import { haOperations } from '@kvasir/api/resources/ha.ts';
import { type Host, hostOperations } from '@kvasir/api/resources/host.ts';
import { apiPort } from '@kvasir/lab/api-port.ts';
import { Cloud } from '@kvasir/lab/cloud.ts';
import { tinyGuestImage } from '@kvasir/lab/guest/build.ts';
import { Lab } from '@kvasir/lab/lab.ts';
import { until } from '@kvasir/lab/processes.ts';
import { testLabName } from '@kvasir/lab/test-labs.ts';

const firstPort = 18_400;
const profile = 'bench';

export interface Bed {
  readonly lab: Lab;
  readonly client: Client;
  /** Makes a VM on this host and waits until it runs; answers its id. */
  createVm(name: string, host: string): Promise<string>;
  /** All hosts up and well, their leases guarded, no incident open. */
  quiet(): Promise<void>;
}

/** Makes it, works with it, removes it, also when the work fails. */
export async function withBed<T>(work: (bed: Bed) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'kvasir-bench-'));
  const name = testLabName('bench');
  try {
    const image = await tinyGuestImage();
    const lab = await Lab.up({ name, hosts: 3 });
    const configFile = join(directory, 'config.json');
    const cloud = new Cloud(lab, { port: await apiPort(lab, firstPort), profile, configFile });
    await cloud.startManager();
    await cloud.login();
    await cloud.joinHosts();
    await cloud.makePools();
    await cloud.registerPower();
    await cloud.importImage(image.path);
    const { profiles } = JSON.parse(readFileSync(configFile, 'utf8')) as {
      readonly profiles: Readonly<Record<string, { readonly token: string }>>;
    };
    const client = createClient({ baseUrl: cloud.url, token: profiles[profile]?.token ?? '' });
    const sizes = ['--image', 'tiny', '--cpus', '1', '--memory', '128MiB'];
    return await work({
      lab,
      client,
      createVm: async (vmName, host) => {
        await cloud.kvasir(['vm', 'create', vmName, ...sizes, '--host', host, '--wait']);
        const vms = await cloud.kvasir<readonly { readonly id: string; readonly name: string }[]>(['vm', 'list']);
        return vms.find((vm) => vm.name === vmName)!.id;
      },
      quiet: () => untilQuiet(client, lab),
    });
  } finally {
    await Lab.remove(name);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function untilQuiet(client: Client, lab: Lab): Promise<void> {
  await until('three hosts that are well', 120_000, async () => {
    const hosts: readonly Host[] = (await client.call(hostOperations.list, {})).items;
    const { items } = await client.call(haOperations.list, { query: { open: true } });
    return items.length === 0 && hosts.every(({ state, ha }) => state === 'up' && ha.state === 'running');
  });
  await until('armed watchdogs', 60_000, () => lab.status().hosts.every(({ watchdog }) => watchdog === 'armed'));
}
