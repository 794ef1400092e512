/** Power devices as operators see them. Their passwords go in and never come out. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { fenceDeviceOperations } from '@kvasir/api/resources/fence-device.ts';
import { type FenceDeviceRow, fenceDevices, unverified } from '../store/fence-devices.ts';
import { hosts } from '../store/hosts.ts';
import { byNameOrId, notFoundAt } from './access.ts';
import type { Call, ChangeService, OpenService, ReadService } from './call.ts';
import { announceLife, checkName, checkRevision, fresh, updateRow } from './changes.ts';
import { powerView } from './host-power.ts';
import { iso, versionedView } from './views.ts';

const defaultPorts = { ipmi: 623, redfish: 443 } as const;

export const listFenceDevices: ReadService<typeof fenceDeviceOperations.list> = async (call, { query }) => {
  const { name, host, ...paging } = query;
  const hostId = host === undefined ? undefined : (await hostAt(call, host, '/query/host')).id;
  const page = await fenceDevices.list(call.db, { sort: 'name', ...paging, where: { name, hostId } });
  return { ...page, items: page.items.map(view) };
};

export const getFenceDevice: ReadService<typeof fenceDeviceOperations.get> = async (call, { params }) =>
  view(await find(call, params.fenceDevice));

export const createFenceDevice: ChangeService<typeof fenceDeviceOperations.create> = async (change, { body }) => {
  checkName(body.name);
  const { host, password, ...given } = body;
  const hostId = (await hostAt(change, host, '/body/host')).id;
  refuseRedfishOnly(given.kind, given);
  const versioned = fresh(change);
  const row: FenceDeviceRow = {
    ...versioned,
    port: defaultPorts[given.kind],
    certificateFingerprint: null,
    systemPath: null,
    position: 0,
    ...unverified,
    ...given,
    hostId,
    sealedPassword: change.env.secrets.seal(password, versioned.id),
  };
  await fenceDevices.insert(change.tx, row);
  await announceLife(change, 'created', fenceDevices.kind, row);
  return view(row);
};

export const updateFenceDevice: ChangeService<typeof fenceDeviceOperations.update> = async (
  change,
  { params, body },
) => {
  checkName(body.name);
  const row = await find(change, params.fenceDevice);
  const { password, ...given } = body;
  refuseRedfishOnly(row.kind, given);
  const sealed = password === undefined ? {} : { sealedPassword: change.env.secrets.seal(password, row.id) };
  // At another place it may be another device.
  const moved = (['address', 'port', 'systemPath'] as const).some(
    (field) => (given[field] ?? row[field]) !== row[field],
  );
  return view(await updateRow(change, fenceDevices, row, { ...given, ...sealed, ...(moved ? unverified : {}) }));
};

export const deleteFenceDevice: ChangeService<typeof fenceDeviceOperations.delete> = async (change, { params }) => {
  const row = await find(change, params.fenceDevice);
  checkRevision(change, fenceDevices.kind, row);
  await fenceDevices.remove(change.tx, { id: row.id });
  await announceLife(change, 'deleted', fenceDevices.kind, row);
  return null;
};

export const testFenceDevice: OpenService<typeof fenceDeviceOperations.test> = async (call, { params }) => {
  const row = await find(call, params.fenceDevice);
  return powerView({ device: row, reading: await call.env.power.powerState(row.id) });
};

function refuseRedfishOnly(
  kind: FenceDeviceRow['kind'],
  given: { readonly certificateFingerprint?: string | null; readonly systemPath?: string | null },
): void {
  for (const field of ['certificateFingerprint', 'systemPath'] as const) {
    if (kind === 'ipmi' && (given[field] ?? null) !== null) throw invalidField(`/body/${field}`, 'is for redfish only');
  }
}

async function hostAt(call: Call, nameOrId: string, field: string) {
  const host = await hosts.find(call.db, byNameOrId(nameOrId));
  if (host === undefined) throw notFoundAt(field, hosts.kind, nameOrId);
  return host;
}

async function find(call: Call, nameOrId: string): Promise<FenceDeviceRow> {
  const row = await fenceDevices.find(call.db, byNameOrId(nameOrId));
  if (row === undefined) throw new KvasirError('not-found', { kind: fenceDevices.kind, id: nameOrId });
  return row;
}

function view(row: FenceDeviceRow) {
  const { name, hostId, kind, address, port, userName, certificateFingerprint, systemPath, position } = row;
  return {
    ...versionedView(row),
    ...{ name, hostId, kind, address, port, userName, certificateFingerprint, systemPath, position },
    ...trustView(row),
  };
}

function trustView({ checkedAt, checkError, seenOnAt, mistrustedBecause }: FenceDeviceRow) {
  const known = seenOnAt === null ? 'unverified' : 'verified';
  return {
    trust: mistrustedBecause === null ? known : 'mistrusted',
    trustBecause: mistrustedBecause ?? checkError,
    checkedAt: checkedAt === null ? null : iso(checkedAt),
    seenOnAt: seenOnAt === null ? null : iso(seenOnAt),
  } as const;
}
