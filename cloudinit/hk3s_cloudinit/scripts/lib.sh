# shellcheck shell=sh
# What the steps share. `node` exports HK3S_STEP and HK3S_ATTEMPT to them.
LIB=/usr/local/lib/hk3s
# shellcheck disable=SC2034 # the steps use it
RUN=/run/hk3s

set -a
# shellcheck source=/dev/null
. /etc/hk3s/node.env
set +a

# fail CODE MESSAGE: report why the step cannot be done now, and end it.
# Codes and messages are fixed texts: what is reported holds no secret.
fail() {
    "$LIB/report" "$HK3S_STEP" failed "$HK3S_ATTEMPT" "$1" "$2"
    echo "$HK3S_STEP: $1: $2" >&2
    exit 1
}

# wait_for SECONDS COMMAND...: succeed as soon as the command does.
wait_for() {
    seconds=$1
    shift
    until "$@"; do
        [ "$seconds" -gt 0 ] || return 1
        seconds=$((seconds - 1))
        sleep 1
    done
}
