/** Checks of everything that an agent says unasked. Agents are trusted less than the manager: one wrong message ends the link. */
import { DomainChanged, Heartbeat, Hello, NetworkChanged, PoolsChanged, Progress } from '@kvasir/api/agent/link.ts';
import { Liveness } from '@kvasir/api/agent/liveness.ts';
import type { AgentMethod } from '@kvasir/api/agent/method.ts';
import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

/** Answers the message with its type. @throws Error that says what is wrong */
export type Reader<T> = (value: unknown) => T;

function reader<S extends TSchema>(name: string, schema: S): Reader<Static<S>> {
  const checker = Compile(schema);
  return (value) => {
    if (checker.Check(value)) return value;
    const [first] = checker.Errors(value);
    throw new Error(`${name}: ${first?.instancePath ?? ''} ${first?.message ?? 'is wrong'}`);
  };
}

export const readHello = reader('hello', Hello);
export const readHeartbeat = reader('heartbeat', Heartbeat);
export const readDomainChanged = reader('domain-changed', DomainChanged);
export const readPoolsChanged = reader('pools-changed', PoolsChanged);
export const readNetworkChanged = reader('network-changed', NetworkChanged);
export const readLiveness = reader('liveness', Liveness);
export const readProgress = reader('progress', Progress);

const resultReaders = new Map<string, Reader<unknown>>();

export function readResult(method: AgentMethod, value: unknown): unknown {
  let read = resultReaders.get(method.name);
  if (read === undefined) {
    read = reader(`answer to ${method.name}`, method.result);
    resultReaders.set(method.name, read);
  }
  return read(value);
}
