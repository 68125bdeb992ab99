#!/bin/sh
# Step ready: the node is Ready. Pulling the first images may take minutes; that is no failure.
set -eu
# shellcheck source=cloudinit/hk3s_cloudinit/scripts/lib.sh
. /usr/local/lib/hk3s/lib.sh

case "$HK3S_ROLE" in
master) kubeconfig=/etc/rancher/k3s/k3s.yaml ;;
*) kubeconfig=/var/lib/rancher/k3s/agent/kubelet.kubeconfig ;;
esac

until [ "$(/usr/local/bin/k3s kubectl --kubeconfig "$kubeconfig" --request-timeout 5s \
    get node "$HK3S_NAME" \
    --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null)" = True ]; do
    sleep 2
done
