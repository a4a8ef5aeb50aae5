#!/bin/bash
# Fetches Debian's SSH server and lays it into build/sshd/, without installing it: a test wants a real one, its machine does not. Does
# nothing when it is there.
set -eu
cd "$(dirname "$0")/../.."

into=build/sshd
[ -x $into/usr/sbin/sshd ] && exit 0

mkdir -p build
fresh=$(mktemp -d build/sshd.XXXXXX)
trap 'rm -rf "$fresh"' EXIT
fetch() {
    (cd "$fresh" && apt-get download -qq openssh-server libwrap0) >"$fresh/log" 2>&1
}
if ! fetch; then
    root=""
    [ "$(id -u)" = 0 ] || root=sudo
    $root apt-get update -qq
    fetch || { cat "$fresh/log" >&2; echo "sshd.sh: openssh-server could not be fetched (see above)" >&2; exit 1; }
fi
for package in "$fresh"/*.deb; do
    dpkg -x "$package" "$fresh"
done
rm "$fresh"/*.deb "$fresh/log"
chmod 755 "$fresh"
# Two builds may fetch at the same time; the first one to move wins.
mv -T "$fresh" $into 2>/dev/null || [ -x $into/usr/sbin/sshd ]
