#!/bin/bash
# Runs test programs one after the other, shows the output of those that fail and what the others skipped, and ends with the failed checks once more
# and the sums of Check's own summary lines: "N passed, N failed".
set -u
passed=0 failed=0 started=$SECONDS failures=""
for program in "$@"; do
    begin=$SECONDS
    output=$("$program" 2>&1)
    code=$?
    line=$(grep -E '^[0-9]+%: Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+' <<<"$output" | tail -n 1)
    checks=$(sed -nE 's/.*Checks: ([0-9]+).*/\1/p' <<<"$line")
    bad=$(sed -nE 's/.*Failures: ([0-9]+), Errors: ([0-9]+).*/\1+\2/p' <<<"$line")
    bad=$((${bad:-0}))
    # A program that died, or failed without a summary, counts as one failure.
    [ $code = 0 ] || [ $bad -gt 0 ] || bad=1
    passed=$((passed + ${checks:-0} - (bad < ${checks:-0} ? bad : ${checks:-0})))
    failed=$((failed + bad))
    printf '%-60s %s (%d s)\n' "${program#build/}" "${line:-exit $code, no summary}" $((SECONDS - begin))
    if [ $code != 0 ] || [ $bad -gt 0 ]; then
        printf '%s\n' "$output" | tail -n "${TEST_LOG_LINES:-200}"
        failures+="failed: ${program#build/}"$'\n'$(grep -E ':[FE]:' <<<"$output" | cut -c1-500)$'\n'
    else
        grep -E '^skipped: ' <<<"$output" | sort -u
    fi
done
printf '%s' "$failures"
echo "all tests took $((SECONDS - started)) s"
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
