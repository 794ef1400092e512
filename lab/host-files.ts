/**
 * What is on a lab host's disk before its first boot: the directories, and the configuration of libvirt. Written again at
 * each boot, so that a new version of the lab reaches old hosts; everything else on the disk stays as the host left it.
 */
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { managerEndpoint, maxHosts } from './layout.ts';
import type { HostLayout } from './layout.ts';

/** Fixed for a host's life, also over `lab down`: libvirt recognises itself by it when VMs migrate. */
export function hostUuid(host: HostLayout): string {
  return `6b766173-6972-4000-8000-${String(host.number).padStart(12, '0')}`;
}

export function libvirtdConf(host: HostLayout): string {
  return [
    'listen_tls = 0',
    'listen_tcp = 1',
    `listen_addr = "${host.addresses.management}"`,
    // The management network exists only between this lab's hosts.
    'auth_tcp = "none"',
    'auth_unix_rw = "none"',
    'auth_unix_ro = "none"',
    'unix_sock_rw_perms = "0700"',
    `host_uuid = "${hostUuid(host)}"`,
    'log_level = 3',
    'log_outputs = "3:file:/var/log/libvirt/libvirtd.log"',
    'max_clients = 200',
    '',
  ].join('\n');
}

export function qemuConf(host: HostLayout): string {
  return [
    'user = "root"',
    'group = "root"',
    'dynamic_ownership = 0',
    'remember_owner = 0',
    'security_driver = "none"',
    'namespaces = [ ]',
    'stdio_handler = "file"',
    `migration_address = "${host.addresses.management}"`,
    `migration_host = "${host.addresses.management}"`,
    '',
  ].join('\n');
}

export function etcHosts(): string {
  const lines = ['127.0.0.1 localhost', `${managerEndpoint.address} manager`];
  for (let number = 1; number <= maxHosts; number++) lines.push(`10.77.0.${number} h${number}`);
  return `${lines.join('\n')}\n`;
}

const directories = [
  'etc',
  'etc-work',
  'etc-own/libvirt',
  'etc-own/openvswitch',
  'etc-own/kvasir',
  'root',
  'local',
  'var/lib/libvirt',
  'var/lib/openvswitch',
  'var/lib/kvasir',
  'var/log/libvirt',
  'var/log/openvswitch',
  'var/cache/libvirt',
  'var/spool',
];

export function prepareHostDisk(host: HostLayout): void {
  for (const directory of directories) mkdirSync(join(host.disk, directory), { recursive: true });
  for (const directory of ['mountpoint', 'control']) mkdirSync(join(host.directory, directory), { recursive: true });
  mkdirSync(join(host.disk, 'var/tmp'), { recursive: true });
  chmodSync(join(host.disk, 'var/tmp'), 0o1777);
  chmodSync(join(host.disk, 'etc-own/kvasir'), 0o700);
  for (const [name, target] of [
    ['run', '/run'],
    ['lock', '/run/lock'],
  ] as const) {
    if (!existsSync(join(host.disk, 'var', name))) {
      try {
        symlinkSync(target, join(host.disk, 'var', name));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
  }
  writeFileSync(join(host.disk, 'etc-own/libvirt/libvirtd.conf'), libvirtdConf(host));
  writeFileSync(join(host.disk, 'etc-own/libvirt/qemu.conf'), qemuConf(host));
  writeFileSync(join(host.disk, 'etc/hosts'), etcHosts());
  writeFileSync(join(host.disk, 'etc/hostname'), `${host.name}\n`);
  writeFileSync(join(host.disk, 'etc/machine-id'), `${hostUuid(host).replaceAll('-', '')}\n`);
}
