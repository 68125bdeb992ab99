#!/bin/sh
# Step boot: user-data was read and is valid.
set -eu
# shellcheck source=cloudinit/hk3s_cloudinit/scripts/lib.sh
. /usr/local/lib/hk3s/lib.sh

python3 -c 'import json; assert json.load(open("/etc/hk3s/node.json"))["schema"] == 1' ||
    fail bad-user-data "node.json cannot be read"
settings=/etc/sysctl.d/90-hk3s.conf
[ ! -e "$settings" ] || sysctl -q -p "$settings" || : # a container may not have all of them
