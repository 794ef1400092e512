/**
 * The command line of `kvasir lab`. What follows the host of `lab exec` belongs to the command inside the host: none of it is an
 * option of the lab, whatever it looks like.
 */
import { parseArgs } from 'node:util';
import { demoLabName } from './demo.ts';

const options = {
  name: { type: 'string', default: demoLabName },
  hosts: { type: 'string' },
  network: { type: 'string' },
  output: { type: 'string', short: 'o' },
  'stay-down': { type: 'boolean', default: false },
  ok: { type: 'boolean', default: false },
  slow: { type: 'boolean', default: false },
  broken: { type: 'boolean', default: false },
  lies: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** @throws TypeError of `parseArgs`, with a code that begins with ERR_PARSE_ARGS */
export function readLabArguments(args: readonly string[]) {
  const end = endOfOwnWords(args);
  const { values, positionals } = parseArgs({ args: args.slice(0, end), allowPositionals: true, options });
  return { values, positionals, inner: args.slice(end) };
}

function endOfOwnWords(args: readonly string[]): number {
  const { tokens } = parseArgs({ args: [...args], strict: false, allowPositionals: true, tokens: true, options });
  const [command, host] = tokens.filter((token) => token.kind === 'positional');
  return command?.value === 'exec' && host !== undefined ? host.index + 1 : args.length;
}
