import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseCgroupTrees } from './cgroups.ts';

describe('control group trees', () => {
  it('are one on a system with version 2', () => {
    const text = '29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate';
    assert.deepEqual(parseCgroupTrees(text), { version: 2, trees: [{ controllers: '', directory: '/sys/fs/cgroup' }] });
  });

  it('are one for each controller with version 1, also beside an empty version 2', () => {
    const text = [
      '30 29 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
      '31 29 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct',
      '32 29 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
      '33 29 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd',
      '34 29 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids',
    ].join('\n');
    assert.deepEqual(parseCgroupTrees(text), {
      version: 1,
      trees: [
        { controllers: 'cpu,cpuacct', directory: '/sys/fs/cgroup/cpu,cpuacct' },
        { controllers: 'memory', directory: '/sys/fs/cgroup/memory' },
      ],
    });
  });

  it('may be absent', () => {
    assert.deepEqual(parseCgroupTrees('1 0 0:1 / / rw - ext4 /dev/vda rw'), { version: undefined, trees: [] });
  });
});
