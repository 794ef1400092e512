/** A real switch with one bridge, `br0`, and one port, `p1` with number 1, for tests of what speaks OpenFlow to it. */
import { join } from 'node:path';
import type { Flow } from '../flow.ts';
import { FlowClient } from '../openflow/client.ts';
import { TestSwitch } from './switch.ts';

export class TestBridge {
  readonly ovs: TestSwitch;

  private constructor(ovs: TestSwitch) {
    this.ovs = ovs;
  }

  static async start(): Promise<TestBridge> {
    const ovs = await TestSwitch.start();
    const bridge = ['add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev', 'fail_mode=secure'];
    const port = ['add-port', 'br0', 'p1', '--', 'set', 'interface', 'p1', 'type=patch', 'options:peer=p2'];
    await ovs.vsctl(...bridge, '--', ...port);
    return new TestBridge(ovs);
  }

  open(): Promise<FlowClient> {
    return FlowClient.open({ socketPath: join(this.ovs.directory, 'br0.mgmt'), timeoutMs: 5_000 });
  }

  ofctl(command: string, ...args: readonly string[]): Promise<string> {
    const bridge = join(this.ovs.directory, 'br0.mgmt');
    return this.ovs.exec(['ovs-ofctl', '-O', 'OpenFlow14', '--no-names', command, bridge, ...args]);
  }

  /** Lines of `ovs-ofctl dump-flows` without counters, as `formatFlow` writes them, sorted. */
  async listed(): Promise<string[]> {
    const lines = (await this.ofctl('dump-flows')).split('\n').filter((line) => line.includes('cookie='));
    return lines.map(withoutCounters).sort();
  }

  stop(): Promise<void> {
    return this.ovs.stop();
  }
}

/** In table 0, matches everything and drops it, as far as `more` does not say otherwise. */
export function flow(priority: number, actions: Flow['actions'] = [], more: Partial<Flow> = {}): Flow {
  return { table: 0, priority, cookie: 0n, match: {}, actions, ...more };
}

function withoutCounters(line: string): string {
  const noise = / duration=\S+| n_packets=\d+,| n_bytes=\d+,| (idle|hard)_age=\d+,/g;
  return line.trim().replaceAll(noise, '').replaceAll(', ', ',').replace('cookie=0x0,', '');
}
