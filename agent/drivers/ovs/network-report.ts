/** What a host tells of its connections: NICs that an uplink could use, and how the uplinks of its switches are. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DefaultUplink, NicReport, UplinkReport } from '@kvasir/api/agent/host.ts';
import type { SliceUplink } from '@kvasir/api/agent/network-slice.ts';
import { optionalString } from '@kvasir/ovs/ovsdb-values.ts';
import type { CurrentRows, Found } from './rows/current.ts';

/** Devices that are hardware, or a cable of a lab: no taps, no bridges, nothing that the switch made. */
export async function readNics(rows: CurrentRows, directory = '/sys/class/net'): Promise<NicReport[]> {
  const internal = new Set(rows.all('Interface').flatMap(({ row }) => (row.type === '' ? [] : [String(row.name)])));
  const names = (await readdir(directory)).filter(
    (name) => name !== 'lo' && name !== 'ovs-system' && !internal.has(name),
  );
  const nics = await Promise.all(names.sort().map((name) => readNic(join(directory, name), name)));
  return nics.filter((nic) => nic !== null);
}

async function readNic(path: string, name: string): Promise<NicReport | null> {
  const entries = new Set(await readdir(path).catch(() => []));
  if (entries.size === 0 || entries.has('tun_flags') || entries.has('bridge')) return null;
  const [macAddress, carrier, mtu, speed] = await Promise.all(
    ['address', 'carrier', 'mtu', 'speed'].map((file) => read(path, file)),
  );
  const speedMbps = Number(speed ?? -1);
  return {
    name,
    macAddress: macAddress ?? '',
    up: carrier === '1',
    mtu: Number(mtu ?? 0),
    speedMbps: speedMbps > 0 ? speedMbps : null,
  };
}

/** A device that is down refuses to tell its carrier. */
function read(path: string, file: string): Promise<string | null> {
  return readFile(join(path, file), 'utf8').then(
    (text) => text.trim(),
    () => null,
  );
}

/** @param lacpText what `lacp/show` says of the bond; empty for others */
export function uplinkReport(
  uplink: SliceUplink,
  rows: CurrentRows,
  nics: readonly NicReport[],
  lacpText: string,
): UplinkReport {
  const isLacp = uplink.bond === 'lacp';
  const negotiated = /status: .*negotiated/.test(lacpText);
  const activeMac = activeMember(uplink, rows);
  const members = uplink.nics.map((nic) => {
    const row = rows.byName('Interface', nic)?.row;
    const macAddress = nics.find(({ name }) => name === nic)?.macAddress;
    const up = optionalString(row?.link_state) === 'up';
    const lacp = isLacp
      ? (new RegExp(`^(?:member|slave): ${nic}: (\\S+)`, 'm').exec(lacpText)?.[1] ?? 'unknown')
      : null;
    const agreed = isLacp
      ? negotiated && lacp === 'current'
      : uplink.bond !== 'active-backup' || macAddress === activeMac;
    return { nic, up, active: up && agreed, lacp };
  });
  return {
    uplinkId: uplink.uplinkId,
    up: members.some(({ active }) => active),
    lacp: isLacp ? (negotiated ? 'negotiated' : 'configured') : null,
    members,
    reason: reasonOf(uplink, rows, nics),
  };
}

/** A bridge without a NIC tells nothing: what connects it (a bridge behind it, a tunnel of the administrator's) is not seen from here. */
export function defaultUplinkReport(bridgeName: string | null, rows: CurrentRows): DefaultUplink | null {
  const bridge = bridgeName === null ? undefined : rows.byName('Bridge', bridgeName);
  if (bridge === undefined) return null;
  const nics = rows
    .portsOf(bridge)
    .flatMap((port) => rows.interfacesOf(port))
    .filter(({ row }) => row.type === '' || row.type === 'system' || row.type === 'dpdk')
    .map(({ row }) => ({ name: String(row.name), up: optionalString(row.link_state) === 'up' }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return nics.length === 0 ? null : { nics: nics.map(({ name }) => name), up: nics.some(({ up }) => up) };
}

function activeMember(uplink: SliceUplink, rows: CurrentRows): string | null {
  const port = rows.all('Port').find((item: Found) => {
    return rows.interfacesOf(item).some(({ row }) => row.name === uplink.nics[0]);
  });
  return optionalString(port?.row.bond_active_slave);
}

function reasonOf(uplink: SliceUplink, rows: CurrentRows, nics: readonly NicReport[]): string | null {
  for (const nic of uplink.nics) {
    if (!nics.some(({ name }) => name === nic)) return `this host has no NIC ${nic}`;
    const error = optionalString(rows.byName('Interface', nic)?.row.error);
    if (error !== null) return error;
  }
  return null;
}
