#!/bin/sh
# Step network: the private NIC has its address, the default route and resolvers,
# in the configuration of whatever runs the network here, so that they last.
set -eu
# shellcheck source=cloudinit/hk3s_cloudinit/scripts/lib.sh
. /usr/local/lib/hk3s/lib.sh

# Never by name or MTU, which differ by server type and image. With several private networks it
# is the NIC that has a route to our gateway.
private_nic() {
    first=
    for file in /sys/class/net/*/address; do
        name=${file%/address}
        name=${name##*/}
        case "$name" in veth* | cni* | flannel* | cilium* | lxc*) continue ;; esac
        case "$(cat "$file")" in 86:00:*) ;; *) continue ;; esac
        first=${first:-$name}
        if ip -4 route show dev "$name" | grep -qF "$HK3S_GATEWAY "; then
            echo "$name"
            return
        fi
    done
    [ -n "$first" ] && echo "$first"
}

network_stack() {
    for stack in $HK3S_STACKS; do
        case "$stack" in
        networkmanager) systemctl is-active --quiet NetworkManager || continue ;;
        networkd) systemctl is-active --quiet systemd-networkd || continue ;;
        ifupdown) grep -rqs "^iface $nic " /etc/network/interfaces /etc/network/interfaces.d || continue ;;
        esac
        echo "$stack"
        return
    done
    # Nothing speaks for itself: take the first that is installed.
    for stack in $HK3S_STACKS; do
        case "$stack" in
        networkmanager) command -v nmcli ;;
        networkd) command -v networkctl ;;
        ifupdown) command -v ifup ;;
        esac >/dev/null || continue
        echo "$stack"
        return
    done
}

# Fill in the stack's templates; tell whether a file changed.
install_files() {
    changed=no
    templates=/etc/hk3s/network/$stack
    # shellcheck disable=SC2044 # these paths are ours and hold no spaces
    for template in $(find "$templates" -type f); do
        target=/etc/${template#"$templates/"}
        # A second stanza for a NIC would start a second DHCP client.
        if [ "$target" = /etc/network/interfaces.d/60-hk3s ] && [ ! -e "$target" ] &&
            grep -rqs "^iface $nic " /etc/network/interfaces /etc/network/interfaces.d; then
            continue
        fi
        sed "s/@NIC@/$nic/g; s/@MAC@/$mac/g" "$template" >"$RUN/rendered"
        cmp -s "$RUN/rendered" "$target" && continue
        mkdir -p "${target%/*}"
        install -m "$(stat -c %a "$template")" "$RUN/rendered" "$target"
        changed=yes
    done
    [ "$changed" = yes ]
}

apply() {
    case "$stack" in
    networkd)
        systemctl enable systemd-networkd
        systemctl restart systemd-networkd
        ;;
    ifupdown)
        conf=/etc/dhcp/dhclient.conf
        if [ -e "$conf" ] && ! grep -q '^retry 5;' "$conf"; then
            echo 'retry 5;' >>"$conf" # its default of five minutes is a long outage
        fi
        ifdown --force "$nic" || :
        # In a scope of its own: the DHCP client must outlive the unit that runs this.
        systemd-run --scope --quiet ifup "$nic" || :
        ;;
    networkmanager)
        systemctl disable --now nm-cloud-setup.timer nm-cloud-setup.service firewalld || :
        nmcli connection reload
        nmcli connection up hk3s ifname "$nic" || :
        ;;
    esac
}

# Kept, for it may vanish for a moment while the network is still being reconfigured.
has_address() {
    address=$(ip -4 -o address show dev "$nic" scope global |
        awk '{ sub("/.*", "", $4); print $4; exit }')
    [ -n "$address" ]
}
has_route() {
    case "$HK3S_ROLE" in
    bastion) ip -4 route show default | grep -q . ;;
    *) ip -4 route show default dev "$nic" | grep -qF "via $HK3S_GATEWAY " ;;
    esac
}

nic=$(private_nic) || fail no-private-nic "no network interface has a MAC of 86:00:..."
mac=$(cat "/sys/class/net/$nic/address")
stack=$(network_stack)
[ -n "$stack" ] || fail no-lease "nothing here can configure the network"

# Hetzner's own helper runs a second DHCP client, whose renewals undo our routes.
for verb in stop mask; do
    systemctl "$verb" hc-net-scan.service "hc-net-ifup@$nic.service" 2>/dev/null || :
done

if install_files || [ "$HK3S_ATTEMPT" -gt 1 ]; then
    apply
fi
wait_for 30 has_address || fail no-lease "the private network gave no address"
echo "$nic" >"$RUN/nic"
echo "$address" >"$RUN/address"
# From here on there is an address to answer on, whatever else is missing.
systemctl restart --no-block hk3s-status.service
wait_for 10 has_route || fail no-route "there is no default route"

# systemd-resolved and NetworkManager (links into /run) have the resolvers from their own files.
if [ ! -L /etc/resolv.conf ] && { [ "$HK3S_ROLE" != bastion ] || [ ! -s /etc/resolv.conf ]; }; then
    cp /etc/hk3s/resolv.conf /etc/resolv.conf
fi
grep -qs '^nameserver' /etc/resolv.conf || fail no-dns "there is no resolver"
