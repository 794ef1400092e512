/**
 * The documents of slices that this host has: those of the last outline that arrived. In memory only: after a start the agent serves
 * the slice that it wrote down, and is sent the documents again.
 */
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import {
  digestsOf,
  type NamedDocument,
  readOutline,
  type SliceDocument,
  type SliceOutline,
} from '@kvasir/api/agent/slice-outline.ts';

export class SliceDocuments {
  #documents: ReadonlyMap<string, SliceDocument> = new Map();

  /** The slice, or the digests of what it lacks; documents that the outline does not name are forgotten. */
  read(
    hostId: string,
    outline: SliceOutline,
    sent: readonly NamedDocument[],
  ): { readonly slice: NetworkSlice } | { readonly missing: string[] } {
    const arrived = new Map(sent.map(({ digest, content }) => [digest, content]));
    const documents = new Map<string, SliceDocument>();
    const missing: string[] = [];
    for (const digest of digestsOf(outline)) {
      const content = arrived.get(digest) ?? this.#documents.get(digest);
      if (content === undefined) missing.push(digest);
      else documents.set(digest, content);
    }
    this.#documents = documents;
    return missing.length > 0 ? { missing } : { slice: readOutline(hostId, outline, documents) };
  }
}
