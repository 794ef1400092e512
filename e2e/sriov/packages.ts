/**
 * QEMU with an emulated network device that can be divided (`igb`, since 8.0) and a kernel that drives it, taken out of Debian's
 * packages without installing them. apt works with lists and a cache of its own, so that the machine's QEMU, and what runs on
 * it, stays as it is. Where the machine's release has an older QEMU it comes from that release's backports.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '@kvasir/lab/command.ts';
import { findPackage, resolveMetaPackage, unpackPackage } from '@kvasir/lab/guest/debian-packages.ts';

export interface Unpacked {
  readonly qemu: string;
  readonly qemuVersion: string;
  readonly kernel: string;
  /** `6.1.0-56-amd64` */
  readonly release: string;
  readonly kernelVersion: string;
}

const qemuPackages = ['qemu-system-x86', 'qemu-system-common', 'qemu-system-data', 'seabios'];
const oldestMajor = 8;

/** Downloads some 85 MiB once. @param directory kept between runs */
export async function unpackedPackages(directory: string): Promise<Unpacked> {
  await setUpApt(join(directory, 'apt'));
  const kernel = await resolveMetaPackage('linux-image-amd64', /^linux-image-[0-9].*-amd64$/);
  const found = await Promise.all(qemuPackages.map(findPackage));
  const qemuVersion = found[0]!.version;
  const major = Number(/^(?:[0-9]+:)?([0-9]+)/.exec(qemuVersion)?.[1]);
  if (!(major >= oldestMajor)) throw new Error(`Debian has QEMU ${qemuVersion} here; igb came with ${oldestMajor}.0`);
  const qemu = await once(join(directory, `qemu-${qemuVersion}`), async (tree) => {
    for (const each of found) await unpackPackage(each, tree);
  });
  const kernelTree = await once(join(directory, `kernel-${kernel.version}`), (tree) => unpackPackage(kernel, tree));
  const release = kernel.name.replace('linux-image-', '');
  return { qemu, qemuVersion, kernel: kernelTree, release, kernelVersion: kernel.version };
}

async function once(path: string, unpack: (tree: string) => Promise<void>): Promise<string> {
  const tree = path.replaceAll(':', '.');
  if (existsSync(tree)) return tree;
  const work = `${tree}.new`;
  rmSync(work, { recursive: true, force: true });
  await unpack(join(work, 'tree'));
  renameSync(join(work, 'tree'), tree);
  rmSync(work, { recursive: true });
  return tree;
}

/** The machine's own sources and the backports of its release, in effect for this process and what it starts. */
async function setUpApt(directory: string): Promise<void> {
  for (const name of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(directory, name), { recursive: true });
  const format = '$(CREATED_BY) $(CODENAME) $(REPO_URI) $(COMPONENT)';
  const known = (await run(['apt-get', 'indextargets', '--format', format])).split('\n').map((line) => line.split(' '));
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
  const main = known.find(([by, name, , component]) => by === 'Packages' && name === codename && component === 'main');
  if (main === undefined) throw new Error(`apt has no source of the release ${codename}`);
  const backports = `${codename}-backports`;
  const own = existsSync('/etc/apt/sources.list') ? readFileSync('/etc/apt/sources.list', 'utf8') : '';
  writeFileSync(join(directory, 'sources.list'), `${own}\ndeb ${main[2]} ${backports} main\n`);
  const pin = `Package: ${qemuPackages.join(' ')}\nPin: release n=${backports}\nPin-Priority: 990\n`;
  writeFileSync(join(directory, 'preferences'), pin);
  const settings = {
    'Dir::Etc::sourcelist': join(directory, 'sources.list'),
    'Dir::Etc::preferences': join(directory, 'preferences'),
    'Dir::State::lists': join(directory, 'lists'),
    'Dir::Cache': join(directory, 'cache'),
    'APT::Sandbox::User': 'root',
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} "${value}";\n`);
  writeFileSync(join(directory, 'apt.conf'), lines.join(''));
  process.env.APT_CONFIG = join(directory, 'apt.conf');
}
