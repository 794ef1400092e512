/**
 * How fast a full host's flows come into a real Open vSwitch (user space): our compiler and our client's atomic bundle, beside
 * `ovs-ofctl` with the same flows. The bridge has no port: it is about programming, not about packets.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Flow, FlowTable } from '@kvasir/ovs/flow.ts';
import { compile } from '@kvasir/ovs/compile/compile.ts';
import { formatFlow } from '@kvasir/ovs/format-flow.ts';
import type { FlowClient } from '@kvasir/ovs/openflow/client.ts';
import { flow, TestBridge } from '@kvasir/ovs/testing/bridge.ts';
import { type Summary, summarize, tenths } from '../statistics.ts';
import { fullHost, type FullHostSizes, localSwitchOf, withOneAddressMore } from './full-host.ts';

export interface ProgrammingOptions extends FullHostSizes {
  readonly rounds: number;
  /** Flows that are added by a process each; all of them would take minutes. */
  readonly processes: number;
}

export interface ProgrammingReport {
  readonly options: ProgrammingOptions;
  readonly flows: number;
  readonly meters: number;
  readonly compileMs: Summary;
  /** Of all flows at once into the empty bridge, with the reading of what it holds. */
  readonly replaceMs: Summary;
  readonly flowsPerSecond: number;
  /** `replace` with what is there already: reads and compares. */
  readonly unchangedMs: Summary;
  /** One more remote address: compiled, compared with the flows read from the switch, applied. */
  readonly oneAddressMs: Summary;
  readonly oneAddressFlows: number;
  /** A single flow, applied as a difference that is known. */
  readonly oneFlowMs: Summary;
  readonly bundleMs: Summary;
  readonly processMs: Summary;
  /** What all flows would have taken at `processMs` each: extrapolated, not measured. */
  readonly processesSecondsExtrapolated: number;
}

export async function measureProgramming(options: ProgrammingOptions): Promise<ProgrammingReport> {
  const slice = fullHost(options);
  const local = localSwitchOf(slice);
  const rounds = Array.from({ length: options.rounds }, (_, index) => index);
  const compileTimes: number[] = [];
  let table: FlowTable = { flows: [], meters: [] };
  for (const _ of rounds) compileTimes.push(await timed(() => void (table = compile(slice, local))));

  const bridge = await TestBridge.start();
  const client = await bridge.open();
  try {
    const nothing: FlowTable = { flows: [], meters: table.meters };
    await client.replace(nothing);
    const replaceTimes: number[] = [];
    for (const _ of rounds) {
      await client.replace(nothing);
      replaceTimes.push(await timed(() => client.replace(table)));
    }
    const unchangedTimes: number[] = [];
    for (const _ of rounds) unchangedTimes.push(await timed(() => client.replace(table)));
    const oneAddress: { ms: number; flows: number }[] = [];
    for (const round of rounds) {
      const changed = withOneAddressMore(slice, round);
      let flows = 0;
      const ms = await timed(async () => {
        const { put, remove } = await client.replace(compile(changed, local));
        flows = put.length + remove.length;
      });
      oneAddress.push({ ms, flows });
    }
    const oneFlowTimes: number[] = [];
    for (let round = 0; round < options.processes; round += 1) {
      oneFlowTimes.push(await timed(() => apply(client, flow(60_000 + round))));
    }
    const bundleTimes = await bundles(bridge, client, table, options.rounds);
    await client.replace(nothing);
    const processTimes = await processes(bridge, table.flows.slice(0, options.processes));
    const processMs = summarize(processTimes);
    const replaceMs = summarize(replaceTimes);
    return {
      options,
      flows: table.flows.length,
      meters: table.meters.length,
      compileMs: summarize(compileTimes),
      replaceMs,
      flowsPerSecond: Math.round((1000 * table.flows.length) / replaceMs.medianMs),
      unchangedMs: summarize(unchangedTimes),
      oneAddressMs: summarize(oneAddress.map(({ ms }) => ms)),
      oneAddressFlows: oneAddress.at(-1)?.flows ?? 0,
      oneFlowMs: summarize(oneFlowTimes),
      bundleMs: summarize(bundleTimes),
      processMs,
      processesSecondsExtrapolated: tenths((processMs.medianMs * table.flows.length) / 1000),
    };
  } finally {
    client.close();
    await bridge.stop();
  }
}

function apply(client: FlowClient, one: Flow): Promise<void> {
  return client.apply({ put: [one], remove: [], addMeters: [], changeMeters: [], removeMeters: [] });
}

/** `ovs-ofctl --bundle replace-flows` with the same flows; writing the file is not counted. */
async function bundles(bridge: TestBridge, client: FlowClient, table: FlowTable, rounds: number): Promise<number[]> {
  const path = join(bridge.ovs.directory, 'flows');
  await writeFile(path, `${table.flows.map(formatFlow).join('\n')}\n`);
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await client.replace({ flows: [], meters: table.meters });
    times.push(await timed(() => ofctl(bridge, ['--bundle', 'replace-flows'], path)));
  }
  return times;
}

async function processes(bridge: TestBridge, flows: readonly Flow[]): Promise<number[]> {
  const times: number[] = [];
  for (const one of flows) times.push(await timed(() => ofctl(bridge, ['add-flow'], formatFlow(one))));
  return times;
}

function ofctl(bridge: TestBridge, command: readonly string[], argument: string): Promise<string> {
  const management = join(bridge.ovs.directory, 'br0.mgmt');
  return bridge.ovs.exec(['ovs-ofctl', '-O', 'OpenFlow15', '--no-names', ...command, management, argument]);
}

async function timed(work: () => unknown): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
