/** The powers (capabilities) that the agent's unit leaves to it and its keeper, and programs that have these and no others. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** As `setpriv` calls them. */
export function powersOfTheUnit(): string[] {
  const unit = readFileSync(join(import.meta.dirname, '../../deploy/kvasir-agent.service'), 'utf8');
  const [, words = ''] = /^CapabilityBoundingSet=(.*)$/m.exec(unit) ?? [];
  return words.split(' ').map((word) => word.replace('CAP_', '').toLowerCase());
}

/** Runs a module given as text, as root, in a network namespace of its own if that is wanted. Rejects with its last words when it fails. */
export async function runWithPowers(
  powers: readonly string[],
  module: string,
  options: { readonly args?: readonly string[]; readonly ownNetwork?: boolean } = {},
): Promise<void> {
  const { args = [], ownNetwork = false } = options;
  const bounding = ['-all', ...powers.map((power) => `+${power}`)].join(',');
  const words = ['setpriv', '--bounding-set', bounding, '--no-new-privs', process.execPath];
  const program = [...(ownNetwork ? ['unshare', '--net'] : []), ...words, '--input-type=module', '-e', module, ...args];
  await promisify(execFile)(program[0]!, program.slice(1));
}
