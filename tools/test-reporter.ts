/** Reports what a test file's run comes to as a line of JSON for each test, for tools/unit-tests.ts to read. */
import type { TestEvent } from 'node:test/reporters';

export interface TestLine {
  readonly name: string;
  readonly line: number;
  readonly outcome: 'passed' | 'failed' | 'skipped' | 'to do';
  /** Of a failure: what was thrown, with its stack. */
  readonly error?: string;
}

/** An error that no test has caught belongs to none, or to one that is over; the runner only mentions it. */
const lateError = /^(Error|Warning): /;

/** The runner loads a reporter by its default export. */
// oxlint-disable-next-line import/no-default-export
export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    if (event.type === 'test:diagnostic' && lateError.test(event.data.message)) {
      const said: TestLine = { name: 'an error after its test', line: 0, outcome: 'failed', error: event.data.message };
      yield `${JSON.stringify(said)}\n`;
    }
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    const { name, line = 0, skip, todo, details } = event.data;
    const place = { name, line };
    let said: TestLine | undefined;
    if (event.type === 'test:fail') {
      const error: Error & { failureType?: string } = event.data.details.error;
      // A suite, or a test with subtests, fails because of what is inside and is told there.
      if (error.failureType !== 'subtestsFailed') said = { ...place, outcome: 'failed', error: describe(error) };
    } else if (skip !== undefined) said = { ...place, outcome: 'skipped' };
    else if (todo !== undefined) said = { ...place, outcome: 'to do' };
    else if (details.type !== 'suite') said = { ...place, outcome: 'passed' };
    if (said !== undefined) yield `${JSON.stringify(said)}\n`;
  }
}

/** The runner wraps what was thrown. */
function describe(error: Error): string {
  const thrown = error.cause instanceof Error ? error.cause : error;
  return thrown.stack ?? thrown.message;
}
