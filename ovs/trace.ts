/**
 * What `ofproto/trace` says, as data: the way of a packet through the tables. Conntrack and some other actions end one
 * pass and start another with what they found out.
 */

/** One table that the packet came to. */
export interface TraceStep {
  readonly table: number;
  /** 0 for the pipeline itself; more inside of `clone` and where actions follow a resubmit. */
  readonly depth: number;
  /** The flow that was hit; null: none, and the packet is dropped here. */
  readonly flow: TracedFlow | null;
  /** As `ovs-ofctl` writes them. */
  readonly actions: readonly string[];
  /** The switch's explanations, such as `skipping output to input port`. */
  readonly notes: readonly string[];
}

export interface TracedFlow {
  /** Empty: matches everything. */
  readonly match: string;
  readonly priority: number;
  readonly cookie: bigint;
}

export interface TracePass {
  /** The packet with its registers, before and after. */
  readonly initialFlow: string;
  readonly finalFlow: string;
  readonly steps: readonly TraceStep[];
  /** What is done with the packet in the end: `drop`, port numbers of the datapath, `ct(…),recirc(…)`. */
  readonly datapathActions: string;
}

interface OpenStep extends TraceStep {
  readonly indent: number;
  readonly actions: string[];
  readonly notes: string[];
}

const stepLine = /^( *)(\d+)\. (.*)$/;
const hitFlow = /^(?:(.*), )?priority (\d+)(?:, cookie (0x[0-9a-f]+))?$/;
const note = /^(?:->|>>>?) */;
const columnsOfDepth = 4;

/** @throws SyntaxError when the text is no trace */
export function parseTrace(text: string): TracePass[] {
  const passes = text.split(/^=+\n.*\n=+$/m).map((part) => parsePass(part));
  if (passes.some((pass) => pass.datapathActions === '')) throw new SyntaxError('a trace without datapath actions');
  return passes;
}

function parsePass(text: string): TracePass {
  const values = new Map<string, string>();
  const steps: OpenStep[] = [];
  for (const line of text.split('\n')) {
    const [, name, value] = /^(Flow|Final flow|Datapath actions): (.*)$/.exec(line) ?? [];
    if (name !== undefined) values.set(name, value ?? '');
    else parseStepLine(line, steps);
  }
  const initialFlow = values.get('Flow') ?? '';
  const finalFlow = values.get('Final flow') ?? 'unchanged';
  return {
    initialFlow,
    finalFlow: finalFlow === 'unchanged' ? initialFlow : finalFlow,
    steps: steps.map(({ table, depth, flow, actions, notes }) => ({ table, depth, flow, actions, notes })),
    datapathActions: values.get('Datapath actions') ?? '',
  };
}

function parseStepLine(line: string, steps: OpenStep[]): void {
  const [, space = '', table, said = ''] = stepLine.exec(line) ?? [];
  if (table !== undefined) {
    // The number stands to the right in two columns.
    const depth = Math.floor((space.length + table.length - 1) / columnsOfDepth);
    const indent = depth * columnsOfDepth;
    steps.push({ table: Number(table), depth, indent, flow: parseFlow(said), actions: [], notes: [] });
    return;
  }
  const words = line.trim();
  // A note stands one column right of the action that it explains.
  const indent = line.length - line.trimStart().length - (note.test(words) ? 1 : 0);
  // Actions after a nested table belong to the table around it again.
  const owner = steps.findLast((step) => step.indent < indent);
  if (owner === undefined || words === '') return;
  if (note.test(words)) owner.notes.push(words.replace(note, ''));
  else owner.actions.push(words);
}

function parseFlow(said: string): TracedFlow | null {
  const [, match = '', priority, cookie = '0x0'] = hitFlow.exec(said) ?? [];
  return priority === undefined ? null : { match, priority: Number(priority), cookie: BigInt(cookie) };
}
