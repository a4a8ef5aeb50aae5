#!/bin/bash
# Runs docker-compose.yml as a user would, and holds it to what it says: one step to a working system, nobody root,
# no secret where it does not belong, and no acknowledged message lost or stored twice whatever is killed or restarted.
#
# Uses the Docker that answers. Where none does, root starts one of its own, which is gone afterwards; and in that one,
# what no registry gives is made here: Debian by debootstrap, PostgreSQL from its packages, Kafka from the tests' jars.
# KEEP=1 leaves everything running and says how to reach it.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d /var/tmp/picket-compose.XXXXXX)
export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=0 # the classic builder has to be enough
export PICKET_HTTPS_PUBLISH=127.0.0.1:${PORT_HTTPS:-18443} PICKET_MQTTS_PUBLISH=127.0.0.1:${PORT_MQTTS:-18883}
export PICKET_QUERY_PUBLISH=127.0.0.1:${PORT_QUERY:-18440}
export PICKET_VERSION=compose-test
devices=https://localhost:${PORT_HTTPS:-18443} people=https://localhost:${PORT_QUERY:-18440}
project=picket-compose-test
own_docker="" bridge_was_there="" sender="" up=""
stand_ins=""

say() { printf '%4d s  %s\n' $SECONDS "$*"; }

fail() {
    echo "compose: $*" >&2
    [ -z "$up" ] || compose logs --tail=20 >&2 || true
    exit 1
}

# until_true SECONDS SENTENCE COMMAND...: repeats the command until it succeeds.
until_true() {
    local deadline=$((SECONDS + $1)) sentence=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || fail "not in time: $sentence"
        read -rt 0.2 <> <(:) || true
    done
}

compose() {
    if [ -n "$compose_v2" ]; then
        docker compose -p $project "$@"
    else
        docker-compose -p $project "$@"
    fi
}

clean() {
    local code=$?
    trap - EXIT
    [ -z "$sender" ] || kill "$sender" 2>/dev/null || true
    if [ -n "${KEEP:-}" ]; then
        echo "Left running: DOCKER_HOST=${DOCKER_HOST:-} project $project, $work"
        exit $code
    fi
    [ -z "$up" ] || compose down -v --remove-orphans >/dev/null 2>&1 || true
    if [ -n "$own_docker" ]; then
        kill "$own_docker" 2>/dev/null && wait "$own_docker" 2>/dev/null || true
        [ -n "$bridge_was_there" ] || ip link del docker0 2>/dev/null || true
    fi
    rm -rf "$work"
    exit $code
}
trap clean EXIT
trap 'exit 130' INT TERM

# --- Docker and the base images ---

docker_ensure() {
    docker info >/dev/null 2>&1 && return
    [ "$(id -u)" = 0 ] && command -v dockerd >/dev/null ||
        fail "no Docker answers: start it, or as root install docker.io, docker-compose and debootstrap"
    [ -e /sys/class/net/docker0 ] && bridge_was_there=1
    export DOCKER_HOST=unix://$work/docker.sock
    dockerd --data-root "$work/data" --exec-root "$work/exec" -p "$work/docker.pid" -H "$DOCKER_HOST" \
        >"$work/dockerd.log" 2>&1 &
    own_docker=$!
    until_true 60 "dockerd answers, see $work/dockerd.log" docker info
    say "started a Docker of our own"
}

# image NAME COMMAND...: is there, or is pulled, or is made by the command.
image() {
    local name=$1
    shift
    docker image inspect "$name" >/dev/null 2>&1 && return
    timeout 120 docker pull -q "$name" >/dev/null 2>&1 && return
    [ -n "$own_docker" ] ||
        fail "$name can be neither found nor pulled, and a stand-in is only made in a Docker of our own"
    "$@"
    stand_ins="$stand_ins $name"
    say "made a stand-in for $name"
}

make_debian() {
    command -v debootstrap >/dev/null || fail "debootstrap is missing"
    debootstrap --variant=minbase bookworm "$work/debian" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" \
        >"$work/debootstrap.log" 2>&1 || fail "debootstrap: $(tail -n 3 "$work/debootstrap.log")"
    tar -C "$work/debian" -c . | docker import -c 'CMD ["bash"]' - debian:bookworm-slim >/dev/null
    rm -rf "$work/debian"
}

build() {
    docker build -q -t "$1" -f "$2" "$3" >"$work/build.log" 2>&1 || fail "$1: $(tail -n 20 "$work/build.log")"
}

make_postgres() { build "$1" tests/compose/postgres.Dockerfile tests/compose; }

make_kafka() {
    tests/support/kafka.sh
    mkdir "$work/kafka"
    cp tests/compose/kafka.sh "$work/kafka"
    cp -r build/kafka "$work/kafka/jars"
    build "$1" tests/compose/kafka.Dockerfile "$work/kafka"
    rm -rf "$work/kafka"
}

# --- Looking at what runs ---

container() { compose ps -aq "$1"; }
state() { docker inspect -f "$2" "$(container "$1")"; }
healthy() { [ "$(state "$1" '{{.State.Health.Status}}')" = healthy ]; }
all_healthy() { for s in postgres kafka ingest store query forward; do healthy $s || return 1; done; }
picket() { compose exec -T query picket "$@"; }
main_pid() { state "$1" '{{.State.Pid}}'; }
starts() { state "$1" '{{.RestartCount}}'; }
more_starts_than() { [ "$(starts "$1")" -gt "$2" ]; }

# As a fault would: `docker kill` would count as an order to stay down.
kill_main() {
    local before
    before=$(starts "$1")
    kill -9 "$(main_pid "$1")"
    until_true 60 "$1 is started again" more_starts_than "$1" "$before"
    until_true 120 "$1 is healthy again" healthy "$1"
}

# --- Messages ---

# post N: sends message N, prints the status; headers go to $work/head.
post() {
    curl -sS -m 40 -o /dev/null -D "$work/head" -w '%{http_code}' --cacert "$work/ca.pem" -H "Authorization: $sas" \
        -H 'Content-Type: application/json' -d "{\"n\":$1}" \
        "$devices/devices/pump-17/messages/events?api-version=2021-04-12" 2>/dev/null || true
}

# send_on FROM: sends one after the other until $work/stop is there; acknowledged numbers are in $work/acked.
send_on() {
    local n=$1
    while [ ! -e "$work/stop" ]; do
        n=$((n + 1))
        case $(post $n) in
        204) echo $n >>"$work/acked" ;;
        esac
    done
}

acked() { wc -l <"$work/acked"; }
acked_more_than() { [ "$(acked)" -gt "$1" ]; }
goes_on() { until_true "${2:-60}" "messages are acknowledged $1" acked_more_than $(($(acked) + 20)); }

# Each acknowledged number is stored, and stored once.
stored() {
    picket events --device pump-17 --all --json | grep -o '"details":{"n":[0-9]*}' | grep -o '[0-9]*' | sort
}
none_is_missing() {
    stored >"$work/stored"
    [ -z "$(comm -23 <(sort "$work/acked") <(sort -u "$work/stored"))" ]
}
none_is_twice() { [ -z "$(uniq -d "$work/stored")" ]; }

# --- The run ---

docker_ensure
compose_v2=""
docker compose version >/dev/null 2>&1 && compose_v2=1
[ -n "$compose_v2" ] || command -v docker-compose >/dev/null || fail "neither docker compose nor docker-compose is there"
image debian:bookworm-slim make_debian
for service in postgres kafka; do
    name=$(sed -n "s/^    image: \(.*$service.*\)/\1/p" docker-compose.yml)
    image "$name" make_$service "$name"
done

up=1
say "docker compose up -d"
compose up -d >"$work/up.log" 2>&1 || { cat "$work/up.log" >&2; fail "up failed"; }
until_true 180 "every service is healthy" all_healthy
[ "$(state secrets '{{.State.ExitCode}}') $(state migrate '{{.State.ExitCode}}')" = "0 0" ] || fail "a one-shot failed"
say "all five services are healthy, both one-shots ended well"

for service in secrets migrate postgres kafka ingest store query forward; do
    case $(state $service '{{.Config.User}}') in
    "" | 0* | root*) fail "$service runs as root" ;;
    esac
    [ $service = kafka ] || [ "$(state $service '{{.HostConfig.ReadonlyRootfs}}')" = true ] ||
        fail "$service may write to its root"
done
for service in postgres kafka ingest store query forward; do
    grep -q '^CapEff:[[:space:]]*0*$' "/proc/$(main_pid $service)/status" || fail "$service has a capability"
    published=$(docker port "$(container $service)" | cut -d' ' -f1 | sort -u | tr '\n' ' ')
    case "$service $published" in
    "ingest 8443/tcp 8883/tcp " | "query 8440/tcp " | "store " | "forward " | "postgres " | "kafka ") ;;
    *) fail "$service publishes $published" ;;
    esac
done
say "nobody is root or has a capability; published are the ports of devices and people, no others"

[ -z "$(docker run --rm --network none --entrypoint find picket:$PICKET_VERSION /run/picket -type f)" ] ||
    fail "a secret is in the image"
[ "$(compose exec -T store find /run/picket -type f)" = /run/picket/store/pgpass ] ||
    fail "store sees more than its own secret"
docker inspect $(compose ps -aq) >"$work/inspect"
for secret in $(compose exec -T postgres cat /run/picket/postgres/password) \
    $(compose exec -T query cut -d: -f5 /run/picket/query/pgpass) \
    $(compose exec -T ingest cat /run/picket/ingest/master.key); do
    ! grep -qF "$secret" "$work/inspect" || fail "a secret shows in docker inspect"
done
for password in "" wrong; do
    ! compose exec -T -e PGPASSWORD=$password postgres psql -w -h 127.0.0.1 -U picket_store picket -c 'SELECT 1' \
        >/dev/null 2>&1 || fail "PostgreSQL lets in with password \"$password\""
done
say "secrets: none in the image or in docker inspect, store has only its own, PostgreSQL asks for passwords"

picket device create pump-17 >/dev/null
compose exec -T query cat /run/picket/operator/ca.pem >"$work/ca.pem"
sas=$(picket device sas pump-17 --ttl 1d | tr -d '\r')
first=$(post 1)
[ "$first" = 204 ] && grep -qi '^Picket-Receipt: picket.messages/' "$work/head" ||
    fail "the first message is answered $first"
echo 1 >"$work/acked"
until_true 10 "the first message is stored" none_is_missing
token=$(picket token create --role reader --json | sed 's/.*"token":"\([^"]*\)".*/\1/')
curl -sS --cacert "$work/ca.pem" -H "Authorization: Bearer $token" "$people/v1/events?device=pump-17" |
    grep -q '"n":1' || fail "the first message cannot be read over HTTP"
say "a first message is acknowledged, stored and read again"

send_on 1000 &
sender=$!
goes_on "at all"

for service in store ingest query postgres kafka; do
    kill_main $service
    goes_on "after $service was killed" 120
    say "$service killed with -9: started again, $(acked) messages acknowledged"
done

before=$(starts ingest)
compose stop postgres >/dev/null 2>&1
goes_on "while PostgreSQL is away"
compose start postgres >/dev/null 2>&1
until_true 120 "PostgreSQL is healthy again" healthy postgres
say "PostgreSQL stopped: ingest went on, $(acked) messages acknowledged"

compose stop kafka >/dev/null 2>&1
touch "$work/stop"
wait $sender || true
rm "$work/stop"
code=$(post 2)
[ "$code" = 503 ] && grep -qi '^Retry-After:' "$work/head" || fail "without Kafka a message is answered $code"
send_on_at=$(acked)
send_on 1000000 &
sender=$!
compose start kafka >/dev/null 2>&1
until_true 120 "Kafka is healthy again" healthy kafka
until_true 120 "messages are acknowledged again" acked_more_than "$send_on_at"
[ "$(starts ingest)" = "$before" ] || fail "ingest had to be started again"
say "Kafka stopped: 503 with Retry-After; after its start acknowledged again, without a restart of ours"

compose restart >/dev/null 2>&1
until_true 180 "every service is healthy after a restart of all" all_healthy
goes_on "after a restart of all" 120
touch "$work/stop"
wait $sender || true
sender=""
until_true 120 "every acknowledged message is stored" none_is_missing
none_is_twice || fail "stored twice: $(uniq -d "$work/stored" | tr '\n' ' ')"
say "everything restarted: $(acked) acknowledged messages are stored, each once"

compose down >/dev/null 2>&1
compose up -d >"$work/up.log" 2>&1 || { cat "$work/up.log" >&2; fail "the second up failed"; }
until_true 180 "every service is healthy after down and up" all_healthy
again=$(post 3)
[ "$again" = 204 ] || fail "after down and up a message with the old key is answered $again"
echo 3 >>"$work/acked"
until_true 60 "all is there after down and up" none_is_missing
none_is_twice || fail "stored twice after down and up"
say "down and up: same keys, same token, same data"

[ -n "$compose_v2" ] && version=$(docker compose version) || version=$(docker-compose --version | head -n 1)
say "done with $(docker --version), $version"
[ -z "$stand_ins" ] || say "stand-ins, since no registry gave the images:$stand_ins"
