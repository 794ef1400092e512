/**
 * What a person reads of a value that its schema refuses: words instead of regular expressions, the words that are allowed, and of a
 * value that may also be null only what is wrong with it otherwise.
 */
import { Cidr, Domain, IpAddress } from '@kvasir/api/resources/network.ts';
import { Protocol } from '@kvasir/api/resources/security-group.ts';
import { InterfaceName } from '@kvasir/api/resources/uplink.ts';
import { idStartPattern, MacAddress, namePattern, uuidPattern } from '@kvasir/api/schema.ts';
import type { TSchema } from 'typebox';

/** As the schema library says it. */
export interface SchemaError {
  readonly keyword: string;
  readonly schemaPath: string;
  readonly instancePath: string;
  readonly params: unknown;
  readonly message: string;
}

const wordsOfPattern = new Map<string | undefined, string>([
  [uuidPattern, 'must be an id (a UUID in lower case)'],
  [idStartPattern, 'must be an id or at least the first 8 characters of one, in lower case'],
  [namePattern, 'must have 1 to 63 letters, digits, dots, dashes and underscores, and begin with a letter or digit'],
  [patternOf(MacAddress), 'must be a MAC address in lower case, such as 52:54:00:12:34:56'],
  [patternOf(IpAddress), 'must be an IPv4 or IPv6 address'],
  [patternOf(Cidr), 'must be an address block, such as 10.0.0.0/24'],
  [patternOf(Domain), 'must be a domain in lower case, such as blue.test'],
  [patternOf(InterfaceName), 'must be the name of a network device, such as eno2'],
  [patternOf(Protocol), 'must be tcp, udp, sctp, icmp, icmpv6 or the number of an IP protocol'],
]);

function patternOf(schema: TSchema): string | undefined {
  return (schema as { readonly pattern?: string }).pattern;
}

export function wordsOf({ keyword, params, message }: SchemaError): string {
  const { pattern, allowedValues } = params as {
    readonly pattern?: string;
    readonly allowedValues?: readonly unknown[];
  };
  if (keyword === 'pattern') return wordsOfPattern.get(pattern) ?? message;
  if (keyword === 'enum' && allowedValues !== undefined) return `must be one of: ${allowedValues.join(', ')}`;
  return message;
}

/** Without what is only said because a value is not null either. Never none of several. */
export function withoutNulls(errors: readonly SchemaError[]): readonly SchemaError[] {
  const nulls = new Set(errors.filter(isOfNull).map(({ schemaPath }) => schemaPath));
  const unions = new Set([...nulls].map((path) => path.replace(branch, '')));
  const rest = errors.filter(({ keyword, schemaPath }) =>
    keyword === 'anyOf' ? !unions.has(schemaPath) : !nulls.has(schemaPath),
  );
  return rest.length === 0 ? errors : rest;
}

const branch = /\/anyOf\/\d+$/;

function isOfNull({ keyword, schemaPath, params }: SchemaError): boolean {
  return keyword === 'type' && (params as { readonly type?: unknown }).type === 'null' && branch.test(schemaPath);
}
