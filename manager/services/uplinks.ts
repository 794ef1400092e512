/** Uplinks: which NICs of a host carry a switch. How they are is what the host reported last. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { uplinkOperations } from '@kvasir/api/resources/uplink.ts';
import { sql } from 'kysely';
import { type HostRow, hosts } from '../store/hosts.ts';
import { type SwitchRow, switches, type UplinkRow, uplinks } from '../store/switches.ts';
import { byNameOrId, notFoundAt } from './access.ts';
import type { Call, Change, OpenService, ReadService } from './call.ts';
import { announceLife, checkName, checkRevision, fresh, nudging, updateRow } from './changes.ts';
import { findSwitchAt } from './network-plan.ts';
import { isSpanned } from './switches.ts';
import { versionedView } from './views.ts';

export const listUplinks: ReadService<typeof uplinkOperations.list> = async (call, { query }) => {
  const { name, switch: on, host, ...paging } = query;
  const switchId = on === undefined ? undefined : (await findSwitchAt(call.db, on, '/query/switch')).id;
  const hostId = host === undefined ? undefined : (await findHostAt(call, host, '/query/host')).id;
  const page = await uplinks.list(call.db, { sort: 'name', ...paging, where: { name, switchId, hostId } });
  return { ...page, items: await uplinkViews(call, page.items) };
};

export const getUplink: ReadService<typeof uplinkOperations.get> = async (call, { params }) =>
  uplinkView(call, await findUplink(call, params.uplink));

export const createUplink: OpenService<typeof uplinkOperations.create> = nudging(async (change, { body }) => {
  checkName(body.name);
  const on = await findSwitchAt(change.db, body.switch, '/body/switch');
  const host = await findHostAt(change, body.host, '/body/host');
  if (!(await isSpanned(change.db, on, host.id)))
    throw invalidField('/body/host', `is not a host of switch ${on.name}`);
  if (await uplinks.find(change.tx, { switchId: on.id, hostId: host.id })) {
    throw new KvasirError('name-taken', { kind: `uplink of host ${host.name}`, name: on.name }, [
      { path: '/body/host', message: 'is connected to this switch already' },
    ]);
  }
  await refuseForeignNics(change, host.id, body.nics, undefined);
  const row: UplinkRow = {
    ...fresh(change),
    name: body.name ?? `${on.name}-${host.name}`.slice(0, 63),
    switchId: on.id,
    hostId: host.id,
    nics: body.nics,
    bond: bondOf(body.nics, body.bond, on.defaultBond),
    lacpFast: body.lacpFast ?? false,
  };
  await uplinks.insert(change.tx, row);
  await announceLife(change, 'created', uplinks.kind, row);
  return uplinkView(change, row);
});

export const updateUplink: OpenService<typeof uplinkOperations.update> = nudging(async (change, { params, body }) => {
  checkName(body.name);
  const row = await findUplink(change, params.uplink);
  checkRevision(change, uplinks.kind, row);
  const nics = body.nics ?? row.nics;
  await refuseForeignNics(change, row.hostId, nics, row.id);
  const { defaultBond } = await switches.get(change.tx, row.switchId);
  const bond = bondOf(nics, body.bond, row.bond ?? defaultBond);
  return uplinkView(change, await updateRow(change, uplinks, row, { ...body, nics, bond }));
});

export const deleteUplink: OpenService<typeof uplinkOperations.delete> = nudging(async (change, { params }) => {
  const row = await findUplink(change, params.uplink);
  checkRevision(change, uplinks.kind, row);
  const used = await change.tx
    .selectFrom('ports')
    .innerJoin('vms', 'vms.id', 'ports.vmId')
    .innerJoin('networks', 'networks.id', 'ports.networkId')
    .select(sql<number>`count(*)`.as('count'))
    .where('networks.switchId', '=', row.switchId)
    .where((eb) => eb.or([eb('vms.hostId', '=', row.hostId), eb('vms.reservedHostId', '=', row.hostId)]))
    .executeTakeFirstOrThrow();
  const count = Number(used.count);
  if (count > 0)
    throw new KvasirError('in-use', { kind: uplinks.kind, name: row.name, by: `${count} NIC(s) on its host` });
  await uplinks.remove(change.tx, { id: row.id });
  await announceLife(change, 'deleted', uplinks.kind, row);
  return null;
});

function bondOf(
  nics: readonly string[],
  asked: UplinkRow['bond'] | undefined,
  otherwise: SwitchRow['defaultBond'],
): UplinkRow['bond'] {
  if (nics.length === 1) {
    if (asked != null) throw invalidField('/body/bond', 'needs at least two NICs');
    return null;
  }
  return asked ?? otherwise;
}

/** A NIC is in one uplink; whether the host has it is seen in the uplink's state. */
async function refuseForeignNics(
  change: Change,
  hostId: string,
  nics: readonly string[],
  own: string | undefined,
): Promise<void> {
  for (const other of await uplinks.select(change.tx, { hostId })) {
    const index = other.id === own ? -1 : nics.findIndex((nic) => other.nics.includes(nic));
    if (index >= 0) throw invalidField(`/body/nics/${index}`, `belongs to uplink ${other.name} already`);
  }
}

async function findUplink(call: Call, nameOrId: string): Promise<UplinkRow> {
  const row = await uplinks.find(call.db, byNameOrId(nameOrId));
  if (!row) throw new KvasirError('not-found', { kind: uplinks.kind, id: nameOrId });
  return row;
}

async function findHostAt(call: Call, nameOrId: string, field: string): Promise<HostRow> {
  const row = await hosts.find(call.db, byNameOrId(nameOrId));
  if (!row) throw notFoundAt(field, hosts.kind, nameOrId);
  return row;
}

async function uplinkView(call: Call, row: UplinkRow) {
  return (await uplinkViews(call, [row]))[0]!;
}

async function uplinkViews(call: Call, rows: readonly UplinkRow[]) {
  const hostOf = new Map(
    (await hosts.select(call.db, { id: rows.map(({ hostId }) => hostId) })).map((row) => [row.id, row]),
  );
  const switchRows = await switches.select(call.db, { id: rows.map(({ switchId }) => switchId) });
  const switchNames = new Map(switchRows.map(({ id, name }) => [id, name]));
  return rows.map((row) => {
    const { name, switchId, hostId, nics, bond, lacpFast } = row;
    const host = hostOf.get(hostId);
    const { uplinkId: _uplinkId, ...state } =
      host?.inventory?.uplinks?.find(({ uplinkId }) => uplinkId === row.id) ?? {};
    return {
      ...versionedView(row),
      name,
      switchId,
      switchName: switchNames.get(switchId) ?? '',
      hostId,
      hostName: host?.name ?? '',
      nics: [...nics],
      bond,
      lacpFast,
      state: 'up' in state ? state : null,
    };
  });
}
