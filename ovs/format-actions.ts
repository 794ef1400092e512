/** Actions as `ovs-ofctl dump-flows` writes them. */
import { formatBits, formatPort, formatSetValue, specialPorts } from './format-value.ts';
import type { Action, FieldName, Nat } from './flow.ts';

/** Field names of set-field where they differ from those of the match. */
const setNames: { readonly [F in FieldName]?: string } = {
  ipv4_src: 'ip_src',
  ipv4_dst: 'ip_dst',
  icmpv4_type: 'icmp_type',
  icmpv4_code: 'icmp_code',
};

/** Joined by commas; `drop` for none. */
export function formatActions(actions: readonly Action[]): string {
  return actions.length === 0 ? 'drop' : list(actions);
}

function list(actions: readonly Action[]): string {
  return actions.map((action) => formatAction(action)).join(',');
}

function formatAction(action: Action): string {
  switch (action.do) {
    case 'output':
      return formatOutput(action.port);
    case 'output-reg':
      return `output:${formatBits(action.from)}`;
    case 'set':
      return `set_field:${formatSetValue(action.to, action)}->${setNames[action.to] ?? action.to}`;
    case 'move':
      return `move:${formatBits(action.from)}->${formatBits(action.to)}`;
    case 'resubmit':
      return `resubmit(,${action.table})`;
    case 'push-vlan':
      return 'push_vlan:0x8100';
    case 'pop-vlan':
      return 'pop_vlan';
    case 'dec-ttl':
      return 'dec_ttl';
    case 'meter':
      return `meter:${action.meterId}`;
    case 'group':
      return `group:${action.groupId}`;
    case 'clone':
      return `clone(${list(action.actions)})`;
    case 'conjunction':
      return `conjunction(${action.id},${action.clause}/${action.of})`;
    case 'ct-clear':
      return 'ct_clear';
    case 'ct':
      return formatConntrack(action);
    case 'controller':
      return formatController(action);
  }
}

function formatOutput(port: number | keyof typeof specialPorts): string {
  if (typeof port === 'number') return `output:${formatPort(port)}`;
  return port === 'controller' ? 'CONTROLLER:65535' : formatPort(specialPorts[port]);
}

function formatConntrack(action: Extract<Action, { do: 'ct' }>): string {
  const parts: string[] = [];
  if (action.commit) parts.push('commit');
  if (action.force === true) parts.push('force');
  if (action.table !== undefined) parts.push(`table=${action.table}`);
  if (typeof action.zone !== 'number') parts.push(`zone=${formatBits(action.zone)}`);
  else if (action.zone !== 0) parts.push(`zone=${action.zone}`);
  if (action.nat !== undefined) parts.push(action.nat === true ? 'nat' : formatNat(action.nat));
  if (action.exec !== undefined && action.exec.length > 0) parts.push(`exec(${list(action.exec)})`);
  return `ct(${parts.join(',')})`;
}

function formatNat({ kind, addresses, ports }: Nat): string {
  if (addresses === undefined) return `nat(${kind})`;
  const shown = (address: string) => (ports !== undefined && address.includes(':') ? `[${address}]` : address);
  const { from, to } = addresses;
  const range = to === from ? shown(from) : `${shown(from)}-${shown(to)}`;
  if (ports === undefined) return `nat(${kind}=${range})`;
  return `nat(${kind}=${range}:${ports.to === ports.from ? `${ports.from}` : `${ports.from}-${ports.to}`})`;
}

function formatController(action: Extract<Action, { do: 'controller' }>): string {
  const parts: string[] = [];
  if (action.maxLength !== undefined && action.maxLength !== 0xffff) parts.push(`max_len=${action.maxLength}`);
  if (action.userdata.length > 0) {
    parts.push(`userdata=${Array.from(action.userdata, (byte) => byte.toString(16).padStart(2, '0')).join('.')}`);
  }
  if (action.meterId !== undefined) parts.push(`meter_id=${action.meterId}`);
  const plain = action.userdata.length === 0 && action.meterId === undefined;
  return plain ? `CONTROLLER:${action.maxLength ?? 0xffff}` : `controller(${parts.join(',')})`;
}
