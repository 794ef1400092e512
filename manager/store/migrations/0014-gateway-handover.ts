/** A gateway host that lives is told to end its part before another one takes over. */
export const gatewayHandover = {
  name: '0014-gateway-handover',
  statements: ['alter table routers add column gateway_ending bigint not null default 0'],
} as const;
