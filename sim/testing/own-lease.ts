/** A planted bug: each manager keeps a leader's lease of its own, so that one which was deposed goes on under its old epoch. */
import type { Store } from '@kvasir/manager/store/database.ts';
import { leader, type LeaderRow } from '@kvasir/manager/store/leader.ts';

export function ownLease(real: Store, manager: string): Store {
  let own: LeaderRow | undefined;
  return {
    kind: real.kind,
    db: real.db,
    onCommit: (listener) => real.onCommit(listener),
    close: () => real.close(),
    transaction: (work) =>
      real.transaction(async (tx) => {
        const shared = await leader.get(tx, 'leader');
        await leader.set(tx, { id: 'leader' }, own ?? { ...shared, holder: null, epoch: manager === 'm1' ? 1 : 2 });
        const result = await work(tx);
        own = await leader.get(tx, 'leader');
        await leader.set(tx, { id: 'leader' }, shared);
        return result;
      }),
  };
}
