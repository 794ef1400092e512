/**
 * Creates VMs through the API, so many requests at a time, and sees them run: by the event stream, as any client would.
 * A second client asks for a page of the list now and then, to see what people feel meanwhile.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@kvasir/api/client.ts';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import { type Summary, summarize, tenths } from '../statistics.ts';
import { inParallel } from './in-parallel.ts';
import { imageName, networkName, vmMemoryMib, vmName } from './sizes.ts';

export interface Creates {
  readonly asked: number;
  readonly answered: number;
  readonly running: number;
  readonly failed: number;
  /** Answered ones, from the first request to the last answer. */
  readonly answersPerSecond: number;
  /** Running ones, from the first request until the last runs. */
  readonly runningPerSecond: number;
  readonly answerMs: Summary;
  /** From the request until the event that says so arrives here; includes the wait behind earlier ones. */
  readonly untilRunningMs: Summary;
  readonly listMeanwhileMs: Summary;
  /** Why it are not all; null: they are. */
  readonly incomplete: string | null;
}

export interface CreatesOptions {
  readonly count: number;
  readonly atOnce: number;
  readonly limitMs: number;
  /** Default: the cluster's flat one. */
  readonly network?: string;
}

const listEveryMs = 500;

export async function createVms(
  client: Client,
  { count, atOnce, limitMs, network = networkName }: CreatesOptions,
): Promise<Creates> {
  const stop = new AbortController();
  const askedAt = new Map<string, number>();
  const untilRunning: number[] = [];
  const failures: string[] = [];
  let lastRunningAt = 0;
  const allEnded = Promise.withResolvers<void>();
  const watching = watch();
  const answers: number[] = [];
  const lists: number[] = [];
  const began = performance.now();
  const listing = listNowAndThen();
  const limit = setTimeout(() => stop.abort(), limitMs);
  await inParallel(atOnce, indexes(), create).catch((error: unknown) => failures.push(String(error)));
  const answeredMs = performance.now() - began;
  stop.signal.addEventListener('abort', () => allEnded.resolve());
  if (stop.signal.aborted || answers.length < count) allEnded.resolve();
  await allEnded.promise;
  clearTimeout(limit);
  const limitHit = stop.signal.aborted;
  stop.abort();
  await Promise.all([watching, listing]);
  const running = untilRunning.length;
  return {
    asked: count,
    answered: answers.length,
    running,
    failed: failures.length,
    answersPerSecond: perSecond(answers.length, answeredMs),
    runningPerSecond: perSecond(running, lastRunningAt - began),
    answerMs: summarize(answers),
    untilRunningMs: summarize(untilRunning),
    listMeanwhileMs: summarize(lists),
    incomplete: limitHit ? `the limit of ${limitMs} ms was hit` : (failures[0] ?? null),
  };

  function* indexes(): Generator<number> {
    for (let index = 1; index <= count && !stop.signal.aborted; index += 1) yield index;
  }

  async function create(index: number): Promise<void> {
    const name = vmName(index);
    const body = { name, image: imageName, network, cpus: 1, memoryMib: vmMemoryMib };
    const asked = performance.now();
    askedAt.set(name, asked);
    await client.call(vmOperations.create, { body });
    answers.push(performance.now() - asked);
  }

  async function watch(): Promise<void> {
    try {
      for await (const { kind, target, details, message } of client.watchEvents({ after: 0, signal: stop.signal })) {
        if (kind !== 'task.finished' || details['kind'] !== 'vm-create') continue;
        const asked = askedAt.get(target?.name ?? '');
        if (asked === undefined) continue;
        lastRunningAt = performance.now();
        if (details['state'] === 'succeeded') untilRunning.push(lastRunningAt - asked);
        else failures.push(message);
        if (untilRunning.length + failures.length === count) allEnded.resolve();
      }
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    }
  }

  async function listNowAndThen(): Promise<void> {
    while (!stop.signal.aborted) {
      await delay(listEveryMs, undefined, { signal: stop.signal }).catch(() => undefined);
      if (stop.signal.aborted) return;
      const asked = performance.now();
      await client.call(vmOperations.list, { query: { limit: 50 } });
      lists.push(performance.now() - asked);
    }
  }
}

function perSecond(count: number, ms: number): number {
  return ms <= 0 ? 0 : tenths((count * 1000) / ms);
}
