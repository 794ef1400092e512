/** The agent's program ends when it cannot go on, for whoever supervises it starts it anew then and only then. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';

const root = mkdtempSync(join(tmpdir(), 'kvasir-agent-'));
after(() => rmSync(root, { recursive: true, force: true }));

it('an agent whose files are damaged ends with an error, though it holds the switch', { timeout: 60_000 }, async () => {
  const record = { hostId: randomUUID(), name: 'h1', address: '127.0.0.1', manager: '127.0.0.1:1' };
  writeFileSync(join(root, 'agent.json'), JSON.stringify(record));
  for (const file of ['host.key', 'host.crt', 'ca.crt']) writeFileSync(join(root, file), '');
  mkdirSync(join(root, 'vms'));
  writeFileSync(join(root, 'vms', 'torn.json'), '{');
  const ovsdb = createServer(() => {}).listen(join(root, 'db.sock'));
  after(() => ovsdb.close());
  const sockets = ['--ovsdb-socket', join(root, 'db.sock'), '--libvirt-socket', join(root, 'libvirt.sock')];
  const options = ['--data', root, '--run-directory', join(root, 'run'), '--virtualization', 'emulation', ...sockets];
  const program = [join(import.meta.dirname, 'main.ts'), 'run', ...options];
  const ended = await new Promise<{ readonly code: unknown; readonly stderr: string }>((resolve) => {
    execFile(process.execPath, program, { timeout: 15_000 }, (error, _stdout, stderr) =>
      resolve({ code: error?.killed === true ? 'killed' : error?.code, stderr }),
    );
  });
  assert.match(ended.stderr, /JSON/);
  assert.equal(ended.code, 1);
});
