#!/bin/bash
# Runs the benches of a build folder one after the other; each prints its ratios with their limits. Ends with 1 when a
# limit was missed. Wants a machine that does nothing else.
set -u
build=$1
missed=0
run() {
    echo "== $*"
    "$build/bench/$@" || missed=1
}
run bench_bare_http
run bench_roster
run bench_kql
run bench_questions
run bench_detect
run bench_ingest
run bench_mqtt
run bench_agent
run bench_alerts
run bench_pipeline
[ $missed = 0 ] || echo "A limit was missed."
exit $missed
