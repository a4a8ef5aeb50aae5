#!/bin/bash
# Makes a virtual environment with the clients that the tests use, as published on PyPI and pinned in
# python/requirements.txt, in build/python/. Does nothing when it is there. Needs python3-venv.
set -u
cd "$(dirname "$0")/../.."

wanted=tests/support/python/requirements.txt
into=build/python
stamp=$into/made-from

# The stamp is the list itself: another version in it means another environment.
cmp -s $wanted $stamp && exit 0

echo "Fetching SDKs from PyPI for the tests"
mkdir -p build
rm -rf $into # a virtual environment cannot be moved, so it is made in its place
if ! python3 -m venv $into || ! $into/bin/pip install -q --disable-pip-version-check -r $wanted >build/python.log 2>&1; then
    tail -n 20 build/python.log >&2
    rm -rf $into
    echo "python.sh: the clients could not be fetched from PyPI (see above)" >&2
    exit 1
fi
cp $wanted $stamp
