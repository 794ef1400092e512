/** What is asked of the guest tools inside a VM. Implementations: `libvirt/` (qemu-ga through libvirt), `sim/`. */
import type { Static } from 'typebox';
import type { Guest } from '@kvasir/api/resources/vm.ts';

export type GuestReport = Static<typeof Guest>;

export interface GuestExec {
  readonly argv: readonly string[];
  readonly stdin: string | null;
  readonly timeoutMs: number;
}

/** Errors: `unsupported` when the VM has no guest agent that answers, `timeout`, `not-found`. */
export interface GuestDriver {
  ping(vmId: string): Promise<boolean>;
  info(vmId: string): Promise<GuestReport>;
  exec(
    vmId: string,
    command: GuestExec,
    signal: AbortSignal,
  ): Promise<{ exitCode: number; stdout: string; stderr: string }>;
  freeze(vmId: string): Promise<{ fileSystems: number }>;
  thaw(vmId: string): Promise<{ fileSystems: number }>;
}
