/**
 * Events of QEMU's own monitor, which the daemon hands on as they are, beside those that it makes of them. They come in order
 * with the other events of a connection.
 */
import { decode, int, optional, signedCounter, string, struct, uint } from './codec.ts';
import { domainRef } from './wire-types.ts';
import { XdrError } from './xdr.ts';

export interface MonitorEvent {
  readonly uuid: string;
  /** QEMU's name of it, e.g. `MIGRATION`. */
  readonly event: string;
  /** As in QEMU's QMP reference; empty for an event that says nothing more. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** QEMU_PROC_DOMAIN_MONITOR_EVENT. */
export const monitorEventProcedure = 6;

export const monitorEventBody = struct({
  callbackId: int,
  domain: domainRef,
  event: string,
  seconds: signedCounter,
  microseconds: uint,
  details: optional(string),
});

/** Throws XdrError on a body that does not decode. */
export function readMonitorEvent(body: Buffer): MonitorEvent {
  const { domain, event, details } = decode(monitorEventBody, body);
  return { uuid: domain.uuid, event, data: details === null ? {} : record(details) };
}

function record(details: string): Readonly<Record<string, unknown>> {
  let data: unknown;
  try {
    data = JSON.parse(details);
  } catch (cause) {
    throw new XdrError(`the details of a monitor event are no JSON: ${String(cause)}`);
  }
  return typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : {};
}
