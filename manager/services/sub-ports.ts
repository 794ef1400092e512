/** The networks that a port carries beside its own, each under the tag of a VLAN. */
import { invalidField, KvasirError } from '@kvasir/api/errors.ts';
import type { portOperations } from '@kvasir/api/resources/port.ts';
import { networks, ports, subPorts } from '../store/networks.ts';
import { familyOf } from '@kvasir/control/network/subnet.ts';
import { actorOf, referredRow } from './access.ts';
import { allocateAddress, checkAddresses, checkGivenOut, takeAddress } from './addresses.ts';
import type { OpenService } from './call.ts';
import { checkRevision, fresh, nudging } from './changes.ts';
import { openNetworks } from './networks.ts';
import { checkQuota } from './quota.ts';
import { freeMacAddress } from './vm-nics.ts';
import { findPort, announcePort } from './owned-port.ts';
import { portView } from './port-views.ts';

const mostSubPorts = 64;

export const addSubPort: OpenService<typeof portOperations.addSubPort> = nudging(
  async (change, { params, query, body }) => {
    const { tx } = change;
    const { port, vm, project } = await findPort(change, params.port, query.project);
    if (port.vnicType === 'direct') {
      throw new KvasirError('unsupported', { reason: 'A port on a virtual function carries one network alone' });
    }
    const network = await referredRow(change, networks, body.network, project, '/body/network', openNetworks);
    if (network.id === port.networkId) throw invalidField('/body/network', 'is the network of the port itself');
    const isLoose = !port.antiSpoofing || !port.portSecurity;
    if (isLoose && network.portSecurity && network.projectId !== project.id && actorOf(change).systemRole !== 'admin')
      throw invalidField(
        '/body/network',
        'is not of this project, and needs a port with antiSpoofing and portSecurity',
      );
    const there = await subPorts.select(tx, { portId: port.id });
    if (there.length >= mostSubPorts) {
      throw new KvasirError('unsupported', { reason: `A port has ${mostSubPorts} VLANs at most` });
    }
    if (there.some(({ vlanId }) => vlanId === body.vlanId))
      throw taken('/body/vlanId', 'sub-port with the VLAN', String(body.vlanId));
    if (there.some(({ networkId }) => networkId === network.id))
      throw invalidField('/body/network', 'is on this trunk already');
    await checkQuota(tx, project, { ports: 1 });
    const row = await subPorts.insert(tx, {
      ...fresh(change),
      portId: port.id,
      networkId: network.id,
      vlanId: body.vlanId,
      macAddress: await freeMacAddress(change),
    });
    const asked = checkAddresses(network, body.address === undefined ? [] : [body.address], '/body/address');
    for (const address of asked) {
      checkGivenOut(change, network, project, address, '/body/address');
      await takeAddress(tx, network.id, address, { subPortId: row.id }, '/body/address');
    }
    for (const subnet of network.subnets) {
      if (asked.some((address) => address.includes(':') === (familyOf(subnet) === 'ipv6'))) continue;
      await allocateAddress(tx, network, subnet, row.macAddress, { subPortId: row.id });
    }
    await announcePort(change, port, vm, `carries VLAN ${body.vlanId} of network ${network.name}`);
    return portView(change, await ports.update(tx, port.id, {}, { now: change.env.clock.now() }));
  },
);

export const removeSubPort: OpenService<typeof portOperations.removeSubPort> = nudging(
  async (change, { params, query }) => {
    const { port, vm } = await findPort(change, params.port, query.project);
    const row = await subPorts.find(change.tx, { id: params.subPort, portId: port.id });
    if (row === undefined) throw new KvasirError('not-found', { kind: subPorts.kind, id: params.subPort });
    checkRevision(change, subPorts.kind, row);
    await subPorts.remove(change.tx, { id: row.id });
    await ports.update(change.tx, port.id, {}, { now: change.env.clock.now() });
    await announcePort(change, port, vm, `does not carry VLAN ${row.vlanId} any more`);
    return null;
  },
);

function taken(path: string, what: string, name: string): KvasirError {
  return new KvasirError('name-taken', { kind: what, name }, [{ path, message: 'is taken' }]);
}
