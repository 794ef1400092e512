/** Whether the host's physical connections have a carrier, as the kernel says. */
import { readFile } from 'node:fs/promises';
import type { Liveness } from '@kvasir/api/agent/liveness.ts';

export async function readUplinks(names: readonly string[], sys = '/sys/class/net'): Promise<Liveness['uplinks']> {
  return Promise.all(
    names.map(async (name) => {
      // Reading the carrier of an interface that is switched off fails: it is down.
      const carrier = await readFile(`${sys}/${name}/carrier`, 'utf8').catch(() => '0');
      return { name, up: carrier.trim() === '1' };
    }),
  );
}
