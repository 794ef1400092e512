import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DomainChanged } from '@kvasir/api/agent/link.ts';
import { FakeTime } from './lease/testing/fake-time.ts';
import { LivenessWatch } from './liveness-watch.ts';
import { domainReport, fakeDrivers } from './testing/fake-drivers.ts';

const id = (digit: number): string => `00000000-0000-4000-8000-00000000000${digit}`;

function open() {
  const drivers = fakeDrivers();
  const told: string[] = [];
  const watch = new LivenessWatch({
    clock: new FakeTime(),
    drivers,
    hypervisorSilentMs: () => null,
    notify: (_method, params) => {
      const { domain, removed } = params as DomainChanged;
      told.push(`${domain.vmId.at(-1)} ${removed ? 'removed' : domain.state}`);
    },
    log: () => {},
  });
  return { drivers, told, watch };
}

test('all that is told anew is never older than what was told before', async () => {
  const { drivers, told, watch } = open();
  for (const digit of [1, 2, 3, 4]) watch.explain(domainReport(id(digit), { state: 'running' }));
  for (const digit of [1, 2, 4, 5]) drivers.hypervisor.put(domainReport(id(digit), { state: 'running' }));
  const list = drivers.hypervisor.list.bind(drivers.hypervisor);
  drivers.hypervisor.list = async () => {
    const listed = await list();
    // While the list is on its way.
    watch.explain(domainReport(id(2), { state: 'crashed' }));
    watch.explain(domainReport(id(4), { state: 'stopped' }), true);
    return listed;
  };
  await watch.tellAll();
  assert.deepEqual(told, ['1 running', '5 running', '3 removed']);
});

test('what is told again is what was seen last', () => {
  const { told, watch } = open();
  watch.explain(domainReport(id(1), { state: 'running' }));
  watch.explain(domainReport(id(1), { state: 'crashed' }));
  watch.tellAgain(id(1));
  watch.tellAgain(id(2));
  assert.deepEqual(told, ['1 crashed']);
});
