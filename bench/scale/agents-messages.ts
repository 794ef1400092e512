/** What the benchmark and the process with the agents tell each other. */

export interface HostToJoin {
  readonly name: string;
  readonly token: string;
}

export type AgentsCommand =
  | { readonly do: 'join'; readonly hosts: readonly HostToJoin[]; readonly folder: string }
  | { readonly do: 'connect' }
  /** Say when so many hosts have been told of a security group's rule for this destination port. */
  | { readonly do: 'watch-rule'; readonly port: number; readonly count: number };

export type AgentsReport =
  /** How many so far. */
  | { readonly done: 'joined' | 'connected'; readonly count: number }
  | { readonly done: 'watching' }
  /** When half of them had it and when all, in milliseconds since 1970. */
  | { readonly done: 'rule-applied'; readonly count: number; readonly halfAtMs: number; readonly allAtMs: number }
  | { readonly done: 'failed'; readonly reason: string };
