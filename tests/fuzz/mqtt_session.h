#ifndef PICKET_TESTS_FUZZ_MQTT_SESSION_H
#define PICKET_TESTS_FUZZ_MQTT_SESSION_H

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ingest/ingest.h"
#include "ingest/ingest_metrics.h"
#include "ingest/mqtt_front.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/secret.h"
#include "tests/support/device_token.h"
#include "tests/support/taker.h"
#include "wire/limits.h"
#include "wire/mqtt_packet.h"

/* A real front for fuzzers of packet handlers: one loop on a loopback port, a roster of one device, a bus that takes
 * everything, a database that is away. A packet goes out with a ping behind it: when that is answered, or the connection
 * is closed, the packet was handled. */
#define SESSION_WAIT_MS 20000
#define SESSION_NOBODYS_DATABASE "host=/nonexistent"

static const uint8_t session_key[32] = "primary key of the first device";
static struct ingest_settings session_settings = {.ingest_address = "127.0.0.1",
                                                  .mqtt_threads = 1,
                                                  .mqtt_connections_max = 1000,
                                                  .mqtt_inflight_max = 100,
                                                  .request_timeout_ms = 30000,
                                                  .answer_timeout_ms = 20000,
                                                  .body_bytes_max = PICKET_BODY_MAX,
                                                  .body_budget_bytes = 64 << 20,
                                                  .json_depth_max = PICKET_JSON_DEPTH_MAX};
static struct mqtt_front *session_front;
static char session_token[DEVICE_TOKEN_SIZE];

_Noreturn static void session_give_up(const char *what, const struct problem *why)
{
    fprintf(stderr, "%s: %s\n", what, why->text);
    abort();
}

static uint16_t session_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(fd, (struct sockaddr *)&address, size) || getsockname(fd, (struct sockaddr *)&address, &size))
        abort();
    close(fd);
    return ntohs(address.sin_port);
}

/* All of it lives as long as the program. */
static void session_front_open(void)
{
    static const struct bus_settings bus_settings = {
        .bus = "direct", .bus_shards = 1, .bus_queue_bytes = 64 << 20, .bus_send_timeout_ms = 10000};
    static struct registration_settings registration;
    static _Atomic size_t body_bytes;
    const struct roster_host hosts[] = {{TEXT(""), {1, 0, 0}}};
    struct identity d1 = {1, TEXT("d1"), TEXT("")};
    struct roster_entry entry = {.enabled = true};
    struct roster_keys keys = {.primary_count = sizeof session_key};
    struct mqtt_front_parts parts = {.settings = &session_settings, .body_bytes_used = &body_bytes, .registration = &registration};
    struct deliveries_hooks hooks;
    struct bus *bus = NULL;
    struct roster *roster = roster_new(10);
    struct problem why;

    log_set_level(LOG_ERROR);
    if (secret_init(&why) || bus_open(&bus_settings, 1000, 0, &bus, &why))
        session_give_up("bus", &why);
    taker_set(taker_open(bus), TAKER_DONE);
    roster_workspaces_set(roster, hosts, 1);
    memcpy(keys.primary, session_key, sizeof session_key);
    if (roster_put(roster, &d1, &entry, &keys, &why))
        session_give_up("roster", &why);
    roster_set_loaded(roster);
    registration.authorities = roster_authorities(roster);
    registration.hub_host_name = "localhost";
    parts.auth = device_auth_new(roster);
    if (door_open(bus, 600000, &parts.door, &why))
        session_give_up("door", &why);
    parts.intake = intake_open(&session_settings, bus, parts.door);
    parts.presence = presence_new();
    mqtt_front_hooks(parts.presence, &hooks);
    if (db_pool_open(SESSION_NOBODYS_DATABASE, "picket_ingest", "fuzz", 1, 100, &parts.pool, &why) ||
        deliveries_open(SESSION_NOBODYS_DATABASE, &hooks, &parts.deliveries, &why))
        session_give_up("database", &why);
    session_settings.mqtt_port = session_free_port();
    if (mqtt_front_open(&parts, &session_front, &why))
        session_give_up("front", &why);
    sigset_t alarm; /* the fuzzer's clock: the front's threads shall have it, which bear it */
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, NULL);
    device_token_make("localhost/devices/d1", session_key, sizeof session_key, clock_utc_us() / 1000000 + 86400, session_token);
}

/* From ever another loopback address: ports of closed connections rest for a minute. */
static int session_dial(void)
{
    static uint32_t dialled;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK + 1 + dialled++ % 65000)}};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(mqtt_front_mqtt_port(session_front)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&from, sizeof from) || connect(fd, (struct sockaddr *)&address, sizeof address)) {
        perror("mqtt_session: connect");
        abort();
    }
    return fd;
}

/* Reads packets until the answer of a ping; what else there is may come later. False: it was closed. */
static bool session_settled(int fd)
{
    static char bytes[1 << 20];
    static size_t have;
    static int of = -1;
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    struct picket_mqtt_frame frame;
    struct picket_mqtt_fault fault;

    if (of != fd)
        have = 0;
    for (of = fd;;) {
        while (picket_mqtt_frame_read(bytes, have, &frame, &fault) == PICKET_MQTT_WHOLE) {
            bool is_pong = frame.type == PICKET_MQTT_PINGRESP;
            memmove(bytes, bytes + frame.total, have - frame.total);
            have -= frame.total;
            if (is_pong)
                return true;
        }
        if (poll(&readable, 1, SESSION_WAIT_MS) != 1 || have == sizeof bytes)
            abort(); /* neither an answer nor an end */
        ssize_t count = recv(fd, bytes + have, sizeof bytes - have, 0);
        if (count <= 0) {
            of = -1;
            return false;
        }
        have += (size_t)count;
    }
}

/* A packet of that type and flags with this body, and a ping. False: the connection was closed. */
static inline bool session_packet(int fd, uint8_t first, const uint8_t *body, size_t count)
{
    uint8_t header[5] = {first};
    size_t header_count = 1, rest = count;

    do {
        header[header_count++] = (uint8_t)((rest & 127) | (rest > 127 ? 128 : 0));
        rest >>= 7;
    } while (rest);
    if (send(fd, header, header_count, MSG_NOSIGNAL | MSG_MORE) < 0 || (count && send(fd, body, count, MSG_NOSIGNAL | MSG_MORE) < 0) ||
        send(fd, "\xc0\0", 2, MSG_NOSIGNAL) < 0)
        return false;
    return session_settled(fd);
}

/* A session of d1 that was let in, of the version; the one of before, as long as that lives. */
static inline int session_of(enum picket_mqtt_version version, bool renew)
{
    static int fds[6] = {-1, -1, -1, -1, -1, -1};
    struct picket_mqtt_connect wanted = {.clean = true,
                                         .has_user_name = true,
                                         .has_password = true,
                                         .keep_alive_s = 600,
                                         .client_id = {"d1", 2},
                                         .user_name = {"localhost/d1/?api-version=1", 27},
                                         .password = {session_token, strlen(session_token)}};
    struct picket_mqtt_writer writer;
    char bytes[2048];

    if (fds[version] >= 0 && !renew)
        return fds[version];
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) { /* a newer connection of d1 closes the older */
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
    fds[version] = session_dial();
    picket_mqtt_write_init(&writer, bytes, sizeof bytes, version);
    picket_mqtt_write_connect(&writer, &wanted);
    picket_mqtt_write_ping(&writer, PICKET_MQTT_PINGREQ);
    if (send(fds[version], bytes, picket_mqtt_written(&writer), MSG_NOSIGNAL) < 0 || !session_settled(fds[version]))
        abort();
    return fds[version];
}

/* The first byte: flags in its high half, the version in its lowest bit. The rest is the body of a packet of `type`. */
static inline int session_fuzz(const uint8_t *data, size_t size, unsigned type)
{
    static enum picket_mqtt_version last;

    if (!session_front)
        session_front_open();
    if (!size || size > 65536)
        return 0;
    enum picket_mqtt_version version = data[0] & 1 ? PICKET_MQTT_5 : PICKET_MQTT_3_1_1;
    int fd = session_of(version, version != last);
    last = version;
    if (!session_packet(fd, (uint8_t)(type << 4 | data[0] >> 4), data + 1, size - 1))
        (void)session_of(version, true);
    return 0;
}

#endif
