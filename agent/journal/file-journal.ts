/**
 * The journal as one append-only file: a JSON object a line, synced before the caller hears of it.
 *
 * Why a file and not a database: it needs one operation (append) and one lookup (in memory), and a line either ends with
 * its newline or never happened. Writers that wait at the same time share one sync. A last line cut by a crash is dropped
 * at the next start. The file is written anew (temporary file, sync, rename) when most of it is outdated.
 *
 * What a write that failed has left is taken away before the next one: a line behind half a line would be lost with it. And nothing is
 * written into a file whose name may not be on disk yet. Until that succeeds, everything is refused.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectory } from '@kvasir/api/kept-file.ts';
import type { FinishedCall, Journal } from './journal.ts';

interface Entry {
  readonly call: FinishedCall;
  readonly atMs: number;
}
type Line = { readonly epoch: number } | ({ readonly atMs: number } & FinishedCall);

export interface FileJournalOptions {
  readonly now: () => number;
  /** Keys older than this are forgotten; no task lives that long. */
  readonly keepMs?: number;
  /** Lines that may be outdated before the file is written anew. */
  readonly slack?: number;
}

const defaultKeepMs = 14 * 24 * 3600 * 1000;
const defaultSlack = 10_000;

export class FileJournal implements Journal {
  readonly #path: string;
  readonly #now: () => number;
  readonly #keepMs: number;
  readonly #slack: number;
  readonly #entries = new Map<string, Entry>();
  #epoch = 0;
  #lines = 0;
  #file: FileHandle;
  /** Of the lines that are on disk; what is behind them is the rest of a write that failed. */
  #size = 0;
  #hasRest = false;
  /** After a crash the file may be the one of before. */
  #isUnplaced = false;
  #queue: { readonly text: string; readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = [];
  #writing: Promise<void> | null = null;

  private constructor(path: string, file: FileHandle, options: FileJournalOptions) {
    this.#path = path;
    this.#file = file;
    this.#now = options.now;
    this.#keepMs = options.keepMs ?? defaultKeepMs;
    this.#slack = options.slack ?? defaultSlack;
  }

  /** Opens the journal, making an empty one when there is none. One process at a time. */
  static async open(path: string, options: FileJournalOptions): Promise<FileJournal> {
    const file = await open(path, 'a+', 0o600);
    const journal = new FileJournal(path, file, options);
    await journal.#load();
    return journal;
  }

  get epoch(): number {
    return this.#epoch;
  }

  find(key: string): FinishedCall | undefined {
    return this.#entries.get(key)?.call;
  }

  async record(call: FinishedCall): Promise<void> {
    const atMs = this.#now();
    await this.#append({ atMs, ...call });
    this.#entries.set(call.key, { call, atMs });
  }

  async raiseEpoch(epoch: number): Promise<void> {
    if (epoch <= this.#epoch) return;
    await this.#append({ epoch });
    this.#epoch = Math.max(this.#epoch, epoch);
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#file.close();
  }

  async #load(): Promise<void> {
    const content = await this.#file.readFile();
    const end = content.lastIndexOf(0x0a) + 1;
    if (end < content.byteLength) await this.#file.truncate(end);
    this.#size = end;
    for (const text of content.subarray(0, end).toString('utf8').split('\n')) {
      if (text === '') continue;
      this.#lines += 1;
      const line = parseLine(text);
      if (line === undefined) continue;
      if ('epoch' in line) this.#epoch = Math.max(this.#epoch, line.epoch);
      else
        this.#entries.set(line.key, {
          call: { key: line.key, method: line.method, result: line.result, bootId: line.bootId },
          atMs: line.atMs,
        });
    }
    this.#dropOld();
    if (this.#lines > this.#entries.size + 1) await this.#rewrite();
    else await syncDirectory(dirname(this.#path));
  }

  #append(line: Line): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ text: formatLine(line), resolve, reject });
      this.#writing ??= this.#drain();
    });
  }

  async #drain(): Promise<void> {
    // A turn's wait lets calls that end together share one sync.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      const bytes = Buffer.from(batch.map((item) => item.text).join(''));
      try {
        await this.#mend();
        this.#hasRest = true;
        await this.#file.appendFile(bytes);
        await this.#file.datasync();
        this.#hasRest = false;
        this.#size += bytes.byteLength;
        this.#lines += batch.length;
        for (const item of batch) item.resolve();
      } catch (error) {
        await this.#cut().catch(() => {});
        for (const item of batch) item.reject(error);
      }
      if (this.#queue.length > 0) continue;
      // Resolved callers enter their keys in later turns; the file is written anew only when none is left.
      await new Promise(setImmediate);
      this.#dropOld();
      if (this.#lines > 2 * this.#entries.size + this.#slack) await this.#rewrite().catch(() => {});
    }
    this.#writing = null;
  }

  /** @throws when what a failure left cannot be put right yet */
  async #mend(): Promise<void> {
    if (this.#isUnplaced) await this.#rewrite();
    await this.#cut();
  }

  async #cut(): Promise<void> {
    if (!this.#hasRest) return;
    await this.#file.truncate(this.#size);
    this.#hasRest = false;
  }

  /** Entries stand in the order of time, so the first that is young enough ends the search. */
  #dropOld(): void {
    const oldest = this.#now() - this.#keepMs;
    for (const [key, entry] of this.#entries) {
      if (entry.atMs >= oldest) return;
      this.#entries.delete(key);
    }
  }

  async #rewrite(): Promise<void> {
    const lines = [...this.#entries.values()].map(({ call, atMs }) => formatLine({ atMs, ...call }));
    const bytes = Buffer.from([formatLine({ epoch: this.#epoch }), ...lines].join(''));
    const path = `${this.#path}.new`;
    await rm(path, { force: true });
    const file = await open(path, 'a+', 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
      await rename(path, this.#path);
    } catch (error) {
      await file.close();
      throw error;
    }
    const old = this.#file;
    this.#file = file;
    this.#isUnplaced = true;
    this.#size = bytes.byteLength;
    this.#hasRest = false;
    this.#lines = lines.length + 1;
    await old.close().catch(() => {});
    await syncDirectory(dirname(this.#path));
    this.#isUnplaced = false;
  }
}

/** A short checksum in front guards against lines that a damaged disk changed; such a line counts as never written. */
function formatLine(line: Line): string {
  const text = JSON.stringify(line);
  return `${checksum(text)} ${text}\n`;
}

function parseLine(text: string): Line | undefined {
  const content = text.slice(9);
  return text[8] === ' ' && checksum(content) === text.slice(0, 8) ? (JSON.parse(content) as Line) : undefined;
}

function checksum(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
