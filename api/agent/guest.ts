/** The guest agent inside a VM (qemu-ga over virtio-serial). All answer `timeout` or `unsupported` clearly when the guest has none. */
import { Type } from 'typebox';
import { Guest } from '../resources/vm.ts';
import { closed, Id, nullable } from '../schema.ts';
import { change, query } from './method.ts';

const vm = closed({ vmId: Id });

export const guestPing = query(
  'guest.ping',
  'Whether the guest agent answers',
  vm,
  closed({ answers: Type.Boolean() }),
);
export const guestInfo = query('guest.info', 'What the guest says of itself', vm, Guest);
export const guestExec = change(
  'guest.exec',
  'Run a program in the guest and wait for it',
  closed({
    vmId: Id,
    argv: Type.Array(Type.String(), { minItems: 1 }),
    stdin: nullable(Type.String()),
    timeoutMs: Type.Integer({ minimum: 1, maximum: 600_000 }),
  }),
  closed({ exitCode: Type.Integer(), stdout: Type.String(), stderr: Type.String() }),
  { long: true },
);
export const guestFreeze = change('guest.freeze', 'Freeze file systems', vm, closed({ fileSystems: Type.Integer() }));
export const guestThaw = change('guest.thaw', 'Thaw file systems', vm, closed({ fileSystems: Type.Integer() }));
