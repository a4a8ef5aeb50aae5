#!/bin/bash
# Lines of the agent's core that its unit tests run, file by file: LIMIT in percent, then the files. Exit 1 when one is below it.
set -eu
cd "$(dirname "$0")/../.."
limit=$1
shift
folder=build/cover
tests=""
for file in "$@"; do
    test=tests/unit/$(dirname "$file")/test_$(basename "$file" .c).c
    [ ! -e "$test" ] || tests="$tests $(dirname "$file")/test_$(basename "$file" .c)"
done
find $folder -name '*.gcda' -delete 2>/dev/null || true
make -s OPT="-O0 --coverage" BUILD=$folder LINK="gcc --coverage -pthread" unit ONLY="$tests" >$folder.log 2>&1 || { cat $folder.log >&2; exit 1; }
bad=0
for file in "$@"; do
    percent=$(cd $folder && gcov -n -o "${file%.c}.gcda" "../../$file" 2>/dev/null | sed -nE "\\,^File '$file'|^File '.*/$file',{n;s/Lines executed:([0-9.]+)% of.*/\\1/p}" | head -1)
    printf '%-22s %s %%\n' "$file" "${percent:-not run}"
    awk "BEGIN {exit !(${percent:-0} < $limit)}" && bad=1
done
exit $bad
