/**
 * A host's network driver as a program of its own, run inside a lab host: one call as a line of JSON on standard input, its
 * answer as a line on standard output. What the agent is to the switch, without a manager above it.
 */
import { createInterface } from 'node:readline';
import { OvsNetworkDriver } from '@kvasir/agent/drivers/ovs/driver.ts';
import type { ParamsOf } from '@kvasir/api/agent/method.ts';
import type { networkTrace, PortCounters, PortCuts, TraceResult } from '@kvasir/api/agent/network.ts';
import type { NetworkSlice } from '@kvasir/api/agent/network-slice.ts';
import type { NicSpec } from '@kvasir/api/agent/vm.ts';

export type SwitchCall =
  | { readonly call: 'apply'; readonly generation: number; readonly slice: NetworkSlice }
  | { readonly call: 'attach'; readonly vmId: string; readonly nic: NicSpec }
  | { readonly call: 'detach'; readonly nicId: string }
  | { readonly call: 'counters'; readonly nicIds: readonly string[] }
  | ({ readonly call: 'trace' } & ParamsOf<typeof networkTrace>);

export interface SwitchAnswer {
  readonly id: number;
  readonly device?: string;
  readonly counters?: readonly PortCounters[];
  readonly trace?: TraceResult;
  readonly cuts?: readonly PortCuts[];
  readonly error?: string;
}

const [, , uplinkBridge, tunnelAddress, numbersFile] = process.argv;
if (import.meta.main) {
  const driver = new OvsNetworkDriver({
    datapathType: 'netdev',
    uplinkBridge: uplinkBridge!,
    tunnelAddress: tunnelAddress!,
    numbersFile: numbersFile!,
    cutsFile: `${numbersFile!}.cuts`,
    metadataOf: (vmId) => ({
      vmId,
      name: 'a-vm',
      hostname: 'its-host-name',
      instanceId: `i-${vmId}`,
      sshKeys: ['ssh-ed25519 AAAA somebody'],
      userData: '#cloud-config\n',
    }),
    timeoutMs: 10_000,
    log: (message, error) => process.stderr.write(`${message}: ${String(error)}\n`),
  });
  const perform = async (call: SwitchCall): Promise<Omit<SwitchAnswer, 'id'>> => {
    if (call.call === 'apply') return { cuts: await driver.apply(call.generation, call.slice) };
    if (call.call === 'attach') return driver.attachPort(call.vmId, call.nic);
    else if (call.call === 'counters') return { counters: await driver.counters(call.nicIds) };
    else if (call.call === 'trace') return { trace: await driver.trace(call) };
    else await driver.detachPort(call.nicId);
    return {};
  };
  const tell = (answer: SwitchAnswer): void => void process.stdout.write(`${JSON.stringify(answer)}\n`);
  for await (const line of createInterface(process.stdin)) {
    const { id, ...call } = JSON.parse(line) as SwitchCall & { readonly id: number };
    perform(call).then(
      (result) => tell({ id, ...result }),
      (error: Error) => tell({ id, error: error.message }),
    );
  }
  await driver.close();
}
