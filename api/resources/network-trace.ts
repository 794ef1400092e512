/** Where a packet would go, and which rules let it through or stop it: asked of the flows on the hosts, nothing is sent. */
import { type Static, Type } from 'typebox';
import { operation, resource } from '../operation.ts';
import { closed, Id, Name, NameOrId, nullable, oneOf, projectQuery } from '../schema.ts';

export const Trace = closed({
  verdict: oneOf(['delivered', 'dropped', 'unknown'] as const, {
    description: 'unknown: it left towards something that Kvasir does not see',
  }),
  droppedBy: nullable(Type.String()),
  hops: Type.Array(
    closed({
      host: nullable({ ...Name, description: 'null for tenants' }),
      stage: Type.String(),
      text: Type.String(),
      ruleId: nullable(Id),
      securityGroupName: nullable(Type.String()),
    }),
  ),
});
export type Trace = Static<typeof Trace>;

export const traceOperations = resource('network', {
  trace: operation({
    method: 'GET',
    path: '/network-trace',
    summary: 'Say hop by hop which rules let a packet through or stop it',
    access: 'project.viewer',
    query: closed({
      ...projectQuery,
      from: { ...NameOrId, description: 'VM (its first NIC) or port that sends' },
      to: Type.String({
        pattern: '^[A-Za-z0-9:][A-Za-z0-9._:-]{0,62}$',
        maxLength: 63,
        description: 'VM, port or IP address that it is sent to',
      }),
      protocol: Type.Optional(oneOf(['tcp', 'udp', 'icmp'] as const, { description: 'Default tcp' })),
      port: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535, description: 'Destination port; default 80' })),
    }),
    response: Trace,
    cli: { columns: ['host', 'stage', 'text', 'securityGroupName'] },
  }),
});
