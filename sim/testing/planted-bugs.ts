/**
 * Five bugs as somebody might make them, planted from outside: each replaces a part or a setting of the world, and no product code
 * knows of them. They show that the simulation can fail.
 */
import type { Plan } from '../schedule/plan.ts';
import { Life } from '../world/life.ts';
import type { Planted, World } from '../world/world.ts';
import { ownLease } from './own-lease.ts';
import { twinRestarts } from './twin-restarts.ts';

export interface PlantedBug {
  readonly name: string;
  readonly planted?: Planted;
  /** Settings that amount to the bug. */
  readonly plan?: (plan: Plan) => Plan;
}

export const plantedBugs: readonly PlantedBug[] = [
  {
    name: 'no proof needed: a device is taken at its word before it has done anything',
    planted: {
      power: (real, world) => ({
        ...real,
        powerOff: async (deviceId) => {
          const at = { confirmedAtMs: world.clock.now(), readBeforeAtMs: world.clock.now() };
          return { state: 'off', before: 'on', deviceId, kind: 'ipmi', ...at };
        },
      }),
    },
    plan: (plan) => ({ ...plan, devices: true }),
  },
  {
    name: 'lease shorter than the kill',
    plan: (plan) => ({ ...plan, devices: false, leases: { leaseMs: 4000, killAfterMs: 12_000 } }),
  },
  {
    name: 'forgotten epoch: a manager that was deposed goes on as if it led',
    planted: { store: ownLease },
    plan: (plan) => ({ ...plan, managers: 2 }),
  },
  { name: 'double placement: a VM is promised to two hosts at once', planted: { store: twinRestarts } },
  {
    name: 'mass fencing after a restart of the manager: who is not heard at once is taken for dead',
    planted: { restarted: fenceUnheard },
    plan: (plan) => ({ ...plan, devices: true }),
  },
];

/** As if silence from before the start counted. */
function fenceUnheard(world: World): void {
  world.clock.after(500, () => {
    const { env } = world;
    for (const { hostId } of world.machines.values()) {
      const device = world.bmcs.ofHost(hostId);
      if (env === undefined || device === undefined || env.links.isConnected(hostId)) continue;
      world.bmcs
        .power(new Life())
        .powerOff(device.deviceId)
        .catch(() => {});
    }
  });
}
