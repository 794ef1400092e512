/** All handlers of a host, by method name. */
import { guestHandlers } from './guest.ts';
import type { Handler, HostContext } from './handler.ts';
import { hostHandlers } from './host.ts';
import { livenessHandlers } from './liveness.ts';
import { migrationHandlers } from './migration.ts';
import { storageHandlers } from './storage.ts';
import { vmHandlers } from './vm.ts';
import { vmPowerHandlers } from './vm-power.ts';

export function allHandlers(host: HostContext): ReadonlyMap<string, Handler> {
  const handlers = [
    hostHandlers,
    storageHandlers,
    vmHandlers,
    vmPowerHandlers,
    migrationHandlers,
    guestHandlers,
    livenessHandlers,
  ];
  return new Map(handlers.flatMap((group) => group(host)).map((item) => [item.method.name, item]));
}
