/**
 * What has to change in a switch so that it holds what is wanted. Pure. Flows are compared by what they would be on the
 * wire, so that everything that matters is seen: match, cookie, actions, timeouts, flags. Whatever is there and is not
 * wanted goes: the switch belongs to us alone.
 */
import type { Flow, FlowTable, Meter } from '../flow.ts';
import { formatFlow } from '../format-flow.ts';
import { FlowEncodingError } from './errors.ts';
import { encodeInstructions, flowKey, type InstalledFlow } from './flow-codec.ts';
import type { InstalledMeter } from './meter-codec.ts';
import { naming } from './naming.ts';

/** What the switch holds. */
export interface InstalledTable {
  readonly flows: readonly InstalledFlow[];
  readonly meters: readonly InstalledMeter[];
}

export interface FlowDifference {
  /** New, or in the place of one with the same table, priority and match. */
  readonly put: readonly Flow[];
  readonly remove: readonly Pick<InstalledFlow, 'table' | 'priority' | 'matchBytes'>[];
  readonly addMeters: readonly Meter[];
  readonly changeMeters: readonly Meter[];
  readonly removeMeters: readonly number[];
}

/** @throws FlowEncodingError also when two wanted flows are in the same place */
export function difference(installed: InstalledTable, wanted: FlowTable): FlowDifference {
  return { ...flowDifference(installed.flows, wanted.flows), ...meterDifference(installed.meters, wanted.meters) };
}

export function isEmpty(change: FlowDifference): boolean {
  return Object.values(change).every((list: readonly unknown[]) => list.length === 0);
}

function flowDifference(
  installed: readonly InstalledFlow[],
  wanted: readonly Flow[],
): Pick<FlowDifference, 'put' | 'remove'> {
  const remaining = new Map(installed.map((flow) => [flow.key, flow]));
  const seen = new Map<string, Flow>();
  const put: Flow[] = [];
  for (const flow of wanted) {
    const key = naming(flow, () => flowKey(flow));
    const twin = seen.get(key);
    if (twin !== undefined) {
      throw new FlowEncodingError(`two flows in the same place: ${formatFlow(twin)} and ${formatFlow(flow)}`);
    }
    seen.set(key, flow);
    const present = remaining.get(key);
    remaining.delete(key);
    if (present === undefined || !sameContent(present, flow)) put.push(flow);
  }
  return { put, remove: [...remaining.values()] };
}

function sameContent(present: InstalledFlow, flow: Flow): boolean {
  return (
    present.cookie === flow.cookie &&
    present.options === noOptions &&
    present.instructionBytes.equals(naming(flow, () => encodeInstructions(flow)))
  );
}

const noOptions = '0000000000000000';

type MeterDifference = Pick<FlowDifference, 'addMeters' | 'changeMeters' | 'removeMeters'>;

function meterDifference(installed: readonly InstalledMeter[], wanted: readonly Meter[]): MeterDifference {
  const remaining = new Map(installed.map((meter) => [meter.meterId, meter.meter]));
  const addMeters: Meter[] = [];
  const changeMeters: Meter[] = [];
  const seen = new Set<number>();
  for (const meter of wanted) {
    if (seen.has(meter.meterId)) throw new FlowEncodingError(`two meters have the number ${meter.meterId}`);
    seen.add(meter.meterId);
    const present = remaining.get(meter.meterId);
    remaining.delete(meter.meterId);
    if (present === undefined) addMeters.push(meter);
    else if (present?.rateKbps !== meter.rateKbps || present.burstKb !== meter.burstKb) changeMeters.push(meter);
  }
  return { addMeters, changeMeters, removeMeters: [...remaining.keys()] };
}
