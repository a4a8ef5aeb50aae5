#!/bin/bash
# What firmware links must need nothing but C99 and a few functions of any C library. Given the joined object and the
# dependency files of its parts, prints each call and each header beyond that; exit 1 when there is one.
set -u
object=$1
shift
allowed='__assert_fail|memchr|memcmp|memcpy|memmove|memset|strchr|strcmp|strlen'
headers='assert|stdbool|stddef|stdint|string|emmintrin' # the last is the compiler's, asked for by its own macro
bad=0
calls=$(nm -u "$object") || exit 1
if grep -vE "^ *U ($allowed)$" <<<"$calls"; then
    echo "core: calls that firmware does not have; pass what they give through agent/port.h" >&2
    bad=1
fi
parts=$(grep -hoE '(agent|wire)/[a-z_]+\.[ch]' "$@" | sort -u)
[ -n "$parts" ] || { echo "core: nothing was looked at" >&2; exit 1; }
# shellcheck disable=SC2086
if grep -nE '^#include <' $parts | grep -vE "#include <($headers)\.h>"; then
    echo "core: headers that firmware does not have" >&2
    bad=1
fi
exit $bad
