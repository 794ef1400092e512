/** Progress on stderr: one line that is redrawn on a terminal, a new line for each change elsewhere. */
import type { Surroundings } from './surroundings.ts';
import { cut } from './width.ts';

export interface ProgressBar {
  /** `percent` undefined: unknown. */
  show(text: string, percent: number | undefined): void;
  /** Leaves a clean line for what follows. */
  end(): void;
}

const cells = 24;

export function progressBar(around: Surroundings): ProgressBar {
  const { stderr } = around;
  let drawn = '';
  if (stderr.isTTY) {
    return {
      show(text, percent) {
        const line = cut(percent === undefined ? text : `${bar(percent)} ${text}`, (stderr.columns ?? 80) - 1);
        if (line !== drawn) stderr.write(`\r\u001b[K${line}`);
        drawn = line;
      },
      end() {
        if (drawn !== '') stderr.write('\r\u001b[K');
        drawn = '';
      },
    };
  }
  return {
    show(text, percent) {
      // Ten-percent steps are enough in a log.
      const line = percent === undefined ? text : `${text} ${Math.floor(percent / 10) * 10} %`;
      if (line !== drawn) stderr.write(`${line}\n`);
      drawn = line;
    },
    end() {},
  };
}

function bar(percent: number): string {
  const full = Math.round((Math.min(100, Math.max(0, percent)) / 100) * cells);
  return `[${'█'.repeat(full)}${'░'.repeat(cells - full)}] ${String(percent).padStart(3)} %`;
}
