/**
 * The first start makes the administrator. Its password is in a file that only the owner of the data folder can read; it is
 * there before the user is, so that no crash leaves an administrator whose password nobody knows.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@kvasir/api/clock.ts';
import { writeKeptFile } from '@kvasir/api/kept-file.ts';
import type { Ids } from './ids.ts';
import { hashPassword } from './services/passwords.ts';
import type { Store } from './store/database.ts';
import { users } from './store/users.ts';
import { firstRevision } from './store/versioned.ts';

export const firstAdminName = 'admin';

export interface FirstAdmin {
  readonly userName: string;
  readonly password: string;
  readonly passwordFile: string;
}

/** Undefined when there are users already. */
export async function makeFirstAdmin(
  store: Store,
  seams: { readonly clock: Clock; readonly ids: Ids },
  dataFolder: string,
): Promise<FirstAdmin | undefined> {
  if ((await users.count(store.db)) > 0) return undefined;
  const password = seams.ids.token(15);
  const passwordHash = await hashPassword(password);
  const passwordFile = join(dataFolder, 'admin-password');
  await writeKeptFile(passwordFile, `${password}\n`);
  const made = await store.transaction(async (tx) => {
    if ((await users.count(tx)) > 0) return false;
    await users.insert(tx, {
      ...firstRevision(seams.ids.uuid(), seams.clock.now()),
      name: firstAdminName,
      description: 'Made at the first start',
      systemRole: 'admin',
      disabled: false,
      passwordHash,
    });
    return true;
  });
  if (made) return { userName: firstAdminName, password, passwordFile };
  // Another manager was faster: this would be nobody's password.
  await rm(passwordFile);
  return undefined;
}
