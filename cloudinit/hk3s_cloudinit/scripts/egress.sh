#!/bin/sh
# Step egress: a name resolves and the host of k3s's artifacts answers.
set -eu
# shellcheck source=cloudinit/hk3s_cloudinit/scripts/lib.sh
. /usr/local/lib/hk3s/lib.sh

[ -x /usr/local/bin/k3s ] || "$LIB/fetch" "$HK3S_K3S_URL/" ||
    fail no-egress "the host of the artifacts does not answer"
