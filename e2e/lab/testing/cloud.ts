/**
 * A whole cloud for a file of tests: three lab hosts, the manager on a free port, agents, pools and the tiny image. Owns
 * its making and its end; `stop` leaves nothing of it on the machine, and says so when something stayed.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { type Client, createClient } from '@kvasir/api/client.ts';
import type { KvasirError } from '@kvasir/api/errors.ts';
import { eventOperations } from '@kvasir/api/resources/event.ts';
import { hostOperations } from '@kvasir/api/resources/host.ts';
import { taskOperations } from '@kvasir/api/resources/task.ts';
import type { Vm, VmState } from '@kvasir/api/resources/vm.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { Cloud } from '@kvasir/lab/cloud.ts';
import type { CommandResult } from '@kvasir/lab/command.ts';
import { tinyGuestImage } from '@kvasir/lab/guest/build.ts';
import type { LabHost } from '@kvasir/lab/host.ts';
import { Lab } from '@kvasir/lab/lab.ts';
import { until } from '@kvasir/lab/processes.ts';
import { testLabName } from '@kvasir/lab/test-labs.ts';
import { tracesOf } from './machine-snapshot.ts';

export type Task = { readonly id: string; readonly state: string; readonly error: { readonly message: string } | null };
export type LoggedEvent = { readonly kind: string; readonly message: string; readonly at: string };

const profile = 'test';

export class TestCloud {
  readonly cloud: Cloud;
  readonly lab: Lab;
  readonly client: Client;
  /** For files of the tests; goes with the cloud. */
  readonly directory: string;
  /** The tiny image as a file of this machine. */
  readonly imagePath: string;

  constructor(parts: {
    readonly cloud: Cloud;
    readonly client: Client;
    readonly directory: string;
    readonly imagePath: string;
  }) {
    this.cloud = parts.cloud;
    this.lab = parts.cloud.lab;
    this.client = parts.client;
    this.directory = parts.directory;
    this.imagePath = parts.imagePath;
  }

  /** A command of the CLI that must succeed; answers what it printed as JSON. */
  async kvasir<T = unknown>(...argv: readonly string[]): Promise<T> {
    return this.cloud.kvasir<T>(argv);
  }

  /** A command of the CLI that must be refused with exit code 1; answers what it said. */
  async refused(...argv: readonly string[]): Promise<string> {
    const result: CommandResult = await this.cloud.cli(argv);
    assert.equal(result.exitCode, 1, `kvasir ${argv.join(' ')}: ${result.stdout}${result.stderr}`);
    return result.stderr;
  }

  /** `vm create` of one CPU and 128 MiB from the tiny image, and whatever else is asked for; waits until it is made. */
  async createVm(name: string, ...more: readonly string[]): Promise<Vm> {
    const sizes = ['--image', 'tiny', '--cpus', '1', '--memory', '128MiB'];
    await this.cloud.kvasir(['vm', 'create', name, ...sizes, ...more, '--wait']);
    return this.vm(name);
  }

  /** Powers off and deletes for good, whatever state they are in, as soon as no task, of high availability too, holds them. */
  async purge(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      const { id } = await until(`rest for VM ${name}`, 60_000, () => this.#accepted(name));
      const { state, error } = await this.ended(id);
      assert.equal(state, 'succeeded', `deletion of VM ${name}: ${error?.message}`);
    }
  }

  /** The task of a deletion; nothing when another task holds the VM. */
  async #accepted(name: string): Promise<Task | undefined> {
    try {
      return await this.client.call(vmOperations.delete, { params: { vm: name }, query: { force: true, purge: true } });
    } catch (error) {
      if ((error as KvasirError).code === 'busy') return undefined;
      throw error;
    }
  }

  async vm(nameOrId: string): Promise<Vm> {
    return this.client.call(vmOperations.get, { params: { vm: nameOrId } });
  }

  async isGone(vmId: string): Promise<boolean> {
    return this.vm(vmId).then(
      () => false,
      (error: KvasirError) => error.code === 'not-found',
    );
  }

  async untilVm(what: string, vmId: string, holds: (vm: Vm) => boolean, timeoutMs = 30_000): Promise<Vm> {
    let last: Vm | undefined;
    try {
      return await until(what, timeoutMs, async () => {
        last = await this.vm(vmId);
        return holds(last) ? last : undefined;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}; last seen: ${JSON.stringify(last)}`, { cause: error });
    }
  }

  async untilState(vmId: string, state: VmState, timeoutMs?: number): Promise<Vm> {
    return this.untilVm(`VM ${vmId} ${state}`, vmId, (vm) => vm.state === state, timeoutMs);
  }

  /** The task as soon as it has ended. */
  async ended(taskId: string, timeoutMs = 120_000): Promise<Task> {
    return until(`end of task ${taskId}`, timeoutMs, async () => {
      const task = await this.client.call(taskOperations.get, { params: { task: taskId } });
      return ['succeeded', 'failed', 'cancelled', 'parked'].includes(task.state) ? task : undefined;
    });
  }

  async eventsOf(vmId: string): Promise<readonly LoggedEvent[]> {
    const page = await this.client.call(eventOperations.list, { query: { target: vmId, limit: 500 } });
    return page.items;
  }

  /** The lab host that a VM is on. */
  hostOf(vm: Vm): LabHost {
    assert.ok(vm.hostName !== null, `VM ${vm.name} is on no host`);
    return this.lab.host(vm.hostName);
  }

  async hostState(name: string): Promise<string> {
    return (await this.client.call(hostOperations.get, { params: { host: name } })).state;
  }

  async untilHost(name: string, state: 'up' | 'down', timeoutMs = 60_000): Promise<void> {
    await until(`host ${name} ${state}`, timeoutMs, async () => (await this.hostState(name)) === state);
  }
}

async function startTestCloud(name: string, directory: string, spareNics: number): Promise<TestCloud> {
  const image = await tinyGuestImage();
  const lab = await Lab.up({ name, hosts: 3, spareNics });
  const configFile = join(directory, 'config.json');
  const cloud = new Cloud(lab, { port: await freePort(), profile, configFile });
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
  return new TestCloud({ cloud, client, directory, imagePath: image.path });
}

/** Makes a cloud before the tests of the suite and removes it after them; asked for with the function it answers. */
export function useCloud({ spareNics = 0 }: { readonly spareNics?: number } = {}): () => TestCloud {
  const name = testLabName();
  let cloud: TestCloud | undefined;
  let directory: string | undefined;
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'kvasir-e2e-'));
    // Where the CLI remembers uploads.
    process.env.XDG_STATE_HOME = directory;
    cloud = await startTestCloud(name, directory, spareNics);
  });
  after(async () => {
    await Lab.remove(name);
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
    assert.deepEqual(tracesOf(name), []);
  });
  return () => {
    if (cloud === undefined) throw new Error('the cloud is not up');
    return cloud;
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
