/** Says which constraint a failed write broke, in the words of both databases. */

export type Violation = 'unique' | 'foreign-key';

/** Undefined when the error is something else. */
export function violationOf(error: unknown): Violation | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case '23505':
    case 'SQLITE_CONSTRAINT_UNIQUE':
    case 'SQLITE_CONSTRAINT_PRIMARYKEY':
      return 'unique';
    case '23503':
    case 'SQLITE_CONSTRAINT_FOREIGNKEY':
      return 'foreign-key';
    default:
      return undefined;
  }
}
