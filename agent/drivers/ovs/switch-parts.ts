/**
 * Puts together what tends one host's switch: the keeper of its rows, the channel of its flows, who answers guests, who counts
 * numbers. They ask each other while they run, never while they are made.
 */
import { isIP } from 'node:net';
import { dirname } from 'node:path';
import { OvsdbClient } from '@kvasir/ovs/ovsdb-client.ts';
import { Unixctl } from '@kvasir/ovs/unixctl.ts';
import type { VmMetadata } from '../network.ts';
import { type RunProgram, runProgram } from '../program.ts';
import { VirtualFunctions } from './sriov/virtual-functions.ts';
import { deviceName } from './device-name.ts';
import { ExternalNeighbours } from './external-neighbours.ts';
import { FlowChannel } from './flow-channel.ts';
import { HostKernel, switchLife } from './host-kernel.ts';
import { LocalNumbers } from './local-numbers.ts';
import { PacketAnswers } from './packet-answers.ts';
import { PendingCuts } from './pending-cuts.ts';
import { Services } from './services.ts';
import { SwitchKeeper } from './switch-keeper.ts';
import { VtepNeighbours } from './vtep-neighbours.ts';
import { ZoneLimits } from './zone-limits.ts';

export interface OvsNetworkOptions {
  /** Default `/run/openvswitch/db.sock`; the switch's other sockets are beside it. */
  readonly socketPath?: string;
  /** Integration bridge, made when it is missing; default `br-int`. */
  readonly bridge?: string;
  /** Of bridges that are made here; default `system` (the kernel's switch), `netdev` switches in user space. */
  readonly datapathType?: 'system' | 'netdev';
  /** The administrator's bridge to the physical network. */
  readonly uplinkBridge?: string;
  /** Of this host's tunnels, plain or with a prefix length. */
  readonly tunnelAddress?: string;
  /** Where numbers are kept over restarts; default: nowhere, for tests. */
  readonly numbersFile?: string;
  /** Where cut sessions are kept until the manager knows them; default: nowhere, for tests. */
  readonly cutsFile?: string;
  /** How many a port may have open; default: see `ZoneLimits`. */
  readonly connectionsPerPort?: number;
  /** What guests are told of themselves; default: no metadata and no names are served. */
  readonly metadataOf?: (vmId: string) => VmMetadata | undefined;
  /** How `ip` and `nft` are run; for tests that work in a network namespace of their own. */
  readonly run?: RunProgram;
  /** Where devices that can be divided are read; for tests without such hardware. */
  readonly sysfs?: string;
  /** Of one request to the database or one change of the switch; default 30 s. */
  readonly timeoutMs?: number;
  readonly log?: (message: string, error?: unknown) => void;
}

export interface SwitchParts {
  readonly db: OvsdbClient;
  readonly control: Unixctl;
  readonly keeper: SwitchKeeper;
  readonly flows: FlowChannel;
  readonly cuts: PendingCuts;
  readonly functions: VirtualFunctions;
  readonly bridge: string;
  readonly uplinkBridge: string | null;
  readonly tunnelAddress: string | null;
  /** The switch runs in user space; see `TapOptions`. */
  readonly hush: boolean;
  readonly run: RunProgram;
  readonly timeoutMs: number;
  close(): void;
}

export function switchParts(options: OvsNetworkOptions): SwitchParts {
  const socketPath = options.socketPath ?? '/run/openvswitch/db.sock';
  const datapathType = options.datapathType ?? 'system';
  const bridge = options.bridge ?? 'br-int';
  const uplinkBridge = options.uplinkBridge ?? null;
  const [tunnelAddress = null] = options.tunnelAddress?.split('/') ?? [];
  if (tunnelAddress !== null && isIP(tunnelAddress) === 0) throw new TypeError(`${tunnelAddress} is no address`);
  const timeoutMs = options.timeoutMs ?? 30_000;
  const hush = datapathType === 'netdev';
  const run = options.run ?? runProgram;
  const plugged = () => [...keeper.plugged.values()].map(({ macAddress }) => macAddress);
  const functions = new VirtualFunctions(run, plugged, options.sysfs);
  const db = new OvsdbClient({ socketPath, timeoutMs });
  const kernel = new HostKernel({
    run,
    datapathType,
    uplinkBridge,
    tunnelAddress: options.tunnelAddress?.includes('/') === true ? options.tunnelAddress : null,
  });
  const control = new Unixctl({ runDirectory: dirname(socketPath) });
  const ask = (command: string, ...args: readonly string[]) => control.call(command, ...args);
  const log = options.log ?? (() => undefined);
  const cuts = new PendingCuts(options.cutsFile ?? null);
  const vteps =
    !hush || uplinkBridge === null || tunnelAddress === null
      ? null
      : new VtepNeighbours({
          ownAddress: tunnelAddress,
          bridge: uplinkBridge,
          run,
          tellSwitch: (vtep, mac) => control.setTunnelNeighbor(uplinkBridge, vtep, mac),
        });
  const flows = new FlowChannel({
    runDirectory: dirname(socketPath),
    bridge,
    onDrift: () => keeper.nudge(),
    onPacket: (packet) => answers.take(packet),
  });
  const neighbours = new ExternalNeighbours({
    send: (packet) => flows.send(packet),
    changed: () => keeper.nudge(),
  });
  const keeper = new SwitchKeeper({
    ...{ bridge, datapathType, uplinkBridge, tunnelAddress },
    db,
    numbers: new LocalNumbers(options.numbersFile ?? null),
    program: (table) => flows.program(table),
    purgeCache: () => control.purgeRevalidators(),
    ask,
    cuts,
    limits: new ZoneLimits({ ask, log, perPort: options.connectionsPerPort }),
    tendKernel: async (rows, bridges, slice) => {
      await kernel.tend(rows, bridges);
      if (uplinkBridge !== null) vteps?.meet(slice, switchLife(rows, uplinkBridge));
      // Guests without metadata are better off than guests without a network.
      await services?.open().catch((error: unknown) => log('metadata is not served', error));
    },
    neighbours,
    log,
  });
  const directory = () => keeper.directory;
  const answers = new PacketAnswers({
    directory,
    ports: () => keeper.slice?.ports ?? [],
    portOf: (nicId) => keeper.rows.portNumber(deviceName(nicId)),
    neighbours,
    send: (packet) => flows.send(packet),
  });
  const services =
    options.metadataOf === undefined ? null : new Services({ directory, metadataOf: options.metadataOf });
  return {
    ...{ db, control, keeper, flows, cuts, functions, bridge, uplinkBridge, tunnelAddress, hush, run, timeoutMs },
    close: () => {
      answers.close();
      neighbours.close();
      services?.close();
      keeper.close();
      flows.close();
      db.close();
    },
  };
}
