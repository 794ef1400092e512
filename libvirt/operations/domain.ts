/**
 * A domain's life and definition. Each method rejects with LibvirtError `VIR_ERR_NO_DOMAIN` for a UUID that is not there
 * and with `VIR_ERR_OPERATION_INVALID` where the domain's state does not allow it. `flags` are those of domain-flags.ts.
 */
import type { Caller } from '../caller.ts';
import type { CallOptions } from '../connection.ts';
import { MetadataType } from '../domain-flags.ts';
import { isLibvirtError } from '../error.ts';
import { type DomainState, domainState, type StateAndReason, stateAndReason } from '../states.ts';
import { byUuid } from '../wire-types.ts';
import { type DomainSummary, summary } from './domain-summary.ts';

export interface DomainInfo {
  readonly state: DomainState;
  readonly maxMemoryKib: number;
  /** The balloon's current size. */
  readonly memoryKib: number;
  readonly vcpus: number;
  readonly cpuTimeNs: number;
}

export class DomainOperations {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  async lookupByUuid(uuid: string): Promise<DomainSummary> {
    return summary((await this.#caller.call('domainLookupByUuid', { uuid })).domain);
  }

  async lookupByName(name: string): Promise<DomainSummary> {
    return summary((await this.#caller.call('domainLookupByName', { name })).domain);
  }

  /** Creates or replaces a persistent definition; a running domain takes it at its next start. `flags`: DefineFlags. */
  async define(xml: string, flags = 0): Promise<DomainSummary> {
    return summary((await this.#caller.call('domainDefineXmlFlags', { xml, flags })).domain);
  }

  /** `flags`: UndefineFlags; without them a managed save image, NVRAM or snapshots refuse it. */
  async undefine(uuid: string, flags = 0): Promise<void> {
    await this.#caller.call('domainUndefineFlags', { domain: byUuid(uuid), flags });
  }

  /** Starts a defined domain, from its managed save image if it has one; gives back its new id. `flags`: CreateFlags. */
  async create(uuid: string, flags = 0): Promise<number> {
    return (await this.#caller.call('domainCreateWithFlags', { domain: byUuid(uuid), flags })).domain.id;
  }

  /** Starts a domain that has no persistent definition. `flags`: CreateFlags. */
  async createXml(xml: string, flags = 0): Promise<DomainSummary> {
    return summary((await this.#caller.call('domainCreateXml', { xml, flags })).domain);
  }

  /** Pulls the plug. `flags`: DestroyFlags. */
  async destroy(uuid: string, flags = 0): Promise<void> {
    await this.#caller.call('domainDestroyFlags', { domain: byUuid(uuid), flags });
  }

  /** Asks the guest and returns at once; the `lifecycle` event tells when it is down. `flags`: ShutdownFlags. */
  async shutdown(uuid: string, flags = 0, options: CallOptions = {}): Promise<void> {
    await this.#caller.call('domainShutdownFlags', { domain: byUuid(uuid), flags }, options);
  }

  /** Asks the guest and returns at once. `flags`: RebootFlags. */
  async reboot(uuid: string, flags = 0): Promise<void> {
    await this.#caller.call('domainReboot', { domain: byUuid(uuid), flags });
  }

  /** Presses the reset button. */
  async reset(uuid: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.call('domainReset', { domain: byUuid(uuid), flags: 0 }, options);
  }

  async suspend(uuid: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.call('domainSuspend', { domain: byUuid(uuid) }, options);
  }

  async resume(uuid: string, options: CallOptions = {}): Promise<void> {
    await this.#caller.call('domainResume', { domain: byUuid(uuid) }, options);
  }

  /** Memory to disk, then off. `flags`: SaveFlags. */
  async managedSave(uuid: string, flags = 0): Promise<void> {
    await this.#caller.call('domainManagedSave', { domain: byUuid(uuid), flags });
  }

  async hasManagedSave(uuid: string): Promise<boolean> {
    return (await this.#caller.call('domainHasManagedSaveImage', { domain: byUuid(uuid), flags: 0 })).result;
  }

  async removeManagedSave(uuid: string): Promise<void> {
    await this.#caller.call('domainManagedSaveRemove', { domain: byUuid(uuid), flags: 0 });
  }

  async state(uuid: string): Promise<StateAndReason> {
    const { state, reason } = await this.#caller.call('domainGetState', { domain: byUuid(uuid), flags: 0 });
    return stateAndReason(state, reason);
  }

  async info(uuid: string): Promise<DomainInfo> {
    const info = await this.#caller.call('domainGetInfo', { domain: byUuid(uuid) });
    return { ...info, state: domainState(info.state) };
  }

  /** `flags`: XmlFlags. */
  async xml(uuid: string, flags = 0): Promise<string> {
    return (await this.#caller.call('domainGetXmlDesc', { domain: byUuid(uuid), flags })).xml;
  }

  async isActive(uuid: string): Promise<boolean> {
    return (await this.#caller.call('domainIsActive', { domain: byUuid(uuid) })).active;
  }

  async isPersistent(uuid: string): Promise<boolean> {
    return (await this.#caller.call('domainIsPersistent', { domain: byUuid(uuid) })).persistent;
  }

  async autostart(uuid: string): Promise<boolean> {
    return (await this.#caller.call('domainGetAutostart', { domain: byUuid(uuid) })).autostart;
  }

  async setAutostart(uuid: string, autostart: boolean): Promise<void> {
    await this.#caller.call('domainSetAutostart', { domain: byUuid(uuid), autostart });
  }

  /** Only of a domain that does not run. */
  async rename(uuid: string, newName: string): Promise<void> {
    await this.#caller.call('domainRename', { domain: byUuid(uuid), newName, flags: 0 });
  }

  /** Sets our element in the domain's `<metadata>`, known by its namespace; null removes it. `flags`: AffectFlags. */
  async setMetadata(
    uuid: string,
    element: { readonly uri: string; readonly key: string; readonly xml: string | null },
    flags = 0,
  ): Promise<void> {
    await this.#caller.call('domainSetMetadata', {
      domain: byUuid(uuid),
      type: MetadataType.VIR_DOMAIN_METADATA_ELEMENT,
      metadata: element.xml,
      key: element.key,
      uri: element.uri,
      flags,
    });
  }

  /** The element of that namespace as XML, or null if there is none. `flags`: AffectFlags. */
  async metadata(uuid: string, uri: string, flags = 0): Promise<string | null> {
    const type = MetadataType.VIR_DOMAIN_METADATA_ELEMENT;
    try {
      return (await this.#caller.call('domainGetMetadata', { domain: byUuid(uuid), type, uri, flags })).metadata;
    } catch (error) {
      if (isLibvirtError(error, 'VIR_ERR_NO_DOMAIN_METADATA')) return null;
      throw error;
    }
  }
}
