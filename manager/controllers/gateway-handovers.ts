/**
 * Asks gateway hosts that are to end their part whether they have: a host has when it has taken a slice that was made after the row
 * said so. In memory only: who begins to lead asks anew, and a host that ended says so again.
 *
 * Invariant: an answer counts for the question that it was given to. Where a host was told meanwhile to go on, the old answer is void.
 */
export interface HandoverCalls {
  /** Resolves when the host has taken what the database says of the switch now. */
  switchReady(hostId: string, how: { readonly everywhere: boolean }): Promise<void>;
}

interface Question {
  readonly hostId: string;
  hasEnded: boolean;
}

export class GatewayHandovers {
  readonly #calls: HandoverCalls;
  readonly #questions = new Map<string, Question>();

  constructor(calls: HandoverCalls) {
    this.#calls = calls;
  }

  /** @param ending routers whose host is to end its part, as it is written in the database; they are asked about, others forgotten */
  keep(ending: ReadonlyMap<string, string>): void {
    for (const [routerId, { hostId }] of this.#questions) {
      if (ending.get(routerId) !== hostId) this.#questions.delete(routerId);
    }
    for (const [routerId, hostId] of ending) if (!this.#questions.has(routerId)) this.#ask(routerId, hostId);
  }

  hasEnded(routerId: string): boolean {
    return this.#questions.get(routerId)?.hasEnded === true;
  }

  #ask(routerId: string, hostId: string): void {
    const question = { hostId, hasEnded: false };
    this.#questions.set(routerId, question);
    this.#calls.switchReady(hostId, { everywhere: false }).then(
      () => {
        question.hasEnded = true;
      },
      // That it did not is told by the pushes; it is asked again.
      () => {
        if (this.#questions.get(routerId) === question) this.#questions.delete(routerId);
      },
    );
  }
}
