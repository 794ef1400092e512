/** One manager of a world: its process, killed and started anew, over the store that all managers share. */
import type { Link } from '@kvasir/api/agent/wire/link.ts';
import type { PowerControl } from '@kvasir/manager/tasks/power-control.ts';
import { type Core, openCore } from '@kvasir/manager/core.ts';
import type { Environment } from '@kvasir/manager/services/call.ts';
import { FileSpool } from '@kvasir/manager/services/file-spool.ts';
import type { Store } from '@kvasir/manager/store/database.ts';
import type { Chance } from './chance.ts';
import { Life } from './life.ts';
import type { VirtualClock } from './virtual-clock.ts';

export interface ManagerSeams {
  readonly clock: VirtualClock;
  readonly chance: Chance;
  readonly store: Store;
  /** Of one process. */
  readonly power: (life: Life) => PowerControl;
  readonly tell: (what: string) => void;
}

/** Which process of which manager holds the lease; those that are gone are known to be. */
const alive = new WeakMap<VirtualClock, Set<string>>();

export class ManagerMachine {
  readonly name: string;
  readonly #seams: ManagerSeams;
  #life: Life | null = null;
  #core: Core | undefined;
  #starts = 0;
  #commitsLeft = Number.POSITIVE_INFINITY;

  constructor(name: string, seams: ManagerSeams) {
    this.name = name;
    this.#seams = seams;
  }

  get leads(): boolean {
    return this.#life !== null && this.#core?.leadership.epoch !== undefined;
  }
  get env(): Environment | undefined {
    return this.#core?.env;
  }
  get isUp(): boolean {
    return this.#life !== null;
  }

  start(): void {
    if (this.#life !== null) return;
    const { clock } = this.#seams;
    const life = new Life();
    this.#life = life;
    this.#starts += 1;
    const holder = `${this.name}/${this.#starts}`;
    const holders = alive.get(clock) ?? new Set();
    alive.set(clock, holders.add(holder));
    life.onEnd(() => holders.delete(holder));
    this.#seams.tell(`manager ${holder} starts`);
    // Reading the key of its authority leaves the thread.
    void clock.outside(this.#open(life, holder));
  }

  kill(): void {
    if (this.#life === null) return;
    this.#seams.tell(`manager ${this.name} is killed`);
    const life = this.#life;
    this.#life = null;
    this.#core = undefined;
    this.#commitsLeft = Number.POSITIVE_INFINITY;
    life.end();
  }

  /** A planned kill that has not come yet does not come any more. */
  spare(): void {
    this.#commitsLeft = Number.POSITIVE_INFINITY;
  }

  /** Killed as soon as that many further transactions of it are committed: their answers never reach it. */
  killAfter(commits: number): void {
    if (this.#life !== null) this.#commitsLeft = commits;
  }

  accept(link: Link, hostId: string): void {
    this.#core!.hosts.accept(this.#life!.link(link), hostId);
  }

  async #open(life: Life, holder: string): Promise<void> {
    const { clock, chance, store, power, tell } = this.#seams;
    const core = await openCore({
      store: mortal(store, life, () => this.#committed(life)),
      clock: life.clock(clock),
      ids: chance.ids(),
      version: 'simulated',
      spool: new NoUploads('/nonexistent'),
      holder,
      isDead: (other) => alive.get(clock)?.has(other) !== true,
      power: life.holds(power(life)),
      log: (message, details) => tell(`  ${holder}: ${message} ${inShort(details)}`),
    });
    if (this.#life !== life) return;
    this.#core = core;
    core.start();
  }

  #committed(life: Life): void {
    if (this.#life !== life) return;
    this.#commitsLeft -= 1;
    if (this.#commitsLeft <= 0) this.kill();
  }
}

/** Nobody uploads anything here, and nothing reads a real disk. */
class NoUploads extends FileSpool {
  override list(): ReturnType<FileSpool['list']> {
    return Promise.resolve([]);
  }
}

/** The store as one process sees it: when that is dead, no transaction begins, none that was asked for answers, and nothing wakes it. */
function mortal(store: Store, life: Life, committed: () => void): Store {
  const held = life.holds(store);
  return {
    kind: store.kind,
    db: store.db,
    transaction: (work) =>
      held.transaction(work).then((result) => {
        committed();
        return life.isAlive ? result : new Promise<never>(() => {});
      }),
    onCommit: (listener) => {
      const end = store.onCommit(() => life.isAlive && listener());
      life.onEnd(end);
      return end;
    },
    close: async () => {},
  };
}

function inShort(details: unknown): string {
  if (details === undefined) return '';
  if (details instanceof Error) return details.stack ?? details.message;
  return JSON.stringify(details, (_, value: unknown) => (value instanceof Error ? value.stack : value));
}
