#!/bin/sh
# cloud-init's one command. It starts what does the work and returns: a server that cannot join
# must still finish its boot, or nobody could log in and look.
set -eu
systemctl daemon-reload
systemctl enable hk3s-guard.service hk3s-node.service
systemctl start --no-block hk3s-guard.service hk3s-node.service
