/**
 * The wire side of domain events: for each kind the number to register it by (virDomainEventID), the procedure that
 * carries it, and how its body becomes a DomainEvent.
 */
import { array, type Codec, type CodecValue, counter, decode, int, optional, string, struct } from './codec.ts';
import { type DomainEvent, type DomainEventKind, lifecycleDetails, type LifecycleName } from './domain-event.ts';
import { blockJobTypes, nameAt } from './states.ts';
import { paramRecord, typedParams } from './typed-params.ts';
import { domainRef, type DomainRef } from './wire-types.ts';

interface EventSource {
  readonly eventId: number;
  readonly procedure: number;
  readonly read: (body: Buffer) => DomainEvent;
}

type Named<Kind> = { readonly kind: Kind; readonly uuid: string; readonly name: string };

/** Every body starts with the callback's number, which is of no use here, and the domain. */
function source<Kind extends DomainEventKind, Fields extends Record<string, Codec<unknown>>>(
  kind: Kind,
  eventId: number,
  procedure: number,
  fields: Fields,
  build: (
    of: Named<Kind>,
    body: { readonly [K in keyof Fields]: CodecValue<Fields[K]> },
  ) => DomainEvent & { kind: Kind },
): EventSource {
  const head = struct({ callbackId: int, domain: domainRef });
  const tail = struct(fields);
  const codec: Codec<{ domain: DomainRef; body: CodecValue<typeof tail> }> = {
    encode(e, value) {
      head.encode(e, { callbackId: 0, domain: value.domain });
      tail.encode(e, value.body);
    },
    decode: (d) => ({ domain: head.decode(d).domain, body: tail.decode(d) }),
  };
  const read = (bytes: Buffer): DomainEvent => {
    const { domain, body } = decode(codec, bytes);
    return build({ kind, uuid: domain.uuid, name: domain.name }, body);
  };
  return { eventId, procedure, read };
}

const watchdogActions = ['none', 'pause', 'reset', 'poweroff', 'shutdown', 'debug', 'injectnmi'] as const;
const ioErrorActions = ['none', 'pause', 'report'] as const;
const graphicsPhases = ['connect', 'initialize', 'disconnect'] as const;
const blockJobStatuses = ['completed', 'failed', 'canceled', 'ready'] as const;
const agentReasons = ['unknown', 'domain-started', 'channel'] as const;
const metadataTypes = ['description', 'title', 'element'] as const;
const lifecycleNames = Object.keys(lifecycleDetails) as LifecycleName[];

function lifecycle(of: Named<'lifecycle'>, eventCode: number, detailCode: number): DomainEvent & { kind: 'lifecycle' } {
  const event = lifecycleNames[eventCode];
  if (event === undefined) return { ...of, event: 'unknown', detail: 'unknown' };
  // The pair is right by construction, which the type checker cannot follow through the union.
  return { ...of, event, detail: nameAt(lifecycleDetails[event], detailCode) } as DomainEvent & { kind: 'lifecycle' };
}

const address = struct({ family: int, node: string, service: string });
const alias = { alias: string };

const sources: Readonly<Record<DomainEventKind, EventSource>> = {
  lifecycle: source('lifecycle', 0, 318, { event: int, detail: int }, (of, { event, detail }) =>
    lifecycle(of, event, detail),
  ),
  reboot: source('reboot', 1, 319, {}, (of) => of),
  watchdog: source('watchdog', 3, 321, { action: int }, (of, { action }) => ({
    ...of,
    action: nameAt(watchdogActions, action),
  })),
  ioError: source(
    'ioError',
    6,
    324,
    { path: string, alias: string, action: int, reason: string },
    (of, { path, alias, action, reason }) => ({ ...of, path, alias, action: nameAt(ioErrorActions, action), reason }),
  ),
  graphics: source(
    'graphics',
    5,
    323,
    {
      phase: int,
      local: address,
      remote: address,
      authentication: string,
      identities: array(struct({ type: string, name: string })),
    },
    (of, { phase, remote }) => ({ ...of, phase: nameAt(graphicsPhases, phase), remote: remote.node }),
  ),
  trayChange: source('trayChange', 10, 328, { alias: string, reason: int }, (of, { alias, reason }) => ({
    ...of,
    alias,
    open: reason === 0,
  })),
  balloonChange: source('balloonChange', 13, 331, { actualKib: counter }, (of, body) => ({ ...of, ...body })),
  deviceRemoved: source('deviceRemoved', 15, 333, alias, (of, body) => ({ ...of, ...body })),
  blockJob: source('blockJob', 16, 339, { disk: string, type: int, status: int }, (of, { disk, type, status }) => ({
    ...of,
    disk,
    type: nameAt(blockJobTypes, type),
    status: nameAt(blockJobStatuses, status),
  })),
  agentLifecycle: source('agentLifecycle', 18, 348, { state: int, reason: int }, (of, { state, reason }) => ({
    ...of,
    connected: state === 1,
    reason: nameAt(agentReasons, reason),
  })),
  deviceAdded: source('deviceAdded', 19, 354, alias, (of, body) => ({ ...of, ...body })),
  migrationIteration: source('migrationIteration', 20, 359, { iteration: int }, (of, body) => ({ ...of, ...body })),
  jobCompleted: source('jobCompleted', 21, 363, { params: typedParams }, (of, { params }) => ({
    ...of,
    stats: paramRecord(params),
  })),
  deviceRemovalFailed: source('deviceRemovalFailed', 22, 367, alias, (of, body) => ({ ...of, ...body })),
  metadataChange: source('metadataChange', 23, 379, { type: int, uri: optional(string) }, (of, { type, uri }) => ({
    ...of,
    type: nameAt(metadataTypes, type),
    uri,
  })),
  memoryDeviceSizeChange: source(
    'memoryDeviceSizeChange',
    26,
    438,
    { alias: string, sizeKib: counter },
    (of, body) => ({ ...of, ...body }),
  ),
};

export const domainEventKinds = Object.keys(sources) as readonly DomainEventKind[];

/** virDomainEventID of a kind. */
export const eventIdOf = (kind: DomainEventKind): number => sources[kind].eventId;

/** The procedure that carries a kind. */
export const eventProcedureOf = (kind: DomainEventKind): number => sources[kind].procedure;

const readers: ReadonlyMap<number, EventSource['read']> = new Map(
  Object.values(sources).map(({ procedure, read }) => [procedure, read]),
);

/** Null for a message that is no domain event known here. Throws XdrError on a body that does not decode. */
export function readDomainEvent(procedure: number, body: Buffer): DomainEvent | null {
  return readers.get(procedure)?.(body) ?? null;
}
