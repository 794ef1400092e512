/**
 * Who may import whom. This table is the architecture in force: a change to it is a decision, not a repair.
 *
 * Three levels: workspaces among each other, the layers inside the manager, and the drivers inside the agent. Test code
 * (`*.test.ts` and folders named `testing`) is bound only by what its workspace's package.json declares.
 */
import { isTestCode } from './source-tree.ts';

/** Workspace -> the workspaces it may import. */
const workspaceRules: Readonly<Record<string, readonly string[]>> = {
  api: [],
  control: ['api'],
  libvirt: [],
  ovs: [],
  manager: ['api', 'control'],
  agent: ['api', 'libvirt', 'ovs'],
  console: ['api'],
  cli: ['api'],
  openstack: ['api'],
  lab: ['api'],
  sim: ['api', 'control', 'manager', 'agent'],
  e2e: ['api', 'control', 'manager', 'agent', 'libvirt', 'ovs', 'cli', 'lab', 'sim'],
  bench: ['api', 'control', 'manager', 'agent', 'libvirt', 'ovs', 'cli', 'lab', 'sim'],
  tools: [],
};

/** Nobody imports these, not even tests. */
const importedByNobody: readonly string[] = ['e2e', 'bench', 'tools'];

/** These consist of test code as a whole, so they may use the `testing` folders of others. */
const testWorkspaces: readonly string[] = ['sim', 'e2e', 'bench'];

/** Folder of the manager -> the sibling folders it may import. Files beside the folders put the parts together. */
const managerRules: Readonly<Record<string, readonly string[]>> = {
  http: ['services'],
  services: ['store', 'tasks'],
  tasks: ['store', 'hosts'],
  controllers: ['store', 'tasks'],
  hosts: ['store'],
  store: [],
};

/** Packages from outside that a workspace is held to; workspaces that are not named here use what they declare. */
const packageRules: Readonly<Record<string, readonly string[]>> = { api: ['typebox'], control: [] };

export interface FileImport {
  /** The importing file, relative to the repository. */
  readonly from: string;
  /** The imported file, relative to the repository. */
  readonly to: string;
  /** Whether `to` lies directly in the manager's or agent's folder and itself imports what lies in the folders there. */
  readonly toImportsLayers: boolean;
}

/** Why this file may not import that one; undefined: it may. */
export function refusalOf({ from, to, toImportsLayers }: FileImport): string | undefined {
  const [workspace, ...fromPath] = from.split('/') as [string, ...string[]];
  const [target, ...toPath] = to.split('/') as [string, ...string[]];
  if (workspace !== target && importedByNobody.includes(target)) return `nobody imports ${target}`;
  if (isTestCode(from)) return undefined;
  if (isTestCode(to) && !testWorkspaces.includes(workspace)) return 'the product does not import test code';
  if (workspace !== target) {
    const allowed = workspaceRules[workspace];
    if (allowed === undefined) return `the workspace ${workspace} is missing in tools/import-rules.ts`;
    if (!allowed.includes(target)) return `${workspace} does not import ${target}`;
    return workspace === 'agent' ? engineRefusal(fromPath, target) : undefined;
  }
  if (workspace === 'manager') return managerRefusal(fromPath, toPath, toImportsLayers);
  if (workspace === 'agent') return driverRefusal(fromPath, toPath, toImportsLayers);
  return undefined;
}

/** Why this workspace's product code may not import that package or built-in module; undefined: it may. */
export function packageRefusalOf(from: string, packageName: string): string | undefined {
  const workspace = from.split('/')[0] ?? '';
  if (isTestCode(from)) return undefined;
  if (packageName.startsWith('node:')) return workspace === 'control' ? 'control does no input or output' : undefined;
  const allowed = packageRules[workspace];
  if (allowed === undefined || allowed.includes(packageName)) return undefined;
  return `${workspace} uses no package but ${['its own', ...allowed].join(', ')}`;
}

function managerRefusal(from: readonly string[], to: readonly string[], toImportsLayers: boolean): string | undefined {
  const [layer, target] = [layerOf(from), layerOf(to)];
  if (layer === undefined) return undefined;
  const allowed = managerRules[layer];
  if (allowed === undefined) return `the folder manager/${layer} is missing in tools/import-rules.ts`;
  if (target === undefined)
    return toImportsLayers ? `${layer} does not import what puts the layers together` : undefined;
  return target === layer || allowed.includes(target)
    ? undefined
    : `inside manager, ${layer} does not import ${target}`;
}

/** The part of a path inside a workspace that names its layer; a file directly in the workspace has none. */
function layerOf(path: readonly string[]): string | undefined {
  return path.length > 1 ? path[0] : undefined;
}

/** Whether the file lies in one of the folders of the manager or the agent, not directly in them. */
export function isInLayer(path: string): boolean {
  const [workspace, ...rest] = path.split('/');
  return (workspace === 'manager' || workspace === 'agent') && layerOf(rest) !== undefined;
}

/** `agent/drivers/ovs/ports.ts` -> `ovs`; the interfaces lie directly in `agent/drivers`. */
function driverOf(path: readonly string[]): string | undefined {
  return path[0] === 'drivers' && path.length > 2 ? path[1] : undefined;
}

/** The keeper of leases is the same code on a real host, where it is a process of its own, and on a simulated one. */
const leaseLayer = 'lease';

function driverRefusal(from: readonly string[], to: readonly string[], toImportsLayers: boolean): string | undefined {
  const [driver, target] = [driverOf(from), driverOf(to)];
  if (driver !== undefined) {
    const isInterface = to[0] === 'drivers' && to.length === 2;
    const isSeam = layerOf(to) === undefined && !toImportsLayers;
    if (target === driver || isInterface || isSeam || to[0] === leaseLayer) return undefined;
    return `the driver ${driver} imports only the interfaces in agent/drivers`;
  }
  if (target !== undefined && from.length > 1) return `only files directly in agent/ choose a driver (${target})`;
  return undefined;
}

/** Only the product's drivers speak the protocols of the engines below. */
function engineRefusal(from: readonly string[], target: string): string | undefined {
  if (driverOf(from) !== undefined || (target !== 'libvirt' && target !== 'ovs')) return undefined;
  return `only a driver in agent/drivers imports ${target}`;
}
