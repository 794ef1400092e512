/** What maintenance and standby are asked alike, for both move a host's VMs away first. */
import { Type } from 'typebox';
import { closed } from '../schema.ts';

export const HostEvacuation = closed({
  parallel: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 32, description: 'How many VMs move at once; default 2' }),
  ),
});
