/** What the leader looks after once a minute: the trash, uploads that nobody finishes, and what is too old to be kept. */
import { type UploadSeams, tidyUploads } from '../tasks/upload-import-intent.ts';
import { prune } from './pruning.ts';
import { type Log, Rounds } from './rounds.ts';
import { emptyTrash } from './trash.ts';

const everyMs = 60_000;

export function upkeep(seams: UploadSeams, log: Log): Rounds {
  const round = async (signal: AbortSignal): Promise<void> => {
    await emptyTrash(seams);
    await tidyUploads(seams);
    await prune(seams, signal);
  };
  return new Rounds({ name: 'upkeep', clock: seams.clock, everyMs, log, round });
}
