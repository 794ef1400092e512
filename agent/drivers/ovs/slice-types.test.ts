/** What the manager sends is what the flow compiler takes: `ovs` imports nothing of ours, so both declare the same, and this holds them together. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import { compile } from '@kvasir/ovs/compile/compile.ts';
import { allocateNumbers, noNumbers } from '@kvasir/ovs/compile/numbers.ts';
import type * as Compiled from '@kvasir/ovs/compile/slice.ts';

/** Every field that the compiler reads has exactly the type of the contract. */
type Same<Ours, Theirs> = [Ours] extends [Pick<Theirs, keyof Ours & keyof Theirs>]
  ? [Theirs] extends [Ours]
    ? true
    : false
  : false;
type Deep<T> = T extends readonly (infer Item)[]
  ? readonly Deep<Item>[]
  : T extends object
    ? { readonly [K in keyof T]: Deep<T[K]> }
    : T;
type Item<Key extends keyof NetworkSlice> = Deep<Required<NetworkSlice>[Key][number]>;

const same: readonly true[] = [
  true satisfies Same<Compiled.Uplink, Item<'uplinks'>>,
  true satisfies Same<Compiled.Port, Item<'ports'>>,
  true satisfies Same<Compiled.Rule, Item<'groups'>['rules'][number]>,
  true satisfies Same<Compiled.AddressSet, Item<'addressSets'>>,
  true satisfies Same<Compiled.Router['interfaces'][number], Item<'routers'>['interfaces'][number]>,
  true satisfies Same<Compiled.Gateway, NonNullable<Item<'routers'>['gateway']>>,
];

test('a slice of the contract goes into the compiler as it is', () => {
  const slice: NetworkSlice = {
    uplinks: [],
    networks: [],
    ports: [],
    groups: [],
    addressSets: [],
    routers: [],
    mirrors: [],
  };
  const accepted: Compiled.Slice = slice;
  const { flows } = compile(accepted, {
    numbers: allocateNumbers(noNumbers, slice),
    nicPorts: {},
    uplinkPorts: {},
    defaultUplinkPort: null,
    tunnelPort: null,
    tunnelAddress: null,
    services: null,
    bridgeMac: '52:54:00:00:00:01',
    neighbours: {},
  });
  assert.ok(flows.length > 0);
  assert.ok(same.every(Boolean));
});
