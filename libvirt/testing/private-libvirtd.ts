/**
 * A real libvirtd for tests, in namespaces of its own (mount, pid, network, ipc, uts), with all of its files in a
 * temporary directory: it neither sees nor touches a libvirt that the machine runs. Killing its first process ends
 * every process in it, QEMU included. Needs root and Debian's libvirt-daemon, libvirt-daemon-driver-qemu, qemu-system-x86.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const qemuConf = `user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = [ ]
stdio_handler = "file"
`;

const libvirtdConf = `listen_tls = 0
listen_tcp = 0
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
host_uuid = "HOST_UUID"
log_level = 3
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
`;

export class PrivateLibvirtd {
  readonly directory: string;
  readonly socketPath: string;
  #process: ChildProcess | undefined;

  private constructor(directory: string) {
    this.directory = directory;
    this.socketPath = join(directory, 'run', 'libvirt-sock');
  }

  static async start(): Promise<PrivateLibvirtd> {
    const directory = await mkdtemp(join(tmpdir(), 'kvasir-libvirtd-'));
    const daemon = new PrivateLibvirtd(directory);
    try {
      await mkdir(join(directory, 'etc'));
      await writeFile(join(directory, 'etc', 'qemu.conf'), qemuConf);
      // Two daemons that migrate to each other must look like two hosts, by UUID and by name.
      await writeFile(join(directory, 'etc', 'libvirtd.conf'), libvirtdConf.replace('HOST_UUID', randomUUID()));
      await daemon.powerOn();
    } catch (error) {
      await daemon.remove();
      throw error;
    }
    return daemon;
  }

  /** Starts the daemon and waits until it accepts connections. */
  async powerOn(): Promise<void> {
    await rm(join(this.directory, 'run'), { recursive: true, force: true });
    await mkdir(join(this.directory, 'run'));
    const script = join(import.meta.dirname, 'private-libvirtd.sh');
    const namespaces = ['--mount', '--pid', '--net', '--ipc', '--uts', '--fork', '--mount-proc', '--kill-child'];
    const libvirtd = ['libvirtd', '-f', '/etc/libvirt/libvirtd.conf', '-p', '/run/libvirtd.pid'];
    const process = spawn('unshare', [...namespaces, 'bash', script, this.directory, ...libvirtd], { stdio: 'pipe' });
    this.#process = process;
    let output = '';
    for (const stream of [process.stdout, process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    const deadline = Date.now() + 20_000;
    while (!(await this.#accepts())) {
      if (process.exitCode !== null || Date.now() > deadline) {
        throw new Error(`libvirtd did not start: ${output}\n${await this.log()}`);
      }
      await delay(20);
    }
  }

  async #accepts(): Promise<boolean> {
    const socket = connect({ path: this.socketPath });
    try {
      await once(socket, 'connect');
      return true;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }

  async log(): Promise<string> {
    return readFile(join(this.directory, 'log', 'libvirtd.log'), 'utf8').catch(() => '');
  }

  /** Ends the daemon and its guests at once, as a power failure would. */
  async powerOff(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined || process.exitCode !== null || process.signalCode !== null) return;
    const exited = once(process, 'exit');
    // unshare's --kill-child takes the first process of the namespace, and so all of them, with it.
    process.kill('SIGKILL');
    await exited;
  }

  async remove(): Promise<void> {
    await this.powerOff();
    await rm(this.directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}
