/** `kvasir vm screenshot NAME -f out.png`. */
import { writeFile } from 'node:fs/promises';
import { vmOperations } from '@kvasir/api/resources/vm-operations.ts';
import type { Command } from 'commander';
import { connect, type GlobalFlags } from '../connection.ts';
import { addGlobalOptions } from '../option-set.ts';
import { groupOf } from '../own-commands.ts';
import type { Surroundings } from '../surroundings.ts';
import { UsageError } from '../usage-error.ts';

export function addVmScreenshot(program: Command, around: Surroundings): void {
  const command = groupOf(program, 'vm')
    .command('screenshot')
    .description("Save a picture of the VM's screen")
    .argument('<vm>', 'Name or id')
    .option('-f, --file <file>', 'where the PNG goes, - for stdout (default: NAME.png)');
  addGlobalOptions(command, true);
  command.action(async (vm: string) => {
    const flags: GlobalFlags & { readonly file?: string } = command.optsWithGlobals();
    const { client, project } = await connect(flags, around);
    const file = flags.file ?? `${vm}.png`;
    if (file === '-' && around.stdout.isTTY)
      throw new UsageError('a picture is not written to a terminal; name a file with -f');
    const picture = await client.call(vmOperations.screenshot, {
      params: { vm },
      query: { project },
      signal: around.interrupted,
    });
    if (!(picture instanceof Uint8Array)) throw new Error('the manager sent no picture');
    if (file === '-') {
      around.stdout.write(picture);
      return;
    }
    await writeFile(file, picture);
    around.stderr.write(`${file}: ${picture.byteLength} bytes\n`);
  });
}
