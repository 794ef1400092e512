/** What the units in `deploy/` promise of themselves. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const deploy = join(import.meta.dirname, '../deploy');
const units = globSync('*.service', { cwd: deploy }).sort();

/** Setting -> value, of one section; the last one given counts. */
function section(unit: string, name: string): ReadonlyMap<string, string> {
  const text = readFileSync(join(deploy, unit), 'utf8').split(`[${name}]\n`)[1]?.split(/^\[/m)[0] ?? '';
  return new Map([...text.matchAll(/^(\w+)=(.*)$/gm)].map(([, setting = '', value = '']) => [setting, value]));
}

test('there are units', () => assert.deepEqual(units, ['kvasir-agent.service', 'kvasir-manager.service']));

for (const unit of units) {
  test(`systemd goes on starting ${unit}, however often it ended`, () => {
    assert.equal(section(unit, 'Service').get('Restart'), 'always');
    assert.equal(section(unit, 'Unit').get('StartLimitIntervalSec'), '0');
  });
}
