/**
 * What describes one remote procedure. The numbers and the order of the fields are facts of libvirt's protocol, which
 * never changes a published procedure; everything here exists in 9.0 and later.
 */
import { type Codec, nothing } from './codec.ts';

export const remoteProgram = 0x20008086;
export const qemuProgram = 0x20008087;
export const keepAliveProgram = 0x6b656570;

/**
 * `quick`: the daemon answers from memory. `long`: it may wait for QEMU, for the guest or for another job of the domain;
 * such a call gets a connection of its own, because the daemon stops reading a connection that has a handful of
 * unanswered calls, and with it the keepalive.
 */
export type Lane = 'quick' | 'long';

export interface Procedure<Args, Result> {
  readonly program: number;
  readonly number: number;
  readonly lane: Lane;
  readonly args: Codec<Args>;
  readonly result: Codec<Result>;
}

const define =
  (program: number, lane: Lane) =>
  <Args = void, Result = void>(
    number: number,
    args: Codec<Args> = nothing as Codec<Args>,
    result: Codec<Result> = nothing as Codec<Result>,
  ): Procedure<Args, Result> => ({ program, number, lane, args, result });

export const quick = define(remoteProgram, 'quick');
export const long = define(remoteProgram, 'long');
export const qemuLong = define(qemuProgram, 'long');
export const qemuQuick = define(qemuProgram, 'quick');
