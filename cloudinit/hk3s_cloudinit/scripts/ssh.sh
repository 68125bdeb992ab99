#!/bin/sh
# Step ssh: host key, certificate and authorized keys are in place (cloud-init put them there).
set -eu
# shellcheck source=cloudinit/hk3s_cloudinit/scripts/lib.sh
. /usr/local/lib/hk3s/lib.sh

for file in /etc/ssh/ssh_host_ed25519_key /etc/ssh/ssh_host_ed25519_key-cert.pub /root/.ssh/authorized_keys; do
    [ -s "$file" ] || fail ssh-failed "$file is missing"
done
mkdir -p /run/sshd # sshd -t wants it, and a socket-activated sshd has not made it yet
PATH=$PATH:/usr/sbin sshd -t || fail ssh-failed "sshd does not accept its configuration"
systemctl try-reload-or-restart ssh.service sshd.service 2>/dev/null || :
