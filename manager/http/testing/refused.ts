/** What `assert.rejects` is told of a refusal: its code, and words of what it says. */
import assert from 'node:assert/strict';
import { KvasirError } from '@kvasir/api/errors.ts';

export function refused(code: string, words: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof KvasirError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  };
}
