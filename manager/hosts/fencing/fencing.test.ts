/** Power devices: what they confirm counts, and nothing else. IPMI against OpenIPMI's simulator, Redfish against our own. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, beforeEach, describe, it } from 'node:test';
import { systemClock } from '@kvasir/api/clock.ts';
import { Fencing } from './fencing.ts';
import type { FenceDevice } from './power-reading.ts';
import { freeUdpPort, IpmiSimulator } from './testing/ipmi-simulator.ts';
import { RedfishEmulator } from './testing/redfish-emulator.ts';

const password = 'a-secret-word';
const fencing = new Fencing(systemClock, { confirmMs: 6000, callMs: 5000, pauseMs: 20 });

function device(changes: Partial<FenceDevice>): FenceDevice {
  return {
    id: 'd1',
    hostId: 'h1',
    hostName: 'h1',
    name: 'h1-bmc',
    kind: 'redfish',
    address: '127.0.0.1',
    port: 0,
    userName: 'admin',
    password,
    certificateFingerprint: null,
    systemPath: null,
    position: 0,
    ...changes,
  };
}

function withoutSecret(error: Error): void {
  assert.ok(!`${error.message} ${error.stack ?? ''}`.includes(password));
}

it('no order goes out after the time allowed, should the manager have been held up in between', async () => {
  let heldUpMs = 0;
  const orders: number[] = [];
  const clock = {
    ...systemClock,
    now: () => Date.now() + heldUpMs,
    sleep: async () => void (heldUpMs = 600_000),
  };
  const driver = {
    state: async () => 'on' as const,
    order: async () => {
      orders.push(heldUpMs);
      throw new Error('no answer');
    },
  };
  const slow = new Fencing(clock, {}, { ipmi: driver });
  await assert.rejects(slow.powerOff(device({ kind: 'ipmi' })), { code: 'fencing-failed', message: /no answer/ });
  assert.deepEqual(orders, [0]);
});

it('no order goes out once nobody wants it any more, however long the device took to say what it was before', async () => {
  const stop = new AbortController();
  const orders: string[] = [];
  const driver = {
    state: async () => {
      stop.abort(new Error('it is running by now'));
      return 'on' as const;
    },
    order: async (_: FenceDevice, wanted: 'on' | 'off') => void orders.push(wanted),
  };
  const slow = new Fencing(systemClock, {}, { ipmi: driver });
  const asked = slow.powerOff(device({ kind: 'ipmi' }), stop.signal);
  await assert.rejects(asked, { code: 'fencing-failed', message: /it is running by now/ });
  assert.deepEqual(orders, []);
});

describe('a Redfish device', () => {
  let emulator: RedfishEmulator;
  let bmc: FenceDevice;
  beforeEach(async (context) => {
    emulator = await RedfishEmulator.open('admin', password);
    bmc = device({ port: emulator.port, certificateFingerprint: emulator.fingerprint });
    (context as { after?: (work: () => Promise<void>) => void }).after?.(() => emulator.close());
  });

  it('is switched off, confirmed, and on again', async () => {
    emulator.looksUntilDone = 2;
    const off = await fencing.powerOff(bmc);
    assert.equal(off.state, 'off');
    assert.equal(off.deviceId, 'd1');
    assert.equal(emulator.state, 'Off');
    assert.ok(Math.abs(off.confirmedAtMs - Date.now()) < 5000);
    assert.equal((await fencing.powerState(bmc)).state, 'off');
    assert.equal((await fencing.powerOn(bmc)).state, 'on');
    assert.equal(emulator.state, 'On');
  });

  it('that takes orders and stays on has not been switched off', async () => {
    emulator.ignoresOrders = true;
    await assert.rejects(fencing.powerOff(bmc), { code: 'fencing-failed', message: /h1.*says that it is on still/ });
  });

  it('has the system shut down by one press of the button, and waits for its end', async () => {
    emulator.looksUntilDone = 15;
    assert.equal((await fencing.shutDown(bmc)).state, 'off');
    assert.deepEqual(emulator.orders, ['GracefulShutdown']);
    assert.equal((await fencing.shutDown(bmc)).state, 'off');
    assert.deepEqual(emulator.orders, ['GracefulShutdown'], 'what is off needs no button');
  });

  it('whose system does not care for the button has not been shut down, and its power is not cut', async () => {
    emulator.ignoresButton = true;
    const hasty = new Fencing(systemClock, { shutDownMs: 500, pauseMs: 20 });
    await assert.rejects(hasty.shutDown(bmc), {
      code: 'fencing-failed',
      message: /shut down.*says that it is on still/,
    });
    assert.deepEqual([emulator.state, emulator.orders], ['On', ['GracefulShutdown']]);
  });

  it('that knows no such order says so soon', async () => {
    emulator.knows = ['On', 'ForceOff'];
    const hasty = new Fencing(systemClock, { confirmMs: 300, shutDownMs: 60_000, pauseMs: 20 });
    await assert.rejects(hasty.shutDown(bmc), { message: /does not know the order GracefulShutdown/ });
    assert.deepEqual(emulator.orders, []);
  });

  it('that loses answers is asked again', async () => {
    emulator.loses = 3;
    assert.equal((await fencing.powerOff(bmc)).state, 'off');
  });

  it('that refuses the password is an error without the password in it', async () => {
    await assert.rejects(fencing.powerState({ ...bmc, password: `${password}2` }), (error: Error) => {
      withoutSecret(error);
      return /refuses the user or the password/.test(error.message);
    });
  });

  it('with another certificate than the pinned one gets no password', async () => {
    const wrong = { ...bmc, certificateFingerprint: '0'.repeat(64) };
    await assert.rejects(fencing.powerState(wrong), { message: /another certificate/ });
    await assert.rejects(fencing.powerState({ ...bmc, certificateFingerprint: null }), { code: 'fencing-failed' });
    assert.deepEqual(emulator.requests, []);
  });

  it('is asked no more once the caller gives up', async () => {
    emulator.ignoresOrders = true;
    await assert.rejects(fencing.powerOff(bmc, AbortSignal.timeout(100)), { code: 'fencing-failed' });
  });
});

describe('an IPMI device', () => {
  let simulator: IpmiSimulator;
  let bmc: FenceDevice;
  before(async () => {
    simulator = await IpmiSimulator.open('admin', password);
    bmc = device({ kind: 'ipmi', port: simulator.port });
  });
  after(() => simulator.close());

  it('is switched off, confirmed, and on again', async () => {
    assert.equal((await fencing.powerState(bmc)).state, 'on');
    const off = await fencing.powerOff(bmc);
    assert.deepEqual([off.state, off.kind, simulator.power], ['off', 'ipmi', 'off']);
    assert.equal((await fencing.powerOn(bmc)).state, 'on');
    assert.equal(simulator.power, 'on');
  });

  it('has the system shut down by the button', async () => {
    assert.equal(simulator.wasPressed, false);
    assert.equal((await fencing.shutDown(bmc)).state, 'off');
    assert.deepEqual([simulator.wasPressed, simulator.power], [true, 'off']);
    assert.equal((await fencing.powerOn(bmc)).state, 'on');
  });

  it('gets its password past every command line', async () => {
    const asking = fencing.powerState(bmc);
    const seen: string[] = [];
    for (let looks = 0; looks < 20 && seen.length === 0; looks += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      for (const pid of readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))) {
        try {
          const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
          if (words.startsWith('ipmitool') && words.includes(String(bmc.port))) seen.push(words);
        } catch {
          // Ended meanwhile.
        }
      }
    }
    await asking;
    for (const words of seen) assert.ok(!words.includes(password));
  });

  it('with the wrong password, or none at all, is an error that says so', async () => {
    await assert.rejects(fencing.powerState({ ...bmc, id: 'd2', password: 'wrong' }), (error: Error) => {
      withoutSecret(error);
      return /Unable to establish/.test(error.message);
    });
    const dead = { ...bmc, id: 'd3', port: await freeUdpPort() };
    await assert.rejects(fencing.powerOff(dead), { code: 'fencing-failed', message: /did not answer in time/ });
  });

  it('that takes orders and stays on has not been switched off', async () => {
    simulator.stick();
    await assert.rejects(fencing.powerOff(bmc), { code: 'fencing-failed', message: /says that it is on still/ });
    assert.equal(simulator.power, 'on');
  });

  it('is driven by the ipmitool of the distribution', () => {
    assert.match(execFileSync('ipmitool', ['-V'], { encoding: 'utf8' }), /ipmitool version 1\.8/);
  });
});
