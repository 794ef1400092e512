/**
 * One request from the checked route to the answer: validation, the service in its transaction, the idempotency key and the
 * audit entry. What a change writes, its key and its audit entry are committed together or not at all; a refusal is audited
 * afterwards, without what it carried.
 */
import type { KvasirError } from '@kvasir/api/errors.ts';
import type { FastifyRequest } from 'fastify';
import { checkSystemAccess } from '../services/access.ts';
import { recordAudit } from '../services/audit.ts';
import { authenticate } from '../services/authentication.ts';
import type { Actor, Call, Change, Environment, OpenCall, Scope } from '../services/call.ts';
import { hiddenHosts, saysWords } from '../services/host-names.ts';
import { hashRequest, type IdempotentRequest, recallAnswer, rememberAnswer } from '../services/idempotency.ts';
import { type Leads, requireLead } from '../services/leading.ts';
import type { Handler } from './handler.ts';
import { bearerToken, idempotencyKey, ifMatchRevision } from './headers.ts';
import type { CheckedRequest } from './validation.ts';

/** Thrown out of a transaction to answer with what the same request was answered before. */
class EarlierAnswer {
  readonly answer: unknown;
  constructor(answer: unknown) {
    this.answer = answer;
  }
}

export class Exchange {
  readonly #env: Environment;
  readonly #handler: Handler;
  readonly #request: FastifyRequest;
  readonly #scope: Scope = { checked: false, projectId: null, user: undefined };
  #actor: Actor | undefined;
  #audited = false;

  constructor(env: Environment, handler: Handler, request: FastifyRequest) {
    this.#env = env;
    this.#handler = handler;
    this.#request = request;
  }

  get actor(): Actor | undefined {
    return this.#actor;
  }

  /** Finds out who asks, and refuses what needs no look at the request. @throws unauthenticated, forbidden */
  async admit(): Promise<void> {
    const { op } = this.#handler;
    if (op.access !== 'public') this.#actor = await authenticate(this.#env, bearerToken(this.#request.headers));
    this.#scope.checked = checkSystemAccess(op.access, this.#call(undefined));
  }

  /** @throws not-leader */
  async requireLead(leads: Leads): Promise<void> {
    await requireLead(this.#env, leads, this.#actor);
  }

  /** Runs the service; the answer is that of the schema (binary operations: the bytes). */
  async answer(request: CheckedRequest): Promise<unknown> {
    const { headers } = this.#request;
    const call = this.#call(ifMatchRevision(headers));
    const handler = this.#handler;
    const key = handler.op.idempotent ? idempotencyKey(headers) : undefined;
    const idempotent = key === undefined || !this.#actor ? undefined : this.#idempotent(key, this.#actor, request);
    const change = <T>(work: (change: Change) => Promise<T>): Promise<T> => this.#change(call, idempotent, work);
    try {
      switch (handler.mode) {
        case 'read':
          return this.#checked(await handler.run(call, request));
        case 'change':
          return await change((inside) => handler.run(inside, request));
        case 'open':
          return this.#checked(await handler.run({ ...call, change } satisfies OpenCall, request));
      }
    } catch (thrown) {
      if (thrown instanceof EarlierAnswer) return thrown.answer;
      throw thrown;
    }
  }

  /** An answer as this actor may read it. */
  async told(answer: unknown): Promise<unknown> {
    if (!saysWords(answer)) return answer;
    return (await hiddenHosts(this.#env.store.db, this.#actor))?.answer(answer) ?? answer;
  }

  async toldError(error: KvasirError): Promise<KvasirError> {
    if (!this.#actor) return error;
    return (await hiddenHosts(this.#env.store.db, this.#actor))?.error(error) ?? error;
  }

  /** Audits what was not audited together with a change: refusals, and changes that touch no table. */
  async ended(status: number, error: KvasirError | undefined): Promise<void> {
    if (this.#audited || this.#handler.op.method === 'GET') return;
    this.#audited = true;
    // Nobody to name, nothing changed, and anybody could fill the trail with them.
    if (error?.code === 'too-many-requests' || error?.code === 'unauthenticated') return;
    await this.#env.store.transaction((tx) =>
      recordAudit(tx, this.#env, { ...this.#auditBase(), status, code: error?.code ?? null }),
    );
  }

  #change<T>(call: Call, idempotent: IdempotentRequest | undefined, work: (change: Change) => Promise<T>): Promise<T> {
    const { status } = this.#handler.op;
    const run = this.#env.store.transaction(async (tx) => {
      if (idempotent) {
        const earlier = await recallAnswer(tx, idempotent);
        if (earlier) throw new EarlierAnswer(earlier.answer);
      }
      const answer = this.#checked(await work({ ...call, db: tx, tx }));
      if (idempotent) await rememberAnswer(tx, idempotent, answer, status);
      await recordAudit(tx, this.#env, { ...this.#auditBase(), status, code: null });
      return answer;
    });
    return run.then((answer) => {
      this.#audited = true;
      return answer;
    });
  }

  /** The invariant of `Scope`: nothing is answered or committed whose access nobody checked. */
  #checked<T>(answer: T): T {
    if (!this.#scope.checked) throw new Error(`${this.#handler.op.id} answered without an access check`);
    return answer;
  }

  #call(ifMatch: number | undefined): Call {
    return {
      env: this.#env,
      op: this.#handler.op,
      actor: this.#actor,
      sourceAddress: this.#request.ip,
      ifMatch,
      scope: this.#scope,
      db: this.#env.store.db,
      reauthenticate: () => authenticate(this.#env, bearerToken(this.#request.headers)),
    };
  }

  #idempotent(key: string, actor: Actor, request: CheckedRequest): IdempotentRequest {
    const operation = this.#handler.op.id;
    const requestHash = hashRequest(operation, request);
    return { userId: actor.userId, key, operation, requestHash, now: this.#env.clock.now() };
  }

  #auditBase() {
    const user = this.#actor ? { id: this.#actor.userId, name: this.#actor.userName } : this.#scope.user;
    return {
      userId: user?.id ?? null,
      userName: user?.name ?? null,
      operation: this.#handler.op.id,
      path: (this.#request.url.split('?')[0] ?? '').slice(0, 512),
      projectId: this.#scope.projectId,
      sourceAddress: this.#request.ip,
    };
  }
}
