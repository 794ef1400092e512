/**
 * What is done when a VM fails while its host is well: its QEMU died, its guest panicked, hangs, or let its watchdog run out.
 * Pure; the same facts and time give the same actions.
 *
 * Invariants: nothing is done to a VM that is not wanted to run, that a task works on, or whose host is not heard: what its
 * host last said may be old then. A VM that fails again and again waits longer each time, and in the end is left alone with an
 * alarm. One that its guest shut down has not failed.
 */
import type { GuestSigns } from '@kvasir/api/agent/vm.ts';
import type { HaPolicy, VmHa } from '@kvasir/api/resources/ha-policy.ts';

export type VmFailureKind = 'qemu-died' | 'guest-panicked' | 'watchdog-fired' | 'guest-hung';
/** restart: its domain has ended, so it is started; reset: its domain runs, so its reset button is pressed. */
export type VmFailureReaction = 'restart' | 'reset' | 'alarm';

export interface FailingVm {
  readonly id: string;
  readonly name: string;
  readonly hostName: string;
  /** Its host is heard, and nothing is wrong with it. */
  readonly hostWell: boolean;
  readonly state: string;
  readonly stateReason: string | null;
  readonly desiredState: string;
  readonly signs: GuestSigns | null;
  readonly ha: VmHa;
  /** A task works on it. */
  readonly busy: boolean;
  /** It is already being restarted, for this or for its host. */
  readonly restarting: boolean;
  /** When it failed in the last hour, oldest first; the one that goes on is not among them. */
  readonly failedAtMs: readonly number[];
  readonly open: {
    readonly id: string;
    readonly kind: VmFailureKind;
    readonly reaction: VmFailureReaction;
    readonly atMs: number;
    readonly task: 'open' | 'succeeded' | 'failed' | null;
  } | null;
}

export type VmFailureAction =
  | {
      readonly kind: 'react';
      readonly vmId: string;
      readonly failure: VmFailureKind;
      readonly reaction: VmFailureReaction;
      /** Of a restart. */
      readonly notBeforeMs: number;
      readonly because: string;
    }
  /** `works`: it runs as it should, as far as anybody can tell. */
  | {
      readonly kind: 'end';
      readonly vmId: string;
      readonly failureId: string;
      readonly works: boolean;
      readonly because: string;
    };

export type VmFailurePolicy = Pick<
  HaPolicy,
  'enabled' | 'vmFailure' | 'vmFailureLimit' | 'vmHungAfterMs' | 'restartBackoffMs'
>;

export const failureWindowMs = 3_600_000;
const longestPauseMs = 300_000;
/** A reset guest boots first: its signs of life are looked at again after so long. */
const settleMs = 60_000;

export function decideVmFailures(vms: readonly FailingVm[], policy: VmFailurePolicy, now: number): VmFailureAction[] {
  return vms.flatMap((vm) => {
    const action = vm.open === null ? begin(vm, policy, now) : end(vm, vm.open, policy, now);
    return action === undefined ? [] : [action];
  });
}

interface Failure {
  readonly kind: VmFailureKind;
  readonly words: string;
}

/** How it fails; undefined: it does not, or that cannot be told. */
export function failureOf(vm: FailingVm, policy: VmFailurePolicy): Failure | undefined {
  if (!vm.hostWell || vm.desiredState !== 'running') return undefined;
  if (vm.state === 'crashed') {
    if (vm.stateReason === 'panicked') return { kind: 'guest-panicked', words: 'its guest panicked' };
    return { kind: 'qemu-died', words: `its QEMU ended on ${vm.hostName} (${vm.stateReason ?? 'no reason given'})` };
  }
  if (vm.state !== 'running' || vm.signs === null) return undefined;
  if (vm.signs.watchdogFired) return { kind: 'watchdog-fired', words: 'its guest let its watchdog run out' };
  const quietMs = vm.signs.quietMs ?? 0;
  if (policy.vmHungAfterMs === 0 || quietMs < policy.vmHungAfterMs) return undefined;
  const seconds = Math.round(quietMs / 1000);
  return { kind: 'guest-hung', words: `its guest has not answered for ${seconds} s, while its disks did nothing` };
}

function begin(vm: FailingVm, policy: VmFailurePolicy, now: number): VmFailureAction | undefined {
  if (vm.busy || vm.restarting || !vm.ha.enabled || !policy.enabled) return undefined;
  const failure = failureOf(vm, policy);
  const wish = vm.ha.onFailure === 'cluster' ? policy.vmFailure : vm.ha.onFailure;
  if (failure === undefined || wish === 'none') return undefined;
  const { kind, words } = failure;
  const react = (reaction: VmFailureReaction, because: string, notBeforeMs = now): VmFailureAction => ({
    kind: 'react',
    vmId: vm.id,
    failure: kind,
    reaction,
    notBeforeMs,
    because,
  });
  if (wish === 'alarm') return react('alarm', `${words}; it is to be left as it is`);
  const times = vm.failedAtMs.filter((atMs) => atMs > now - failureWindowMs);
  if (times.length >= policy.vmFailureLimit) {
    return react(
      'alarm',
      `${words}; that was its failure number ${times.length + 1} within an hour, and it is not tried again`,
    );
  }
  const last = times.at(-1);
  const pauseMs = Math.min(longestPauseMs, policy.restartBackoffMs * 2 ** (times.length - 1));
  const notBeforeMs = last === undefined ? now : Math.max(now, last + pauseMs);
  if (vm.state === 'crashed') return react('restart', words, notBeforeMs);
  return notBeforeMs > now ? undefined : react('reset', words);
}

function end(
  vm: FailingVm,
  open: NonNullable<FailingVm['open']>,
  policy: VmFailurePolicy,
  now: number,
): VmFailureAction | undefined {
  const ended = (works: boolean, because: string): VmFailureAction => ({
    kind: 'end',
    vmId: vm.id,
    failureId: open.id,
    works,
    because,
  });
  if (vm.desiredState !== 'running') return ended(true, 'it is not wanted to run any more');
  if (vm.restarting || vm.busy) return undefined;
  if (!policy.enabled || !vm.ha.enabled) return ended(true, 'high availability was turned off');
  if (open.reaction === 'reset' && open.task === 'failed') return ended(false, 'it could not be reset');
  const failure = failureOf(vm, policy);
  if (failure === undefined) return vm.hostWell && vm.state === 'running' ? ended(true, 'it runs') : undefined;
  if (open.reaction === 'alarm') return undefined;
  // Its restart is over, or its reset was of no use: it failed again.
  const again = vm.state === 'crashed' || now - open.atMs >= settleMs;
  return again ? ended(false, `it failed again: ${failure.words}`) : undefined;
}
