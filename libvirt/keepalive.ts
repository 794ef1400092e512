/**
 * Notices a daemon that is there but no longer answers. After `intervalMs` without a byte from it, it is pinged at each
 * interval; after `count` pings without a byte it is given up. Any traffic counts as a sign of life.
 */
export interface KeepAliveOptions {
  readonly intervalMs: number;
  readonly count: number;
}

export class KeepAlive {
  readonly #timer: NodeJS.Timeout;
  #heard = true;
  #unanswered = 0;

  constructor(options: KeepAliveOptions, actions: { ping: () => void; giveUp: () => void }) {
    this.#timer = setInterval(() => {
      if (this.#heard) {
        this.#heard = false;
        this.#unanswered = 0;
      } else if (this.#unanswered < options.count) {
        this.#unanswered += 1;
        actions.ping();
      } else {
        this.stop();
        actions.giveUp();
      }
    }, options.intervalMs);
  }

  heard(): void {
    this.#heard = true;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
