/** A list of steps as a person watches it: what runs now, how long each took, what each found. Goes to stderr. */

export class Steps {
  readonly #write: (text: string) => void;
  readonly #started = performance.now();

  constructor(write: (text: string) => void = (text) => process.stderr.write(text)) {
    this.#write = write;
  }

  /** Seconds since the first step. */
  elapsedSeconds(): number {
    return (performance.now() - this.#started) / 1000;
  }

  /** Runs one step; `work` may return a word or two on how it went. A failing step is shown, and fails. */
  async step<T>(title: string, work: () => Promise<T>, outcome: (value: T) => string = () => ''): Promise<T> {
    const started = performance.now();
    this.#write(`  …        ${title}\n`);
    const took = (): string => `${((performance.now() - started) / 1000).toFixed(1)} s`.padStart(8);
    try {
      const value = await work();
      const said = outcome(value);
      this.#write(`  ok ${took()}  ${title}${said === '' ? '' : `: ${said}`}\n`);
      return value;
    } catch (error) {
      this.#write(`  failed ${took()}  ${title}\n`);
      throw error;
    }
  }
}
