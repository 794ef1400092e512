/** What tasks, services and controllers need of power devices, by the ids of their rows; `manager/hosts/fencing/` implements it, tests fake it. */
import type { PowerCut, PowerReading } from '@kvasir/control/ha/fence-proof.ts';

/** Every method throws `fencing-failed` with the reason, or `not-found`. */
export interface PowerControl {
  powerState(deviceId: string, signal?: AbortSignal): Promise<PowerReading>;
  /** Answers when the device itself says that the power is on. */
  powerOn(deviceId: string, signal?: AbortSignal): Promise<PowerReading>;
  /** Asks the operating system, by the power button, and answers when the device says that the power is off; fails after two minutes. */
  shutDown(deviceId: string, signal?: AbortSignal): Promise<PowerReading>;
  /** At once, without the operating system. Answers when the device itself says that the power is off. */
  powerOff(deviceId: string, signal?: AbortSignal): Promise<PowerCut>;
}
