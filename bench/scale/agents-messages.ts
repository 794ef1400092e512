/** What the benchmark and the process with the agents tell each other. */

export interface HostToJoin {
  readonly name: string;
  readonly token: string;
}

export type AgentsCommand =
  | { readonly do: 'join'; readonly hosts: readonly HostToJoin[]; readonly folder: string }
  | { readonly do: 'connect' };

export type AgentsReport =
  /** How many so far. */
  | { readonly done: 'joined' | 'connected'; readonly count: number }
  | { readonly done: 'failed'; readonly reason: string };
