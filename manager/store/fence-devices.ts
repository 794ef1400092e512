/** Devices that control the power of hosts. The password is sealed with the key of the data folder and never leaves in the clear. */
import { Table } from './table.ts';
import { type Versioned, versioned } from './versioned.ts';

export interface FenceDeviceRow extends Versioned {
  readonly name: string;
  readonly hostId: string;
  readonly kind: 'ipmi' | 'redfish';
  readonly address: string;
  readonly port: number;
  readonly userName: string;
  readonly sealedPassword: string;
  /** SHA-256 of the device's TLS certificate in hex; null: it is signed by an authority that the manager's system trusts. */
  readonly certificateFingerprint: string | null;
  readonly systemPath: string | null;
  readonly position: number;
  /** When it was last asked whether it is wired right; null: at the next occasion. */
  readonly checkedAt: number | null;
  /** Why it could not be asked then. */
  readonly checkError: string | null;
  /** When it last read 'on' while its host was heard. */
  readonly seenOnAt: number | null;
  /** What shows that it controls another machine; null: nothing. */
  readonly mistrustedBecause: string | null;
}

/** Nothing is known of a device that is new, or that is at another place than before. */
export const unverified = { checkedAt: null, checkError: null, seenOnAt: null, mistrustedBecause: null } as const;

export const fenceDevices = new Table<FenceDeviceRow>({
  table: 'fenceDevices',
  kind: 'fence device',
  columns: {
    ...versioned,
    name: 'text',
    hostId: 'text',
    kind: 'text',
    address: 'text',
    port: 'integer',
    userName: 'text',
    sealedPassword: 'text',
    certificateFingerprint: 'text',
    systemPath: 'text',
    position: 'integer',
    checkedAt: 'integer',
    checkError: 'text',
    seenOnAt: 'integer',
    mistrustedBecause: 'text',
  },
});
