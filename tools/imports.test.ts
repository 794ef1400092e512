import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { findImportProblems } from './imports.ts';
import { packages, tree } from './testing/tree.ts';

const v = '0.1.0';
const api = {};
const manager = { dependencies: { '@kvasir/api': v, '@kvasir/control': v }, devDependencies: { '@kvasir/sim': v } };
const agent = { dependencies: { '@kvasir/libvirt': v } };

/** Problems of a repository with all those workspaces, but only the complaints about imports, not unused declarations. */
function complaints(test: TestContext, files: Record<string, string>): string[] {
  const workspaces = {
    api,
    control: { dependencies: { '@kvasir/api': v } },
    manager,
    agent,
    libvirt: {},
    sim: {},
    e2e: {},
  };
  const root = tree(test, { ...packages(workspaces, { devDependencies: { 'fast-check': '1.0.0' } }), ...files });
  return findImportProblems(root).filter((problem) => !problem.includes('is declared but'));
}

describe('imports between workspaces', () => {
  it('follow the table', (test) => {
    const files = {
      'manager/a.ts': `import { x } from '@kvasir/api/x.ts';\nimport type { y } from '@kvasir/control/y.ts';\n`,
      'control/a.ts': `import type { x } from '@kvasir/api/x.ts';`,
    };
    assert.deepEqual(complaints(test, files), []);
  });

  it('are refused in the other direction, even of a type, and wherever they stand', (test) => {
    const files = {
      'api/a.ts': `\nimport type { x } from '@kvasir/manager/x.ts';`,
      'control/a.ts': `const x = await import('@kvasir/agent/x.ts');`,
      'manager/a.ts': `type X = import('@kvasir/agent/x.ts').X;`,
    };
    assert.deepEqual(complaints(test, files), [
      'api/a.ts:2: api does not import manager (@kvasir/manager/x.ts)',
      'control/a.ts:1: control does not import agent (@kvasir/agent/x.ts)',
      'manager/a.ts:1: manager does not import agent (@kvasir/agent/x.ts)',
    ]);
  });

  it('need a dependency in package.json', (test) => {
    const files = { 'agent/a.ts': `import { x } from '@kvasir/api/x.ts';` };
    assert.deepEqual(complaints(test, files), [
      'agent/a.ts:1: agent/package.json does not declare @kvasir/api as a dependency (@kvasir/api/x.ts)',
    ]);
  });

  it('of a test follow package.json alone', (test) => {
    const files = {
      'manager/a.test.ts': `import { x } from '@kvasir/sim/x.ts';`,
      'manager/store/testing/a.ts': `import { x } from '@kvasir/sim/x.ts';\nimport { y } from '@kvasir/agent/y.ts';`,
      'manager/a.ts': `import { x } from '@kvasir/sim/x.ts';`,
    };
    assert.deepEqual(complaints(test, files), [
      'manager/a.ts:1: manager does not import sim (@kvasir/sim/x.ts)',
      'manager/store/testing/a.ts:2: manager/package.json does not declare @kvasir/agent (@kvasir/agent/y.ts)',
    ]);
  });

  it('never reach e2e, not even from a test', (test) => {
    const files = { 'manager/a.test.ts': `import { x } from '@kvasir/e2e/x.ts';` };
    assert.deepEqual(complaints(test, files), ['manager/a.test.ts:1: nobody imports e2e (@kvasir/e2e/x.ts)']);
  });

  it('are by name across and by path within', (test) => {
    const files = {
      'manager/a.ts': `import { x } from '../api/x.ts';\nimport { y } from '@kvasir/manager/y.ts';`,
    };
    assert.deepEqual(complaints(test, files), [
      'manager/a.ts:1: leaves its workspace by a relative path (../api/x.ts)',
      'manager/a.ts:2: imports its own workspace by name (@kvasir/manager/y.ts)',
    ]);
  });

  it('keep the product free of test code', (test) => {
    const files = {
      'manager/a.ts': `import { x } from './testing/x.ts';`,
      'manager/b.ts': `import { x } from './store/testing.ts';`,
      'manager/b.test.ts': `import { x } from './testing/x.ts';`,
      'manager/store/testing.ts': `import { x } from '../testing/x.ts';`,
    };
    assert.deepEqual(complaints(test, files), [
      'manager/a.ts:1: the product does not import test code (./testing/x.ts)',
      'manager/b.ts:1: the product does not import test code (./store/testing.ts)',
    ]);
  });
});

describe('layers of the manager', () => {
  it('may be used downwards', (test) => {
    const files = {
      'manager/main.ts': `import '../manager/http/server.ts';\nimport './store/vm.ts';`,
      'manager/http/vms.ts': `import '../services/vm.ts';\nimport './server.ts';`,
      'manager/services/vm.ts': `import '../store/vm.ts';\nimport '../tasks/vm-create.ts';`,
      'manager/tasks/vm-create.ts': `import '../store/vm.ts';\nimport '../hosts/link.ts';`,
      'manager/controllers/ha.ts': `import '@kvasir/control/ha/decide.ts';\nimport '../tasks/x.ts';`,
      'manager/store/vm.ts': `import '../clock.ts';`,
      'manager/clock.ts': `export const now = Date.now;`,
    };
    assert.deepEqual(complaints(test, files), []);
  });

  it('may not be used upwards or past one', (test) => {
    const files = {
      'manager/http/vms.ts': `import '../store/vm.ts';`,
      'manager/services/vm.ts': `import '../hosts/link.ts';`,
      'manager/tasks/vm-create.ts': `import '../services/vm.ts';`,
      'manager/controllers/ha.ts': `import '../hosts/link.ts';`,
      'manager/store/vm.ts': `import '../tasks/runner.ts';`,
    };
    assert.deepEqual(complaints(test, files), [
      'manager/controllers/ha.ts:1: inside manager, controllers does not import hosts (../hosts/link.ts)',
      'manager/http/vms.ts:1: inside manager, http does not import store (../store/vm.ts)',
      'manager/services/vm.ts:1: inside manager, services does not import hosts (../hosts/link.ts)',
      'manager/store/vm.ts:1: inside manager, store does not import tasks (../tasks/runner.ts)',
      'manager/tasks/vm-create.ts:1: inside manager, tasks does not import services (../services/vm.ts)',
    ]);
  });

  it('cannot be got round through a file beside them, nor by a new folder', (test) => {
    const files = {
      'manager/store/vm.ts': `import '../compose.ts';`,
      'manager/compose.ts': `import './http/server.ts';`,
      'manager/extras/x.ts': `import '../http/server.ts';`,
    };
    assert.deepEqual(complaints(test, files), [
      'manager/extras/x.ts:1: the folder manager/extras is missing in tools/import-rules.ts (../http/server.ts)',
      'manager/store/vm.ts:1: store does not import what puts the layers together (../compose.ts)',
    ]);
  });
});

describe('drivers of the agent', () => {
  it('import the interfaces and their engine', (test) => {
    const files = {
      'agent/drivers/libvirt/vm.ts': `import '../hypervisor.ts';\nimport './xml.ts';\nimport '@kvasir/libvirt/client.ts';`,
      'agent/drivers/sim/vm.ts': `import '../../clock.ts';`,
      'agent/clock.ts': `export const now = Date.now;`,
      'agent/main.ts': `import './drivers/libvirt/vm.ts';`,
      'agent/link/commands.ts': `import '../drivers/hypervisor.ts';`,
    };
    assert.deepEqual(complaints(test, files), []);
  });

  it('import nothing else, and nobody else knows them or their engine', (test) => {
    const files = {
      'agent/drivers/libvirt/vm.ts': `import '../ovs/port.ts';\nimport '../../journal/keys.ts';`,
      'agent/link/commands.ts': `import '../drivers/libvirt/vm.ts';\nimport '@kvasir/libvirt/client.ts';`,
      'agent/drivers/hypervisor.ts': `import './libvirt/vm.ts';`,
      'agent/drivers/sim/vm.ts': `import '../../agent.ts';`,
      'agent/agent.ts': `import './link/commands.ts';`,
    };
    assert.deepEqual(complaints(test, files), [
      'agent/drivers/hypervisor.ts:1: only files directly in agent/ choose a driver (libvirt) (./libvirt/vm.ts)',
      'agent/drivers/libvirt/vm.ts:1: the driver libvirt imports only the interfaces in agent/drivers (../ovs/port.ts)',
      'agent/drivers/libvirt/vm.ts:2: the driver libvirt imports only the interfaces in agent/drivers (../../journal/keys.ts)',
      'agent/drivers/sim/vm.ts:1: the driver sim imports only the interfaces in agent/drivers (../../agent.ts)',
      'agent/link/commands.ts:1: only files directly in agent/ choose a driver (libvirt) (../drivers/libvirt/vm.ts)',
      'agent/link/commands.ts:2: only a driver in agent/drivers imports libvirt (@kvasir/libvirt/client.ts)',
    ]);
  });
});

describe('packages', () => {
  const declaring =
    (fields: object, files: Record<string, string>) =>
    (test: TestContext): string[] =>
      findImportProblems(
        tree(test, { ...packages({ cli: fields }, { devDependencies: { 'fast-check': '1.0.0' } }), ...files }),
      );

  it('are declared by the workspace that imports them; tests may use those of the repository', (test) => {
    const files = {
      'cli/a.ts': `import ws from 'ws';\nimport { x } from '@scope/x/deep.js';\nimport 'node:fs';\nimport 'fs';`,
      'cli/b.ts': `import fc from 'fast-check';`,
      'cli/b.test.ts': `import fc from 'fast-check';`,
    };
    assert.deepEqual(declaring({ dependencies: { ws: '1.0.0' } }, files)(test), [
      'cli/a.ts:2: cli/package.json does not declare @scope/x as a dependency',
      'cli/a.ts:4: built-in modules are imported as node:fs',
      'cli/b.ts:1: cli/package.json does not declare fast-check as a dependency',
    ]);
  });

  it('are not declared in vain', (test) => {
    const fields = {
      dependencies: { ws: '1.0.0', used: '1.0.0', asked: '1.0.0' },
      devDependencies: { '@types/used': '1.0.0', '@types/ws': '1.0.0' },
    };
    const files = {
      'cli/a.ts': `import 'used/deep.js';\nconst at = import.meta.resolve('asked/file.css');`,
      'cli/a.test.ts': `import 'ws';`,
    };
    assert.deepEqual(declaring(fields, files)(test), ['cli/package.json: ws is declared but only tests use it']);
    assert.deepEqual(declaring({ dependencies: { idle: '1.0.0' }, devDependencies: { idler: '1.0.0' } }, {})(test), [
      'cli/package.json: idle is declared but nothing imports it',
      'cli/package.json: idler is declared but nothing imports it',
    ]);
  });

  it('are few in api and none in control, which also does no input or output', (test) => {
    const fields = { dependencies: { typebox: '1.0.0', ws: '1.0.0' } };
    const files = {
      'api/a.ts': `import 'typebox';\nimport 'ws';`,
      'control/a.ts': `import 'node:fs';\nimport 'ws';\nimport 'typebox';`,
      'control/a.test.ts': `import 'node:assert';`,
    };
    const root = tree(test, { ...packages({ api: fields, control: fields }), ...files });
    assert.deepEqual(findImportProblems(root), [
      'api/a.ts:2: api uses no package but its own, typebox',
      'control/a.ts:1: control does no input or output',
      'control/a.ts:2: control uses no package but its own',
      'control/a.ts:3: control uses no package but its own',
    ]);
  });
});

it('refuses files that only hand on what others define', (test) => {
  const files = {
    'api/index.ts': `export const x = 1;`,
    'api/all.ts': `export * from './index.ts';\nexport type { X } from './index.ts';\nexport { y };`,
  };
  assert.deepEqual(complaints(test, files), [
    'api/all.ts:1: hands on ./index.ts; whoever needs it imports it from there',
    'api/all.ts:2: hands on ./index.ts; whoever needs it imports it from there',
    'api/index.ts: a file is named for what it holds, not index',
  ]);
});
