#!/bin/sh
# Step nat: the bastion's rules are in place; only then it forwards.
set -eu
# shellcheck source=cloudinit/hk3s_cloudinit/scripts/lib.sh
. /usr/local/lib/hk3s/lib.sh

nic=$(cat "$RUN/nic")
wan=$(ip -4 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
if [ -z "$wan" ] || [ "$wan" = "$nic" ]; then
    fail nat-failed "the default route does not lead out of a public interface"
fi

rules=/var/lib/hk3s/bastion.nft
mkdir -p "${rules%/*}"
sed "s/@NIC@/$nic/g; s/@WAN@/$wan/g" /etc/hk3s/bastion.nft >"$RUN/bastion.nft"
nft -f "$RUN/bastion.nft" || fail nat-failed "nftables does not accept the rules"
mv "$RUN/bastion.nft" "$rules"
sysctl -q -p /etc/hk3s/bastion-sysctl.conf || fail nat-failed "forwarding cannot be switched on"
