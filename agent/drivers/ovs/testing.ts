/** Runs a driver's programs inside a test switch's network namespace. */
import type { TestSwitch } from '@kvasir/ovs/testing/switch.ts';
import { type RunProgram, runProgram } from '../program.ts';

export function runInside(ovs: TestSwitch): RunProgram {
  return (file, args, options) => {
    const [program, ...rest] = ovs.inside([file, ...args]);
    return runProgram(program ?? file, rest, options);
  };
}
