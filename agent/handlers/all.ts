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
  const ofDomains = [vmHandlers, vmPowerHandlers, migrationHandlers, guestHandlers];
  const others = [hostHandlers, storageHandlers, livenessHandlers];
  const handlers = [
    ...ofDomains.flatMap((group) => group(host)).map((item): Handler => ({ ...item, needsHypervisor: true })),
    ...others.flatMap((group) => group(host)),
  ];
  return new Map(handlers.map((item) => [item.method.name, item]));
}
