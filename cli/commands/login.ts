/** `kvasir login` and `kvasir logout`: write and clear the profile. */
import { type Client, createClient } from '@kvasir/api/client.ts';
import { sessionOperations } from '@kvasir/api/resources/session.ts';
import type { Command } from 'commander';
import { connect, type GlobalFlags } from '../connection.ts';
import { addGlobalOptions } from '../option-set.ts';
import { defaultUrl, type Profile, profilePath, readProfiles, writeProfiles } from '../profile.ts';
import { secretReader } from '../secret.ts';
import type { Surroundings } from '../surroundings.ts';
import { UsageError } from '../usage-error.ts';

interface LoginFlags extends GlobalFlags {
  readonly user: string;
  readonly passwordFile?: string;
  readonly tokenFile?: string;
}

export function addLogin(program: Command, around: Surroundings): void {
  const command = program
    .command('login')
    .description('Log in and remember where the manager is, in a profile')
    .option('--user <name>', 'user name', 'admin')
    .option('--password-file <file>', 'file that holds the password, - for stdin; else it is asked for')
    .option('--token-file <file>', 'keep an API token (kvasir api-token create) instead of logging in with a password');
  addGlobalOptions(command, true);
  command.action(async () => {
    const flags: LoginFlags = command.optsWithGlobals();
    const file = await readProfiles(around.env, (line) => around.stderr.write(`${line}\n`));
    const name = flags.profile ?? file.current;
    const url = (flags.url ?? around.env.KVASIR_URL ?? file.profiles[name]?.url ?? defaultUrl).replace(/\/+$/, '');
    if (!/^https?:\/\/[^/]/.test(url)) throw new UsageError(`"${url}" is not an address such as ${defaultUrl}`);
    if (flags.passwordFile !== undefined && flags.tokenFile !== undefined) {
      throw new UsageError('give either --password-file or --token-file');
    }
    const { token, user } = await (flags.tokenFile === undefined ? withPassword() : withToken(flags.tokenFile));
    const { project, none } = await usualProject(createClient({ baseUrl: url, token }), flags, file.profiles[name]);
    const profile = { url, token, ...(project === undefined ? {} : { project }) };
    await writeProfiles(around.env, { current: name, profiles: { ...file.profiles, [name]: profile } });
    around.stdout.write(`logged in at ${url} as ${user}; profile "${name}" in ${profilePath(around.env)}\n`);
    if (name !== file.current) around.stdout.write(`"${name}" is the current profile now\n`);
    if (none) around.stdout.write('you are in no project yet; an administrator can add you to one\n');
    else if (project !== undefined) around.stdout.write(`commands work in project ${project}\n`);

    async function withPassword() {
      const password = await secretReader(around)('password', flags.passwordFile);
      const body = { userName: flags.user, password };
      const session = await createClient({ baseUrl: url }).call(sessionOperations.create, { body });
      return { token: session.token, user: session.user.name };
    }
    async function withToken(path: string) {
      const given = await secretReader(around)('token', path);
      const answer = await createClient({ baseUrl: url, token: given }).call(sessionOperations.current);
      return { token: given, user: answer.user.name };
    }
  });
}

/**
 * The project that commands of this login work in when none is given: the one of before, if the user still sees it; undefined
 * means `default`. A tenant sees no `default`, but the first of its own.
 */
async function usualProject(
  client: Client,
  asked: GlobalFlags,
  before: Profile | undefined,
): Promise<{ readonly project: string | undefined; readonly none: boolean }> {
  if (asked.project !== undefined) return { project: asked.project, none: false };
  const names = (await client.call(sessionOperations.current)).projects.map(({ name }) => name);
  const known = before?.project !== undefined && names.includes(before.project) ? before.project : undefined;
  return { project: known ?? (names.includes('default') ? undefined : names[0]), none: names.length === 0 };
}

export function addLogout(program: Command, around: Surroundings): void {
  const command = program.command('logout').description('End the session and forget its token');
  addGlobalOptions(command, false);
  command.action(async () => {
    const flags: GlobalFlags = command.optsWithGlobals();
    const { client, profileName } = await connect(flags, around);
    const file = await readProfiles(around.env, () => {});
    // An API token is no session: the manager refuses to end it, and forgetting it here is all there is to do.
    const refusal = await client.call(sessionOperations.delete).then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    const known = file.profiles[profileName];
    if (known) {
      const { token: _forgotten, ...kept } = known;
      await writeProfiles(around.env, { ...file, profiles: { ...file.profiles, [profileName]: kept } });
    }
    if (refusal !== undefined) around.stderr.write(`warning: the session was not ended: ${refusal}\n`);
    around.stdout.write(`logged out of profile "${profileName}"\n`);
  });
}
