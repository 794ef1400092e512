/**
 * The smallest guest that shows it is alive: a boot sector that sends back what it reads on the first serial port. It
 * boots in about a second under software emulation.
 */
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

// again: mov dx,3fdh; in al,dx; test al,1; jz again; mov dx,3f8h; in al,dx; out dx,al; jmp again
const code = Buffer.from('bafd03eca80174f8baf803eceeebf1', 'hex');

export interface EchoGuest {
  readonly uuid: string;
  readonly name: string;
  readonly disk: string;
  readonly xml: string;
}

/** Writes the guest's disk (raw, 1 MiB) to `directory` and gives back its domain. */
export async function echoGuest(directory: string, name: string): Promise<EchoGuest> {
  const uuid = randomUUID();
  const disk = join(directory, `${name}.raw`);
  const image = Buffer.alloc(1024 * 1024);
  code.copy(image);
  image.writeUInt16LE(0xaa55, 510);
  await writeFile(disk, image);
  const xml = `<domain type='qemu'>
  <name>${name}</name>
  <uuid>${uuid}</uuid>
  <memory unit='MiB'>32</memory>
  <vcpu current='1'>2</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/><apic/></features>
  <cpu mode='custom'><model>qemu64</model></cpu>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none'/><source file='${disk}'/><target dev='hda' bus='ide'/>
    </disk>
    <interface type='ethernet'><target dev='echo0'/><model type='virtio'/><rom enabled='no'/></interface>
    <serial type='pty'/><console type='pty'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <graphics type='vnc'><listen type='socket'/></graphics>
    <video><model type='vga' vram='4096'/></video>
    <memballoon model='virtio'/>
  </devices>
</domain>`;
  return { uuid, name, disk, xml };
}
