import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { findPackageProblems } from './packages.ts';
import { packages, tree } from './testing/tree.ts';

/** A repository with one workspace `cli`, whose lock agrees unless told otherwise. */
function problems(test: TestContext, cli: object, lock: Record<string, object> = {}): string[] {
  const files = packages({ cli });
  const entries = Object.fromEntries(
    ['', 'cli'].map((folder) => [
      folder,
      JSON.parse(files[folder === '' ? 'package.json' : `${folder}/package.json`] ?? ''),
    ]),
  );
  const packageLock = JSON.stringify({ packages: { ...entries, ...lock } });
  return findPackageProblems(tree(test, { ...files, 'package-lock.json': packageLock }));
}

it('takes exact versions only', (test) => {
  assert.deepEqual(problems(test, { dependencies: { a: '1.2.3', b: '1.2.3-rc.1', '@kvasir/api': '0.1.0' } }), []);
  for (const version of ['^1.2.3', '~1.2.3', '1.x', '*', 'latest', '1.2', 'file:../x', 'npm:y@1.2.3', '>=1.0.0']) {
    for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies']) {
      const found = problems(test, { [kind]: { a: version } });
      assert.deepEqual(found, [`cli/package.json: a "${version}" is not an exact version`]);
    }
  }
});

it('keeps one version for all, private, each named as its folder', (test) => {
  const found = problems(test, {
    name: '@kvasir/other',
    version: '0.2.0',
    private: false,
    dependencies: { '@kvasir/api': '0.2.0' },
  });
  assert.deepEqual(found, [
    'cli/package.json: is not private',
    'cli/package.json: has another version than the repository',
    'cli/package.json: is not named @kvasir/cli',
    'cli/package.json: @kvasir/api 0.2.0 is not the version of the repository',
  ]);
});

it('wants a lock that agrees, has checksums and names no place', (test) => {
  const good = { version: '1.2.3', integrity: 'sha512-x' };
  assert.deepEqual(
    problems(test, {}, { 'node_modules/a': good, 'node_modules/@kvasir/cli': { resolved: 'cli', link: true } }),
    [],
  );
  assert.deepEqual(problems(test, {}, { 'node_modules/a': { ...good, resolved: 'https://example.org/a.tgz' } }), [
    'package-lock.json: node_modules/a names where it came from',
  ]);
  assert.deepEqual(problems(test, {}, { 'node_modules/a': { version: '1.2.3' } }), [
    'package-lock.json: node_modules/a has no checksum',
  ]);
  assert.deepEqual(problems(test, { dependencies: { a: '1.2.3' } }, { cli: { dependencies: { a: '1.2.2' } } }), [
    'package-lock.json: does not agree with cli/package.json',
  ]);
  assert.deepEqual(findPackageProblems(tree(test, packages({}))), ['package-lock.json: is missing']);
});
