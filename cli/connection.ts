/** Which manager, with which credentials, in which project: flags over environment over profile. */
import { type Client, createClient } from '@kvasir/api/client.ts';
import { defaultUrl, readProfiles } from './profile.ts';
import type { Surroundings } from './surroundings.ts';
import { UsageError } from './usage-error.ts';

export interface GlobalFlags {
  readonly output?: 'table' | 'json' | 'yaml';
  readonly wide?: boolean;
  readonly project?: string;
  readonly profile?: string;
  readonly url?: string;
}

export interface Connection {
  readonly client: Client;
  readonly profileName: string;
  readonly project: string | undefined;
}

export async function connect(flags: GlobalFlags, around: Surroundings): Promise<Connection> {
  const file = await readProfiles(around.env, (line) => around.stderr.write(`${line}\n`));
  const profileName = flags.profile ?? file.current;
  const profile = file.profiles[profileName];
  if (flags.profile !== undefined && !profile) {
    throw new UsageError(`there is no profile "${profileName}"; make it with: kvasir login --profile ${profileName}`);
  }
  const url = flags.url ?? around.env.KVASIR_URL ?? profile?.url ?? defaultUrl;
  if (!/^https?:\/\/[^/]/.test(url)) throw new UsageError(`"${url}" is not an address such as ${defaultUrl}`);
  // The profile's token belongs to the profile's manager: it is sent to no other address.
  const token = around.env.KVASIR_TOKEN ?? (url === profile?.url ? profile.token : undefined);
  const client = createClient({ baseUrl: url, token });
  return { client, profileName, project: flags.project ?? profile?.project };
}
