/** `kvasir profile list|use`: which of the remembered logins is the current one. */
import type { Command } from 'commander';
import type { GlobalFlags } from '../connection.ts';
import { addGlobalOptions } from '../option-set.ts';
import { printList } from '../output.ts';
import { readProfiles, writeProfiles } from '../profile.ts';
import { groupOf } from '../own-commands.ts';
import type { Surroundings } from '../surroundings.ts';
import { UsageError } from '../usage-error.ts';

export function addProfile(program: Command, around: Surroundings): void {
  const profile = groupOf(program, 'profile').description('Which login commands use').helpCommand(false);
  const profiles = () => readProfiles(around.env, (line) => around.stderr.write(`${line}\n`));

  const list = profile.command('list').description('List the remembered logins');
  addGlobalOptions(list, false);
  list.action(async () => {
    const flags: GlobalFlags = list.optsWithGlobals();
    const file = await profiles();
    const items = Object.entries(file.profiles).map(([name, { url, project, token }]) => ({
      name,
      current: name === file.current,
      loggedIn: token !== undefined,
      url,
      project: project ?? 'default',
    }));
    await printList(items, ['name', 'current', 'loggedIn', 'url', 'project'], flags, around);
  });

  profile
    .command('use')
    .description('Make a login the current one')
    .argument('<profile>', 'its name')
    .action(async (name: string) => {
      const file = await profiles();
      if (!file.profiles[name]) {
        throw new UsageError(`there is no profile "${name}"; make it with: kvasir login --profile ${name}`);
      }
      await writeProfiles(around.env, { ...file, current: name });
      around.stdout.write(`"${name}" is the current profile now\n`);
    });
}
