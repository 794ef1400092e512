import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { treeMatchesLock } from './npm-tree-matches-lock.ts';

const wanted = {
  packages: {
    '': { version: '1.0.0' },
    lab: { version: '1.0.0' },
    'node_modules/a': { version: '1.2.3', integrity: 'sha512-a' },
    'node_modules/a/node_modules/b': { version: '2.0.0', integrity: 'sha512-b' },
    'node_modules/for-another-system': { version: '1.0.0', optional: true },
  },
};

describe('npm tree against the lock file', () => {
  const installed = {
    packages: {
      'node_modules/a': { version: '1.2.3', integrity: 'sha512-a' },
      'node_modules/a/node_modules/b': { version: '2.0.0', integrity: 'sha512-b' },
    },
  };

  it('matches without what is optional', () => {
    assert.equal(treeMatchesLock(wanted, installed), true);
  });

  it('does not match with a package missing, of another version or of other content', () => {
    assert.equal(
      treeMatchesLock(wanted, { packages: { 'node_modules/a': installed.packages['node_modules/a'] } }),
      false,
    );
    for (const other of [
      { version: '1.2.4', integrity: 'sha512-a' },
      { version: '1.2.3', integrity: 'sha512-x' },
    ]) {
      assert.equal(treeMatchesLock(wanted, { packages: { ...installed.packages, 'node_modules/a': other } }), false);
    }
  });
});
