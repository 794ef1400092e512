/**
 * The guest through its agent, and QEMU through its monitor. Without an agent that answers, agent calls reject with
 * VIR_ERR_AGENT_UNRESPONSIVE, without an agent channel with VIR_ERR_ARGUMENT_UNSUPPORTED.
 */
import type { Caller } from '../caller.ts';
import type { CallOptions } from '../connection.ts';
import { AddressSource, AgentTimeout, TimeFlags } from '../host-flags.ts';
import type { ResultOf } from '../procedures/table.ts';
import { type ParamRecord, paramRecord } from '../typed-params.ts';
import { byUuid } from '../wire-types.ts';

export type GuestInterface = ResultOf<'domainInterfaceAddresses'>['interfaces'][number];

export class GuestOperations {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /**
   * A command of the QEMU guest agent as JSON text, e.g. `{"execute":"guest-ping"}`; gives back the answer's text.
   * `timeoutSeconds`, of the agent's answer, also takes a value of AgentTimeout.
   */
  async agentCommand(
    uuid: string,
    command: string,
    timeoutSeconds: number = AgentTimeout.VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_DEFAULT,
    options: CallOptions = {},
  ): Promise<string | null> {
    const args = { domain: byUuid(uuid), command, timeout: timeoutSeconds, flags: 0 };
    return (await this.#caller.call('qemuDomainAgentCommand', args, options)).result;
  }

  /** A QMP command as JSON text, or with MonitorFlags HMP a human one. Marks the domain as tainted. */
  async monitorCommand(uuid: string, command: string, flags = 0): Promise<string> {
    return (await this.#caller.call('qemuDomainMonitorCommand', { domain: byUuid(uuid), command, flags })).result;
  }

  /** Freezes the file systems at these mount points, or all; gives back how many. */
  async freeze(uuid: string, mountPoints: readonly string[] = []): Promise<number> {
    return (await this.#caller.call('domainFsFreeze', { domain: byUuid(uuid), mountPoints, flags: 0 })).fileSystems;
  }

  async thaw(uuid: string, mountPoints: readonly string[] = []): Promise<number> {
    return (await this.#caller.call('domainFsThaw', { domain: byUuid(uuid), mountPoints, flags: 0 })).fileSystems;
  }

  async time(uuid: string): Promise<Date> {
    const { seconds, nanoseconds } = await this.#caller.call('domainGetTime', { domain: byUuid(uuid), flags: 0 });
    return new Date(Number(seconds) * 1000 + Math.trunc(nanoseconds / 1e6));
  }

  /** Null: from the guest's own hardware clock, as after a resume from disk. */
  async setTime(uuid: string, time: Date | null): Promise<void> {
    const ms = time?.getTime() ?? 0;
    await this.#caller.call('domainSetTime', {
      domain: byUuid(uuid),
      seconds: BigInt(Math.floor(ms / 1000)),
      nanoseconds: (((ms % 1000) + 1000) % 1000) * 1_000_000,
      flags: time === null ? TimeFlags.VIR_DOMAIN_TIME_SYNC : 0,
    });
  }

  /** `source`: AddressSource; by default as the agent tells. */
  async interfaceAddresses(
    uuid: string,
    source: number = AddressSource.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT,
  ): Promise<readonly GuestInterface[]> {
    return (await this.#caller.call('domainInterfaceAddresses', { domain: byUuid(uuid), source, flags: 0 })).interfaces;
  }

  /** `types`: GuestInfoTypes, 0 = all that the agent has. */
  async info(uuid: string, types = 0): Promise<ParamRecord> {
    return paramRecord(
      (await this.#caller.call('domainGetGuestInfo', { domain: byUuid(uuid), types, flags: 0 })).params,
    );
  }

  async setPassword(uuid: string, user: string, password: string): Promise<void> {
    await this.#caller.call('domainSetUserPassword', { domain: byUuid(uuid), user, password, flags: 0 });
  }
}
