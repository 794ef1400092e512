/** Results on stdout in the form that `-o` asks for. Hints and progress go to stderr, so stdout stays clean for programs. */
import type { GlobalFlags } from './connection.ts';
import type { Surroundings } from './surroundings.ts';
import { renderDetails, renderTable } from './table.ts';

export async function printList(
  items: readonly unknown[],
  columns: readonly string[] | undefined,
  flags: GlobalFlags,
  around: Surroundings,
): Promise<void> {
  if (flags.output === 'json' || flags.output === 'yaml') return printData(items, flags.output, around);
  const shown = columns ?? Object.keys((items[0] as object | undefined) ?? {});
  const named = shown.includes('name');
  const options = { wide: flags.wide === true, width: around.stdout.isTTY ? around.stdout.columns : undefined };
  around.stdout.write(renderTable(items, shown, { ...options, wholeIds: named ? [] : ['id'] }));
}

export async function printItem(item: unknown, flags: GlobalFlags, around: Surroundings): Promise<void> {
  if (flags.output === 'json' || flags.output === 'yaml') return printData(item, flags.output, around);
  around.stdout.write(renderDetails(item));
}

export async function printData(value: unknown, format: 'json' | 'yaml', around: Surroundings): Promise<void> {
  if (format === 'json') around.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  else around.stdout.write((await import('yaml')).stringify(value));
}
