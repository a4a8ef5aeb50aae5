#!/bin/bash
# Installs what a build, a run (WHAT=run) or the tests need and is not there yet. Says what it installs; says nothing
# when all is there. Needs root or sudo, on Debian 12.
set -eu
cd "$(dirname "$0")/../.."

build="gcc make pkg-config libmicrohttpd-dev libgnutls28-dev libmbedtls-dev librdkafka-dev libpq-dev libjansson-dev libsodium-dev
       libcurl4-gnutls-dev libidn2-dev libyaml-dev libpcre2-dev zlib1g-dev libzstd-dev"
run="postgresql-15 curl ca-certificates"
test="check libsubunit-dev musl-tools iproute2 nftables iptables rpm libfaketime openssh-client openjdk-17-jre-headless maven universal-ctags python3-venv mosquitto-clients"
command -v npm >/dev/null || test="$test nodejs npm"

case "${WHAT:-all}" in
run) packages="$build $run" ;;
*) packages="$build $run $test" ;;
esac

missing=""
for package in $packages; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "make deps: needs root or sudo to install:$missing" >&2
        exit 1
    fi
}

install_packages() {
    echo "Installing Debian packages:$missing"
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get update -qq
    case "$missing" in
    *postgresql-15*)
        # Picket makes a private cluster of its own; the one that Debian would start on port 5432 is not wanted.
        as_root apt-get install -y -qq --no-install-recommends postgresql-common >/dev/null
        as_root mkdir -p /etc/postgresql-common/createcluster.d
        echo "create_main_cluster = false" | as_root tee /etc/postgresql-common/createcluster.d/picket.conf >/dev/null
        ;;
    esac
    # shellcheck disable=SC2086
    as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

[ -z "$missing" ] || install_packages

if [ "${WHAT:-all}" != run ]; then
    tests/support/kafka.sh
    tests/support/python.sh
    tests/support/node.sh
    tests/support/unpacked.sh
fi
