/** Quotas also limit what a project has of the distributed switch; projects of before have no such limit. */
const added = ['networks', 'securityGroups', 'routers', 'floatingAddresses', 'ports']
  .map((what) => `,"${what}":null`)
  .join('');

export const networkQuotas = {
  name: '0011-network-quotas',
  // The same text in both databases: a JSON object without its last brace, and what is added.
  statements: [`update projects set quota = substr(quota, 1, length(quota) - 1) || '${added}}'`],
} as const;
