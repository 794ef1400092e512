/** A guest that is well and answers everything. */
import type { GuestDriver } from '../drivers/guest.ts';

export class FakeGuest implements GuestDriver {
  async ping(): Promise<boolean> {
    return true;
  }

  async info() {
    return { agent: true, hostname: 'guest', os: null, addresses: ['10.0.0.2'] };
  }

  async exec() {
    return { exitCode: 0, stdout: 'out', stderr: '' };
  }

  async freeze() {
    return { fileSystems: 1 };
  }

  async thaw() {
    return { fileSystems: 1 };
  }
}
