import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PlaceholderError, agentWords, expand, managerWords } from './command-line.ts';
import { hostLayout, labLayout } from './layout.ts';

describe('command lines with words in braces', () => {
  const lab = labLayout('unit');

  it('gives each host its own', () => {
    const words = agentWords(hostLayout(lab, 'h2'));
    const argv = expand(
      ['{node}', 'agent/main.ts', '--name={host}', '--address', '{managementAddress}', '{manager}'],
      words,
    );
    assert.deepEqual(argv.slice(1), ['agent/main.ts', '--name=h2', '--address', '10.77.0.2', '10.77.0.254:7443']);
  });

  it('refuses a word that means nothing', () => {
    assert.throws(() => expand(['{hots}'], agentWords(hostLayout(lab, 'h1'))), PlaceholderError);
    assert.throws(() => expand(['{toString}'], { node: 'x' }), PlaceholderError);
  });

  it('lets other braces be', () => {
    assert.deepEqual(expand(['{"a":1}', '{}'], managerWords(lab)), ['{"a":1}', '{}']);
  });
});
