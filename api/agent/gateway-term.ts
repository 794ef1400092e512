/**
 * For how long a host may translate for routers without being heard: what an agent ends by itself, and how long a manager waits before
 * another host takes over. Both sides count on their own clocks, and the manager begins when the agent has begun, so two hosts never
 * answer for one address because one of them is cut off.
 *
 * An agent goes on as long as it hears the manager or another host of its cluster, so the death of the manager ends no gateway. A
 * manager therefore counts only while every host that could be heard there says that it does not hear the silent one.
 */
import { longestManagerSilenceMs } from './link.ts';

/** What a link that breaks needs to be noticed; whoever heard nothing for longer starts with a new link, and so with new orders. */
const noticedMs = 1000;

export const gatewayTerm = {
  /** An agent that heard neither the manager nor a peer for so long ends its gateways. */
  endAfterMs: longestManagerSilenceMs + noticedMs,
  /** The end itself: seeing that it is time, and programming the switch. */
  endsWithinMs: 3000,
  /** A peer that answered less long ago than this is heard. */
  heardWithinMs: 3000,
} as const;

/** Without a proof of its end a host that nobody hears is replaced after this long, counted while nobody hears it. */
export const gatewayTakeOverAfterMs = gatewayTerm.endAfterMs + gatewayTerm.endsWithinMs;
