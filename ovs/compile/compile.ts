/**
 * The flow compiler: what a bridge is to hold, from what the manager wants (the slice) and what the host knows (port numbers). Pure:
 * the same input gives the same flows in the same order, whatever the order of the input. No flow lets anything pass by
 * default: what no stage takes is dropped, so an empty table is the safe one.
 */
import type { FlowTable } from '../flow.ts';
import { access } from './access.ts';
import { antiSpoof } from './anti-spoof.ts';
import { classify } from './classify.ts';
import { FlowSet } from './flow-set.ts';
import { gateways } from './gateway.ts';
import type { LocalSwitch } from './local.ts';
import { modelOf } from './model.ts';
import { respond } from './respond.ts';
import { routing } from './routing.ts';
import type { Slice } from './slice.ts';
import { switching } from './switching.ts';
import { underlay } from './underlay.ts';

/** Ports, routers and networks without a number in `local.numbers` get no flows (`allocateNumbers` gives them). */
export function compile(slice: Slice, local: LocalSwitch): FlowTable {
  const model = modelOf(slice, local);
  const flows = new FlowSet();
  const meters = [...classify(model, flows)];
  antiSpoof(model, flows);
  meters.push(...respond(model, flows));
  access(model, flows);
  routing(model, flows);
  switching(model, flows);
  underlay(model, flows);
  meters.push(...gateways(model, flows));
  return { flows: flows.sorted(), meters: meters.sort((a, b) => a.meterId - b.meterId) };
}
