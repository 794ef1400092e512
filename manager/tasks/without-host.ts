/**
 * What a call comes to when its host is proven dead. A file in a pool that others serve is deleted by one of them; a volume in the
 * host's own pool counts as deleted, and is noted for its return. Where a task is being taken back, or has no way back, what would be cleared on the host is noted for its return, a domain counts as stopped,
 * and a change to a definition as made: it is made from the rows again before the VM starts anywhere. Everything else has no
 * substitute.
 */
import { imageDelete, storageList, volumeDelete } from '@kvasir/api/agent/storage.ts';
import {
  vmAttachDisk,
  vmAttachNic,
  vmDefine,
  vmDetachDisk,
  vmDetachNic,
  vmResize,
  vmStop,
  vmUndefine,
} from '@kvasir/api/agent/vm.ts';
import type { AgentMethod, ParamsOf, ResultOf } from '@kvasir/api/agent/method.ts';
import type { FenceProofRow } from '../store/fence-proofs.ts';
import type { LeftoverPlace } from '../store/host-leftovers.ts';
import { pools } from '../store/pools.ts';
import { fileOn, leaveBehind, type LeavingSeams } from './leftover-clearing.ts';
import { hostsReaching } from './working-host.ts';

export interface Situation extends LeavingSeams {
  readonly proof: FenceProofRow;
  /** The task is being taken back, or cannot be. */
  readonly clearing: boolean;
  /** The same call to another host. */
  elsewhere<M extends AgentMethod>(hostId: string, method: M, params: ParamsOf<M>): Promise<ResultOf<M>>;
}

export interface Substitute {
  readonly answer: unknown;
}

const ofDefinitions: Readonly<Record<string, unknown>> = {
  [vmDefine.name]: { state: 'stopped' },
  [vmAttachDisk.name]: {},
  [vmDetachDisk.name]: {},
  [vmAttachNic.name]: {},
  [vmDetachNic.name]: {},
  [vmResize.name]: { live: false },
  [vmStop.name]: { state: 'stopped' },
};

/** Undefined: there is none. @throws KvasirError of the other host's */
export async function withoutHost<M extends AgentMethod>(
  situation: Situation,
  method: M,
  params: ParamsOf<M>,
): Promise<Substitute | undefined> {
  const { proof, clearing, store, elsewhere } = situation;
  const place = placeOf(proof.hostId, method, params);
  if (method.name === storageList.name || (place !== undefined && place.kind !== 'domain')) {
    const { poolId } = params as { readonly poolId: string };
    const other = await otherHost(store.db, poolId, proof.hostId);
    if (other !== undefined) {
      // Dead only to its leases, it may still be working on the file: it looks again itself.
      if (place !== undefined && proof.poolIds !== null) await leaveBehind(situation, [place]);
      return { answer: await elsewhere(other, method, params) };
    }
    if (method.name === storageList.name) return clearing ? { answer: { volumeIds: [], imageIds: [] } } : undefined;
  }
  // Nobody wants a volume back whose deletion was asked for: its file goes when its host is back.
  const asked = method.name === volumeDelete.name;
  if (!clearing && !asked) return undefined;
  if (place !== undefined) {
    await leaveBehind(situation, [place]);
    return { answer: {} };
  }
  return method.name in ofDefinitions ? { answer: ofDefinitions[method.name] } : undefined;
}

function placeOf(hostId: string, { name }: AgentMethod, params: unknown): LeftoverPlace | undefined {
  if (name === vmUndefine.name) {
    const { vmId } = params as ParamsOf<typeof vmUndefine>;
    return { hostId, kind: 'domain', targetId: vmId, poolId: null, format: null };
  }
  if (name === volumeDelete.name) return fileOn(hostId, params as ParamsOf<typeof volumeDelete>);
  if (name !== imageDelete.name) return undefined;
  const { imageId, poolId, format } = params as ParamsOf<typeof imageDelete>;
  return { hostId, kind: 'image', targetId: imageId, poolId, format };
}

/** One that serves the same shared pool. */
async function otherHost(db: Situation['store']['db'], poolId: string, hostId: string): Promise<string | undefined> {
  if ((await pools.find(db, { id: poolId }))?.shared !== true) return undefined;
  return (await hostsReaching(db, poolId)).find(({ id }) => id !== hostId)?.id;
}
