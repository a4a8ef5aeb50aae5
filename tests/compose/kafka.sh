#!/bin/bash
# What the stand-in for apache/kafka runs: KAFKA_ variables become properties as in the official image (one underscore is a
# dot, two are an underscore, three a dash), the storage is formatted once under CLUSTER_ID, then it becomes the broker.
set -eu

properties=/opt/kafka/config/server.properties
not_properties='^KAFKA_(VERSION|HEAP_OPTS|LOG4J_OPTS|OPTS|JMX_OPTS|JVM_PERFORMANCE_OPTS|GC_LOG_OPTS|LOG4J_ROOT_LOGLEVEL|LOG4J_LOGGERS|TOOLS_LOG4J_LOGLEVEL)='

env | grep '^KAFKA_' | grep -vE "$not_properties" | while IFS='=' read -r name value; do
    name=$(sed -e 's/^KAFKA_//' -e 's/___/-/g' -e 's/__/%/g' -e 's/_/./g' -e 's/%/_/g' <<<"$name" | tr '[:upper:]' '[:lower:]')
    printf '%s=%s\n' "$name" "$value"
done >$properties

java=(java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "/opt/kafka/libs/*")
"${java[@]}" -Xmx128m kafka.tools.StorageTool format --ignore-formatted -t "${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}" -c $properties
# shellcheck disable=SC2086
exec "${java[@]}" ${KAFKA_HEAP_OPTS:--Xmx1G -Xms1G} kafka.Kafka $properties
