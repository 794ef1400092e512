/** Networks of a host: sent whole with a generation, applied as a difference. Flat for now; VLAN, VXLAN and policy come in here. */
import { Type } from 'typebox';
import { closed, Id, oneOf } from '../schema.ts';
import { change } from './method.ts';

export const networkApply = change(
  'network.apply',
  'Serve exactly these networks; an older generation is refused',
  closed({
    generation: Type.Integer(),
    networks: Type.Array(closed({ networkId: Id, kind: oneOf(['flat'] as const), mtu: Type.Integer() })),
  }),
  closed({ generation: Type.Integer() }),
);
