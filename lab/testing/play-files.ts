/** A program that runs test files as `kvasir test` does: a test cannot, for the runner does not run inside itself. */
import { play, whenTerminated } from '../test.ts';

await play(process.argv.slice(2), 1, (line) => void process.stdout.write(`${line}\n`), whenTerminated());
