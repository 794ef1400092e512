/** What a device that controls a host's power said about it, as decisions are told it. */
import type { PowerCut, PowerReading } from '@kvasir/control/ha/fence-proof.ts';

/** A host's power, by the devices registered for it. Implemented by `Fencing`. */
export interface HostPower {
  /**
   * Switches off at once, without asking the operating system, and answers only when the device itself read 'off'
   * afterwards; it is asked how the power is before it is told. Errors: `fencing-failed` with the reason (no answer, wrong password, still on after the time allowed).
   */
  powerOff(device: FenceDevice, signal?: AbortSignal): Promise<PowerCut>;
  /**
   * Presses the power button once, which asks the operating system to shut down, and answers when the device reads 'off'. Errors:
   * `fencing-failed` with the reason (no answer, it does not know such an order, still on after the time allowed).
   */
  shutDown(device: FenceDevice, signal?: AbortSignal): Promise<PowerReading>;
  /** Errors: `fencing-failed`. */
  powerOn(device: FenceDevice, signal?: AbortSignal): Promise<PowerReading>;
  /** Errors: `fencing-failed`. */
  powerState(device: FenceDevice, signal?: AbortSignal): Promise<PowerReading>;
}

/** One way to a host's power, its password in the clear: kept in memory only, never logged, never in argv or a URL. */
export interface FenceDevice {
  readonly id: string;
  readonly hostId: string;
  readonly hostName: string;
  readonly name: string;
  readonly kind: 'ipmi' | 'redfish';
  readonly address: string;
  readonly port: number;
  readonly userName: string;
  readonly password: string;
  /** Redfish: SHA-256 of the device's certificate in hex; null: a CA that the manager's system trusts. */
  readonly certificateFingerprint: string | null;
  /** Redfish: path of the system; null: the only one that the device has. */
  readonly systemPath: string | null;
  /** Several devices of a host are tried in this order, the lowest first. */
  readonly position: number;
}
