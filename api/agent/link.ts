/**
 * What travels on the link between an agent and the manager: one WebSocket that the agent dials (mutual TLS), JSON-RPC
 * 2.0 in text messages both ways, byte streams (consoles, image content) in binary messages.
 *
 * A binary message is a frame: stream id (u32, big endian), kind (u8), payload. The side that answers an `open…` method
 * with a `streamId` has opened the stream; ids are odd when the agent chose them, even when the manager did. Flow control:
 * the receiver grants bytes by `window` frames (payload u32), a stream starts with `initialWindowBytes`.
 */
import { type Static, Type } from 'typebox';
import { closed, Id, nullable } from '../schema.ts';
import { DefaultUplink, Inventory, NicReport, PhysicalFunction, PoolReport, UplinkReport } from './host.ts';
import { DomainReport } from './vm.ts';

export const linkProtocolVersion = 1;
/** The agent beats this often; the manager calls a host down after `missedHeartbeats` in a row. */
export const heartbeatIntervalMs = 1000;
export const missedHeartbeats = 5;
export const initialWindowBytes = 262_144;
export const maxFramePayloadBytes = 65_536;

export const frameKind = { data: 0, end: 1, abort: 2, window: 3 } as const;
export type FrameKind = (typeof frameKind)[keyof typeof frameKind];

/** Params of every `change` call from the manager; a `query` sends its params bare. */
export interface ChangeEnvelope<P> {
  readonly key: string;
  readonly epoch: number;
  readonly params: P;
}

/** Agent -> manager, JSON-RPC request `hello`, the first message on a new link; the manager answers with `Welcome`. */
export const Hello = closed({
  protocol: Type.Integer(),
  agentVersion: Type.String(),
  hostId: Id,
  /** New at each start of the agent process. */
  instanceId: Id,
  inventory: Inventory,
  domains: Type.Array(DomainReport),
});
export type Hello = Static<typeof Hello>;

export const Welcome = closed({ managerVersion: Type.String(), epoch: Type.Integer(), nowMs: Type.Integer() });
export type Welcome = Static<typeof Welcome>;

/** Agent -> manager, notification `heartbeat`, once each second. */
export const Heartbeat = closed({
  seq: Type.Integer(),
  atMs: Type.Integer(),
  load1: Type.Number(),
  freeMemoryMib: Type.Integer(),
});
export type Heartbeat = Static<typeof Heartbeat>;

/**
 * Manager -> agent, notification `heard`: the answer to each heartbeat. An agent that hears nothing for longer than this takes
 * what comes next for old, and closes the link.
 */
export const Heard = closed({ seq: Type.Integer() });
export const longestManagerSilenceMs = 8000;

/** Agent -> manager, notification `domain-changed`: one domain's whole report; `removed` once it is gone from this host. */
export const DomainChanged = closed({
  domain: DomainReport,
  removed: Type.Boolean(),
  because: nullable(Type.String()),
});
export type DomainChanged = Static<typeof DomainChanged>;

/** Agent -> manager, notification `pools-changed`. */
export const PoolsChanged = closed({ pools: Type.Array(PoolReport) });
export type PoolsChanged = Static<typeof PoolsChanged>;

/** Agent -> manager, notification `network-changed`: the same that the inventory has, whole. */
export const NetworkChanged = closed({
  tunnelAddress: nullable(Type.String({ maxLength: 45 })),
  nics: Type.Array(NicReport),
  uplinks: Type.Array(UplinkReport),
  defaultUplink: Type.Optional(nullable(DefaultUplink)),
  physicalFunctions: Type.Optional(Type.Array(PhysicalFunction)),
});
export type NetworkChanged = Static<typeof NetworkChanged>;

/** Agent -> manager, notification `progress` of a long call, at most 4 a second. */
export const Progress = closed({
  key: Type.String(),
  percent: Type.Integer({ minimum: 0, maximum: 100 }),
  bytesDone: nullable(Type.Integer()),
  bytesTotal: nullable(Type.Integer()),
  downtimeMs: nullable(Type.Integer()),
});
export type Progress = Static<typeof Progress>;

/** Manager -> agent, request `call.cancel` {key}: ask a long change to stop; the change itself then fails with `cancelled`. */
export const CancelCall = closed({ key: Type.String() });

/** Body of POST /join on the agent endpoint (TLS, the CA pinned by the fingerprint inside the token), and its answer. */
export const JoinRequest = closed({
  token: Type.String({ maxLength: 512 }),
  name: Type.String({ pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$' }),
  address: Type.String({ maxLength: 255, description: 'Management address that other hosts reach this one at' }),
  csrPem: Type.String({ maxLength: 8192 }),
});
export type JoinRequest = Static<typeof JoinRequest>;
export const JoinAnswer = closed({ hostId: Id, certificatePem: Type.String(), caPem: Type.String() });
export type JoinAnswer = Static<typeof JoinAnswer>;
