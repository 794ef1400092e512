/**
 * Cookies say what a flow is for. The uppermost byte is the purpose, the rest a hash of the id of its subject; whoever knows
 * the ids finds the flow's subject again (drops by rule, a trace in words).
 */
export type Purpose =
  /** The pipeline itself, without a subject. */
  | 'pipeline'
  | 'network'
  /** Subject: `portKey`. */
  | 'port'
  | 'router'
  /** Of a security group as the other end of rules. */
  | 'group'
  /** Traffic that this rule let through (only what opens a connection counts; a rule's ports and addresses do not). */
  | 'rule'
  /** Drops: nothing allowed it out of the port, into the port; the sender's address was not its own; state invalid. */
  | 'denied-out'
  | 'denied-in'
  | 'spoofed'
  | 'invalid';

const purposes: Readonly<Record<Purpose, bigint>> = {
  pipeline: 0x4bn,
  network: 0x01n,
  port: 0x02n,
  router: 0x03n,
  group: 0x04n,
  rule: 0x10n,
  'denied-out': 0x20n,
  'denied-in': 0x21n,
  spoofed: 0x22n,
  invalid: 0x23n,
};

export function cookieOf(purpose: Purpose, subject = ''): bigint {
  return (purposes[purpose] << 56n) | (fnv1a(subject) & 0xffffffffffffffn);
}

/** null: not a flow of ours. */
export function purposeOf(cookie: bigint): Purpose | null {
  const found = (Object.entries(purposes) as [Purpose, bigint][]).find(([, byte]) => byte === cookie >> 56n);
  return found?.[0] ?? null;
}

/** 64 bits of FNV-1a. */
export function fnv1a(text: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  }
  return hash;
}
