/**
 * What the pipeline costs on the way of a TCP stream: the same two ends and the same switch, once as a plain bridge, once through
 * our flows without and once with security groups (connection tracking). The paths are measured in turn, forwards and
 * backwards, and compared within each round, so that what runs beside on the machine troubles all of them alike.
 */
import type { FlowTable } from '@kvasir/ovs/flow.ts';
import { compile } from '@kvasir/ovs/compile/compile.ts';
import type { Slice } from '@kvasir/ovs/compile/slice.ts';
import { fullHost, localSwitchOf } from './full-host.ts';
import { endAddress, endMac, endPorts, ends, TwoHosts } from './two-hosts.ts';

export interface ThroughputOptions {
  readonly rounds: number;
  readonly streamMs: number;
}

export interface PathThroughput {
  readonly name: string;
  /** Median of the rounds. */
  readonly megabitsPerSecond: number;
  /** Throughput beside the plain bridge's of the same round: median, least, most. */
  readonly ratio: { readonly median: number; readonly min: number; readonly max: number };
  /** The switch's processor time for a GiB, median. */
  readonly switchCpuMsPerGib: number;
  /** The plain bridge's beside it: 1 costs the same, less than 1 costs more. What runs beside troubles it least. */
  readonly switchCpuRatio: number;
}

export interface ThroughputReport {
  readonly options: ThroughputOptions;
  readonly paths: readonly PathThroughput[];
}

interface Variant {
  readonly name: string;
  /** null: a plain bridge. */
  readonly pipeline: { readonly filtered: boolean; readonly others: number } | null;
}

const variants: readonly Variant[] = [
  { name: 'plain bridge', pipeline: null },
  { name: 'pipeline, not filtered', pipeline: { filtered: false, others: 0 } },
  // The same as the first: how far its ratio is from 1 is what the others' are uncertain by.
  { name: 'plain bridge again', pipeline: null },
  { name: 'pipeline, security groups', pipeline: { filtered: true, others: 0 } },
  { name: '… with a full host of flows', pipeline: { filtered: true, others: 198 } },
];
const service = 5201;

export async function measureThroughput(options: ThroughputOptions): Promise<ThroughputReport> {
  const paths = variants.map(({ name, pipeline }, index) => ({ name, flows: flowsOf(index, pipeline) }));
  const hosts = await TwoHosts.start(paths);
  try {
    const send = [];
    for (const index of variants.keys()) send.push(await hosts.receiver(index));
    const samples: { readonly mbps: number; readonly cpuMsPerGib: number }[][] = variants.map(() => []);
    // The first round warms up.
    for (let round = 0; round <= options.rounds; round += 1) {
      const order = [...variants.keys()];
      for (const index of round % 2 === 0 ? order : order.reverse()) {
        const before = await hosts.usage();
        const { bytes, ms } = await send[index]!(options.streamMs);
        const cpuMs = (await hosts.usage()).cpuMs - before.cpuMs;
        if (round > 0)
          samples[index]!.push({ mbps: (bytes * 8) / 1000 / ms, cpuMsPerGib: (cpuMs / bytes) * 1024 ** 3 });
      }
    }
    return { options, paths: variants.map(({ name }, index) => pathOf(name, samples[index]!, samples[0]!)) };
  } finally {
    await hosts.stop();
  }
}

type Samples = readonly { readonly mbps: number; readonly cpuMsPerGib: number }[];

function pathOf(name: string, samples: Samples, beside: Samples): PathThroughput {
  const ratios = samples.map(({ mbps }, round) => mbps / beside[round]!.mbps);
  return {
    name,
    megabitsPerSecond: Math.round(median(samples.map(({ mbps }) => mbps))),
    ratio: {
      median: hundredths(median(ratios)),
      min: hundredths(Math.min(...ratios)),
      max: hundredths(Math.max(...ratios)),
    },
    switchCpuMsPerGib: Math.round(median(samples.map(({ cpuMsPerGib }) => cpuMsPerGib))),
    switchCpuRatio: hundredths(median(samples.map((each, round) => beside[round]!.cpuMsPerGib / each.cpuMsPerGib))),
  };
}

function flowsOf(path: number, pipeline: Variant['pipeline']): FlowTable | null {
  if (pipeline === null) return null;
  const slice = twoPorts(path, pipeline);
  const local = localSwitchOf(slice);
  return compile(slice, { ...local, tunnelPort: null, nicPorts: endPorts });
}

/** The two ends, and ports beside them that are not plugged in but have their flows. */
function twoPorts(path: number, { filtered, others }: { readonly filtered: boolean; readonly others: number }): Slice {
  const host = fullHost({
    ports: Math.max(1, others),
    rulesPerPort: 20,
    remoteAddresses: others > 0 ? 500 : 1,
    groups: 1,
  });
  const like = host.ports[0]!;
  const group = host.groups[0]!;
  const open = { ...group.rules[0]!, protocol: 6, ports: { from: service, to: service }, remote: null };
  const groups = [
    {
      groupId: group.groupId,
      rules: [
        ...(others > 0 ? group.rules : []),
        { ...open, ruleId: 'in' },
        { ...open, ruleId: 'out', direction: 'out' as const, protocol: null, ports: null },
      ],
    },
  ];
  const ports = ends.map((end) => ({
    ...like,
    nicId: end,
    macAddress: endMac(path, end),
    addresses: [endAddress(path, end)],
    filtered,
  }));
  return { ...host, groups, ports: [...ports, ...(others > 0 ? host.ports : [])] };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
