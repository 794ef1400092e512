/** The ways to look at a domain: serial console, screen (RFB), picture. */
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import { ConsoleFlags } from '@kvasir/libvirt/domain-flags.ts';
import { translating } from './errors.ts';
import { toPng } from './png.ts';
import { find, findAll, readXml } from './xml.ts';

/** A newcomer takes the serial console over: a forgotten window must not lock everybody out. */
export async function openConsole(client: LibvirtClient, vmId: string, kind: 'serial' | 'vnc'): Promise<Duplex> {
  return translating(vmId, async () => {
    await requireActive(client, vmId, 'open the console of');
    if (kind === 'serial') return client.console.open(vmId, { flags: ConsoleFlags.VIR_DOMAIN_CONSOLE_FORCE });
    return connectTo(await vncSocket(client, vmId));
  });
}

export async function screenshot(client: LibvirtClient, vmId: string): Promise<Buffer> {
  return translating(vmId, async () => {
    await requireActive(client, vmId, 'take a screenshot of');
    const { mime, image } = await client.console.screenshot(vmId);
    return toPng(mime, image);
  });
}

async function requireActive(client: LibvirtClient, vmId: string, action: string): Promise<void> {
  if (await client.domain.isActive(vmId)) return;
  throw new KvasirError('wrong-state', { action, kind: 'domain', name: vmId, state: 'not running' });
}

async function vncSocket(client: LibvirtClient, vmId: string): Promise<string> {
  const graphics = findAll(find(readXml(await client.domain.xml(vmId)), 'devices'), 'graphics').find(
    (device) => device.attributes.type === 'vnc',
  );
  const path = graphics && find(graphics, 'listen')?.attributes.socket;
  if (path === undefined) throw new KvasirError('unsupported', { reason: 'this VM has no screen on a socket' });
  return path;
}

async function connectTo(path: string): Promise<Duplex> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return socket;
}
