/**
 * Switches a host in standby on by its power device and waits for its agent; then it takes VMs as before. One that is not heard in
 * time has failed: that is an alarm, and whoever needs a host takes another. Should it come up later, it is back all the same.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import { setHostHa } from '../store/host-ha.ts';
import { setStandby, standbyOf } from '../store/host-standby.ts';
import { hosts } from '../store/hosts.ts';
import { byAnyDevice } from './host-power.ts';
import { backInService, tellStandby } from './host-standby.ts';
import { defineStep, defineTask } from './kind.ts';

const lookEveryMs = 300;

const powerOn = defineStep('host-wake', {
  name: 'power-on',
  weight: 0.1,
  run: async ({ db, params, power, signal, clock }) => {
    const host = await hosts.get(db, params.hostId);
    const { device } = await byAnyDevice(db, host, 'switched on', (id) => power.powerOn(id, signal));
    return { device: device.name, atMs: clock.now() };
  },
  apply: async ({ tx, params, now }, { device }) => {
    const because = `it was switched on by ${device}`;
    await setHostHa(tx, params.hostId, { state: 'standby', because, since: now });
  },
  /** Nothing: off again it would help nobody, and on it comes back by itself. */
  undo: async () => {},
});

const waitForAgent = defineStep('host-wake', {
  name: 'wait-for-agent',
  run: async ({ db, params, clock, signal, resultOf }) => {
    const { atMs } = resultOf(powerOn);
    for (;;) {
      const host = await hosts.get(db, params.hostId);
      if (host.state === 'up') return;
      if (clock.now() - atMs >= params.timeoutMs)
        throw new KvasirError('host-not-awake', { host: host.name, seconds: Math.round(params.timeoutMs / 1000) });
      await clock.sleep(lookEveryMs, signal);
    }
  },
  apply: async ({ tx, params, task, now }) => {
    await backInService(tx, params.hostId, now, 'it was woken');
    await tellStandby(tx, params.hostId, { at: now, task, what: 'is awake and back in service' });
  },
  undo: async () => {},
});

export const hostWakeTask = defineTask({
  kind: 'host-wake',
  cancellable: true,
  steps: [powerOn, waitForAgent],
  undone: async ({ tx, params, task, now }, because) => {
    if ((await standbyOf(tx, params.hostId)) === undefined) return;
    const cancelled = because.code === 'cancelled';
    await setStandby(tx, params.hostId, { phase: cancelled ? 'standby' : 'failed', since: now });
    const told = { at: now, task, what: `was not woken: ${because.message}` };
    await tellStandby(tx, params.hostId, cancelled ? told : { ...told, kind: 'host.wake-failed', severity: 'error' });
  },
});
