/**
 * Actions on the wire. What the switch would refuse without saying where (fields of a protocol that the match does not
 * name, bits that a field does not have, read-only fields) is refused here, by name.
 */
import { specialPorts } from '../format-value.ts';
import type { Action, FieldName, Match, SpecialPort } from '../flow.ts';
import { bitsHeader, checkBits, checkNumber, niciraAction, standardAction, startAndCount } from './action-frame.ts';
import { encodeConntrack } from './conntrack-codec.ts';
import { FlowEncodingError } from './errors.ts';
import { fields } from './fields.ts';
import { check, encodeField } from './match-codec.ts';
import { property } from './message.ts';
import { requireIp, requirePrerequisite } from './prerequisites.ts';

const type = { output: 0, pushVlan: 17, popVlan: 18, group: 22, decTtl: 24, setField: 25 } as const;
const subtype = {
  move: 6,
  resubmitTable: 14,
  outputReg: 15,
  setPart: 33,
  conjunction: 34,
  controller: 37,
  clone: 42,
  ctClear: 43,
} as const;
const controllerProperty = { maxLength: 0, userdata: 3, meterId: 5 } as const;
const inPort16 = 0xfff8;
const customerTag = 0x8100;
const highestPort = 0xfeff;

/** Where a list of actions stands. `match` null: nothing is known of the packet, as in a packet-out. */
export interface ActionContext {
  readonly match: Match | null;
  /** Inside `ct(exec(…))`, where mark and label can be set and nothing else. */
  readonly inConntrack?: boolean;
}

/** @throws FlowEncodingError */
export function encodeActions(actions: readonly Action[], context: ActionContext): Buffer {
  return Buffer.concat(actions.map((action) => encodeAction(action, context)));
}

function encodeAction(action: Action, context: ActionContext): Buffer {
  if (context.inConntrack === true && action.do !== 'set' && action.do !== 'move') {
    throw new FlowEncodingError(`${action.do} cannot stand in the exec of a ct`);
  }
  switch (action.do) {
    case 'output':
      return encodeOutput(action.port);
    case 'output-reg':
      return encodeOutputBits(action, context);
    case 'set':
      return encodeSet(action, context);
    case 'move':
      return encodeMove(action, context);
    case 'resubmit':
      return niciraAction(
        subtype.resubmitTable,
        bytes([inPort16, 2], [checkNumber(action.table, 0, 0xfe, 'a table'), 1], [0, 3]),
      );
    case 'push-vlan':
      return standardAction(type.pushVlan, bytes([customerTag, 2], [0, 2]));
    case 'pop-vlan':
      return standardAction(type.popVlan, bytes([0, 4]));
    case 'dec-ttl':
      if (context.match !== null) requireIp(context.match, 'dec-ttl');
      return standardAction(type.decTtl, bytes([0, 4]));
    case 'meter':
      throw new FlowEncodingError('meter must be the first action of a flow');
    case 'group':
      return standardAction(type.group, bytes([checkNumber(action.groupId, 0, 0xffffff00, 'a group'), 4]));
    case 'clone':
      return niciraAction(subtype.clone, Buffer.concat([Buffer.alloc(6), encodeActions(action.actions, context)]));
    case 'conjunction':
      return encodeConjunction(action);
    case 'ct-clear':
      return niciraAction(subtype.ctClear, Buffer.alloc(6));
    case 'ct':
      if (context.match !== null) requireIp(context.match, 'ct');
      return encodeConntrack(action, encodeActions(action.exec ?? [], { ...context, inConntrack: true }));
    case 'controller':
      return encodeController(action);
  }
}

function encodeOutput(port: number | SpecialPort): Buffer {
  const number = typeof port === 'number' ? checkNumber(port, 1, highestPort, 'a port') : specialPorts[port];
  return standardAction(type.output, bytes([number, 4], [port === 'controller' ? 0xffff : 0, 2], [0, 6]));
}

function encodeOutputBits({ from }: Extract<Action, { do: 'output-reg' }>, context: ActionContext): Buffer {
  checkSource(from.field, context);
  checkBits(from);
  return niciraAction(
    subtype.outputReg,
    Buffer.concat([bytes([startAndCount(from), 2]), bitsHeader(from), bytes([0xffff, 2], [0, 6])]),
  );
}

function encodeSet({ to, value, mask }: Extract<Action, { do: 'set' }>, context: ActionContext): Buffer {
  checkDestination(to, context);
  check(to, { value, mask });
  const { match: code, action, actionBits, bits } = fields[to];
  if (mask === 0n) throw new FlowEncodingError(`set ${to} has an empty mask`);
  if (to === 'in_port') {
    return standardAction(type.setField, encodeField(action, actionBits, { value: value & 0xffffn }));
  }
  const whole = mask === undefined || mask === (1n << BigInt(bits)) - 1n;
  if (whole) return standardAction(type.setField, encodeField(code, bits, { value }));
  return niciraAction(subtype.setPart, encodeField(action, bits, { value, mask }));
}

function encodeMove({ from, to }: Extract<Action, { do: 'move' }>, context: ActionContext): Buffer {
  checkSource(from.field, context);
  checkDestination(to.field, context);
  checkBits(from);
  checkBits(to);
  if (from.count !== to.count) throw new FlowEncodingError(`${from.count} bits do not move into ${to.count}`);
  const head = bytes([from.count, 2], [from.start, 2], [to.start, 2]);
  return niciraAction(subtype.move, Buffer.concat([head, bitsHeader(from), bitsHeader(to)]));
}

function encodeConjunction({ id, clause, of }: Extract<Action, { do: 'conjunction' }>): Buffer {
  checkNumber(of, 2, 64, 'the number of clauses');
  checkNumber(clause, 1, of, 'a clause');
  return niciraAction(
    subtype.conjunction,
    bytes([clause - 1, 1], [of, 1], [checkNumber(id, 1, 0xffffffff, 'a conjunction'), 4]),
  );
}

function encodeController({ userdata, maxLength, meterId }: Extract<Action, { do: 'controller' }>): Buffer {
  const properties: Buffer[] = [Buffer.alloc(6)];
  if (maxLength !== undefined && maxLength !== 0xffff) {
    properties.push(
      property(controllerProperty.maxLength, bytes([checkNumber(maxLength, 0, 0xffff, 'a length'), 2], [0, 2])),
    );
  }
  if (userdata.length > 0) properties.push(property(controllerProperty.userdata, Buffer.from(userdata)));
  if (meterId !== undefined) {
    properties.push(property(controllerProperty.meterId, bytes([checkNumber(meterId, 1, 0xffff0000, 'a meter'), 4])));
  }
  return niciraAction(subtype.controller, Buffer.concat(properties));
}

function checkSource(name: FieldName, { match }: ActionContext): void {
  if (match !== null) requirePrerequisite(match, name);
}

function checkDestination(name: FieldName, { match, inConntrack }: ActionContext): void {
  if (!fields[name].writable) throw new FlowEncodingError(`${name} cannot be set`);
  const ofConnection = name === 'ct_mark' || name === 'ct_label';
  if (ofConnection !== (inConntrack === true)) {
    const place = ofConnection ? 'only' : 'not';
    throw new FlowEncodingError(`${name} can be set ${place} in the exec of a ct`);
  }
  if (match !== null) requirePrerequisite(match, name);
}

function bytes(...parts: readonly (readonly [value: number, width: number])[]): Buffer {
  const out = Buffer.alloc(parts.reduce((sum, [, width]) => sum + width, 0));
  let at = 0;
  for (const [value, width] of parts) at = out.writeUIntBE(value, at, width);
  return out;
}
