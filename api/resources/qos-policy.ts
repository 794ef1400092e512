/** A QoS policy limits the rate of ports in each direction and marks what they send. Operators make it and give it to ports. */
import { type Static, Type } from 'typebox';
import { noContent, operation, resource } from '../operation.ts';
import {
  closed,
  common,
  Description,
  Id,
  Labels,
  listQuery,
  Name,
  NameOrId,
  nullable,
  page,
  projectQuery,
} from '../schema.ts';

const RateKbps = Type.Integer({
  minimum: 64,
  maximum: 1_000_000_000,
  description: 'Kilobits a second; null: no limit',
});
const BurstKb = Type.Integer({
  minimum: 8,
  maximum: 100_000_000,
  description: 'Kilobits that may come at once on top; default: a tenth of a second',
});
const Dscp = Type.Integer({ minimum: 0, maximum: 63 });

export const QosPolicy = closed({
  ...common,
  name: Name,
  description: Description,
  labels: Labels,
  projectId: Id,
  shared: Type.Boolean({ description: 'true: for ports of every project' }),
  fromVmKbps: nullable(RateKbps),
  fromVmBurstKb: nullable(BurstKb),
  toVmKbps: nullable(RateKbps),
  toVmBurstKb: nullable(BurstKb),
  dscp: nullable({ ...Dscp, description: 'Mark of what the VM sends; null: as the guest says' }),
  ports: Type.Integer({ description: 'Ports that it holds for' }),
});
export type QosPolicy = Static<typeof QosPolicy>;

const params = closed({ qosPolicy: NameOrId });
const query = closed({ ...projectQuery });
const settings = {
  description: Type.Optional(Description),
  labels: Type.Optional(Labels),
  shared: Type.Optional(Type.Boolean()),
  fromVmKbps: Type.Optional(nullable(RateKbps)),
  fromVmBurstKb: Type.Optional(BurstKb),
  toVmKbps: Type.Optional(nullable(RateKbps)),
  toVmBurstKb: Type.Optional(BurstKb),
  dscp: Type.Optional(nullable(Dscp)),
};

export const qosPolicyOperations = resource('qosPolicy', {
  list: operation({
    method: 'GET',
    path: '/qos-policies',
    summary: "List the project's QoS policies and the shared ones",
    access: 'project.viewer',
    query: listQuery(['name', 'createdAt'], { ...projectQuery, name: Type.Optional(Name) }),
    response: page(QosPolicy),
    cli: { columns: ['id', 'name', 'fromVmKbps', 'toVmKbps', 'dscp', 'ports'] },
  }),
  get: operation({
    method: 'GET',
    path: '/qos-policies/{qosPolicy}',
    summary: 'Show a QoS policy',
    access: 'project.viewer',
    params,
    query,
    response: QosPolicy,
  }),
  create: operation({
    method: 'POST',
    path: '/qos-policies',
    summary: 'Create a QoS policy',
    access: 'system.admin',
    query,
    body: closed({ name: Name, ...settings }),
    response: QosPolicy,
    cli: { positional: 'name' },
  }),
  update: operation({
    method: 'PATCH',
    path: '/qos-policies/{qosPolicy}',
    summary: 'Change a QoS policy for all its ports at once',
    access: 'system.admin',
    params,
    query,
    body: closed({ name: Type.Optional(Name), ...settings }),
    response: QosPolicy,
  }),
  delete: operation({
    method: 'DELETE',
    path: '/qos-policies/{qosPolicy}',
    summary: 'Delete a QoS policy that no port has',
    access: 'system.admin',
    params,
    query,
    response: noContent,
  }),
});
