/**
 * `kvasir completion bash` prints the script; `kvasir __complete …` answers it. Words come from the command tree, names
 * from the API when it answers quickly: completion never waits long and never fails.
 */
import { allOperations } from '@kvasir/api/contract.ts';
import type { Operation } from '@kvasir/api/operation.ts';
import type { Page } from '@kvasir/api/schema.ts';
import type { Command } from 'commander';
import { connect } from '../connection.ts';
import { choicesOf, type Field, fieldsOf, kebab } from '../fields.ts';
import { buildProgram } from '../program.ts';
import { commandName } from '../operation-command.ts';
import { readProfiles } from '../profile.ts';
import type { Surroundings } from '../surroundings.ts';

const script = `# bash completion for kvasir; load it with: source <(kvasir completion bash)
_kvasir() {
  local IFS=$'\\n'
  COMPREPLY=($("\${COMP_WORDS[0]}" __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  if [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == __files__ ]]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
  fi
}
complete -F _kvasir kvasir ./kvasir
`;

const patienceMs = 800;

export function addCompletion(program: Command, around: Surroundings): void {
  program
    .command('completion')
    .description('Print a script for tab completion; load it with: source <(kvasir completion bash)')
    .command('bash')
    .description('for bash')
    .action(() => {
      around.stdout.write(script);
    });
}

/** `words`: what stands after `kvasir`, the last one being completed. */
export async function complete(words: readonly string[], around: Surroundings): Promise<void> {
  const last = words.at(-1) ?? '';
  const candidates = await candidatesFor(words, around).catch(() => []);
  for (const word of candidates) if (word.startsWith(last) || word === '__files__') around.stdout.write(`${word}\n`);
}

async function candidatesFor(words: readonly string[], around: Surroundings): Promise<readonly string[]> {
  const last = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const other = otherPrograms[before[0] ?? ''];
  if (other)
    return before.length === 1 ? other : before.length === 2 && before[0] === 'lab' ? namesOf('host', [], around) : [];
  let command: Command = await buildProgram(before, around);
  const arguments_: string[] = [];
  let awaited: string | undefined;
  for (const word of before) {
    if (awaited !== undefined) {
      awaited = undefined;
      continue;
    }
    const child = arguments_.length === 0 ? command.commands.find((one) => one.name() === word) : undefined;
    if (child) command = child;
    else if (word.startsWith('-')) {
      const option = command.options.find((one) => one.long === word || one.short === word);
      awaited = option && (option.required || option.optional) ? (option.long ?? word) : undefined;
    } else arguments_.push(word);
  }

  const group = command.parent?.name() ?? '';
  const operation = allOperations.find((one) => kebab(one.resource) === group && commandName(one) === command.name());
  if (awaited !== undefined) return optionValues(command, operation, awaited, around);
  if (last.startsWith('-')) {
    return command.options.filter((one) => !one.hidden).map((one) => one.long ?? one.short ?? '');
  }
  if (command.commands.length > 0 || command.parent === null) {
    const words_ = command.commands.map((one) => one.name());
    return command.parent === null ? [...words_, ...topLevelWords] : words_;
  }
  return argumentValues(command, operation, arguments_, around);
}

const topLevelWords = ['login', 'logout', 'profile', 'completion', 'demo', 'lab', 'test', 'agent', 'manager'];

/** Programs of their own, of which this tree knows the first words only. */
const otherPrograms: Readonly<Record<string, readonly string[]>> = {
  demo: ['--stop', '--name'],
  lab: [
    'up',
    'down',
    'status',
    'power-off',
    'power-on',
    'bmc',
    'cut',
    'heal',
    'kill-agent',
    'start-agent',
    'kill-manager',
    'start-manager',
    'exec',
    'guest-image',
  ],
  test: [],
  agent: ['join', 'run'],
  manager: ['serve', 'create-token'],
};

async function optionValues(command: Command, operation: Operation | undefined, flag: string, around: Surroundings) {
  const option = command.options.find((one) => one.long === flag);
  if (option?.argChoices) return option.argChoices;
  const field = operation && fieldsOf(operation).options.find((one) => `--${one.flag}` === flag);
  const choices = field && choicesOf(field);
  if (choices) return choices;
  if (flag.endsWith('-file') || flag === '--file') return ['__files__'];
  return namesOf(field ? (field.path.at(-1) ?? '') : flag.slice(2), [], around);
}

async function argumentValues(
  command: Command,
  operation: Operation | undefined,
  given: readonly string[],
  around: Surroundings,
): Promise<readonly string[]> {
  const field: Field | undefined = operation && fieldsOf(operation).positional[given.length];
  if (field) return choicesOf(field) ?? namesOf(field.path.at(-1) ?? '', given, around);
  const name = command.registeredArguments[given.length]?.name();
  if (name === 'file') return ['__files__'];
  return name === undefined ? [] : namesOf(name, given, around);
}

/** Names of a resource; ids for what has no name. */
async function namesOf(what: string, given: readonly string[], around: Surroundings): Promise<readonly string[]> {
  if (what === 'profile') return Object.keys((await readProfiles(around.env, () => {})).profiles);
  const { client, project } = await connect({}, around);
  const signal = AbortSignal.timeout(patienceMs);
  if (what === 'nic') {
    const get = allOperations.find((one) => one.id === 'vm.get');
    const vm =
      get &&
      ((await client.send(get, { params: { vm: given[0] }, query: { project }, signal })) as {
        nics: { id: string }[];
      });
    return vm ? vm.nics.map((nic) => nic.id) : [];
  }
  const resource = what === 'token' ? 'apiToken' : what;
  const list = allOperations.find((one) => one.id === `${resource}.list`);
  if (!list) return [];
  const query = {
    limit: 200,
    ...('project' in list.query.properties && list.access !== 'session' ? { project } : {}),
    // The youngest, for those are the ones that somebody still follows or ends.
    ...(what === 'task' ? { sort: '-createdAt' } : {}),
  };
  const page = (await client.send(list, { query, signal })) as Page<{ readonly name?: string; readonly id: string }>;
  return page.items.map((item) => (resource === 'apiToken' ? item.id : (item.name ?? item.id)));
}
