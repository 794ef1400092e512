/** Whatever happens to hosts, and whatever it looks like from outside: what is decided holds against the truth. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { Model, stepMs } from './testing/model.ts';

const names = ['h1', 'h2', 'h3', 'h4', 'h5'];
const faults = fc.array(
  fc.record({
    atStep: fc.nat(120),
    host: fc.constantFrom(...names),
    what: fc.constantFrom('power', 'management', 'storage', 'bmc', 'heal', 'heal'),
  }),
  { maxLength: 8 },
);
const runs = { numRuns: 300 };

type Faults = { atStep: number; host: string; what: string }[];
const hostBackInTheLookOfAnothersFence: [Faults, number] = [
  [
    { atStep: 0, host: 'h3', what: 'power' },
    { atStep: 71, host: 'h4', what: 'power' },
    { atStep: 76, host: 'h1', what: 'power' },
    { atStep: 81, host: 'h3', what: 'heal' },
  ],
  0,
];

function strike(model: Model, host: string, what: string): void {
  const truth = model.truth.get(host)!;
  if (what === 'power') model.powerLost(host);
  else if (what === 'heal') Object.assign(truth, { power: true, management: true, storage: true, bmc: true });
  else Object.assign(truth, { [what]: false });
}

/** Hosts that were not proven dead when it was decided, and those of them that are silent. */
function unproven(model: Model): readonly [silent: number, all: number] {
  const counted = model.decidedOn.hosts.filter(({ proof }) => proof === null);
  const silent = counted.filter(({ id }) => model.now - model.truth.get(id)!.heardMs >= 1500);
  return [silent.length, counted.length];
}

it('nothing starts where it may run twice, no host that is well is fenced, no half of them ever is', () => {
  let fenced = 0;
  let restarted = 0;
  fc.assert(
    fc.property(faults, fc.constantFrom(0, 600_000), (plan, leadingForMs) => {
      const model = new Model(names, 6, leadingForMs);
      for (let step = 0; step < 200; step += 1) {
        for (const { host, what } of plan.filter(({ atStep }) => atStep === step)) strike(model, host, what);
        const truth = new Map([...model.truth].map(([name, each]) => [name, { ...each }]));
        const homes = new Map(model.snapshot.vms.map(({ id, hostId }) => [id, hostId]));
        const running = new Map(names.map((name) => [name, model.runsOn(name)]));
        const actions = model.step();
        const inGrace = model.now - model.leadingSinceMs < model.snapshot.cluster.policy.graceMs;
        const [lost, all] = unproven(model);
        for (const action of actions) {
          if (action.kind === 'power-off' || action.kind === 'record-proof') {
            fenced += 1;
            const { power, management, storage } = truth.get(action.hostId)!;
            assert.ok(!(power && management && storage), `${action.hostId} is well and is fenced`);
            assert.ok(!inGrace, 'fenced in the grace');
            assert.ok(lost < 2 || lost < 0.5 * all, `${lost} of ${all} are silent, and one is fenced`);
          }
          if (action.kind === 'restart') {
            restarted += 1;
            const home = homes.get(action.vmId) ?? '';
            const vm = model.snapshot.vms.find(({ id }) => id === action.vmId)!;
            const there = model.snapshot.hosts.find(({ id }) => id === home)!;
            const known = there.proof !== null || there.state === 'up';
            assert.ok(known, `${vm.name} starts without a proof about ${home}`);
            if (there.proof !== null) assert.ok(running.get(home) !== true, `${vm.name} still runs on ${home}`);
          }
        }
      }
    }),
    { ...runs, examples: [hostBackInTheLookOfAnothersFence] },
  );
  assert.ok(fenced > 50 && restarted > 50, `hardly anything happened: ${fenced} fenced, ${restarted} restarted`);
});

it('when all heals, all is quiet', () => {
  fc.assert(
    fc.property(faults, (plan) => {
      const model = new Model(names, 6, 600_000);
      for (let step = 0; step < 160; step += 1) {
        for (const { host, what } of plan.filter(({ atStep }) => atStep === step)) strike(model, host, what);
        model.step();
      }
      for (const name of names) strike(model, name, 'heal');
      for (let step = 0; step < 60_000 / stepMs; step += 1) model.step();
      for (let step = 0; step < 40; step += 1) {
        assert.deepEqual(
          model.step().map(({ kind, because }) => `${kind}: ${because}`),
          [],
        );
      }
      for (const host of model.snapshot.hosts) {
        assert.deepEqual([host.ha.state, host.incident, host.proof], ['running', null, null]);
      }
    }),
    runs,
  );
});
