/**
 * What cloud-init and others ask of 169.254.169.254: the EC2 form and OpenStack's, as much of both as guests use. Pure. Directories
 * are lists of names, one a line, as EC2 has them.
 */
import type { VmMetadata } from '../../network.ts';

/** The NIC that asks. */
export interface AskingPort {
  readonly macAddress: string;
  readonly addresses: readonly string[];
}

export interface Page {
  readonly status: 200 | 404;
  readonly type: 'text/plain' | 'application/json';
  readonly body: string;
}

type Tree = { readonly [name: string]: string | Tree };

const versions = ['2009-04-04', 'latest'];

export function metadataPage(path: string, vm: VmMetadata, port: AskingPort): Page {
  const parts = path.split('/').filter((part) => part !== '');
  const isDirectory = path.endsWith('/');
  if (parts[0] === 'openstack') return openstackPage(parts.slice(1), vm);
  if (parts.length === 0) return text([...versions, 'openstack'].join('\n'));
  if (!versions.includes(parts[0]!)) return missing;
  const root: Tree = {
    'meta-data': ec2Tree(vm, port),
    ...(vm.userData === null ? {} : { 'user-data': vm.userData }),
  };
  let here: string | Tree = root;
  for (const part of parts.slice(1)) {
    const next: string | Tree | undefined =
      typeof here === 'string' || !Object.hasOwn(here, part) ? undefined : here[part];
    if (next === undefined) return missing;
    here = next;
  }
  if (typeof here !== 'string') return text(listing(here));
  return isDirectory ? missing : text(here);
}

function ec2Tree(vm: VmMetadata, port: AskingPort): Tree {
  const [ipv4] = port.addresses.filter((address) => !address.includes(':'));
  const [ipv6] = port.addresses.filter((address) => address.includes(':'));
  const keys = vm.sshKeys.map((key, index) => [String(index), { 'openssh-key': key }] as const);
  return {
    'instance-id': vm.instanceId,
    hostname: vm.hostname,
    'local-hostname': vm.hostname,
    mac: port.macAddress,
    ...(ipv4 === undefined ? {} : { 'local-ipv4': ipv4 }),
    ...(ipv6 === undefined ? {} : { ipv6 }),
    ...(keys.length === 0 ? {} : { 'public-keys': Object.fromEntries(keys) }),
  };
}

/** Keys are listed as `0=name`, everything else by its name, directories with a stroke. */
function listing(tree: Tree): string {
  return Object.entries(tree)
    .map(([name, entry]) => {
      if (typeof entry === 'string') return name;
      return 'openssh-key' in entry ? `${name}=key-${name}` : `${name}/`;
    })
    .join('\n');
}

function openstackPage(parts: readonly string[], vm: VmMetadata): Page {
  const [version, file, ...more] = parts;
  if (version === undefined) return text('2018-08-27\nlatest');
  if (!['2018-08-27', 'latest', '2012-08-10', '2015-10-15'].includes(version) || more.length > 0) return missing;
  if (file === undefined) return text(['meta_data.json', ...(vm.userData === null ? [] : ['user_data'])].join('\n'));
  if (file === 'user_data' && vm.userData !== null) return text(vm.userData);
  if (file === 'vendor_data.json') return json({});
  if (file !== 'meta_data.json') return missing;
  const keys = vm.sshKeys.map((key, index) => [`key-${index}`, key] as const);
  return json({
    uuid: vm.vmId,
    name: vm.name,
    hostname: vm.hostname,
    launch_index: 0,
    ...(keys.length === 0 ? {} : { public_keys: Object.fromEntries(keys) }),
  });
}

const missing: Page = { status: 404, type: 'text/plain', body: 'not found' };

function text(body: string): Page {
  return { status: 200, type: 'text/plain', body };
}

function json(value: object): Page {
  return { status: 200, type: 'application/json', body: JSON.stringify(value) };
}
