#include "ingest/ingest.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "runtime/buf.h"
#include "runtime/clock.h"
#include "runtime/db.h"
#include "runtime/process.h"
#include "runtime/secret.h"
#include "tests/support/check_main.h"
#include "tests/support/database.h"
#include "tests/support/device_token.h"
#include "tests/support/http_client.h"
#include "tests/support/migrate.h"
#include "tests/support/taker.h"

#define WAIT_MS 20000
#define QUERY_MS 30000
#define EVENTS_PATH "/devices/d1/messages/events"

/* The whole role against a real database: what it does from opening to closing. */
static const uint8_t key[32] = "primary key of the first device";
static char master_file[] = "/tmp/picket-master-XXXXXX";
static struct ingest_settings settings;
static struct bus *bus;
static struct taker *taker;
static struct ingest *ingest;
static struct problem why;
static struct http_client_reply reply;

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void settings_fill(void)
{
    struct settings_group group = {"ingest", ingest_settings_table, ingest_settings_count, &settings};
    char variable[128], port[64];
    static struct arena arena;

    snprintf(variable, sizeof variable, "PICKET_MASTER_KEY_FILE=%s", master_file);
    snprintf(port, sizeof port, "PICKET_HTTP_PORT=%u", (unsigned)free_port());
    const char *environment[] = {variable, port, "PICKET_HTTPS_PORT=0", "PICKET_MQTTS_PORT=0", NULL};
    arena_init(&arena);
    ck_assert_msg(settings_load(&group, 1, NULL, environment, &arena, &why) == STATUS_OK, "%s", why.text);
    settings.database = database_conninfo_for(NULL, NULL);
}

static void setup(void)
{
    static const struct bus_settings bus_settings = {
        .bus = "direct", .bus_shards = 2, .bus_queue_bytes = 64 << 20, .bus_send_timeout_ms = 10000};

    settings_fill();
    ck_assert_int_eq(bus_open(&bus_settings, 1000, 0, &bus, &why), STATUS_OK);
    taker = taker_open(bus);
}

static void teardown(void)
{
    ingest_close(ingest);
    ingest = NULL;
    taker_close(taker);
    bus_close(bus);
}

static unsigned post(void)
{
    char token[DEVICE_TOKEN_SIZE], headers[DEVICE_TOKEN_SIZE + 32];
    int client = http_client_connect(ingest_http_port(ingest));

    device_token_make("localhost/devices/d1", key, sizeof key, clock_utc_us() / 1000000 + 3600, token);
    snprintf(headers, sizeof headers, "Authorization: %s\r\n", token);
    http_client_reply_done(&reply);
    ck_assert(http_client_request(client, "POST", EVENTS_PATH, headers, TEXT("{\"Events\":[]}")));
    ck_assert(http_client_reply(client, false, &reply));
    close(client);
    return reply.code;
}

static void wait_for_code(unsigned code)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    const struct timespec pause = {0, 5000000};

    while (post() != code) {
        ck_assert_msg(clock_monotonic_ms() < until_ms, "%u, not %u", reply.code, code);
        nanosleep(&pause, NULL);
    }
}

static bool ready(void)
{
    struct buf text;

    buf_init(&text, 65536);
    bool all = process_print_ready(&text);
    buf_done(&text);
    return all;
}

static void wait_ready(void)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    const struct timespec pause = {0, 5000000};

    while (!ready()) {
        ck_assert(clock_monotonic_ms() < until_ms);
        nanosleep(&pause, NULL);
    }
}

static void set_status(const char *status)
{
    struct db *owner = NULL;
    const char *parameters[] = {status};

    ck_assert_int_eq(db_open(database_conninfo(), NULL, "test", &owner, &why), STATUS_OK);
    ck_assert_int_eq(db_query(owner, "UPDATE picket.device SET status = $1", parameters, 1, QUERY_MS, NULL, &why),
                     STATUS_OK);
    db_close(owner);
}

START_TEST(enrolled_device_is_served_until_it_is_disabled)
{
    ck_assert_msg(ingest_open(&settings, bus, &ingest, &why) == STATUS_OK, "%s", why.text);
    ck_assert_int_eq(ingest_http_port(ingest), settings.http_port);
    ck_assert_uint_eq(ingest_https_port(ingest), 0);
    wait_for_code(204);
    wait_ready();
    set_status("disabled");
    wait_for_code(403);
    set_status("deleted");
    wait_for_code(401);
    set_status("enabled");
    wait_for_code(204);
}
END_TEST

START_TEST(database_that_is_away_at_start_means_503_until_it_comes)
{
    database_stop();
    ck_assert_msg(ingest_open(&settings, bus, &ingest, &why) == STATUS_OK, "%s", why.text);
    ck_assert_uint_eq(post(), 503);
    ck_assert(text_equal(http_client_header(&reply, "Retry-After"), TEXT("5")));
    ck_assert(!ready());
    database_restart();
    wait_for_code(204);
}
END_TEST

START_TEST(database_that_goes_later_stops_nobody)
{
    ck_assert_msg(ingest_open(&settings, bus, &ingest, &why) == STATUS_OK, "%s", why.text);
    wait_for_code(204);
    database_stop();
    for (int i = 0; i < 20; i++)
        ck_assert_uint_eq(post(), 204);
    database_restart();
}
END_TEST

START_TEST(drained_role_answers_what_is_under_way)
{
    char token[DEVICE_TOKEN_SIZE], headers[DEVICE_TOKEN_SIZE + 32];

    ck_assert_msg(ingest_open(&settings, bus, &ingest, &why) == STATUS_OK, "%s", why.text);
    wait_for_code(204);
    size_t before = taker_count(taker);
    taker_set(taker, TAKER_HOLD);
    int client = http_client_connect(ingest_http_port(ingest));
    device_token_make("localhost/devices/d1", key, sizeof key, clock_utc_us() / 1000000 + 3600, token);
    snprintf(headers, sizeof headers, "Authorization: %s\r\n", token);
    ck_assert(http_client_request(client, "POST", EVENTS_PATH, headers, TEXT("{}")));
    taker_wait(taker, before + 1);
    taker_set(taker, TAKER_DONE);
    ingest_drain(ingest);
    http_client_reply_done(&reply);
    ck_assert(http_client_reply(client, false, &reply));
    ck_assert_uint_eq(reply.code, 204);
    close(client);
}
END_TEST

START_TEST(unusable_settings_are_rejected_with_what_to_do)
{
    settings.http_port = 0;
    ck_assert_int_eq(ingest_open(&settings, bus, &ingest, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "https_port"));
    settings.http_port = free_port();
    settings.master_key_file = "/nowhere/master.key";
    ck_assert_int_eq(ingest_open(&settings, bus, &ingest, &why), STATUS_REJECT);
    settings.master_key_file = master_file;
    settings.database = "this is = no connection = string";
    ck_assert_int_eq(ingest_open(&settings, bus, &ingest, &why), STATUS_REJECT);
}
END_TEST

static enum status enrol(void)
{
    struct secret_master master;
    struct db *owner = NULL;
    uint8_t sealed[SECRET_SEALED_BYTES(sizeof key)];
    char hex[2 * sizeof sealed + 3] = "\\x";
    const char *parameters[] = {hex};

    unlink(master_file);
    enum status status = secret_master_create(master_file, &master, &why);
    if (!status)
        status = db_open(database_conninfo(), NULL, "test", &owner, &why);
    if (status)
        return status;
    secret_seal(&master, key, sizeof key, sealed);
    text_hex_encode(sealed, sizeof sealed, hex + 2);
    status = db_query(owner, "INSERT INTO picket.device (workspace_id, device_id) VALUES (1, 'd1')", NULL, 0, QUERY_MS,
                      NULL, &why);
    if (!status)
        status = db_query(owner, "INSERT INTO picket.credential (workspace_id, device_id, sealed_primary, sealed_secondary) "
                                 "VALUES (1, 'd1', $1::bytea, $1::bytea)", parameters, 1, QUERY_MS, NULL, &why);
    db_close(owner);
    return status;
}

int main(void)
{
    const TTest *const tests[] = {
        enrolled_device_is_served_until_it_is_disabled,
        database_that_is_away_at_start_means_503_until_it_comes,
        database_that_goes_later_stops_nobody,
        drained_role_answers_what_is_under_way,
        unusable_settings_are_rejected_with_what_to_do,
    };
    const struct check_suite suite = {.name = "ingest", .tests = tests,
                                     .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown,
                                     .timeout_seconds = 60};

    database_start(DATABASE_FAST);
    if (mkstemp(master_file) < 0 || secret_init(&why) || migrate_all(database_conninfo(), &why) || enrol()) {
        fprintf(stderr, "%s\n", why.text);
        return EXIT_FAILURE;
    }
    int failed = check_main(&suite);
    unlink(master_file);
    return failed;
}
