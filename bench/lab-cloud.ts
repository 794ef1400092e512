/** A lab of real hosts with a manager, the tiny image and a client, for one run of a benchmark. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, createClient } from '@kvasir/api/client.ts';
import { apiPort } from '@kvasir/lab/api-port.ts';
import { Cloud } from '@kvasir/lab/cloud.ts';
import { tinyGuestImage } from '@kvasir/lab/guest/build.ts';
import { Lab } from '@kvasir/lab/lab.ts';
import { testLabName } from '@kvasir/lab/test-labs.ts';

const profile = 'bench';

export interface LabCloudOptions {
  readonly hosts: number;
  /** Of the API; the first that is free from here. */
  readonly firstPort: number;
  /** The hosts' power devices are registered, too. */
  readonly power: boolean;
}

export interface LabCloud {
  readonly lab: Lab;
  readonly cloud: Cloud;
  readonly client: Client;
}

/** Makes it, works with it, removes it, also when the work fails. */
export async function withLabCloud<T>(options: LabCloudOptions, work: (made: LabCloud) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'kvasir-bench-'));
  const name = testLabName('bench');
  try {
    const image = await tinyGuestImage();
    const lab = await Lab.up({ name, hosts: options.hosts });
    const configFile = join(directory, 'config.json');
    const cloud = new Cloud(lab, { port: await apiPort(lab.layout, options.firstPort), profile, configFile });
    await cloud.startManager();
    await cloud.login();
    await cloud.joinHosts();
    await cloud.makePools();
    if (options.power) await cloud.registerPower();
    await cloud.importImage(image.path);
    const { profiles } = JSON.parse(readFileSync(configFile, 'utf8')) as {
      readonly profiles: Readonly<Record<string, { readonly token: string }>>;
    };
    const client = createClient({ baseUrl: cloud.url, token: profiles[profile]?.token ?? '' });
    return await work({ lab, cloud, client });
  } finally {
    await Lab.remove(name);
    rmSync(directory, { recursive: true, force: true });
  }
}
