/**
 * `kvasir demo`: the whole system on this one machine. Owns only the order of the steps and what is told at the end. Each
 * step looks first whether its result is there already, so that an interrupted demo goes on and a second one is quick.
 */
import { apiPort } from './api-port.ts';
import { Cloud } from './cloud.ts';
import { tinyGuestImage } from './guest/build.ts';
import { Lab } from './lab.ts';
import { Steps } from './steps.ts';

export const demoLabName = 'demo';
const preferredPort = 8080;
const vmNames = ['web', 'db'] as const;

type Listed = readonly { readonly name: string; readonly state?: string }[];

async function bootVms(cloud: Cloud): Promise<void> {
  for (const name of vmNames) {
    const known = (await cloud.kvasir<Listed>(['vm', 'list'])).find((vm) => vm.name === name);
    const make = ['vm', 'create', name, '--image', 'tiny', '--cpus', '1', '--memory', '128MiB', '--network', 'default'];
    if (known === undefined) await cloud.kvasir([...make, '--wait']);
    else if (known.state !== 'running') await cloud.kvasir(['vm', 'start', name, '--wait']);
  }
}

async function cloudOf(lab: Lab): Promise<Cloud> {
  return new Cloud(lab, { port: await apiPort(lab.layout, preferredPort), profile: lab.layout.name });
}

/** Starts a lab's manager unless it runs; resolves when it serves people. */
export async function startManager(lab: Lab): Promise<void> {
  await (await cloudOf(lab)).startManager();
}

/** Starts or completes the demo and leaves it running. */
export async function startDemo(labName: string): Promise<number> {
  const steps = new Steps();
  const image = await steps.step(
    'tiny guest image',
    () => tinyGuestImage(),
    (made) => (made.built ? 'built' : 'in the cache'),
  );
  const lab = await steps.step('three hosts', () => Lab.up({ name: labName, hosts: 3 }));
  const cloud = await cloudOf(lab);
  await steps.step(
    'manager',
    () => cloud.startManager(),
    () => cloud.url,
  );
  await steps.step('login as admin', () => cloud.login());
  await steps.step('hosts join', () => cloud.joinHosts());
  await steps.step('pools', () => cloud.makePools());
  await steps.step('power devices', () => cloud.registerPower());
  await steps.step('image tiny', () => cloud.importImage(image.path));
  await steps.step(`VMs ${vmNames.join(' and ')}`, () => bootVms(cloud));
  process.stdout.write(
    [
      '',
      `Kvasir runs at ${cloud.url} (${steps.elapsedSeconds().toFixed(0)} s). User admin, password in`,
      `${cloud.passwordFile}; the CLI is logged in already. Try:`,
      '',
      '  ./kvasir vm list                       the two VMs, and where they run',
      '  ./kvasir vm console web                a terminal in a VM (Ctrl-] leaves)',
      '  ./kvasir vm migrate web h2 --wait      move it live',
      '  ./kvasir lab power-off h2              pull the plug of a host',
      '  ./kvasir lab kill-manager              the VMs go on; ./kvasir lab start-manager brings it back',
      '  ./kvasir demo --stop                   end and remove everything',
      '',
    ].join('\n'),
  );
  return 0;
}

/** Ends everything that the demo started, whatever state it was in. */
export async function stopDemo(labName: string): Promise<number> {
  const steps = new Steps();
  await steps.step('end of the demo', () => Lab.remove(labName));
  return 0;
}
