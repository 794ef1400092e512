#!/bin/bash
# Turns this process into a lab host's first one: into the host's control groups, then its namespaces, then init.sh.
# Usage: launch.sh NETWORK-NAMESPACE init.sh's arguments…; KVASIR_LAB_CGROUPS: the directories to join, separated by ':'.
set -u
IFS=: read -ra cgroups <<<"${KVASIR_LAB_CGROUPS:-}"
for directory in "${cgroups[@]}"; do echo $$ >"$directory/cgroup.procs" || exit 1; done
unset KVASIR_LAB_CGROUPS IFS
namespace=$1
shift
exec ip netns exec "$namespace" unshare --mount --propagation private --uts --ipc --cgroup --pid --fork --kill-child \
  /bin/bash "${BASH_SOURCE[0]%/*}/init.sh" "$@"
