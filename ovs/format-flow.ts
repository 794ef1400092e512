/**
 * A flow as a line that `ovs-ofctl` reads and writes, for golden tests, logs and people:
 * `table=30,priority=100,ct_state=+est+trk,ip,reg5=0x1 actions=resubmit(,40)`. Table and priority always stand there, a
 * cookie when it is not 0; fields come in the order of `ovs-ofctl dump-flows`, whatever their order in the match.
 */
import { formatActions } from './format-actions.ts';
import { formatMatch } from './format-match.ts';
import { formatHex } from './format-value.ts';
import type { Flow, Meter } from './flow.ts';

export function formatFlow(flow: Flow): string {
  const head = [`table=${flow.table}`, `priority=${flow.priority}`];
  if (flow.cookie !== 0n) head.unshift(`cookie=${formatHex(flow.cookie)}`);
  const match = formatMatch(flow.match);
  if (match !== '') head.push(match);
  return `${head.join(',')} actions=${formatActions(flow.actions)}`;
}

/** As `ovs-ofctl add-meter` reads it. */
export function formatMeter(meter: Meter): string {
  return `meter=${meter.meterId},kbps,burst,band=type=drop,rate=${meter.rateKbps},burst_size=${meter.burstKb}`;
}
