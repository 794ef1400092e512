/** Whether this agent is told to end because the whole system goes down, and not only to be started anew. */
import { execFile } from 'node:child_process';

const answerWithinMs = 3000;

/** False where no systemd tells. */
export function systemGoesDown(program = 'systemctl'): Promise<boolean> {
  return new Promise((resolve) => {
    // Its exit code says no more than its word.
    execFile(program, ['is-system-running'], { timeout: answerWithinMs }, (_error, stdout) =>
      resolve(stdout.trim() === 'stopping'),
    );
  });
}
