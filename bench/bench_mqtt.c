#include <malloc.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <unistd.h>

#include "ingest/ingest.h"
#include "ingest/ingest_metrics.h"
#include "ingest/mqtt_front.h"
#include "runtime/clock.h"
#include "runtime/secret.h"
#include "runtime/tls.h"
#include "tests/support/broker.h"
#include "tests/support/certificate.h"
#include "tests/support/device_token.h"
#include "tests/support/mqtt_load.h"
#include "tests/support/program.h"
#include "wire/limits.h"

/* The MQTT front beside its peers, in one run: QoS 1 with acknowledgements tied to a real Kafka, against mosquitto, which
 * promises nothing about what it acknowledges; and TLS handshakes, against a bare accept loop of GnuTLS. Before these, in
 * memory that nothing has used yet: what 15,000 idle connections take, and whether they live through a keep-alive period. */

#define PUBLISH_RATIO_MIN 0.5
#define HANDSHAKE_RATIO_MIN 0.8
#define CONNECTIONS 100
#define WINDOW 20
#define PAYLOAD 1024
#define ROUNDS 3 /* in turns, and the middle counts */
#define HANDSHAKERS 4
#define IDLE 15000
#define IDLE_SECONDS 65 /* more than the keep-alive of a minute */
#define IDLE_PING_S 30
#define IDLE_CONNECTORS 4
#define IDLE_PUBLISHERS 100
#define IDLE_RATE 2000
#define IDLE_PLAIN_BYTES_MAX 3072
#define IDLE_TLS_BYTES_MAX 25600
#define NOBODYS_DATABASE "host=/nonexistent"

static const uint8_t key[32] = "the key of all devices of this";
static char tokens[IDLE][DEVICE_TOKEN_SIZE];
static char payload[PAYLOAD];
static unsigned seconds = 3;

struct parts {
    struct ingest_settings settings;
    struct bus *bus;
    struct roster *roster;
    struct door *door;
    struct device_auth *auth;
    struct intake *intake;
    struct presence *presence;
    struct db_pool *pool;
    struct deliveries *deliveries;
    struct registration_settings registration;
    _Atomic size_t body_bytes;
    struct mqtt_front *front;
};

static struct parts parts;
static struct certificate certificate;

static void give_up(const char *what, const struct problem *why)
{
    fprintf(stderr, "bench_mqtt: %s: %s\n", what, why->text);
    exit(1);
}

static void roster_fill(void)
{
    const struct roster_host hosts[] = {{TEXT(""), {1, 0, 0}}};
    struct roster_entry entry = {.enabled = true, .messages_per_second = 0, .bytes_per_second = 0};
    struct roster_keys keys = {.primary_count = sizeof key, .secondary_count = 0};
    char id[32];
    struct problem why;

    memcpy(keys.primary, key, sizeof key);
    roster_workspaces_set(parts.roster, hosts, 1);
    for (unsigned i = 0; i < IDLE; i++) {
        snprintf(id, sizeof id, "device-%u", i);
        struct identity identity = {1, text_of(id), TEXT("")};
        if (roster_put(parts.roster, &identity, &entry, &keys, &why))
            give_up("roster", &why);
    }
    roster_set_loaded(parts.roster);
}

static void parts_open(void)
{
    const struct bus_settings bus_settings = {.bus = "kafka", .kafka_brokers = broker_bootstrap(),
                                              .kafka_topic = "picket.messages", .kafka_group = "bench",
                                              .kafka_partitions = 8, .bus_shards = 1, .bus_queue_bytes = 256 << 20,
                                              .bus_send_timeout_ms = 15000};
    struct deliveries_hooks hooks;
    struct problem why;

    parts.settings = (struct ingest_settings){.ingest_address = "127.0.0.1",
                                              .mqtt_port = program_free_port(),
                                              .mqtts_port = program_free_port(),
                                              .tls_certificate_file = certificate.certificate_file,
                                              .tls_key_file = certificate.key_file,
                                              .mqtt_connections_max = 100000,
                                              .mqtt_inflight_max = 100,
                                              .request_timeout_ms = 60000,
                                              .answer_timeout_ms = 20000,
                                              .body_bytes_max = PICKET_BODY_MAX,
                                              .body_budget_bytes = 256 << 20,
                                              .json_depth_max = PICKET_JSON_DEPTH_MAX};
    if (bus_open(&bus_settings, 20000, 0, &parts.bus, &why))
        give_up("bus", &why);
    parts.roster = roster_new(IDLE);
    roster_fill();
    if (door_open(parts.bus, DOOR_WINDOW_MS, &parts.door, &why))
        give_up("door", &why);
    parts.auth = device_auth_new(parts.roster);
    parts.intake = intake_open(&parts.settings, parts.bus, parts.door);
    parts.presence = presence_new();
    mqtt_front_hooks(parts.presence, &hooks);
    if (db_pool_open(NOBODYS_DATABASE, "picket_ingest", "bench", 1, 100, &parts.pool, &why) ||
        deliveries_open(NOBODYS_DATABASE, &hooks, &parts.deliveries, &why))
        give_up("parts", &why);
    struct mqtt_front_parts front = {.settings = &parts.settings, .auth = parts.auth, .intake = parts.intake,
                                     .door = parts.door, .presence = parts.presence, .deliveries = parts.deliveries,
                                     .pool = parts.pool, .body_bytes_used = &parts.body_bytes,
                                     .registration = &parts.registration};
    if (mqtt_front_open(&front, &parts.front, &why))
        give_up("front", &why);
}

static void parts_close(void)
{
    mqtt_front_stop(parts.front);
    if (!intake_idle(parts.intake, 30000)) {
        fprintf(stderr, "bench_mqtt: messages were not answered\n");
        exit(1);
    }
    db_pool_close(parts.pool);
    deliveries_close(parts.deliveries);
    mqtt_front_free(parts.front);
    presence_free(parts.presence);
    intake_close(parts.intake);
    door_close(parts.door);
    device_auth_free(parts.auth);
    roster_free(parts.roster);
    bus_close(parts.bus);
}

static void connect_fill(void *context, unsigned connection, struct picket_mqtt_connect *out)
{
    static _Thread_local char device[32], user[96]; /* until this thread asks again */

    (void)context;
    snprintf(device, sizeof device, "device-%u", connection);
    snprintf(user, sizeof user, "localhost/%s/?api-version=2021-04-12", device);
    out->has_user_name = out->has_password = true;
    out->client_id = (struct picket_span){device, strlen(device)};
    out->user_name = (struct picket_span){user, strlen(user)};
    out->password = (struct picket_span){tokens[connection], strlen(tokens[connection])};
}

static bool message_fill(void *context, unsigned connection, struct buf *topic, struct buf *out)
{
    (void)context;
    buf_format(topic, "devices/device-%u/messages/events/", connection);
    buf_append(out, payload, sizeof payload);
    return true;
}

static double publish_measure(const char *name, uint16_t port)
{
    const struct mqtt_load_settings load = {.port = port, .version = PICKET_MQTT_3_1_1, .connections = CONNECTIONS,
                                            .window = WINDOW, .duration_ms = seconds * 1000, .connect = connect_fill,
                                            .build = message_fill};
    struct mqtt_load_result result;
    struct problem why;

    if (mqtt_load_run(&load, &result, &why))
        give_up(name, &why);
    printf("%-10s messages_per_second=%.0f acknowledged=%llu lost=%llu median_us=%lld p99_us=%lld longest_us=%lld\n", name,
           result.messages_per_second, (unsigned long long)result.acknowledged, (unsigned long long)result.lost,
           (long long)result.median_us, (long long)result.p99_us, (long long)result.longest_us);
    return result.messages_per_second;
}

static struct program *mosquitto_start(uint16_t port)
{
    static char path[] = "/tmp/picket-mosquitto-XXXXXX";
    int fd = mkstemp(path);

    dprintf(fd, "listener %u 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\nmax_queued_messages 0\n",
            (unsigned)port);
    close(fd);
    if (access("/usr/sbin/mosquitto", X_OK) != 0) {
        fprintf(stderr, "bench_mqtt: mosquitto is missing: apt-get install mosquitto\n");
        exit(1);
    }
    struct program *program = program_start("/usr/sbin/mosquitto", (const char *const[]){"-c", path, NULL}, NULL);
    for (int i = 0; i < 500; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
        fd = socket(AF_INET, SOCK_STREAM, 0);
        int failed = connect(fd, (struct sockaddr *)&address, sizeof address);
        close(fd);
        if (!failed)
            return program;
        usleep(10000);
    }
    fprintf(stderr, "bench_mqtt: mosquitto does not listen\n");
    exit(1);
}

static int ratio_compare(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static bool publish_bench(void)
{
    uint16_t port = program_free_port();
    struct program *mosquitto = mosquitto_start(port);
    double ratios[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++) {
        double peer = publish_measure("mosquitto", port);
        ratios[i] = publish_measure("ingest", mqtt_front_mqtt_port(parts.front)) / peer;
    }
    program_close(mosquitto);
    qsort(ratios, ROUNDS, sizeof ratios[0], ratio_compare);
    double ratio = ratios[ROUNDS / 2];
    printf("ratio      mqtt_to_mosquitto=%.2f limit=%.2f %s\n", ratio, PUBLISH_RATIO_MIN,
           ratio >= PUBLISH_RATIO_MIN ? "met" : "MISSED");
    return ratio >= PUBLISH_RATIO_MIN;
}

/* ---- handshakes ---- */

struct handshaker {
    uint16_t port;
    int64_t until_ms;
    uint64_t done;
};

static void *handshakes_run(void *context)
{
    struct handshaker *mine = context;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(mine->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct problem why;

    while (clock_monotonic_ms() < mine->until_ms) {
        struct linger at_once = {1, 0};
        struct tls *tls = NULL;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once); /* no ports in TIME_WAIT */
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && tls_connect(fd, NULL, NULL, &tls, &why) == STATUS_OK) {
            enum tls_step step;
            while ((step = tls_handshake(tls)) == TLS_WANTS_READ || step == TLS_WANTS_WRITE)
                ;
            mine->done += step == TLS_DONE;
        }
        tls_free(tls);
        close(fd);
    }
    return NULL;
}

static double handshakes_measure(const char *name, uint16_t port)
{
    struct handshaker all[HANDSHAKERS];
    pthread_t threads[HANDSHAKERS];
    uint64_t done = 0;

    for (size_t i = 0; i < HANDSHAKERS; i++) {
        all[i] = (struct handshaker){port, clock_monotonic_ms() + seconds * 1000, 0};
        if (pthread_create(&threads[i], NULL, handshakes_run, &all[i]))
            abort();
    }
    for (size_t i = 0; i < HANDSHAKERS; i++) {
        pthread_join(threads[i], NULL);
        done += all[i].done;
    }
    double rate = (double)done / seconds;
    printf("%-10s handshakes_per_second=%.0f\n", name, rate);
    return rate;
}

struct bare {
    int fd;
    struct tls_server *tls;
};

static void *bare_run(void *context)
{
    struct bare *bare = context;

    for (int fd; (fd = accept(bare->fd, NULL, NULL)) >= 0; close(fd)) {
        struct tls *tls = tls_accept(bare->tls, fd);
        enum tls_step step;
        while ((step = tls_handshake(tls)) == TLS_WANTS_READ || step == TLS_WANTS_WRITE)
            ;
        char byte;
        size_t got;
        (void)tls_read(tls, &byte, 1, &got); /* until the client goes */
        tls_free(tls);
    }
    return NULL;
}

static bool handshake_bench(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct bare bare = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    uint16_t port = program_free_port();
    pthread_t threads[HANDSHAKERS];
    double ratios[ROUNDS];
    struct problem why;
    int yes = 1;

    address.sin_port = htons(port);
    setsockopt(bare.fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (tls_server_open(certificate.certificate_file, certificate.key_file, &bare.tls, &why))
        give_up("bare", &why);
    if (bind(bare.fd, (struct sockaddr *)&address, sizeof address) || listen(bare.fd, 1024))
        abort();
    for (size_t i = 0; i < HANDSHAKERS; i++)
        if (pthread_create(&threads[i], NULL, bare_run, &bare))
            abort();
    for (size_t i = 0; i < ROUNDS; i++) {
        double peer = handshakes_measure("bare", port);
        ratios[i] = handshakes_measure("ingest", mqtt_front_mqtts_port(parts.front)) / peer;
    }
    shutdown(bare.fd, SHUT_RDWR);
    for (size_t i = 0; i < HANDSHAKERS; i++)
        pthread_join(threads[i], NULL);
    close(bare.fd);
    tls_server_close(bare.tls);
    qsort(ratios, ROUNDS, sizeof ratios[0], ratio_compare);
    double ratio = ratios[ROUNDS / 2];
    printf("ratio      handshakes_to_gnutls=%.2f limit=%.2f %s\n", ratio, HANDSHAKE_RATIO_MIN,
           ratio >= HANDSHAKE_RATIO_MIN ? "met" : "MISSED");
    return ratio >= HANDSHAKE_RATIO_MIN;
}

/* ---- many that are idle ----
 *
 * The clients live in a process of their own, so that what this one grows by is the server's. They speak through a pipe:
 * a byte each when all are connected, and when the time is over with the number that is still there. */

struct idle {
    int fd;
    struct tls *tls; /* or NULL */
};

static struct idle idles[IDLE];

static bool idle_write(struct idle *idle, const char *bytes, size_t count)
{
    for (size_t sent; count; bytes += sent, count -= sent) {
        sent = 0;
        if (idle->tls) {
            enum tls_step step = tls_write(idle->tls, bytes, count, &sent);
            if (step != TLS_DONE && step != TLS_WANTS_READ && step != TLS_WANTS_WRITE)
                return false;
        } else {
            ssize_t done = send(idle->fd, bytes, count, MSG_NOSIGNAL);
            if (done <= 0)
                return false;
            sent = (size_t)done;
        }
    }
    return true;
}

/* What has come, without waiting; false: it is closed. */
static bool idle_drain(struct idle *idle)
{
    char bytes[4096];

    for (;;) {
        struct pollfd readable = {.fd = idle->fd, .events = POLLIN};
        size_t got = 0;
        if (poll(&readable, 1, 0) == 0)
            return true;
        if (idle->tls) {
            enum tls_step step = tls_read(idle->tls, bytes, sizeof bytes, &got);
            if (step != TLS_DONE && step != TLS_WANTS_READ)
                return false;
        } else if (recv(idle->fd, bytes, sizeof bytes, MSG_DONTWAIT) <= 0) {
            return false;
        }
    }
}

static bool idle_connect(unsigned index, uint16_t port, bool with_tls)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK + 1 + index / 5000)}};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct picket_mqtt_connect wanted = {.clean = true, .keep_alive_s = 60};
    struct idle *idle = &idles[index];
    struct picket_mqtt_writer writer;
    char bytes[2048];
    size_t got = 0;
    struct problem why;

    int at_once = 1;

    idle->tls = NULL;
    idle->fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)setsockopt(idle->fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    if (bind(idle->fd, (struct sockaddr *)&from, sizeof from) || connect(idle->fd, (struct sockaddr *)&address, sizeof address))
        return false;
    if (with_tls) {
        if (tls_connect(idle->fd, NULL, NULL, &idle->tls, &why))
            return false;
        enum tls_step step;
        while ((step = tls_handshake(idle->tls)) == TLS_WANTS_READ || step == TLS_WANTS_WRITE)
            ;
        if (step != TLS_DONE)
            return false;
    }
    connect_fill(NULL, index, &wanted);
    picket_mqtt_write_init(&writer, bytes, sizeof bytes, PICKET_MQTT_3_1_1);
    picket_mqtt_write_connect(&writer, &wanted);
    if (!idle_write(idle, bytes, picket_mqtt_written(&writer)))
        return false;
    if (!with_tls)
        return recv(idle->fd, bytes, sizeof bytes, 0) == 4 && bytes[3] == 0;
    enum tls_step step;
    while ((step = tls_read(idle->tls, bytes, sizeof bytes, &got)) == TLS_WANTS_READ)
        ;
    return step == TLS_DONE && got == 4 && bytes[3] == 0;
}

/* 2,000 messages a second over some of them, in ticks of ten milliseconds; a ping of each when it is due. */
static void idle_live(unsigned for_s)
{
    int64_t started_ms = clock_monotonic_ms(), ping_ms = started_ms; /* the first of them connected a while ago */
    struct picket_mqtt_writer writer;
    char bytes[2048], topic[64];
    uint16_t id = 0;

    for (int64_t tick = 0; tick < (int64_t)for_s * 100; tick++) {
        for (unsigned i = 0; i < IDLE_RATE / 100; i++) {
            unsigned index = (unsigned)(tick * (IDLE_RATE / 100) + i) % IDLE_PUBLISHERS;
            int count = snprintf(topic, sizeof topic, "devices/device-%u/messages/events/", index);
            id = id == UINT16_MAX ? 1 : (uint16_t)(id + 1);
            struct picket_mqtt_publish publish = {.qos = 1, .id = id, .topic = {topic, (size_t)count}, .payload = {payload, PAYLOAD}};
            picket_mqtt_write_init(&writer, bytes, sizeof bytes, PICKET_MQTT_3_1_1);
            picket_mqtt_write_publish(&writer, &publish, NULL, 0);
            if (idle_drain(&idles[index]))
                (void)idle_write(&idles[index], bytes, picket_mqtt_written(&writer));
        }
        if (clock_monotonic_ms() >= ping_ms) {
            for (unsigned i = 0; i < IDLE; i++)
                (void)idle_write(&idles[i], "\xc0\0", 2);
            ping_ms += IDLE_PING_S * 1000;
        }
        int64_t next_ms = started_ms + (tick + 1) * 10;
        while (clock_monotonic_ms() < next_ms)
            usleep(1000);
    }
}

struct idle_order {
    uint16_t port;
    bool with_tls;
    unsigned live_s;
};

struct idle_connector {
    pthread_t thread;
    const struct idle_order *order;
    unsigned first;
    int connected;
};

static void *idle_connector_run(void *context)
{
    struct idle_connector *connector = context;

    for (unsigned i = connector->first; i < IDLE; i += IDLE_CONNECTORS)
        connector->connected += idle_connect(i, connector->order->port, connector->order->with_tls);
    return NULL;
}

static int idle_connect_all(const struct idle_order *order)
{
    struct idle_connector connectors[IDLE_CONNECTORS];
    int connected = 0;

    for (unsigned i = 0; i < IDLE_CONNECTORS; i++) {
        connectors[i] = (struct idle_connector){.order = order, .first = i};
        if (pthread_create(&connectors[i].thread, NULL, idle_connector_run, &connectors[i]))
            abort();
    }
    for (unsigned i = 0; i < IDLE_CONNECTORS; i++) {
        pthread_join(connectors[i].thread, NULL);
        connected += connectors[i].connected;
    }
    return connected;
}

static void idle_child(int orders, int answers)
{
    struct idle_order order;

    while (read(orders, &order, sizeof order) == sizeof order) {
        int connected = idle_connect_all(&order), alive = 0;
        if (write(answers, &connected, sizeof connected) != sizeof connected)
            break;
        idle_live(order.live_s);
        for (unsigned i = 0; i < IDLE; i++)
            alive += idle_drain(&idles[i]);
        for (unsigned i = 0; i < IDLE; i++) {
            tls_free(idles[i].tls);
            close(idles[i].fd);
        }
        if (write(answers, &alive, sizeof alive) != sizeof alive)
            break;
    }
    _exit(0);
}

static long resident_bytes(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (!file || fscanf(file, "%ld %ld", &pages, &resident) != 2)
        abort();
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE);
}

static bool idle_bench(const char *name, const struct idle_order *order, long bytes_max, int orders, int answers)
{
    malloc_trim(0); /* what an earlier run freed would hide what this one takes */
    long before = resident_bytes();
    int connected = 0, alive = 0;
    int64_t messages = metric_get(&ingest_metrics.messages[0]);

    if (write(orders, order, sizeof *order) != sizeof *order || read(answers, &connected, sizeof connected) != sizeof connected)
        abort();
    long each = (resident_bytes() - before) / IDLE;
    if (read(answers, &alive, sizeof alive) != sizeof alive)
        abort();
    printf("%-10s connected=%d alive_after_s=%u alive=%d messages=%lld\n", name, connected, order->live_s, alive,
           (long long)(metric_get(&ingest_metrics.messages[0]) - messages));
    printf("memory     %s_bytes_per_connection=%ld limit=%ld %s\n", name, each, bytes_max, each <= bytes_max ? "met" : "MISSED");
    int64_t until_ms = clock_monotonic_ms() + 30000;
    while (metric_get(&ingest_metrics.mqtt_connections) && clock_monotonic_ms() < until_ms)
        usleep(10000);
    return connected == IDLE && alive == IDLE && each <= bytes_max;
}

int main(int count, char **arguments)
{
    struct rlimit files;
    int orders[2], answers[2];
    struct problem why;

    if (count > 1)
        seconds = (unsigned)strtoul(arguments[1], NULL, 10);
    if (!seconds || secret_init(&why) || pipe(orders) || pipe(answers))
        return 2;
    if (getrlimit(RLIMIT_NOFILE, &files))
        abort();
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) || files.rlim_max < IDLE + 1000)
        fprintf(stderr, "bench_mqtt: %d descriptors are not allowed here: ulimit -Hn\n", IDLE + 1000);
    memset(payload, ' ', sizeof payload);
    memcpy(payload, "{}", 2);
    for (unsigned i = 0; i < IDLE; i++) {
        char resource[64];
        snprintf(resource, sizeof resource, "localhost/devices/device-%u", i);
        device_token_make(resource, key, sizeof key, clock_utc_us() / 1000000 + 3600, tokens[i]);
    }
    if (fork() == 0) {
        close(orders[1]);
        idle_child(orders[0], answers[1]);
    }
    close(orders[0]);
    certificate_make(&certificate);
    broker_start();
    parts_open();
    struct idle_order plain = {mqtt_front_mqtt_port(parts.front), false, 1};
    struct idle_order tls = {mqtt_front_mqtts_port(parts.front), true, IDLE_SECONDS};
    bool met = idle_bench("plain", &plain, IDLE_PLAIN_BYTES_MAX, orders[1], answers[0]);
    met = idle_bench("tls", &tls, IDLE_TLS_BYTES_MAX, orders[1], answers[0]) && met;
    met = publish_bench() && met;
    met = handshake_bench() && met;
    close(orders[1]);
    parts_close();
    certificate_remove(&certificate);
    return met ? 0 : 1;
}
