#!/bin/bash
# Fetches programs of Debian's that tests want and their machine does not, and lays them into build/unpacked/ without installing them: its SSH server,
# and the writer of systemd's journal. Does nothing when they are there.
set -eu
cd "$(dirname "$0")/../.."

into=build/unpacked
packages="openssh-server libwrap0 systemd-journal-remote libsystemd-shared"
complete() {
    [ -x $into/usr/sbin/sshd ] && [ -x $into/lib/systemd/systemd-journal-remote ]
}
complete && exit 0

mkdir -p build
rm -rf $into
fresh=$(mktemp -d build/unpacked.XXXXXX)
trap 'rm -rf "$fresh"' EXIT
fetch() {
    # shellcheck disable=SC2086
    (cd "$fresh" && apt-get download -qq $packages) >"$fresh/log" 2>&1
}
if ! fetch; then
    root=""
    [ "$(id -u)" = 0 ] || root=sudo
    $root apt-get update -qq
    fetch || { cat "$fresh/log" >&2; echo "unpacked.sh: these could not be fetched (see above): $packages" >&2; exit 1; }
fi
for package in "$fresh"/*.deb; do
    dpkg -x "$package" "$fresh"
done
rm "$fresh"/*.deb "$fresh/log"
chmod 755 "$fresh"
# Two builds may fetch at the same time; the first one to move wins.
mv -T "$fresh" $into 2>/dev/null || complete
