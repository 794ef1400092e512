/** One kind of power device. A call is one question or one order; waiting for the effect is not its business. */
import type { FenceDevice } from './power-reading.ts';

/** `shut-down` presses the button: the operating system is asked to end, and may take its time or not do it. */
export type PowerOrder = 'off' | 'on' | 'shut-down';

export interface PowerDriver {
  /** @throws Error with the reason, without secrets */
  state(device: FenceDevice, signal: AbortSignal): Promise<'on' | 'off'>;
  /** Asks for it and answers once the device took the order. @throws Error */
  order(device: FenceDevice, action: PowerOrder, signal: AbortSignal): Promise<void>;
}
