#!/bin/bash
# First process of a private libvirtd for tests: everything that libvirtd writes lies under $1, seen at its usual places
# through bind mounts in this process's own mount namespace. Bash, as pid 1, reaps the QEMU processes that libvirtd leaves.
# Arguments: the directory, then the daemon and its arguments.
set -eu
directory=$1
shift
mount --make-rprivate /
hostname "$(basename "$directory" | tr -dc a-zA-Z0-9-)"
mkdir -p "$directory"/{etc,lib,cache,log}
mount -t tmpfs tmpfs /run
mkdir -p /run/libvirt /run/lock
mount --bind "$directory/run" /run/libvirt
mkdir -p /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
mount --bind "$directory/etc" /etc/libvirt
mount --bind "$directory/lib" /var/lib/libvirt
mount --bind "$directory/cache" /var/cache/libvirt
mount --bind "$directory/log" /var/log/libvirt
# No cgroups in sight: the daemon then manages none.
if mountpoint -q /sys/fs/cgroup; then umount -R -l /sys/fs/cgroup; fi
# The QEMU driver refuses to start where its default user does not exist, although the test runs QEMU as root.
for file in passwd group; do cp "/etc/$file" "$directory/$file"; done
if ! grep -q '^libvirt-qemu:' "$directory/passwd"; then
  echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >>"$directory/passwd"
  echo 'libvirt-qemu:x:64055:' >>"$directory/group"
fi
if ! grep -q '^kvm:' "$directory/group"; then echo 'kvm:x:64056:' >>"$directory/group"; fi
mount --bind "$directory/passwd" /etc/passwd
mount --bind "$directory/group" /etc/group
"$@" &
wait $!
