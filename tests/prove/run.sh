#!/bin/bash
# Shows by abstract interpretation (Frama-C's Eva, which follows every case apart here, as a bounded model checker does; Debian 12 has no cbmc)
# that the agent's queue and its spool ring neither read nor write beside their memory, whatever is done to them in a few steps. Installs
# frama-c-base when it is missing.
set -eu
cd "$(dirname "$0")/../.."
command -v frama-c >/dev/null || {
    root=""
    [ "$(id -u)" = 0 ] || root=sudo
    echo "Installing Debian packages: frama-c-base"
    DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends frama-c-base >/dev/null
}
prove() {
    name=$1
    shift
    said=$(frama-c -eva -eva-slevel 10000000 -eva-split-limit 200 -eva-msg-key=-initial-state -machdep gcc_x86_64 -cpp-extra-args="-I. -DNDEBUG" "$@" 2>&1) || {
        echo "$said" | tail -20
        exit 1
    }
    reached=$(grep -o '[0-9]* statements reached (out of [0-9]*)' <<<"$said")
    if ! grep -q '^  0 alarms generated' <<<"$said" || ! grep -q '100% of the logical properties reached have been proven' <<<"$said"; then
        grep -A3 'alarm\|unknown\|invalid' <<<"$said" | tail -30
        echo "$name: not proven"
        exit 1
    fi
    echo "$name: proven, no alarm; $reached"
}
prove "the queue" tests/prove/queue.c agent/event_queue.c
prove "the spool ring" tests/prove/ring.c agent/spool_ring.c
