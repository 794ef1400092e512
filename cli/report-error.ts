/** Errors -> one clear line and an exit code: 1 refused or failed, 2 wrong command line, 130 interrupted. */
import { UnreachableError } from '@kvasir/api/client.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import { ExitError, UsageError } from './usage-error.ts';

export function describeError(error: unknown): { readonly line: string | undefined; readonly exitCode: number } {
  if (error instanceof ExitError) return { line: undefined, exitCode: error.code };
  if (error instanceof UsageError) return { line: error.message, exitCode: 2 };
  if (error instanceof KvasirError) return { line: describeRefusal(error), exitCode: 1 };
  if (error instanceof UnreachableError) return { line: error.message, exitCode: 1 };
  if (error instanceof Error && error.name === 'AbortError') return { line: 'interrupted', exitCode: 130 };
  return { line: error instanceof Error ? error.message : String(error), exitCode: 1 };
}

function describeRefusal(error: KvasirError): string {
  if (error.code === 'unauthenticated') return `${error.message}; run: kvasir login`;
  if (error.code === 'invalid-request' && error.fields && error.fields.length > 0) {
    return error.fields.map((field) => `${fieldName(field.path)}: ${field.message}`).join('; ');
  }
  return error.message;
}

/** `/body/cloudInit/userData` -> `cloudInit.userData`. */
function fieldName(pointer: string): string {
  const parts = pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (/^(body|query|params|headers)$/.test(parts[0] ?? '') && parts.length > 1) parts.shift();
  return parts.join('.') || pointer;
}
