/**
 * A simulated process and its end by kill -9. A promise can't be killed, so everything that a process works with is wrapped:
 * after its end no timer fires, no call begins, and no call that was under way comes back. What such a call had set going in the
 * world outside of the process goes on, as it does with a real one.
 */
import type { Clock } from '@kvasir/api/clock.ts';
import type { Link } from '@kvasir/api/agent/wire/link.ts';
import { sleepBy } from './virtual-clock.ts';

const never = new Promise<never>(() => {});

export class Life {
  readonly #ends: (() => void)[] = [];
  #alive = true;

  get isAlive(): boolean {
    return this.#alive;
  }

  end(): void {
    if (!this.#alive) return;
    this.#alive = false;
    for (const end of this.#ends.splice(0)) end();
  }

  /** Called when it ends: what the kernel does for a process that is gone. */
  onEnd(work: () => void): void {
    this.#ends.push(work);
  }

  /** The process's own clock; `skewMs` is by how much its wall clock is wrong now. */
  clock(clock: Clock, skewMs: () => number = () => 0): Clock {
    const after = (ms: number, work: () => void): (() => void) => clock.after(ms, () => this.#alive && work());
    return {
      now: () => clock.now() + skewMs(),
      after,
      sleep: (ms, signal) => sleepBy((work) => after(ms, work), signal),
    };
  }

  /** The kernel closes the sockets of a dead process. */
  link(link: Link): Link {
    this.onEnd(() => link.close('the process died'));
    return link;
  }

  /** An object with methods, as this process sees it. */
  holds<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (object, name) => {
        const value = Reflect.get(object, name, object) as unknown;
        if (typeof value !== 'function') return value;
        return (...given: unknown[]): unknown => {
          if (!this.#alive) return never;
          const result = Reflect.apply(value, object, given) as unknown;
          return result instanceof Promise ? this.#survived(result) : result;
        };
      },
    });
  }

  #survived<T>(result: Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    result.then(
      (value) => this.#alive && resolve(value),
      (error: unknown) => this.#alive && reject(error as Error),
    );
    return promise;
  }
}
