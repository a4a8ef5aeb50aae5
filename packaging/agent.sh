#!/bin/bash
# Builds picket-agent for other hosts than this one, with Mbed TLS of Debian's source built in:
#   packaging/agent.sh static   x86-64, one file by musl that needs nothing
#   packaging/agent.sh armhf    32-bit ARM, glibc
#   packaging/agent.sh arm64    64-bit ARM, glibc
# into build/<target>/picket-agent, without the collectors that WITHOUT names, stripped; then starts it once, under qemu-user where it is another processor's. Installs the
# compilers that are missing; needs root or sudo for that.
set -eu
cd "$(dirname "$0")/.."
target=$1
mbedtls=2.28.3
mbedtls_sha256=3b4953aa55a681e084d31892d9904cc5328d6b4958ea57b90ae4b4f94ae69a8d
case $target in
static) packages="musl-tools" compiler=musl-gcc flags="-static -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu" runner="" limit=1536 ;;
armhf) packages="gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user" compiler=arm-linux-gnueabihf-gcc flags="" runner="qemu-arm -L /usr/arm-linux-gnueabihf" limit=0 ;;
arm64) packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user" compiler=aarch64-linux-gnu-gcc flags="" runner="qemu-aarch64 -L /usr/aarch64-linux-gnu" limit=0 ;;
*) sed -n '2,8s/^# //p' "$0" >&2; exit 64 ;;
esac

missing=""
for package in $packages; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    echo "Installing Debian packages:$missing"
    root=""
    [ "$(id -u)" = 0 ] || root=sudo
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

build=$PWD/build/$target
source=$PWD/build/mbedtls-$mbedtls.tar.gz
mkdir -p "$build"
if ! echo "$mbedtls_sha256  $source" | sha256sum -c --quiet 2>/dev/null; then
    curl -fsSL -o "$source" "http://deb.debian.org/debian/pool/main/m/mbedtls/mbedtls_$mbedtls.orig.tar.gz"
    echo "$mbedtls_sha256  $source" | sha256sum -c --quiet
fi
if [ ! -e "$build/mbedtls/library/libmbedcrypto.a" ]; then
    rm -rf "$build/mbedtls" && mkdir "$build/mbedtls"
    tar -xzf "$source" -C "$build/mbedtls" --strip-components=1
    archiver=${compiler%gcc}ar
    [ "$compiler" != musl-gcc ] || archiver=ar
    make -s -C "$build/mbedtls/library" CC="$compiler" AR="$archiver" CFLAGS="-Os -ffunction-sections -fdata-sections" static >/dev/null
fi

left_out=""
for collector in ${WITHOUT:-}; do
    grep -q "^#ifndef WITHOUT_${collector^^}\$" agent/collector_table.c || { echo "WITHOUT: there is no collector $collector" >&2; exit 64; }
    left_out="$left_out -DWITHOUT_${collector^^}"
done
objects=""
for file in agent/*.c wire/*.c programs/picket_agent.c; do
    object=$build/${file//\//_}.o
    # shellcheck disable=SC2086
    $compiler -std=gnu11 -D_GNU_SOURCE -Os -DNDEBUG -ffunction-sections -fdata-sections -I. -I"$build/mbedtls/include" ${flags/-static/} $left_out -c -o "$object" "$file"
    objects="$objects $object"
done
# shellcheck disable=SC2086
$compiler -Os -s -Wl,--gc-sections ${flags%% *} -pthread -o "$build/picket-agent" $objects "$build"/mbedtls/library/libmbed{tls,x509,crypto}.a
size=$(stat -c %s "$build/picket-agent")
echo "build/$target/picket-agent: $((size / 1024)) KiB, $($runner "$build/picket-agent" --version)"
[ "$limit" = 0 ] || [ $((size / 1024)) -le $limit ]
printf 'send_interval_s = 1\n' >"$build/agent.conf"
$runner "$build/picket-agent" --config "$build/agent.conf" --once --dry-run >"$build/seen.json"
echo "it started once and saw: $(grep -o '"Name":"[A-Za-z]*","PayloadSchemaVersion"' "$build/seen.json" | cut -d'"' -f4 | sort | uniq -c | awk '{printf "%s%s %s", (NR > 1 ? ", " : ""), $1, $2}')"
