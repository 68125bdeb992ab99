#!/bin/sh
# Takes this machine through its steps, at every boot; stays on a failed one with growing pauses.
set -eu
# shellcheck source=cloudinit/hk3s_cloudinit/scripts/lib.sh
. /usr/local/lib/hk3s/lib.sh

case "$HK3S_ROLE" in
bastion) steps="boot network ssh nat" ;;
*) steps="boot network ssh egress install join ready" ;;
esac

run_step() {
    case "$HK3S_STEP" in
    install | join) "$LIB/k3s-$HK3S_STEP" ;;
    *) "$LIB/$HK3S_STEP" ;;
    esac
}

mkdir -p "$RUN"
export HK3S_STEP HK3S_ATTEMPT
for HK3S_STEP in $steps; do
    HK3S_ATTEMPT=1
    pause=2
    "$LIB/report" "$HK3S_STEP" running 1
    until run_step; do
        sleep "$pause"
        HK3S_ATTEMPT=$((HK3S_ATTEMPT + 1))
        pause=$((pause < 32 ? pause * 2 : 60))
    done
    "$LIB/report" "$HK3S_STEP" "done" "$HK3S_ATTEMPT"
done
[ "$HK3S_STEP" = ready ] || "$LIB/report" ready "done" 1
