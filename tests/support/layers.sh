#!/bin/bash
# The include rules of docs/architecture.md: who may include whom. Prints each breach; exit 1 when there is one.
set -u
bad=0
while read -r folder allowed; do
    [ -d "$folder" ] || continue
    breaches=$(grep -rnE '^#include "[a-z]+/' "$folder" --include='*.[ch]' | grep -vE "#include \"($allowed)/")
    if [ -n "$breaches" ]; then
        echo "$breaches"
        bad=1
    fi
done <<'RULES'
wire wire
runtime runtime
agent agent|wire
ingest ingest|wire|runtime
detect detect|wire|runtime
assess assess|wire|runtime
kql kql|wire|runtime
store store|wire|runtime|detect|assess|kql
query query|wire|runtime|detect|assess|kql
forward forward|wire|runtime|detect|assess|kql
RULES
[ $bad = 0 ] || echo "layers: includes run against the tree; move the code or pass what it needs" >&2
exit $bad
