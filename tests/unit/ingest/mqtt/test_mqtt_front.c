#include "ingest/mqtt_front.h"

#include <arpa/inet.h>
#include <check.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ingest/ingest.h"
#include "ingest/ingest_metrics.h"
#include "runtime/clock.h"
#include "runtime/secret.h"
#include "tests/support/certificate.h"
#include "tests/support/check_main.h"
#include "tests/support/device_token.h"
#include "tests/support/program.h"
#include "tests/support/taker.h"
#include "wire/limits.h"
#include "wire/mqtt_packet.h"

/* The front with all its parts, but a roster filled by hand, a bus whose reader is the test's, and a database that is
 * away. */
#define WAIT_MS 20000
#define PACKET_MAX 70000
#define NOBODYS_DATABASE "host=/nonexistent"

static const uint8_t key[32] = "primary key of the first device";
static const uint8_t other[32] = "a key that nobody enrolled here";

static struct ingest_settings settings;
static struct bus *bus;
static struct taker *taker;
static struct roster *roster;
static struct door *door;
static struct device_auth *auth;
static struct intake *intake;
static struct presence *presence;
static struct db_pool *pool;
static struct deliveries *deliveries;
static struct registration_settings registration;
static struct certificate certificate; /* only where a test opens the TLS port */
static _Atomic size_t body_bytes;
static struct mqtt_front *front;
static struct problem why;

static void enrol(const char *device, const char *module, const uint8_t *with, bool enabled)
{
    struct identity identity = {1, text_of(device), text_of(module)};
    struct roster_entry entry = {.enabled = enabled, .messages_per_second = -1, .bytes_per_second = -1};
    struct roster_keys keys = {.primary_count = 32, .secondary_count = 0};

    memcpy(keys.primary, with, 32);
    ck_assert_int_eq(roster_put(roster, &identity, &entry, &keys, &why), STATUS_OK);
}

static void front_open(void)
{
    static const struct bus_settings bus_settings = {
        .bus = "direct", .bus_shards = 2, .bus_queue_bytes = 64 << 20, .bus_send_timeout_ms = 10000};
    const struct roster_host hosts[] = {{TEXT(""), {1, -1, -1}}};
    struct deliveries_hooks hooks;

    ck_assert_int_eq(bus_open(&bus_settings, 1000, 0, &bus, &why), STATUS_OK);
    taker = taker_open(bus);
    roster = roster_new(100);
    roster_workspaces_set(roster, hosts, 1);
    enrol("d1", "", key, true);
    enrol("d1", "azureiotsecurity", other, true);
    enrol("d2", "", key, true);
    enrol("off", "", key, false);
    struct identity slow = {1, TEXT("slow"), TEXT("")};
    struct roster_entry two_a_second = {.enabled = true, .messages_per_second = 2, .bytes_per_second = -1};
    struct roster_keys slow_keys = {.primary_count = 32};
    memcpy(slow_keys.primary, key, 32);
    ck_assert_int_eq(roster_put(roster, &slow, &two_a_second, &slow_keys, &why), STATUS_OK);
    roster_set_loaded(roster);
    auth = device_auth_new(roster);
    ck_assert_int_eq(door_open(bus, 600000, &door, &why), STATUS_OK);
    intake = intake_open(&settings, bus, door);
    presence = presence_new();
    mqtt_front_hooks(presence, &hooks);
    ck_assert_int_eq(db_pool_open(NOBODYS_DATABASE, "picket_ingest", "test", 1, 100, &pool, &why), STATUS_OK);
    ck_assert_int_eq(deliveries_open(NOBODYS_DATABASE, &hooks, &deliveries, &why), STATUS_OK);
    struct mqtt_front_parts parts = {.settings = &settings, .auth = auth, .intake = intake, .door = door,
                                     .presence = presence, .deliveries = deliveries, .pool = pool,
                                     .body_bytes_used = &body_bytes, .registration = &registration};
    settings.mqtt_port = program_free_port();
    settings.mqtts_port = certificate.folder[0] ? program_free_port() : 0;
    settings.tls_certificate_file = certificate.certificate_file;
    settings.tls_key_file = certificate.key_file;
    ck_assert_msg(mqtt_front_open(&parts, &front, &why) == STATUS_OK, "%s", why.text);
}

static void front_close(void)
{
    mqtt_front_stop(front);
    taker_set(taker, TAKER_DONE);
    ck_assert(intake_idle(intake, WAIT_MS));
    db_pool_close(pool);
    deliveries_close(deliveries);
    mqtt_front_free(front);
    presence_free(presence);
    intake_close(intake);
    door_close(door);
    device_auth_free(auth);
    roster_free(roster);
    taker_close(taker);
    bus_close(bus);
    ck_assert_uint_eq(body_bytes, 0);
}

static void setup(void)
{
    ck_assert_int_eq(secret_init(&why), STATUS_OK);
    ingest_metrics_register();
    settings = (struct ingest_settings){.ingest_address = "127.0.0.1",
                                        .mqtt_threads = 2,
                                        .mqtt_connections_max = 1000,
                                        .mqtt_inflight_max = 100,
                                        .request_timeout_ms = 30000,
                                        .answer_timeout_ms = 20000,
                                        .body_bytes_max = PICKET_BODY_MAX,
                                        .body_budget_bytes = 64 << 20,
                                        .json_depth_max = PICKET_JSON_DEPTH_MAX};
}

static int dial_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int dial(void)
{
    return dial_to(mqtt_front_mqtt_port(front));
}

/* Bytes that came within WAIT_MS, at least one; 0: the server closed. */
static size_t take(int fd, void *out, size_t size)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};

    ck_assert_msg(poll(&readable, 1, WAIT_MS) == 1, "nothing came for %d ms", WAIT_MS);
    ssize_t count = recv(fd, out, size, 0);
    return count > 0 ? (size_t)count : 0;
}

static void give(int fd, const void *bytes, size_t count)
{
    (void)!send(fd, bytes, count, MSG_NOSIGNAL); /* a server that has closed already is seen by what it sent */
}

static void expect(int fd, const void *bytes, size_t count)
{
    char got[256];

    for (size_t have = 0; have < count;) {
        size_t came = take(fd, got + have, count - have);
        ck_assert_msg(came > 0, "closed after %zu of %zu bytes", have, count);
        have += came;
    }
    ck_assert_mem_eq(got, bytes, count);
}

static void expect_closed(int fd)
{
    char byte;

    ck_assert_uint_eq(take(fd, &byte, 1), 0);
    close(fd);
}

/* The same, whatever is said first: an alert of TLS. */
static void expect_ended(int fd)
{
    char bytes[64];

    while (take(fd, bytes, sizeof bytes))
        ;
    close(fd);
}

/* ---- conversations ---- */

struct talk {
    const char *folder, *name;
    unsigned line;
    int fd;
};

static void talk_play(struct talk *talk, const char *name);

#define talk_assert(talk, holds, ...)                                                   \
    do {                                                                                \
        char said_[512];                                                                \
        snprintf(said_, sizeof said_, __VA_ARGS__);                                     \
        ck_assert_msg(holds, "%s, line %u: %s", (talk)->name, (talk)->line, said_);     \
    } while (0)

/* "3f" or "..", which is any byte: -1. */
static int byte_read(struct talk *talk, const char *digits)
{
    unsigned value;

    if (digits[0] == '.' && digits[1] == '.')
        return -1;
    talk_assert(talk, sscanf(digits, "%2x", &value) == 1, "no byte: %.8s", digits);
    return (int)value;
}

static void line_send(struct talk *talk, const char *at)
{
    uint8_t bytes[1024];
    size_t count = 0;

    for (; *at; at += strspn(at, " ")) {
        bytes[count++] = (uint8_t)byte_read(talk, at);
        at += 2;
    }
    give(talk->fd, bytes, count);
}

static void line_expect(struct talk *talk, const char *at)
{
    for (size_t i = 0; *at; i++, at += strspn(at, " ")) {
        uint8_t got;
        int wanted = byte_read(talk, at);
        struct pollfd readable = {.fd = talk->fd, .events = POLLIN};
        talk_assert(talk, poll(&readable, 1, WAIT_MS) == 1, "byte %zu does not come", i);
        talk_assert(talk, recv(talk->fd, &got, 1, 0) == 1, "closed before byte %zu", i);
        talk_assert(talk, wanted < 0 || got == wanted, "byte %zu is %02x, not %02x", i, got, (unsigned)wanted);
        at += 2;
    }
}

static void line_closed(struct talk *talk)
{
    uint8_t got;
    struct pollfd readable = {.fd = talk->fd, .events = POLLIN};

    talk_assert(talk, poll(&readable, 1, WAIT_MS) == 1, "it is not closed");
    talk_assert(talk, recv(talk->fd, &got, 1, 0) <= 0, "byte %02x came in place of the end", got);
}

static void talk_play(struct talk *talk, const char *name)
{
    char path[1024], line[1024];
    const char *outer_name = talk->name;
    unsigned outer_line = talk->line;

    snprintf(path, sizeof path, "%s/%s", talk->folder, name);
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    talk->name = name;
    for (talk->line = 1; fgets(line, sizeof line, file); talk->line++) {
        line[strcspn(line, "\n")] = 0;
        char part[300];
        const char *rest = line + 1 + strspn(line + 1, " ");
        switch (line[0]) {
        case '>':
            line_send(talk, rest);
            break;
        case '<':
            line_expect(talk, rest);
            break;
        case 'x':
            line_closed(talk);
            break;
        case '=':
            snprintf(part, sizeof part, "%.200s.part", rest);
            talk_play(talk, part);
            break;
        default:
            talk_assert(talk, line[0] == '#' || line[0] == 0, "what is this? %.100s", line);
        }
    }
    fclose(file);
    talk->name = outer_name;
    talk->line = outer_line;
}

START_TEST(all_conversations_go_as_they_are_written)
{
    char folder[512];
    struct dirent **entries;
    size_t played = 0;

    snprintf(folder, sizeof folder, "%s/../tests/talks/mqtt", program_build_root());
    int count = scandir(folder, &entries, NULL, alphasort);
    ck_assert_msg(count > 0, "%s: %s", folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        if (text_ends(text_of(entries[i]->d_name), TEXT(".talk"))) {
            front_open();
            struct talk talk = {.folder = folder, .fd = dial()};
            talk_play(&talk, entries[i]->d_name);
            close(talk.fd);
            front_close();
            played++;
        }
        free(entries[i]);
    }
    free(entries);
    ck_assert_uint_ge(played, 120);
}
END_TEST

/* ---- what is about time, load and order ---- */

static size_t connect_print(enum picket_mqtt_version version, const char *device, char *out, size_t size)
{
    char token[DEVICE_TOKEN_SIZE], resource[128], user[128];
    struct picket_mqtt_writer writer;

    snprintf(resource, sizeof resource, "localhost/devices/%s", device);
    snprintf(user, sizeof user, "localhost/%s/?api-version=1", device);
    device_token_make(resource, key, 32, clock_utc_us() / 1000000 + 3600, token);
    struct picket_mqtt_connect wanted = {.clean = true,
                                         .has_user_name = true,
                                         .has_password = true,
                                         .keep_alive_s = 60,
                                         .client_id = {device, strlen(device)},
                                         .user_name = {user, strlen(user)},
                                         .password = {token, strlen(token)}};
    picket_mqtt_write_init(&writer, out, size, version);
    picket_mqtt_write_connect(&writer, &wanted);
    size_t count = picket_mqtt_written(&writer);
    ck_assert_uint_gt(count, 0);
    return count;
}

static int connected(enum picket_mqtt_version version, const char *device)
{
    char bytes[2048];
    int fd = dial();

    give(fd, bytes, connect_print(version, device, bytes, sizeof bytes));
    if (version == PICKET_MQTT_5) {
        size_t count = take(fd, bytes, sizeof bytes);
        ck_assert_uint_gt(count, 4);
        ck_assert_int_eq(bytes[3], 0);
    } else {
        expect(fd, "\x20\x02\x00\x00", 4);
    }
    return fd;
}

static size_t publish_print_of(const char *device, uint16_t id, struct text payload, char *out, size_t size)
{
    char topic[64];
    int count = snprintf(topic, sizeof topic, "devices/%s/messages/events/", device);
    struct picket_mqtt_publish publish = {.qos = id ? 1 : 0, .id = id, .topic = {topic, (size_t)count},
                                          .payload = {payload.bytes, payload.count}};
    struct picket_mqtt_writer writer;

    picket_mqtt_write_init(&writer, out, size, PICKET_MQTT_3_1_1);
    picket_mqtt_write_publish(&writer, &publish, NULL, 0);
    return picket_mqtt_written(&writer);
}

static size_t publish_print(uint16_t id, struct text payload, char *out, size_t size)
{
    return publish_print_of("d1", id, payload, out, size);
}

/* Records come in batches, and a batch that is held holds those behind it: so this, and not what the taker has. */
static void wait_in_flight(int64_t messages)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;

    while (metric_get(&ingest_metrics.messages_in_flight) != messages && clock_monotonic_ms() < until_ms)
        poll(NULL, 0, 1);
    ck_assert_int_eq(metric_get(&ingest_metrics.messages_in_flight), messages);
}

static void publish(int fd, uint16_t id)
{
    char bytes[128];

    give(fd, bytes, publish_print(id, TEXT("{}"), bytes, sizeof bytes));
}

static void expect_puback(int fd, uint16_t id)
{
    const char ack[4] = {0x40, 2, (char)(id >> 8), (char)id};

    expect(fd, ack, sizeof ack);
}

START_TEST(nothing_is_acknowledged_before_it_is_durable)
{
    front_open();
    taker_set(taker, TAKER_HOLD);
    int fd = connected(PICKET_MQTT_3_1_1, "d1");
    for (uint16_t id = 1; id <= 50; id++)
        publish(fd, id);
    wait_in_flight(50);
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&readable, 1, 50), 0);
    taker_set(taker, TAKER_DONE);
    for (uint16_t id = 1; id <= 50; id++)
        expect_puback(fd, id);
    close(fd);
    front_close();
}
END_TEST

START_TEST(what_cannot_be_stored_is_not_acknowledged_and_ends_the_connection)
{
    front_open();
    taker_set(taker, TAKER_FAILED);
    int fd = connected(PICKET_MQTT_3_1_1, "d1");
    publish(fd, 1);
    expect_closed(fd);
    front_close();
}
END_TEST

START_TEST(more_than_may_be_in_flight_waits_in_the_socket)
{
    settings.mqtt_inflight_max = 10;
    front_open();
    taker_set(taker, TAKER_HOLD);
    int fd = connected(PICKET_MQTT_3_1_1, "d1");
    for (uint16_t id = 1; id <= 100; id++)
        publish(fd, id);
    wait_in_flight(10);
    taker_set(taker, TAKER_DONE);
    for (uint16_t id = 1; id <= 100; id++)
        expect_puback(fd, id);
    close(fd);
    front_close();
}
END_TEST

START_TEST(version_5_that_ignores_the_receive_maximum_is_told_so)
{
    char bytes[256];

    settings.mqtt_inflight_max = 10;
    front_open();
    taker_set(taker, TAKER_HOLD);
    int fd = connected(PICKET_MQTT_5, "d1");
    for (uint16_t id = 1; id <= 11; id++) {
        struct picket_mqtt_publish one = {.qos = 1, .id = id, .topic = {"devices/d1/messages/events/", 27}, .payload = {"{}", 2}};
        struct picket_mqtt_writer writer;
        picket_mqtt_write_init(&writer, bytes, sizeof bytes, PICKET_MQTT_5);
        picket_mqtt_write_publish(&writer, &one, NULL, 0);
        give(fd, bytes, picket_mqtt_written(&writer));
    }
    size_t count = take(fd, bytes, sizeof bytes);
    ck_assert_uint_gt(count, 2);
    ck_assert_int_eq((uint8_t)bytes[0], 0xe0);
    ck_assert_int_eq((uint8_t)bytes[2], PICKET_MQTT_RECEIVE_MAXIMUM);
    expect_closed(fd);
    front_close();
}
END_TEST

START_TEST(clients_that_say_nothing_or_little_are_cut)
{
    char bytes[2048];

    settings.request_timeout_ms = 200;
    front_open();
    int silent = dial(), half = dial(), stuck = connected(PICKET_MQTT_3_1_1, "d1");
    size_t count = connect_print(PICKET_MQTT_3_1_1, "d2", bytes, sizeof bytes);
    give(half, bytes, count / 2);
    give(stuck, "\x30\x7f\x00", 3);
    expect_closed(silent);
    expect_closed(half);
    expect_closed(stuck);
    int fine = connected(PICKET_MQTT_3_1_1, "d1");
    publish(fine, 1);
    expect_puback(fine, 1);
    close(fine);
    front_close();
}
END_TEST

/* Each byte is a sign of life, but none of them moves the deadline. */
START_TEST(clients_that_dribble_are_cut)
{
    char bytes[2048];
    size_t count = connect_print(PICKET_MQTT_3_1_1, "d2", bytes, sizeof bytes);

    settings.request_timeout_ms = 300;
    front_open();
    int dribbling = dial();
    struct pollfd gone = {.fd = dribbling, .events = POLLIN};
    int64_t from_ms = clock_monotonic_ms();
    size_t given = 0;
    while (given < count && poll(&gone, 1, 20) == 0)
        give(dribbling, &bytes[given++], 1);
    ck_assert_uint_lt(given, count);
    ck_assert_int_lt(clock_monotonic_ms() - from_ms, 5 * 300);
    expect_closed(dribbling);
    front_close();
}
END_TEST

static long resident_kib(void)
{
    char line[256];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    if (file)
        fclose(file);
    return kib;
}

START_TEST(announced_megabytes_take_no_memory)
{
    int fds[200];

    settings.mqtt_connections_max = 1000;
    front_open();
    int fine = connected(PICKET_MQTT_3_1_1, "d1");
    publish(fine, 1);
    expect_puback(fine, 1);
    long before = resident_kib();
    for (size_t i = 0; i < 200; i++) {
        fds[i] = dial();
        give(fds[i], "\x10\xff\xff\xff\x7f\x00\x04MQTT", 11); /* a CONNECT of 256 MiB */
    }
    for (size_t i = 0; i < 200; i++)
        expect_closed(fds[i]);
    int deep = connected(PICKET_MQTT_3_1_1, "d2");
    give(deep, "\x32\xff\xff\xff\x7f\x00\x1b", 7); /* and a PUBLISH of who was let in */
    expect_closed(deep);
    ck_assert_int_lt(resident_kib() - before, 16 * 1024);
    publish(fine, 2);
    expect_puback(fine, 2);
    close(fine);
    front_close();
}
END_TEST

START_TEST(handshakes_that_stop_half_way_are_cut)
{
    /* The head of a ClientHello, and no more. */
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

    settings.request_timeout_ms = 300;
    certificate_make(&certificate);
    front_open();
    for (size_t i = 0; i < 3; i++) {
        int silent = dial_to(mqtt_front_mqtts_port(front)), half = dial_to(mqtt_front_mqtts_port(front));
        give(half, hello, sizeof hello - 1);
        int fine = connected(PICKET_MQTT_3_1_1, "d1");
        publish(fine, 1);
        expect_puback(fine, 1);
        close(fine);
        expect_ended(silent);
        expect_ended(half);
    }
    front_close();
    certificate_remove(&certificate);
}
END_TEST

START_TEST(more_than_a_device_may_send_waits_and_loses_nothing)
{
    char bytes[128];

    front_open();
    int fd = connected(PICKET_MQTT_3_1_1, "slow");
    int64_t from_ms = clock_monotonic_ms(), throttled = metric_get(&ingest_metrics.throttled[0]);
    for (uint16_t id = 1; id <= 14; id++) /* ten at once, then two a second */
        give(fd, bytes, publish_print_of("slow", id, TEXT("{}"), bytes, sizeof bytes));
    int other_fd = connected(PICKET_MQTT_3_1_1, "d1");
    publish(other_fd, 1);
    expect_puback(other_fd, 1); /* nobody else waits */
    for (uint16_t id = 1; id <= 14; id++)
        expect_puback(fd, id);
    ck_assert_int_ge(clock_monotonic_ms() - from_ms, 1500);
    ck_assert_int_gt(metric_get(&ingest_metrics.throttled[0]), throttled);
    ck_assert_uint_eq(taker_count(taker), 15);
    close(fd);
    close(other_fd);
    front_close();
}
END_TEST

START_TEST(client_that_does_not_read_is_cut_and_others_are_served)
{
    int small = 1;

    settings.request_timeout_ms = 500;
    front_open();
    int deaf = connected(PICKET_MQTT_3_1_1, "d2"), fine = connected(PICKET_MQTT_3_1_1, "d1");
    setsockopt(deaf, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    /* Pings until nothing can be sent any more: the server has stopped reading from who does not read. */
    char pings[20000];
    for (size_t i = 0; i < sizeof pings; i += 2)
        memcpy(pings + i, "\xc0\0", 2);
    struct pollfd writable = {.fd = deaf, .events = POLLOUT};
    while (poll(&writable, 1, 100) == 1 && !(writable.revents & (POLLERR | POLLHUP)))
        if (send(deaf, pings, sizeof pings, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
            break;
    publish(fine, 1);
    expect_puback(fine, 1);
    struct pollfd gone = {.fd = deaf, .events = 0};
    ck_assert_int_eq(poll(&gone, 1, WAIT_MS), 1); /* reset, since it left so much unread */
    close(deaf);
    close(fine);
    front_close();
}
END_TEST

START_TEST(memory_for_bodies_is_bounded_and_comes_back)
{
    static char bytes[PACKET_MAX];
    static char payload[60000];
    struct pollfd readable;

    settings.body_budget_bytes = 200000;
    front_open();
    memset(payload, ' ', sizeof payload);
    int fds[8];
    size_t count = publish_print(1, (struct text){payload, sizeof payload}, bytes, sizeof bytes);
    const char *const names[] = {"d1", "d2"};
    for (size_t i = 0; i < 2; i++) {
        fds[i] = connected(PICKET_MQTT_3_1_1, names[i]);
        give(fds[i], bytes, count - 1);
    }
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    while (body_bytes < 100000 && clock_monotonic_ms() < until_ms)
        poll(NULL, 0, 1);
    ck_assert_uint_ge(body_bytes, 100000);
    ck_assert_uint_le(body_bytes, 200000);
    for (size_t i = 0; i < 2; i++) {
        readable = (struct pollfd){.fd = fds[i], .events = POLLIN};
        ck_assert_int_eq(poll(&readable, 1, 0), 0);
    }
    give(fds[0], bytes + count - 1, 1);
    expect_puback(fds[0], 1);
    close(fds[0]);
    close(fds[1]);
    front_close();
}
END_TEST

START_TEST(silent_client_is_cut_after_its_keep_alive)
{
    char bytes[2048];

    front_open();
    int fd = dial();
    size_t count = connect_print(PICKET_MQTT_3_1_1, "d1", bytes, sizeof bytes);
    char *keep_alive = memmem(bytes, count, "\x04\xc2\x00\x3c", 4);
    if (!keep_alive)
        keep_alive = memmem(bytes, count, "\x04\xc2", 2);
    memcpy(keep_alive, "\x04\xc2\x00\x01", 4);
    give(fd, bytes, count);
    expect(fd, "\x20\x02\x00\x00", 4);
    int64_t from_ms = clock_monotonic_ms();
    expect_closed(fd);
    ck_assert_int_ge(clock_monotonic_ms() - from_ms, 1200);
    front_close();
}
END_TEST

START_TEST(connections_beyond_the_maximum_wait_for_their_turn)
{
    int fds[17];

    settings.mqtt_connections_max = 16;
    front_open();
    for (size_t i = 0; i < 16; i++)
        fds[i] = dial();
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    while (metric_get(&ingest_metrics.mqtt_connections) < 16 && clock_monotonic_ms() < until_ms)
        poll(NULL, 0, 1);
    char bytes[2048];
    fds[16] = dial();
    give(fds[16], bytes, connect_print(PICKET_MQTT_3_1_1, "d1", bytes, sizeof bytes));
    struct pollfd readable = {.fd = fds[16], .events = POLLIN};
    ck_assert_int_eq(poll(&readable, 1, 150), 0);
    for (size_t i = 0; i < 16; i++)
        close(fds[i]);
    expect(fds[16], "\x20\x02\x00\x00", 4);
    close(fds[16]);
    front_close();
}
END_TEST

START_TEST(closing_in_the_middle_of_traffic_is_harmless)
{
    for (int round = 0; round < 20; round++) {
        front_open();
        int fd = connected(PICKET_MQTT_3_1_1, "d1");
        if (round % 2)
            taker_set(taker, TAKER_HOLD);
        for (uint16_t id = 1; id <= 20; id++)
            publish(fd, id);
        if (round % 3 == 0)
            close(fd);
        front_close();
        if (round % 3)
            close(fd);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        all_conversations_go_as_they_are_written,
        nothing_is_acknowledged_before_it_is_durable,
        what_cannot_be_stored_is_not_acknowledged_and_ends_the_connection,
        more_than_may_be_in_flight_waits_in_the_socket,
        version_5_that_ignores_the_receive_maximum_is_told_so,
        clients_that_say_nothing_or_little_are_cut,
        clients_that_dribble_are_cut,
        announced_megabytes_take_no_memory,
        handshakes_that_stop_half_way_are_cut,
        more_than_a_device_may_send_waits_and_loses_nothing,
        client_that_does_not_read_is_cut_and_others_are_served,
        memory_for_bodies_is_bounded_and_comes_back,
        silent_client_is_cut_after_its_keep_alive,
        connections_beyond_the_maximum_wait_for_their_turn,
        closing_in_the_middle_of_traffic_is_harmless,
    };
    return check_main(&(const struct check_suite){.name = "ingest/mqtt_front",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .timeout_seconds = 120});
}
