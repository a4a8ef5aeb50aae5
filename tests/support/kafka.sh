#!/bin/bash
# Fetches Apache Kafka's server jars, as published on Maven Central and pinned in kafka/pom.xml, into build/kafka/. Does
# nothing when they are there. Needs maven and a Java 17.
set -u
cd "$(dirname "$0")/../.."

pom=tests/support/kafka/pom.xml
into=build/kafka
stamp=$into/fetched-by

# The stamp is the pom itself: another version in it means another fetch.
cmp -s $pom $stamp && exit 0

command -v mvn >/dev/null || { echo "kafka.sh: maven is missing: run make deps" >&2; exit 1; }
mkdir -p build
fresh=$(mktemp -d build/kafka.XXXXXX) || exit 1
trap 'rm -rf "$fresh"' EXIT

fetch() {
    mvn -q -B "$@" -f $pom dependency:copy-dependencies -DoutputDirectory="$PWD/$fresh" >"$fresh/mvn.log" 2>&1
}
# A warm local repository is enough; the network is only asked when it is not.
if ! fetch -o; then
    echo "Fetching Apache Kafka for the tests"
    if ! fetch; then
        tail -n 20 "$fresh/mvn.log" >&2
        echo "kafka.sh: Kafka's jars could not be fetched from Maven Central (see above)" >&2
        exit 1
    fi
fi
ls "$fresh"/kafka_*.jar >/dev/null 2>&1 || { echo "kafka.sh: maven succeeded but there is no kafka_*.jar" >&2; exit 1; }
cp $pom "$fresh/fetched-by"
rm -rf $into
chmod 755 "$fresh"
# Two builds may fetch at the same time; the first one to move wins, with the same jars.
mv -T "$fresh" $into 2>/dev/null || cmp -s $pom $stamp
