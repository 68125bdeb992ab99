#!/bin/sh
# Step join: k3s runs and the API answers (master), the node is registered (worker).
set -eu
# shellcheck source=cloudinit/hk3s_cloudinit/scripts/lib.sh
. /usr/local/lib/hk3s/lib.sh

case "$HK3S_ROLE" in
master) unit=k3s.service ;;
*) unit=k3s-agent.service ;;
esac

# What only the machine knows. The id comes from the DMI, never from metadata: behind NAT that
# service may answer for another server.
configure() {
    id=$(cat /sys/class/dmi/id/product_serial 2>/dev/null || :)
    echo "node-ip: $(cat "$RUN/address")"
    echo "flannel-iface: $(cat "$RUN/nic")"
    case "$id" in
    '' | *[!0-9]*) ;;
    *) printf 'kubelet-arg+:\n- provider-id=hcloud://%s\n' "$id" ;;
    esac
}

joined() {
    case "$HK3S_ROLE" in
    master) k3s kubectl get --raw /readyz ;;
    *)
        k3s kubectl --kubeconfig /var/lib/rancher/k3s/agent/kubelet.kubeconfig \
            --request-timeout 5s get node "$HK3S_NAME"
        ;;
    esac >/dev/null 2>&1
}

# Find the first known error in what the unit wrote during this attempt.
diagnose() {
    journalctl --unit "$unit" --since "@$began" --output cat --lines 100 >"$RUN/journal" || :
    while IFS='	' read -r code pattern message; do
        grep -qE "$pattern" "$RUN/journal" && fail "$code" "$message"
    done <"$LIB/journal-errors"
    [ "$(systemctl show --property NRestarts --value "$unit")" = "$restarts" ] ||
        fail k3s-failed "k3s starts and stops again"
}

PATH=$PATH:/usr/local/bin
umask 077
mkdir -p /etc/rancher/k3s/config.yaml.d
configure >/etc/rancher/k3s/config.yaml.d/50-hk3s-network.yaml

began=$(date +%s)
restarts=$(systemctl show --property NRestarts --value "$unit")
systemctl enable "$unit"
# k3s's start ends when the node has joined, which may be never: nobody waits for it.
systemctl start --no-block "$unit"
# An API that is only slow to start must not be called unreachable: look for errors after a while.
until wait_for 15 joined; do
    diagnose
done
