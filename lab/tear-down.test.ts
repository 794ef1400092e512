/** What a lab's removal takes away, and what it leaves to others. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { attempt, run } from './command.ts';
import { networkNamespaces } from './fabric.ts';
import { besideHosts, labLayout } from './layout.ts';
import { tearDownLab } from './tear-down.ts';
import { testLabName } from './test-labs.ts';

const quietly = (): void => undefined;

describe('removal of a lab', () => {
  it('takes all of its namespaces, and none of a lab whose name begins with its own', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'kvasir-lab-'));
    const lab = labLayout(testLabName('r'), parent);
    const others = ['b', 'h1', 'g'].map((word) => labLayout(`${lab.name}-${word}`, parent));
    const its = [lab.fabricNamespace, `${lab.namespacePrefix}h1`, besideHosts(lab, 'web')];
    const theirs = others.flatMap((other) => [other.fabricNamespace, `${other.namespacePrefix}h1`]);
    try {
      for (const namespace of [...its, ...theirs]) await run(['ip', 'netns', 'add', namespace]);
      await tearDownLab(lab, quietly);
      const left = networkNamespaces().filter((name) => name.startsWith(lab.namespacePrefix));
      assert.deepEqual(left.sort(), theirs.sort());
    } finally {
      for (const namespace of [...its, ...theirs]) await attempt(['ip', 'netns', 'del', namespace]);
      rmSync(parent, { recursive: true });
    }
  });

  for (const record of ['', '{"version":2,"hosts":[]}', 'null']) {
    it(`needs no record that can be read: '${record}'`, async () => {
      const parent = mkdtempSync(join(tmpdir(), 'kvasir-lab-'));
      try {
        const lab = labLayout(testLabName('u'), parent);
        mkdirSync(dirname(lab.stateFile), { recursive: true });
        writeFileSync(lab.stateFile, record);
        await tearDownLab(lab, quietly);
        assert.equal(existsSync(lab.directory), false);
      } finally {
        rmSync(parent, { recursive: true });
      }
    });
  }
});
