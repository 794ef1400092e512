/** What the checks in the machine share: one line for each sentence that holds or not, waiting, and `ip`. */
import { setTimeout as pause } from 'node:timers/promises';
import { runProgram } from '@kvasir/agent/drivers/program.ts';

export const counts = { passed: 0, failed: 0 };

export async function holds(sentence: string, check: () => Promise<void>): Promise<void> {
  try {
    await check();
    counts.passed++;
    print(`ok      ${sentence}`);
  } catch (error) {
    counts.failed++;
    print(`FAILED  ${sentence}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

export async function until(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
  const end = Date.now() + 90_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not in time: ${what}`);
    await pause(200);
  }
}

export async function ip(words: string): Promise<string> {
  return (await runProgram('ip', words.split(' '))).stdout;
}

export function answers(namespace: string, address: string): Promise<boolean> {
  const ping = ['netns', 'exec', namespace, 'ping', '-c', '1', '-W', '2', address];
  return runProgram('ip', ping).then(
    () => true,
    () => false,
  );
}

export async function intoNamespace(name: string, link: string, address: string): Promise<void> {
  await ip(`netns add ${name}`);
  await ip(`link set ${link} netns ${name}`);
  await ip(`-n ${name} address add ${address} dev ${link}`);
  await ip(`-n ${name} link set ${link} up`);
}
