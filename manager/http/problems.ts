/**
 * Every refusal leaves here as RFC 9457 `application/problem+json`. Known errors keep their code; Fastify's own refusals
 * are translated; anything else is `internal` under a log id, and only the log learns what it was.
 */
import { randomUUID } from 'node:crypto';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { FastifyBaseLogger, FastifyError, FastifyReply } from 'fastify';

/** Largest JSON body that is read, bytes. */
export const bodyLimitBytes = 1_048_576;

/** Turns whatever was thrown into one of our errors; logs the unknown ones. */
export function toKvasirError(error: unknown, log: FastifyBaseLogger): KvasirError {
  if (error instanceof KvasirError) {
    if (error.status >= 500) log.warn({ err: error }, 'request failed');
    return error;
  }
  const known = fromFastify(error as Partial<FastifyError>);
  if (known) return known;
  const logId = randomUUID();
  log.error({ err: error, logId }, 'internal error');
  return new KvasirError('internal', { logId });
}

export function sendProblem(reply: FastifyReply, error: KvasirError): FastifyReply {
  if (error.code === 'unauthenticated') void reply.header('www-authenticate', 'Bearer');
  if (error.code === 'too-many-requests' && error.details.seconds !== undefined) {
    void reply.header('retry-after', String(error.details.seconds));
  }
  return reply
    .code(error.status)
    .header('content-type', 'application/problem+json; charset=utf-8')
    .header('cache-control', 'no-store')
    .serializer((problem: unknown) => JSON.stringify(problem))
    .send(error.toProblem());
}

function fromFastify(error: Partial<FastifyError>): KvasirError | undefined {
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new KvasirError('body-too-large', { limitBytes: bodyLimitBytes });
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new KvasirError('unsupported-media-type');
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new KvasirError('malformed-json');
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new KvasirError('invalid-request', { reason: 'the address is malformed' });
    default:
      if (error instanceof SyntaxError && 'statusCode' in error) return new KvasirError('malformed-json');
      if (typeof error.statusCode === 'number' && error.statusCode >= 400 && error.statusCode < 500) {
        return new KvasirError('invalid-request', { reason: String(error.message) });
      }
      return undefined;
  }
}
