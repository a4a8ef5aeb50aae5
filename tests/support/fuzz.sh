#!/bin/bash
# Runs fuzzers: FOLDER with the programs, SECONDS for each, then their names. Corpora grow under build/fuzz/corpus; an
# input that crashes one is kept beside them. One line each; exit 1 when one found something, 2 when one
# could not run.
set -u
folder=${1:?folder of the fuzzers} seconds=${2:?seconds for each}
shift 2
[ $# -gt 0 ] || { echo "fuzz: no fuzzers named" >&2; exit 2; }
corpora=build/fuzz/corpus
bad=0
for name in "$@"; do
    [ -x "$folder/$name" ] || { echo "fuzz: $folder/$name is not built" >&2; exit 2; }
    corpus=$corpora/$name found=$corpora/found/$name
    mkdir -p "$corpus" "$found"
    seeds=()
    [ -d "tests/fuzz/seeds/$name" ] && seeds=("tests/fuzz/seeds/$name")
    log=$corpora/$name.log
    "$folder/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$found/" "$corpus" "${seeds[@]}" >"$log" 2>&1
    code=$?
    runs=$(sed -nE 's/^stat::number_of_executed_units: *([0-9]+)/\1/p' "$log" | tail -n 1)
    if [ $code = 0 ]; then
        printf '%-28s %s inputs in %s s, nothing found, corpus of %s\n' "$name" "${runs:-?}" "$seconds" \
            "$(find "$corpus" -type f | wc -l)"
    else
        bad=1
        printf '%-28s FOUND: exit %s, %s\n' "$name" "$code" \
            "$(sed -nE 's/.*Test unit written to (.*)/\1/p' "$log" | tail -n 1)"
        tail -n 40 "$log" >&2
    fi
done
exit $bad
