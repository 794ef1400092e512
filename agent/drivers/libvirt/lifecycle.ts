/** Define, start, stop and the rest of a domain's life. Each is 'make it so': it looks first, and does what is missing. */
import type { DomainState } from '@kvasir/api/agent/vm.ts';
import { KvasirError } from '@kvasir/api/errors.ts';
import type { LibvirtClient } from '@kvasir/libvirt/client.ts';
import { CreateFlags, ShutdownFlags, UndefineFlags, XmlFlags } from '@kvasir/libvirt/domain-flags.ts';
import type { DomainSpec } from '../hypervisor.ts';
import { readState, waitFor } from './domain-state.ts';
import { domainXml, type XmlOptions } from './domain-xml.ts';
import { isNoDomain, translating } from './errors.ts';
import { find, readXml, textOf } from './xml.ts';

/** A guest that is still booting may miss the power button: it is pressed again. */
const pressAgainMs = 5000;
const destroyTimeoutMs = 30_000;
/**
 * What QEMU does at once, or not at all for it hangs, after up to 30 s in which libvirt waits for its turn at the domain. Whoever waited
 * on would keep others from ending such a QEMU. That it comes to it later is seen by the domain's events.
 */
const atOnce = { timeoutMs: 45_000 };

export class Lifecycle {
  readonly #client: LibvirtClient;
  readonly #xml: () => XmlOptions;

  constructor(client: LibvirtClient, xml: () => XmlOptions) {
    this.#client = client;
    this.#xml = xml;
  }

  async define(domain: DomainSpec): Promise<DomainState> {
    const { vmId } = domain.vm;
    return translating(vmId, async () => {
      await this.#client.domain.define(domainXml(domain, this.#xml(), await this.#nameOf(vmId)));
      return (await readState(this.#client, vmId)).state;
    });
  }

  async start(vmId: string, options: { readonly paused: boolean }): Promise<DomainState> {
    return translating(vmId, async () => {
      const before = await readState(this.#client, vmId);
      if (before.state === 'running' || before.state === 'paused') {
        // An incoming migration belongs to the source until it has arrived.
        if (!(await this.#client.domain.isPersistent(vmId))) {
          throw new KvasirError('wrong-state', {
            action: 'start',
            kind: 'domain',
            name: vmId,
            state: 'migrating here',
          });
        }
        return before.state;
      }
      if (await this.#client.domain.isActive(vmId)) await this.#destroy(vmId);
      await this.#client.domain.create(vmId, options.paused ? CreateFlags.VIR_DOMAIN_START_PAUSED : 0);
      return (await readState(this.#client, vmId)).state;
    });
  }

  async stop(vmId: string, timeoutMs: number, signal: AbortSignal): Promise<DomainState> {
    return translating(vmId, async () => {
      const stopped = async (): Promise<boolean> => !(await this.#client.domain.isActive(vmId));
      const before = await readState(this.#client, vmId);
      // A paused guest hears no power button, and a crashed one neither.
      const graceMs = before.state === 'running' ? timeoutMs : 0;
      const deadline = performance.now() + graceMs;
      let pressing: Promise<void> | null = null;
      while (!(await stopped())) {
        const leftMs = deadline - performance.now();
        if (leftMs <= 0 || (signal.aborted && signal.reason === 'force')) {
          await this.#destroy(vmId);
          break;
        }
        // In a QEMU that hangs it stays pressed.
        pressing ??= this.#pressPowerButton(vmId).finally(() => (pressing = null));
        const pressed = pressing;
        const ended = async (): Promise<boolean> => pressed.then(stopped);
        await waitFor(this.#client, vmId, ended, { timeoutMs: Math.min(leftMs, pressAgainMs), signal });
      }
      return (await readState(this.#client, vmId)).state;
    });
  }

  async reset(vmId: string): Promise<DomainState> {
    return this.#then(vmId, 'reset', () => this.#client.domain.reset(vmId, atOnce));
  }

  async pause(vmId: string): Promise<DomainState> {
    return this.#then(vmId, 'pause', async (state) => {
      if (state !== 'paused') await this.#client.domain.suspend(vmId, atOnce);
    });
  }

  async resume(vmId: string): Promise<DomainState> {
    return this.#then(vmId, 'resume', async (state) => {
      if (state !== 'running') await this.#client.domain.resume(vmId, atOnce);
    });
  }

  async suspend(vmId: string): Promise<DomainState> {
    return this.#then(vmId, 'suspend', async (state) => {
      if (state !== 'suspended') await this.#client.domain.managedSave(vmId);
    });
  }

  /** `wrong-state` while it runs; gone already counts as done. */
  async undefine(vmId: string): Promise<void> {
    await translating(vmId, async () => {
      try {
        if (await this.#client.domain.isActive(vmId)) {
          throw new KvasirError('wrong-state', { action: 'remove', kind: 'domain', name: vmId, state: 'running' });
        }
        await this.#client.domain.undefine(
          vmId,
          UndefineFlags.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
            UndefineFlags.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
            UndefineFlags.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA |
            UndefineFlags.VIR_DOMAIN_UNDEFINE_NVRAM,
        );
      } catch (error) {
        if (!isNoDomain(error)) throw error;
      }
    });
  }

  /** For what needs a domain with a running QEMU; `suspend` of a suspended one is done already. */
  async #then(vmId: string, action: string, act: (state: DomainState) => Promise<void>): Promise<DomainState> {
    return translating(vmId, async () => {
      const { state } = await readState(this.#client, vmId);
      const done = action === 'suspend' && state === 'suspended';
      if (!done && state !== 'running' && state !== 'paused') {
        throw new KvasirError('wrong-state', { action, kind: 'domain', name: vmId, state });
      }
      await act(state);
      return (await readState(this.#client, vmId)).state;
    });
  }

  /** libvirt keeps a domain's first name; ours may have changed since. */
  async #nameOf(vmId: string): Promise<string | undefined> {
    try {
      return textOf(find(readXml(await this.#client.domain.xml(vmId, XmlFlags.VIR_DOMAIN_XML_INACTIVE)), 'name'));
    } catch (error) {
      if (isNoDomain(error)) return undefined;
      throw error;
    }
  }

  async #pressPowerButton(vmId: string): Promise<void> {
    try {
      await this.#client.domain.shutdown(vmId, ShutdownFlags.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN, atOnce);
    } catch (error) {
      // It may have stopped just now; anything else shows in the loop that called.
      if (await this.#client.domain.isActive(vmId)) throw error;
    }
  }

  async #destroy(vmId: string): Promise<void> {
    try {
      await this.#client.domain.destroy(vmId);
    } catch (error) {
      if (await this.#client.domain.isActive(vmId)) throw error;
    }
    const gone = await waitFor(this.#client, vmId, async () => !(await this.#client.domain.isActive(vmId)), {
      timeoutMs: destroyTimeoutMs,
    });
    if (!gone) throw new KvasirError('timeout', { what: 'Power off', timeoutMs: destroyTimeoutMs });
  }
}
