/**
 * How a slice travels: an outline of the host's own things, and documents that many hosts have in common, named by the digest of
 * their content. The outline is whole: with its documents it is exactly one slice. What a host has of documents it need not
 * be sent again; what it lacks it says. So a change among a thousand members costs each host the part that changed.
 */
import { type Static, Type } from 'typebox';
import { closed, Id, MacAddress, nullable } from '../schema.ts';
import {
  type NetworkSlice,
  PortProject,
  SliceGroup,
  SliceMirror,
  SliceNetwork,
  SlicePort,
  type SliceRemotePort,
  SliceRouter,
  SliceUplink,
} from './network-slice.ts';

const Address = Type.String({ maxLength: 45 });
export const DocumentDigest = Type.String({ minLength: 1, maxLength: 44 });

/** A port of a network as all hosts see it; a host leaves itself out. */
export const NetworkMember = closed({
  macAddress: MacAddress,
  addresses: Type.Array(Address),
  name: nullable(Type.String()),
  projectId: PortProject,
  /** Two while it moves. `vtep` null: it takes no part in tunnels. */
  places: Type.Array(closed({ hostId: Id, vtep: nullable(Address) }), { minItems: 1, maxItems: 2 }),
});
export type NetworkMember = Static<typeof NetworkMember>;

export const SliceDocument = Type.Union([
  closed({ members: Type.Array(NetworkMember) }),
  closed({ addresses: Type.Array(Address) }),
  closed({ group: SliceGroup }),
]);
export type SliceDocument = Static<typeof SliceDocument>;

const { remotePorts: _ports, memberVteps: _vteps, ...networkFacts } = SliceNetwork.properties;

export const OutlineNetwork = closed({
  ...networkFacts,
  /** Documents of members; of networks without tunnels and names: none. */
  members: Type.Array(DocumentDigest),
});
export type OutlineNetwork = Static<typeof OutlineNetwork>;

export const SliceOutline = closed({
  uplinks: Type.Array(SliceUplink),
  networks: Type.Array(OutlineNetwork),
  ports: Type.Array(SlicePort),
  groups: Type.Array(DocumentDigest),
  /** The addresses are those of all parts. */
  addressSets: Type.Array(closed({ groupId: Id, parts: Type.Array(DocumentDigest) })),
  routers: Type.Array(SliceRouter),
  mirrors: Type.Array(SliceMirror),
});
export type SliceOutline = Static<typeof SliceOutline>;

export const NamedDocument = closed({ digest: DocumentDigest, content: SliceDocument });
export type NamedDocument = Static<typeof NamedDocument>;

export const emptyOutline: SliceOutline = {
  uplinks: [],
  networks: [],
  ports: [],
  groups: [],
  addressSets: [],
  routers: [],
  mirrors: [],
};

/** The documents that an outline names, each once. */
export function digestsOf({ networks, groups, addressSets }: SliceOutline): Set<string> {
  const digests = new Set(groups);
  for (const { members } of networks) for (const digest of members) digests.add(digest);
  for (const { parts } of addressSets) for (const digest of parts) digests.add(digest);
  return digests;
}

/** The slice that the outline means at this host. All its documents must be there: an Error says which is not. */
export function readOutline(
  hostId: string,
  outline: SliceOutline,
  documents: ReadonlyMap<string, SliceDocument>,
): NetworkSlice {
  const find = <K extends PropertyKey>(digest: string, kind: K): Extract<SliceDocument, Record<K, unknown>> => {
    const content = documents.get(digest);
    if (content === undefined || !(kind in content)) throw new Error(`no document ${digest} of ${String(kind)}`);
    return content as Extract<SliceDocument, Record<K, unknown>>;
  };
  return {
    ...outline,
    networks: outline.networks.map(({ members: parts, ...facts }) => {
      const members = parts.flatMap((digest) => find(digest, 'members').members);
      const vxlan = facts.kind === 'vxlan';
      return {
        ...facts,
        remotePorts: members.flatMap((member) => elsewhere(member, hostId, vxlan)),
        memberVteps: vxlan ? otherVteps(members, hostId) : [],
      };
    }),
    groups: outline.groups.map((digest) => find(digest, 'group').group),
    addressSets: outline.addressSets.map(({ groupId, parts }) => ({
      groupId,
      addresses: parts.flatMap((digest) => find(digest, 'addresses').addresses),
    })),
  };
}

function elsewhere({ places, ...member }: NetworkMember, hostId: string, vxlan: boolean): SliceRemotePort[] {
  const others = places.filter((place) => place.hostId !== hostId);
  if (others.length === 0) return [];
  return [{ ...member, vteps: vxlan ? vtepsOf(others) : [] }];
}

function otherVteps(members: readonly NetworkMember[], hostId: string): string[] {
  return vtepsOf(members.flatMap(({ places }) => places).filter((place) => place.hostId !== hostId));
}

function vtepsOf(places: NetworkMember['places']): string[] {
  return [...new Set(places.flatMap(({ vtep }) => vtep ?? []))].sort();
}
