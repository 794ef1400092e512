/** A fence device controls the power of a host (its BMC), so that a host that is out of reach can be switched off for certain. */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import { closed, common, Id, listQuery, Name, NameOrId, nullable, oneOf, page, Timestamp } from '../schema.ts';

export const FenceDeviceKind = oneOf(['ipmi', 'redfish'] as const);

const Address = Type.String({
  pattern: '^[A-Za-z0-9.:-]{1,253}$',
  description: 'Address or name of the device, reachable by the manager',
});
const Port = Type.Integer({ minimum: 1, maximum: 65_535, description: 'Default: 623 (ipmi), 443 (redfish)' });
const Password = Type.String({ minLength: 1, maxLength: 128, description: 'Kept sealed, never shown again' });
const Fingerprint = Type.String({
  pattern: '^[0-9a-f]{64}$',
  description:
    "redfish: SHA-256 of the device's certificate; without it an authority that the system trusts must have signed it",
});
const SystemPath = Type.String({
  pattern: '^/redfish/v1/[A-Za-z0-9._/-]{1,200}$',
  description: 'redfish: the system, for a device that controls several',
});
const UserName = Type.String({ pattern: '^[A-Za-z0-9._@-]{1,64}$' });
const Position = Type.Integer({ minimum: 0, maximum: 99, description: 'Devices of a host are tried lowest first' });

export const FenceDeviceTrust = oneOf(['verified', 'unverified', 'mistrusted'] as const, {
  description:
    'verified: it read on while its host was heard; unverified: not yet; mistrusted: it seems to control another machine. Only a verified one proves anything',
});

export const FenceDevice = closed({
  ...common,
  name: Name,
  hostId: Id,
  kind: FenceDeviceKind,
  address: Address,
  port: Port,
  userName: UserName,
  certificateFingerprint: nullable(Fingerprint),
  systemPath: nullable(SystemPath),
  position: Position,
  trust: FenceDeviceTrust,
  trustBecause: nullable(Type.String({ description: 'Why it is mistrusted, or could not be asked the last time' })),
  checkedAt: nullable(Timestamp),
  seenOnAt: nullable(Timestamp),
});
export type FenceDevice = Static<typeof FenceDevice>;

export const PowerState = closed({
  device: Name,
  state: oneOf(['on', 'off'] as const, { description: 'As the device itself reads it' }),
  confirmedAt: Timestamp,
});

const params = closed({ fenceDevice: NameOrId });
const hostParams = closed({ host: NameOrId });

export const fenceDeviceOperations = resource('fenceDevice', {
  list: operation({
    method: 'GET',
    path: '/fence-devices',
    summary: 'List the devices that control the power of hosts',
    access: 'system.viewer',
    query: listQuery(['name', 'createdAt'], { name: Type.Optional(Name), host: Type.Optional(NameOrId) }),
    response: page(FenceDevice),
    cli: { columns: ['name', 'hostId', 'kind', 'address', 'port', 'userName', 'position', 'trust'] },
  }),
  get: operation({
    method: 'GET',
    path: '/fence-devices/{fenceDevice}',
    summary: 'Show a fence device',
    access: 'system.viewer',
    params,
    response: FenceDevice,
  }),
  create: operation({
    method: 'POST',
    path: '/fence-devices',
    summary: 'Register a device that controls the power of a host',
    access: 'system.admin',
    body: closed({
      name: Name,
      host: NameOrId,
      kind: FenceDeviceKind,
      address: Address,
      port: Type.Optional(Port),
      userName: UserName,
      password: Password,
      certificateFingerprint: Type.Optional(Fingerprint),
      systemPath: Type.Optional(SystemPath),
      position: Type.Optional(Position),
    }),
    response: FenceDevice,
    idempotent: false,
    cli: { positional: 'name' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/fence-devices/{fenceDevice}',
    summary: 'Change a fence device',
    access: 'system.admin',
    params,
    body: closed({
      name: Type.Optional(Name),
      address: Type.Optional(Address),
      port: Type.Optional(Port),
      userName: Type.Optional(UserName),
      password: Type.Optional(Password),
      certificateFingerprint: Type.Optional(nullable(Fingerprint)),
      systemPath: Type.Optional(nullable(SystemPath)),
      position: Type.Optional(Position),
    }),
    response: FenceDevice,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/fence-devices/{fenceDevice}',
    summary: 'Forget a fence device',
    access: 'system.admin',
    params,
    response: noContent,
  }),
  test: operation({
    method: 'POST',
    path: '/fence-devices/{fenceDevice}/test',
    summary: 'Ask the device for the state of the power; changes nothing',
    access: 'system.admin',
    params,
    response: PowerState,
    status: 200,
    idempotent: false,
  }),
});

/** Under `host` for people, in a file of their own because they need a device. */
export const hostPowerOperations = resource('hostPower', {
  show: operation({
    method: 'GET',
    path: '/hosts/{host}/power',
    summary: "Ask a host's devices for the state of its power",
    access: 'system.viewer',
    params: hostParams,
    response: PowerState,
  }),
  on: operation({
    method: 'POST',
    path: '/hosts/{host}/power-on',
    summary: 'Switch a host on by its fence device',
    access: 'system.admin',
    params: hostParams,
    response: PowerState,
    status: 200,
    idempotent: false,
  }),
  off: operation({
    method: 'POST',
    path: '/hosts/{host}/power-off',
    summary:
      'Switch a host off at once by its fence device; refused while VMs run there, may run there or are on their way there, unless forced',
    access: 'system.admin',
    params: hostParams,
    body: closed({
      force: Type.Optional(
        Type.Boolean({ description: 'Also with VMs on it, or on their way to it: they lose their power' }),
      ),
    }),
    response: PowerState,
    status: 200,
    idempotent: false,
  }),
});
