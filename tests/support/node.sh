#!/bin/bash
# Installs Microsoft's KQL parser from npm, pinned in node/package.json, into build/node/. Does nothing when it is there.
# Needs node and npm.
set -u
cd "$(dirname "$0")/../.."

wanted=tests/support/node/package.json
into=build/node

cmp -s $wanted $into/made-from && exit 0

echo "Fetching the KQL parser from npm for the tests"
mkdir -p $into
cp $wanted $into/package.json
if ! (cd $into && npm install --no-package-lock --no-audit --no-fund >../node.log 2>&1); then
    tail -n 20 build/node.log >&2
    echo "node.sh: the parser could not be fetched from npm (see above)" >&2
    exit 1
fi
cp $wanted $into/made-from
