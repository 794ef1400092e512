/**
 * A small world around the decisions: hosts that lose power, management or storage, what that looks like from outside, and what
 * becomes of decided actions. The truth is kept beside what is seen, so that a test can hold the two against each other.
 */
import type { HaAction } from '../actions.ts';
import { decide } from '../decide.ts';
import { type PowerCut, powerOffProof } from '../fence-proof.ts';
import { judgePowerOff } from '../power-evidence.ts';
import type { HaSnapshot, HostFacts, VmFacts } from '../snapshot.ts';
import { cluster, leasePlan, now as start, restart, vm } from './facts.ts';

export type Fault = 'power' | 'management' | 'storage';

export interface Truth {
  power: boolean;
  management: boolean;
  storage: boolean;
  heardMs: number;
  renewedMs: number;
  /** Its power device works. */
  bmc: boolean;
}

export const stepMs = 250;

export class Model {
  now = start;
  readonly truth = new Map<string, Truth>();
  readonly leadingSinceMs: number;
  snapshot: HaSnapshot;
  /** What the last step's decisions were made from. */
  decidedOn: HaSnapshot;
  #ids = 0;

  constructor(names: readonly string[], vmCount: number, leadingForMs: number) {
    this.leadingSinceMs = start - leadingForMs;
    for (const name of names) {
      this.truth.set(name, {
        power: true,
        management: true,
        storage: true,
        heardMs: start,
        renewedMs: start,
        bmc: true,
      });
    }
    const vms = Array.from({ length: vmCount }, (_, n) =>
      vm(`vm${n}`, { hostId: names[n % names.length]!, state: 'running' }),
    );
    const manager = { leadingSinceMs: this.leadingSinceMs };
    this.snapshot = cluster(Object.fromEntries(names.map((name) => [name, {}])), { vms, manager });
    this.decidedOn = this.snapshot;
  }

  /** One look: what is seen now, what is decided by it, and what comes of that. */
  step(): HaAction[] {
    this.now += stepMs;
    for (const each of this.truth.values()) {
      if (each.power && each.management) each.heardMs = this.now;
      if (each.power && each.storage) each.renewedMs = this.now;
    }
    this.#see();
    for (const hostId of this.#cuts.keys()) this.#judgeCut(hostId);
    this.decidedOn = this.snapshot;
    const actions = decide(this.snapshot, this.now);
    for (const action of actions) this.#apply(action);
    return actions;
  }

  /** Where the VM really runs, if its host still does that: a host ends its VMs when its lease runs out. */
  runsOn(hostId: string | null): boolean {
    const truth = this.truth.get(hostId ?? '');
    return truth !== undefined && truth.power && this.now - truth.renewedMs < leasePlan.killAfterMs;
  }

  #see(): void {
    const looks = Object.fromEntries(
      [...this.truth].map(([name, { power, heardMs, renewedMs }]) => {
        const ageMs = this.now - renewedMs;
        return [name, { silentMs: this.now - heardMs, leaseMs: ageMs, ownMs: ageMs, peersMs: power ? 0 : ageMs }];
      }),
    );
    const seen = cluster(looks);
    const shift = this.now - start;
    this.#hosts((host) => {
      const fresh = seen.hosts.find(({ id }) => id === host.id)!;
      const liveness = fresh.liveness && { ...fresh.liveness, atMs: this.truth.get(host.id)!.heardMs };
      const heard = this.now - this.truth.get(host.id)!.heardMs === 0;
      const back = heard && host.state === 'down';
      return {
        ...host,
        lastHeartbeatMs: fresh.lastHeartbeatMs! + shift,
        liveness,
        ...(back ? { state: 'up', proof: null } : {}),
      };
    });
    this.#vms((each) => {
      const host = this.snapshot.hosts.find(({ id }) => id === each.hostId);
      if (host?.state !== 'up' || this.now - (host.lastHeartbeatMs ?? 0) > 0) return each;
      const state =
        each.state === 'unknown' || !this.runsOn(each.hostId) ? (this.#rose(each) ? 'running' : 'stopped') : each.state;
      return { ...each, state, lastSeen: state };
    });
  }

  /** Whether its domain survived the silence of its host. */
  #rose({ hostId }: VmFacts): boolean {
    return this.runsOn(hostId) && !this.#lostSince.has(hostId ?? '');
  }

  /** Hosts that were without power since their VMs were last known to run. */
  readonly #lostSince = new Set<string>();

  powerLost(name: string): void {
    this.truth.get(name)!.power = false;
    this.#lostSince.add(name);
  }

  #apply(action: HaAction): void {
    const at = { openedAtMs: this.now, alarms: [] };
    switch (action.kind) {
      case 'set-state': {
        const down = ['dead', 'fencing', 'fenced', 'management-isolated'].includes(action.state);
        this.#host(action.hostId, {
          ha: { state: action.state, because: action.because, sinceMs: this.now },
          ...(down ? { state: 'down' } : {}),
        });
        if (down) this.#vms((each) => (each.hostId === action.hostId ? { ...each, state: 'unknown' } : each));
        return;
      }
      case 'open-incident':
        return this.#host(action.hostId, { incident: { id: `incident${this.#ids++}`, ...at } });
      case 'close-incident':
        return this.#host(action.hostId, { incident: null, failedFencings: [] });
      case 'alarm':
        return this.#hosts((host) =>
          host.id === action.hostId && host.incident
            ? { ...host, incident: { ...host.incident, alarms: [...host.incident.alarms, action.code] } }
            : host,
        );
      case 'power-off':
        return this.#powerOff(action.hostId, action.deviceId);
      case 'record-proof':
        return this.#host(action.hostId, { proof: { id: `proof${this.#ids++}`, proof: action.proof } });
      case 'end-proof':
        return this.#host(action.hostId, { proof: null });
      case 'note-boot':
        return this.#host(action.hostId, { bootId: action.bootId });
      case 'suspect-self':
        this.snapshot = { ...this.snapshot, cluster: { ...this.snapshot.cluster, suspectsItself: action.suspects } };
        return;
      default:
        return this.#applyRestart(action);
    }
  }

  #powerOff(hostId: string, deviceId: string): void {
    const host = this.snapshot.hosts.find(({ id }) => id === hostId)!;
    if (!this.truth.get(hostId)!.bmc) {
      return this.#failed(host, deviceId, 'no answer');
    }
    const before = this.truth.get(hostId)!.power ? 'on' : 'off';
    this.powerLost(hostId);
    const at = { confirmedAtMs: this.now, readBeforeAtMs: this.now };
    this.#cuts.set(hostId, { state: 'off', deviceId, kind: 'ipmi', before, ...at });
    this.#host(hostId, { fencing: { deviceId, sinceMs: this.now }, state: 'down' });
  }

  /** Power-offs that were confirmed and are not believed yet. */
  readonly #cuts = new Map<string, PowerCut>();

  #judgeCut(hostId: string): void {
    const cut = this.#cuts.get(hostId)!;
    const host = this.snapshot.hosts.find(({ id }) => id === hostId)!;
    const judgement = judgePowerOff(host, cut, this.snapshot, this.now, []);
    if ('waitFor' in judgement) return;
    this.#cuts.delete(hostId);
    this.#host(hostId, { fencing: null });
    if ('missing' in judgement) return this.#failed(host, cut.deviceId, judgement.missing);
    if (host.proof !== null) return;
    const proof = powerOffProof({ hostId, hostName: hostId, bootId: host.bootId }, judgement.evidence);
    this.#host(hostId, { proof: { id: `proof${this.#ids++}`, proof }, state: 'down' });
  }

  #failed(host: HostFacts, deviceId: string, reason: string): void {
    const others = host.failedFencings.filter((each) => each.deviceId !== deviceId);
    this.#host(host.id, { failedFencings: [...others, { deviceId, atMs: this.now, reason }] });
  }

  #applyRestart(action: HaAction): void {
    const well = this.snapshot.hosts.find(({ state, ha }) => state === 'up' && ha.state === 'running')?.id ?? null;
    const of = (state: Parameters<typeof restart>[0], more: object) => restart(state, { sinceMs: this.now, ...more });
    this.#vms((each) => {
      switch (action.kind) {
        case 'list-restarts':
          return action.vms.some(({ vmId }) => vmId === each.id)
            ? { ...each, restart: of('waiting', { incidentId: action.incidentId, fromHostId: action.hostId }) }
            : each;
        case 'place':
          if (!action.vmIds.includes(each.id) || each.restart === null) return each;
          return well === null
            ? { ...each, restart: { ...each.restart, notBeforeMs: this.now + 5000 } }
            : { ...each, restart: { ...each.restart, state: 'placed', toHostId: well } };
        case 'restart':
          if (action.vmId !== each.id) return each;
          this.#lostSince.delete(each.restart?.toHostId ?? '');
          return {
            ...each,
            hostId: each.restart!.toHostId,
            state: 'running',
            lastSeen: 'running',
            restart: { ...each.restart!, state: 'starting', task: { id: 't', state: 'succeeded', error: null } },
          };
        case 'booting':
          return action.vmId === each.id ? { ...each, restart: { ...each.restart!, state: 'booting' } } : each;
        case 'retry':
          return action.vmId === each.id
            ? { ...each, restart: { ...each.restart!, state: 'waiting', toHostId: null, task: null } }
            : each;
        case 'end-restart':
          return action.vmId === each.id ? { ...each, restart: null } : each;
        default:
          return each;
      }
    });
  }

  #host(id: string, changes: Partial<HostFacts>): void {
    this.#hosts((host) => (host.id === id ? { ...host, ...changes } : host));
  }

  #hosts(change: (host: HostFacts) => HostFacts): void {
    this.snapshot = { ...this.snapshot, hosts: this.snapshot.hosts.map(change) };
  }

  #vms(change: (each: VmFacts) => VmFacts): void {
    this.snapshot = { ...this.snapshot, vms: this.snapshot.vms.map(change) };
  }
}
