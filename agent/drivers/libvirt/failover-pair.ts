/**
 * A NIC on a virtual function is a pair to the guest: a virtio NIC that stands by, and the function with the same MAC address. The
 * guest's driver makes one of both and prefers the function. For a live migration QEMU unplugs the function (the guest goes on
 * by the other one), and plugs in that of the destination when it runs there.
 *
 * To libvirt the function is a plain PCI device. Of one that it knows as a network device it would set the address itself: at a
 * destination before the guest is there, and at the source again after it has left.
 */
import { KvasirError } from '@kvasir/api/errors.ts';
import type { DomainNic, HandedFunction } from '../hypervisor.ts';
import { functionAlias, nicAlias } from './nic-alias.ts';
import { type Element, element, find, findAll } from './xml.ts';

export const standsBy = element('teaming', { type: 'persistent' });

/** None where the NIC has no function. */
export function functionElements({ spec, virtualFunction }: DomainNic): Element[] {
  if (virtualFunction === undefined) return [];
  const pair = element(
    'hostdev',
    { mode: 'subsystem', type: 'pci', managed: true },
    element('source', {}, element('address', pciAttributes(virtualFunction.pciAddress))),
    element('teaming', { type: 'transient', persistent: nicAlias(spec.nicId) }),
    element('alias', { name: functionAlias(spec.nicId) }),
  );
  return [pair];
}

export function hasFunctions(domain: Element): boolean {
  return findAll(find(domain, 'devices'), 'hostdev').some(isFunction);
}

/**
 * The domain with these functions instead of those that it has: another host's are at other addresses.
 * @throws migration-impossible when one of its pairs is left without
 */
export function withFunctions(domain: Element, functions: readonly HandedFunction[]): Element {
  const byAlias = new Map(functions.map(({ nicId, pciAddress }) => [functionAlias(nicId), pciAddress]));
  return changed(
    domain,
    (child) => child.name === 'devices',
    (devices) =>
      changed(devices, isFunction, (pair) => {
        const pciAddress = byAlias.get(find(pair, 'alias')?.attributes.name ?? '');
        if (pciAddress === undefined) {
          const reason = 'the destination has no virtual function for one of its NICs';
          throw new KvasirError('migration-impossible', { reason });
        }
        const address = element('address', pciAttributes(pciAddress));
        return changed(
          pair,
          ({ name }) => name === 'source',
          () => element('source', {}, address),
        );
      }),
  );
}

function isFunction(device: Element): boolean {
  return device.name === 'hostdev' && find(device, 'teaming')?.attributes.type === 'transient';
}

function changed(parent: Element, which: (child: Element) => boolean, change: (child: Element) => Element): Element {
  const children = parent.children.map((child) => (typeof child === 'string' || !which(child) ? child : change(child)));
  return { ...parent, children };
}

/** `0000:03:01.0` in libvirt's words. */
export function pciAttributes(pciAddress: string): Record<'domain' | 'bus' | 'slot' | 'function', string> {
  const parts = /^([0-9a-f]{4}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/i.exec(pciAddress);
  if (parts === null) throw new KvasirError('host-failed', { reason: `${pciAddress} is no PCI address` });
  const [, domain, bus, slot, number] = parts;
  return { domain: `0x${domain}`, bus: `0x${bus}`, slot: `0x${slot}`, function: `0x${number}` };
}
