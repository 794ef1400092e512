import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readLabArguments } from './lab-arguments.ts';

describe('the command line of the lab', () => {
  const read = (line: string) => {
    const { values, positionals, inner } = readLabArguments(line.split(' '));
    return { lab: values.name, positionals, inner };
  };

  it('tells the name of the lab from the host, also when a lab is named like one', () => {
    const asked = { lab: 'h1', positionals: ['exec', 'h2'], inner: ['hostname'] };
    assert.deepEqual(read('exec --name h1 h2 hostname'), asked);
    assert.deepEqual(read('exec --name=h1 h2 hostname'), asked);
    assert.deepEqual(read('--name h1 exec h2 hostname'), asked);
    assert.deepEqual(read('exec --name h1'), { lab: 'h1', positionals: ['exec'], inner: [] });
  });

  it('leaves everything behind the host to the command inside', () => {
    const inner = ['ip', '-br', '--name', 'h3', '--help', '--', 'x'];
    assert.deepEqual(read(`exec h2 ${inner.join(' ')}`), { lab: 'demo', positionals: ['exec', 'h2'], inner });
    assert.deepEqual(read('exec elsewhere ls -l').positionals, ['exec', 'elsewhere']);
  });

  it('refuses what it does not know, before the host and in other commands', () => {
    assert.throws(() => read('exec --nam x h2 ls'), { code: 'ERR_PARSE_ARGS_UNKNOWN_OPTION' });
    assert.throws(() => read('cut h2 -l'), { code: 'ERR_PARSE_ARGS_UNKNOWN_OPTION' });
  });
});
