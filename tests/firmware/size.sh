#!/bin/bash
# Builds the core for a Cortex-M4 as firmware would, links the smallest firmware with it, and prints what it takes. Exit 1 when the
# core's text is over the limit. Installs the cross compiler when it is missing.
set -eu
cd "$(dirname "$0")/../.."
limit=$((24 * 1024))
build=build/firmware
command -v arm-none-eabi-gcc >/dev/null || {
    root=""
    [ "$(id -u)" = 0 ] || root=sudo
    echo "Installing Debian packages: gcc-arm-none-eabi libnewlib-arm-none-eabi"
    $root apt-get install -y -qq --no-install-recommends gcc-arm-none-eabi libnewlib-arm-none-eabi >/dev/null
}
mkdir -p $build
flags="-mcpu=cortex-m4 -mthumb -std=c99 -Os -ffreestanding -ffunction-sections -fdata-sections -DNDEBUG -Wall -Wextra -Werror -I."
objects=""
for source in "$@"; do
    object=$build/$(basename "$source" .c).o
    # shellcheck disable=SC2086
    arm-none-eabi-gcc $flags -fstack-usage -c -o "$object" "$source"
    objects="$objects $object"
done
# shellcheck disable=SC2086
arm-none-eabi-gcc $flags -Wno-unused-function --specs=nosys.specs -Wl,--gc-sections -o $build/firmware.elf tests/firmware/main.c $objects 2>/dev/null
# shellcheck disable=SC2086
text=$(arm-none-eabi-size -t $objects | awk '/TOTALS/ {print $1}')
# shellcheck disable=SC2086
arm-none-eabi-size $objects | awk 'NR == 1 {print "   text    data     bss  part"} NR > 1 {sub(".*/", "", $6); printf "%7d %7d %7d  %s\n", $1, $2, $3, $6}'
stack=$(cat $build/*.su | awk -F'\t' '{if ($2 > most) {most = $2; where = $1}} END {sub(".*/", "", where); print most " bytes in " where}')
echo "core: text $text bytes of $limit; no data, no bss of its own; the deepest function takes $stack"
echo "the smallest firmware: $(arm-none-eabi-size $build/firmware.elf | awk 'NR == 2 {print "text " $1 ", data " $2 ", bss " $3}') (C library and the caller's buffers included)"
[ "$text" -le "$limit" ]
