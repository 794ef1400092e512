/** Does to a world what a plan says. What makes no sense at the moment (cutting what is cut) is let be. */
import { sharedPath } from '../world/population.ts';
import type { Operator } from '../world/operator.ts';
import type { World } from '../world/world.ts';
import type { PlannedAction } from './plan.ts';

const vmUplink = 'vm0';

export function perform(world: World, operator: Operator, action: PlannedAction): void {
  if (!action.do.endsWith('-vm') || action.do === 'crash-vm') world.tell(`plan: ${inWords(action)}`);
  switch (action.do) {
    case 'power-off':
      return world.machine(action.host).powerOff('the plan');
    case 'power-on':
      return world.machine(action.host).powerOn();
    case 'cut-management': {
      const machine = world.machine(action.host);
      if (action.peers) machine.setPeersHear(false);
      return action.direction === 'both' ? machine.cut('to-manager', 'to-host') : machine.cut(action.direction);
    }
    case 'mend-management': {
      const machine = world.machine(action.host);
      machine.setPeersHear(true);
      return machine.mend();
    }
    case 'cut-peers':
    case 'mend-peers': {
      const [one, other] = action.hosts.map((name) => world.machine(name).hostId) as [string, string];
      return action.do === 'cut-peers' ? world.sim.cut(one, other) : world.sim.heal(one, other);
    }
    case 'cut-storage':
      world.machine(action.host).sim.cutStorage(sharedPath);
      return world.machine(action.host).noteHealth();
    case 'mend-storage':
      world.machine(action.host).sim.healStorage(sharedPath);
      return world.machine(action.host).noteHealth();
    case 'hang-hypervisor':
      world.machine(action.host).sim.stall.begin(action.kind);
      return world.machine(action.host).noteHealth();
    case 'mend-hypervisor':
      world.machine(action.host).sim.stall.end();
      return world.machine(action.host).noteHealth();
    case 'cut-vm-network':
    case 'mend-vm-network':
      world.machine(action.host).sim.uplinks.set(vmUplink, action.do === 'mend-vm-network');
      return;
    case 'kill-agent':
      return world.machine(action.host).killAgent(action.stayDown);
    case 'start-agent':
      return world.machine(action.host).startAgent();
    case 'kill-keeper':
      return world.machine(action.host).killKeeper();
    case 'kill-manager':
      return world.manager(action.manager).kill();
    case 'kill-manager-after':
      return world.manager(action.manager).killAfter(action.commits);
    case 'start-manager':
      return world.startManager(action.manager);
    case 'power-device': {
      const bmc = world.bmcs.ofHost(world.machine(action.host).hostId);
      if (bmc !== undefined) bmc.mode = action.mode;
      return;
    }
    case 'skew-clock':
      world.machine(action.host).skewMs += action.byMs;
      return;
    case 'crash-vm':
      return crash(world, action.vm);
    case 'start-vm':
      return operator.startVm(action.vm);
    case 'stop-vm':
      return operator.stopVm(action.vm);
    case 'create-vm':
      return operator.createVm(action.vm);
    case 'migrate-vm':
      return operator.migrateVm(action.vm, action.host);
    case 'hang-system':
      world.machine(action.host).hangs = true;
      return;
    case 'standby-host':
      return operator.sendToStandby(action.host);
    case 'wake-host':
      return operator.wakeHost(action.host);
    case 'confirm-off':
      if (world.machine(action.host).sim.isOn) return;
      return operator.confirmOff(action.host);
  }
}

/** Everything that can be mended is; hosts that sleep to save power go on sleeping. */
export function heal(world: World, sleeping: ReadonlySet<string>): void {
  world.tell('plan: everything is mended');
  for (const machine of world.machines.values()) {
    for (const other of world.machines.values()) world.sim.heal(machine.hostId, other.hostId);
    machine.setPeersHear(true);
    machine.mend();
    machine.sim.healStorage(sharedPath);
    machine.sim.stall.end();
    if (machine.sim.uplinks.has(vmUplink)) machine.sim.uplinks.set(vmUplink, true);
    machine.skewMs = 0;
    machine.hangs = false;
    if (!sleeping.has(machine.hostId)) machine.powerOn();
    machine.startAgent();
    machine.noteHealth();
    const bmc = world.bmcs.ofHost(machine.hostId);
    if (bmc !== undefined) bmc.mode = 'works';
  }
  for (const manager of world.managers) {
    manager.spare();
    world.startManager(manager.name);
  }
}

function crash(world: World, vm: string): void {
  const vmId = world.populated?.vmIds.get(vm);
  const [hostId] = vmId === undefined ? [] : world.sim.runningOn(vmId);
  if (vmId !== undefined && hostId !== undefined) world.sim.host(hostId)!.interfere(vmId, 'crash');
}

function inWords({ do: what, ...rest }: PlannedAction): string {
  return `${what} ${JSON.stringify(rest)}`;
}
