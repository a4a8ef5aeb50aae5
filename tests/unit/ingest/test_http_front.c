#include "ingest/http_front.h"

#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zlib.h>

#include "ingest/ingest_metrics.h"
#include "runtime/clock.h"
#include "runtime/secret.h"
#include "tests/support/certificate.h"
#include "tests/support/certificate_authority.h"
#include "tests/support/check_main.h"
#include "tests/support/classic_message.h"
#include "tests/support/device_token.h"
#include "tests/support/http_client.h"
#include "tests/support/https_client.h"
#include "tests/support/taker.h"
#include "wire/limits.h"

#define EVENTS_PATH "/devices/d1/messages/events?api-version=2020-03-13"
#define HEADERS_SIZE 32768

static const uint8_t key[32] = "primary key of the first device";
static const uint8_t other[32] = "a key that nobody enrolled here";

/* The front with all its parts, but a roster filled by hand and a bus whose reader is the test's. */
static struct ingest_settings settings;
static struct bus *bus;
static struct taker *taker;
static struct roster *roster;
static struct door *door;
static struct device_auth *auth;
static struct intake *intake;
static struct http_front *front;
static struct problem why;
static struct http_client_reply reply;
static struct buf body;
static int client;

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

static void enrol(const char *device, const char *module, const uint8_t *with, bool enabled, int64_t per_second)
{
    struct identity identity = {1, text_of(device), text_of(module)};
    struct roster_entry entry = {.enabled = enabled, .messages_per_second = per_second, .bytes_per_second = -1};
    struct roster_keys keys = {.primary_count = 32, .secondary_count = 0};

    memcpy(keys.primary, with, 32);
    ck_assert_int_eq(roster_put(roster, &identity, &entry, &keys, &why), STATUS_OK);
}

static void open_front(void)
{
    struct http_front_parts parts = {.auth = auth, .intake = intake, .door = door};

    ck_assert_msg(http_front_open(&settings, &parts, &front, &why) == STATUS_OK, "%s", why.text);
    client = http_client_connect(http_front_http_port(front));
}

static void setup(void)
{
    static const struct bus_settings bus_settings = {
        .bus = "direct", .bus_shards = 2, .bus_queue_bytes = 64 << 20, .bus_send_timeout_ms = 10000};
    const struct roster_host hosts[] = {{TEXT(""), {1, -1, -1}}};

    ck_assert_int_eq(secret_init(&why), STATUS_OK);
    settings = (struct ingest_settings){.ingest_address = "127.0.0.1", .http_port = free_port(), .ingest_threads = 2,
                                        .connections_max = 100, .request_timeout_ms = 30000,
                                        .answer_timeout_ms = 20000, .body_bytes_max = PICKET_BODY_MAX,
                                        .body_budget_bytes = 64 << 20, .json_depth_max = PICKET_JSON_DEPTH_MAX};
    ck_assert_int_eq(bus_open(&bus_settings, 1000, 0, &bus, &why), STATUS_OK);
    taker = taker_open(bus);
    roster = roster_new(100);
    roster_workspaces_set(roster, hosts, 1);
    enrol("d1", "", key, true, -1);
    enrol("d1", "azureiotsecurity", other, true, -1);
    enrol("off", "", key, false, -1);
    enrol("slow", "", key, true, 1);
    enrol("odd#id", "", key, true, -1);
    roster_set_loaded(roster);
    auth = device_auth_new(roster);
    ck_assert_int_eq(door_open(bus, 600000, &door, &why), STATUS_OK);
    intake = intake_open(&settings, bus, door);
    buf_init(&body, 1 << 20);
    open_front();
}

static void teardown(void)
{
    close(client);
    http_front_stop(front);
    taker_set(taker, TAKER_DONE);
    ck_assert(intake_idle(intake, 20000));
    http_front_free(front);
    intake_close(intake);
    if (door)
        door_close(door);
    device_auth_free(auth);
    roster_free(roster);
    taker_close(taker);
    bus_close(bus);
    buf_done(&body);
}

/* The headers of a device that signs `resource` with `with`, and `more`. */
static const char *headers_of(const char *resource, const uint8_t *with, const char *more)
{
    static char headers[HEADERS_SIZE];
    char token[DEVICE_TOKEN_SIZE];

    device_token_make(resource, with, 32, clock_utc_us() / 1000000 + 3600, token);
    snprintf(headers, sizeof headers, "Authorization: %s\r\n%s", token, more);
    return headers;
}

static unsigned post(const char *path, const char *headers, struct text content)
{
    http_client_reply_done(&reply);
    ck_assert(http_client_request(client, "POST", path, headers, content));
    ck_assert(http_client_reply(client, false, &reply));
    return reply.code;
}

static unsigned post_json(const char *more, const char *content)
{
    return post(EVENTS_PATH, headers_of("localhost/devices/d1", key, more), text_of(content));
}

static void expect_error(const char *code)
{
    json_t *json = json_loadb(reply.body.bytes, reply.body.count, 0, NULL);
    json_t *error = json_object_get(json, "error");

    ck_assert_ptr_nonnull(error);
    ck_assert_str_eq(json_string_value(json_object_get(error, "code")), code);
    ck_assert(json_string_length(json_object_get(error, "message")) > 0);
    json_decref(json);
}

static json_t *properties(size_t record)
{
    struct text text = taker_header(taker, record, "properties");
    return json_loadb(text.bytes, text.count, 0, NULL);
}

START_TEST(message_is_acknowledged_with_its_receipt_once_it_is_durable)
{
    taker_set(taker, TAKER_HOLD);
    http_client_reply_done(&reply);
    classic_message_append(&body, 10, 1);
    ck_assert(http_client_request(client, "POST", EVENTS_PATH, headers_of("localhost/devices/d1", key, ""),
                                  buf_as_text(&body)));
    taker_wait(taker, 1);
    ck_assert_int_eq(metric_get(&ingest_metrics.messages_in_flight), 1);
    ck_assert_int_eq(recv(client, (char[1]){0}, 1, MSG_DONTWAIT), -1); /* on the bus, and nobody said that it is safe */
    taker_set(taker, TAKER_DONE);
    ck_assert(http_client_reply(client, false, &reply));
    ck_assert_uint_eq(reply.code, 204);
    ck_assert(text_starts(http_client_header(&reply, "Picket-Receipt"), TEXT("direct/")));
    ck_assert(text_equal(taker_value(taker, 0), buf_as_text(&body)));
    ck_assert(text_equal(taker_key(taker, 0), TEXT("1/d1")));
    ck_assert(text_equal(taker_header(taker, 0, "v"), TEXT("1")));
    ck_assert(text_equal(taker_header(taker, 0, "kind"), TEXT("message")));
    ck_assert(text_equal(taker_header(taker, 0, "transport"), TEXT("https")));
    ck_assert(text_equal(taker_header(taker, 0, "json"), TEXT("1")));
    ck_assert_uint_eq(taker_header(taker, 0, "key").count, 16);
    ck_assert_ptr_null(taker_header(taker, 0, "content-type").bytes);
    ck_assert_ptr_null(taker_header(taker, 0, "properties").bytes);
    ck_assert_ptr_null(taker_header(taker, 0, "module").bytes);
}
END_TEST

START_TEST(same_message_has_the_same_key_and_another_has_not)
{
    ck_assert_uint_eq(post_json("", "{\"Events\":[{\"Id\":\"a\"}]}"), 204);
    ck_assert_uint_eq(post_json("", "{\"Events\":[{\"Id\":\"a\"}]}"), 204);
    ck_assert_uint_eq(post_json("iothub-messageid: 5\r\n", "{\"Events\":[{\"Id\":\"a\"}]}"), 204);
    ck_assert_uint_eq(post_json("iothub-messageid: 5\r\n", "text"), 204);
    ck_assert_uint_eq(post_json("", "{\"Events\":[]}"), 204);
    ck_assert(text_equal(taker_header(taker, 0, "key"), taker_header(taker, 1, "key")));
    ck_assert(!text_equal(taker_header(taker, 0, "key"), taker_header(taker, 2, "key")));
    ck_assert_uint_eq(taker_header(taker, 3, "key").count, 16);
    ck_assert(text_equal(taker_header(taker, 3, "message-id"), TEXT("5")));
    ck_assert_ptr_null(taker_header(taker, 4, "key").bytes);
}
END_TEST

START_TEST(lost_reader_asks_the_device_to_come_again)
{
    taker_set(taker, TAKER_FAILED);
    ck_assert_uint_eq(post_json("", "{}"), 503);
    ck_assert(http_client_header(&reply, "Retry-After").count > 0);
    expect_error("Unavailable");
    taker_set(taker, TAKER_DONE);
    ck_assert_uint_eq(post_json("", "{}"), 204);
}
END_TEST

START_TEST(system_and_application_properties_are_kept)
{
    ck_assert_uint_eq(post_json("iothub-messageid: m-1\r\nIoTHub-CorrelationId: c-1\r\n"
                                "iothub-contenttype: application/json\r\niothub-contentencoding: utf-8\r\n"
                                "iothub-interface-id: urn:azureiot:Security:SecurityAgent:1\r\n"
                                "Content-Type: application/octet-stream\r\n"
                                "iothub-to: /devices/d1/messages/events\r\n"
                                "iothub-app-MessagePriority: High\r\niothub-app-quote: \"\\\r\n",
                                "[]"), 204);
    json_t *json = properties(0);
    ck_assert_str_eq(json_string_value(json_object_get(json, "$.mid")), "m-1");
    ck_assert_str_eq(json_string_value(json_object_get(json, "$.cid")), "c-1");
    ck_assert_str_eq(json_string_value(json_object_get(json, "$.ct")), "application/json");
    ck_assert_str_eq(json_string_value(json_object_get(json, "$.ce")), "utf-8");
    ck_assert_str_eq(json_string_value(json_object_get(json, "$.ifid")), "urn:azureiot:Security:SecurityAgent:1");
    ck_assert_str_eq(json_string_value(json_object_get(json, "$.to")), "/devices/d1/messages/events");
    ck_assert_str_eq(json_string_value(json_object_get(json, "MessagePriority")), "High");
    ck_assert_str_eq(json_string_value(json_object_get(json, "quote")), "\"\\");
    ck_assert_uint_eq(json_object_size(json), 8);
    json_decref(json);
    ck_assert(text_equal(taker_header(taker, 0, "content-type"), TEXT("application/json")));
    ck_assert(text_equal(taker_header(taker, 0, "message-id"), TEXT("m-1")));
}
END_TEST

START_TEST(properties_and_message_ids_that_are_too_long_are_400)
{
    static char more[HEADERS_SIZE];
    size_t count = (size_t)snprintf(more, sizeof more, "iothub-app-x: ");

    memset(more + count, 'x', PICKET_PROPERTIES_MAX);
    memcpy(more + count + PICKET_PROPERTIES_MAX, "\r\n", 3);
    ck_assert_uint_eq(post_json(more, "{}"), 400);
    expect_error("PropertiesTooLarge");
    count = (size_t)snprintf(more, sizeof more, "iothub-messageid: ");
    memset(more + count, 'x', PICKET_MESSAGE_ID_MAX + 1);
    memcpy(more + count + PICKET_MESSAGE_ID_MAX + 1, "\r\n", 3);
    ck_assert_uint_eq(post_json(more, "{}"), 400);
    ck_assert_uint_eq(post_json("iothub-app-x: short\r\n", "{}"), 204);
}
END_TEST

START_TEST(broken_json_is_400_with_line_and_column)
{
    ck_assert_uint_eq(post_json("", "{\"a\":1,\n  \"b\" 2}"), 400);
    expect_error("InvalidJson");
    json_t *json = json_loadb(reply.body.bytes, reply.body.count, 0, NULL);
    json_t *error = json_object_get(json, "error");
    ck_assert_int_eq(json_integer_value(json_object_get(error, "line")), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(error, "column")), 7);
    json_decref(json);
    ck_assert_uint_eq(post_json("Content-Type: application/json\r\n", ""), 400);
    ck_assert_uint_eq(post_json("iothub-contentencoding: application/json\r\n", "text"), 400);
    ck_assert_uint_eq(post_json("", "text"), 204);
    ck_assert_uint_eq(post_json("", ""), 204);
    ck_assert_uint_eq(taker_count(taker), 2);
}
END_TEST

START_TEST(flatbuffers_that_are_none_are_400)
{
    ck_assert_uint_eq(post_json("iothub-app-mti: 2.3-1-0-0\r\n", "{}"), 400);
    expect_error("InvalidFlatBuffer");
    ck_assert_uint_eq(post_json("iothub-app-MTI: 2.3-1-0-0\r\n", ""), 400);
    ck_assert_uint_eq(post_json("iothub-app-mti: 2.3-0-1-0\r\n", "{}"), 204); /* JSON, and so said */
    ck_assert_uint_eq(taker_count(taker), 1);
}
END_TEST

START_TEST(compressed_bodies_arrive_decompressed)
{
    z_stream stream = {0};
    unsigned char packed[65536];

    classic_message_append(&body, 10, 1);
    ck_assert_int_eq(deflateInit2(&stream, 6, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (unsigned char *)body.bytes;
    stream.avail_in = (uInt)body.count;
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    const char *headers = headers_of("localhost/devices/d1", key, "Content-Encoding: gzip\r\n");
    ck_assert_uint_eq(post(EVENTS_PATH, headers, (struct text){(char *)packed, stream.total_out}), 204);
    ck_assert(text_equal(taker_value(taker, 0), buf_as_text(&body)));
    ck_assert_uint_eq(post(EVENTS_PATH, headers, TEXT("{}")), 400);
    expect_error("BrokenEncoding");
    ck_assert_uint_eq(post(EVENTS_PATH, headers_of("localhost/devices/d1", key, "Content-Encoding: br\r\n"),
                           TEXT("{}")), 415);
    expect_error("UnsupportedEncoding");
}
END_TEST

START_TEST(bombs_are_413)
{
    z_stream stream = {0};
    unsigned char packed[65536];
    size_t plain = (size_t)PICKET_BODY_MAX * 4;
    unsigned char *zeros = calloc(1, plain);

    ck_assert_int_eq(deflateInit2(&stream, 9, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = zeros;
    stream.avail_in = (uInt)plain;
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    free(zeros);
    ck_assert_uint_eq(post(EVENTS_PATH, headers_of("localhost/devices/d1", key, "Content-Encoding: gzip\r\n"),
                           (struct text){(char *)packed, stream.total_out}), 413);
    expect_error("BodyTooLarge");
}
END_TEST

START_TEST(body_up_to_the_limit_passes_and_longer_is_413)
{
    static char bytes[PICKET_BODY_MAX + 1];
    struct text longest = {bytes, PICKET_BODY_MAX};
    const char *headers = headers_of("localhost/devices/d1", key, "Content-Type: application/x-bytes\r\n");

    ck_assert_uint_eq(post(EVENTS_PATH, headers, longest), 204);
    longest.count++;
    ck_assert_uint_eq(post(EVENTS_PATH, headers, longest), 413);
    expect_error("BodyTooLarge");
}
END_TEST

START_TEST(credentials_that_do_not_fit_are_401_and_look_alike)
{
    static char first[512];

    ck_assert_uint_eq(post(EVENTS_PATH, "", TEXT("{}")), 401);
    ck_assert_ptr_nonnull(http_client_header(&reply, "WWW-Authenticate").bytes);
    expect_error("Unauthorized");
    snprintf(first, sizeof first, "%.*s", TEXT_ARGS(buf_as_text(&reply.body)));
    ck_assert_uint_eq(post(EVENTS_PATH, headers_of("localhost/devices/d1", other, ""), TEXT("{}")), 401);
    ck_assert_str_eq(first, reply.body.bytes);
    ck_assert_uint_eq(post("/devices/nobody/messages/events", headers_of("localhost/devices/nobody", key, ""),
                           TEXT("{}")), 401);
    ck_assert_str_eq(first, reply.body.bytes);
    ck_assert_uint_eq(post(EVENTS_PATH, headers_of("localhost/devices/d2", key, ""), TEXT("{}")), 401);
    ck_assert_uint_eq(post("/devices/off/messages/events", headers_of("localhost/devices/off", other, ""),
                           TEXT("{}")), 401);
    ck_assert_uint_eq(taker_count(taker), 0);
}
END_TEST

START_TEST(disabled_identity_is_403)
{
    ck_assert_uint_eq(post("/devices/off/messages/events", headers_of("localhost/devices/off", key, ""),
                           TEXT("{}")), 403);
    expect_error("DeviceDisabled");
}
END_TEST

START_TEST(module_path_is_for_the_modules_key)
{
    static const char path[] = "/devices/d1/modules/azureiotsecurity/messages/events";

    ck_assert_uint_eq(post(path, headers_of("localhost/devices/d1/modules/azureiotsecurity", other, ""), TEXT("{}")),
                      204);
    ck_assert(text_equal(taker_header(taker, 0, "module"), TEXT("azureiotsecurity")));
    ck_assert(text_equal(taker_key(taker, 0), TEXT("1/d1")));
    ck_assert_uint_eq(post(path, headers_of("localhost/devices/d1", key, ""), TEXT("{}")), 401);
}
END_TEST

START_TEST(ids_in_the_path_are_unescaped_and_checked)
{
    ck_assert_uint_eq(post("/devices/odd%23id/messages/events", headers_of("localhost/devices/odd%23id", key, ""),
                           TEXT("{}")), 204);
    ck_assert(text_equal(taker_header(taker, 0, "device"), TEXT("odd#id")));
    ck_assert_uint_eq(post("/devices/a%20b/messages/events", headers_of("localhost", key, ""), TEXT("{}")), 400);
    expect_error("InvalidId");
    ck_assert_uint_eq(post("/devices/d1/modules/a%2Fb/messages/events", headers_of("localhost", key, ""), TEXT("{}")),
                      400);
}
END_TEST

START_TEST(too_many_messages_are_429_until_the_told_time)
{
    const char *headers = headers_of("localhost/devices/slow", key, "");
    unsigned accepted = 0;

    while (post("/devices/slow/messages/events", headers, TEXT("{}")) == 204 && accepted < 100)
        accepted++;
    ck_assert_uint_ge(accepted, 5);
    ck_assert_uint_lt(accepted, 10);
    ck_assert_uint_eq(reply.code, 429);
    expect_error("Throttled");
    ck_assert(text_equal(http_client_header(&reply, "Retry-After"), TEXT("1")));
}
END_TEST

START_TEST(before_the_roster_is_read_devices_are_asked_to_wait)
{
    struct roster *fresh = roster_new(10);
    struct device_auth *early = device_auth_new(fresh);
    struct http_front_parts parts = {.auth = early, .intake = intake, .door = door};
    struct http_front *second = NULL;

    settings.http_port = free_port();
    ck_assert_int_eq(http_front_open(&settings, &parts, &second, &why), STATUS_OK);
    close(client);
    client = http_client_connect(http_front_http_port(second));
    ck_assert_uint_eq(post_json("", "{}"), 503);
    ck_assert(text_equal(http_client_header(&reply, "Retry-After"), TEXT("5")));
    http_front_stop(second);
    http_front_free(second);
    device_auth_free(early);
    roster_free(fresh);
}
END_TEST

START_TEST(refusals_go_to_the_bus_for_whom_they_concern)
{
    ck_assert_uint_eq(post_json("", "{"), 400);
    ck_assert_uint_eq(post(EVENTS_PATH, headers_of("localhost/devices/d1", other, ""), TEXT("{}")), 401);
    ck_assert_uint_eq(post("/devices/nobody/messages/events", "", TEXT("{}")), 401);
    ck_assert_uint_eq(post("/devices/somebody/messages/events", "", TEXT("{}")), 401);
    door_close(door);
    door = NULL;
    ck_assert_uint_eq(taker_count(taker), 2);
    for (size_t i = 0; i < 2; i++) {
        struct text value = taker_value(taker, i);
        json_t *json = json_loadb(value.bytes, value.count, 0, NULL);
        json_t *refused = json_object_get(json, "Refused");
        ck_assert(text_equal(taker_header(taker, i, "kind"), TEXT("door")));
        if (text_equal(taker_header(taker, i, "device"), TEXT("d1"))) {
            ck_assert_int_eq(json_integer_value(json_object_get(refused, "400")), 1);
            ck_assert_int_eq(json_integer_value(json_object_get(refused, "401")), 1);
        } else {
            ck_assert_uint_eq(taker_header(taker, i, "device").count, 0);
            ck_assert_int_eq(json_integer_value(json_object_get(refused, "401")), 2);
        }
        json_decref(json);
    }
}
END_TEST

START_TEST(health_and_unknown_paths_need_no_credential)
{
    http_client_reply_done(&reply);
    ck_assert(http_client_request(client, "GET", "/healthz", "", TEXT("")));
    ck_assert(http_client_reply(client, false, &reply));
    ck_assert_uint_eq(reply.code, 200);
    ck_assert_uint_eq(post("/devices/d1/messages", "", TEXT("{}")), 404);
}
END_TEST

START_TEST(client_that_leaves_costs_nothing_and_stays_stored)
{
    taker_set(taker, TAKER_HOLD);
    ck_assert(http_client_request(client, "POST", EVENTS_PATH, headers_of("localhost/devices/d1", key, ""), TEXT("{}")));
    taker_wait(taker, 1);
    close(client);
    client = http_client_connect(http_front_http_port(front));
    taker_set(taker, TAKER_DONE);
    ck_assert_uint_eq(post_json("", "[]"), 204);
    ck_assert(intake_idle(intake, 20000));
}
END_TEST

START_TEST(stop_answers_those_who_wait_and_frees_nothing_early)
{
    taker_set(taker, TAKER_HOLD);
    http_client_reply_done(&reply);
    ck_assert(http_client_request(client, "POST", EVENTS_PATH, headers_of("localhost/devices/d1", key, ""), TEXT("{}")));
    taker_wait(taker, 1);
    http_front_stop(front);
    ck_assert(http_client_reply(client, false, &reply));
    ck_assert_uint_eq(reply.code, 503);
    ck_assert(!intake_idle(intake, 0));
}
END_TEST

START_TEST(tls_port_needs_certificate_and_key)
{
    struct http_front_parts parts = {.auth = auth, .intake = intake, .door = door};
    struct certificate certificate;
    struct http_front *second = NULL;

    settings.http_port = 0;
    settings.https_port = free_port();
    ck_assert_int_eq(http_front_open(&settings, &parts, &second, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "tls_certificate_file"));
    certificate_make(&certificate);
    settings.tls_certificate_file = certificate.certificate_file;
    settings.tls_key_file = certificate.key_file;
    ck_assert_msg(http_front_open(&settings, &parts, &second, &why) == STATUS_OK, "%s", why.text);
    ck_assert_int_eq(http_front_https_port(second), settings.https_port);
    ck_assert_uint_eq(http_front_http_port(second), 0);
    http_front_stop(second);
    http_front_free(second);
    certificate_remove(&certificate);
}
END_TEST

/* The first line's code of a message of `device`, sent over TLS. */
static unsigned post_with_certificate(uint16_t port, const struct issued *certificate, const char *device, const char *more)
{
    char request[1024], answer[4096];

    snprintf(request, sizeof request,
             "POST /devices/%s/messages/events?api-version=2020-03-13 HTTP/1.1\r\nHost: hub.local\r\n%s"
             "Content-Length: 13\r\nConnection: close\r\n\r\n{\"Events\":[]}", device, more);
    https_client_ask(port, "NORMAL", certificate ? certificate_authority_pem(certificate) : NULL,
                     certificate ? certificate_authority_key_pem(certificate) : NULL, request, answer, sizeof answer);
    return (unsigned)strtoul(answer + (strncmp(answer, "HTTP/1.1 ", 9) == 0 ? 9 : 0), NULL, 10);
}

START_TEST(certificate_of_the_connection_stands_for_a_token)
{
    const struct certificate_wish ca_wish = {.common_name = "ca", .authority = true}, leaf_wish = {.common_name = "c1"};
    struct issued *ca = certificate_authority_issue(&ca_wish, NULL), *leaf = certificate_authority_issue(&leaf_wish, ca);
    struct authority *list = calloc(1, sizeof *list);
    struct http_front_parts parts = {.auth = auth, .intake = intake, .door = door};
    struct certificate certificate;
    struct http_front *secure = NULL;
    struct identity c1 = {1, TEXT("c1"), TEXT("")}, t1 = {1, TEXT("t1"), TEXT("")};
    struct roster_entry entry = {.enabled = true, .credential = ROSTER_AUTHORITY, .messages_per_second = -1, .bytes_per_second = -1};
    struct roster_keys keys = {.primary_count = 0};

    ck_assert_ptr_nonnull(list);
    list[0] = (struct authority){1, 1, NULL};
    ck_assert_int_eq(x509_authority_new(certificate_authority_der(ca), TEXT_NONE, &list[0].certificate, &why), STATUS_OK);
    authorities_set(roster_authorities(roster), list, 1);
    ck_assert_int_eq(roster_put(roster, &c1, &entry, &keys, &why), STATUS_OK);
    entry.credential = ROSTER_THUMBPRINT;
    keys.primary_count = 32;
    memcpy(keys.primary, certificate_authority_sha256(ca), 32);
    ck_assert_int_eq(roster_put(roster, &t1, &entry, &keys, &why), STATUS_OK);
    certificate_make(&certificate);
    settings.http_port = 0;
    settings.https_port = free_port();
    settings.tls_certificate_file = certificate.certificate_file;
    settings.tls_key_file = certificate.key_file;
    ck_assert_msg(http_front_open(&settings, &parts, &secure, &why) == STATUS_OK, "%s", why.text);

    uint16_t port = http_front_https_port(secure);
    ck_assert_uint_eq(post_with_certificate(port, leaf, "c1", ""), 204);
    ck_assert_uint_eq(post_with_certificate(port, ca, "t1", ""), 204);
    ck_assert_uint_eq(post_with_certificate(port, leaf, "t1", ""), 401);
    ck_assert_uint_eq(post_with_certificate(port, leaf, "d1", ""), 401);
    ck_assert_uint_eq(post_with_certificate(port, NULL, "c1", ""), 401);
    /* A token, where there is one, is what counts. */
    ck_assert_uint_eq(post_with_certificate(port, leaf, "d1", headers_of("hub.local/devices/d1", key, "")), 204);
    ck_assert_uint_eq(post_with_certificate(port, leaf, "c1", headers_of("hub.local/devices/c1", key, "")), 401);
    ck_assert(text_equal(taker_key(taker, 0), TEXT("1/c1")));
    http_front_stop(secure);
    http_front_free(secure);
    certificate_remove(&certificate);
    certificate_authority_free(leaf);
    certificate_authority_free(ca);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        message_is_acknowledged_with_its_receipt_once_it_is_durable,
        same_message_has_the_same_key_and_another_has_not,
        lost_reader_asks_the_device_to_come_again,
        system_and_application_properties_are_kept,
        properties_and_message_ids_that_are_too_long_are_400,
        broken_json_is_400_with_line_and_column,
        flatbuffers_that_are_none_are_400,
        compressed_bodies_arrive_decompressed,
        bombs_are_413,
        body_up_to_the_limit_passes_and_longer_is_413,
        credentials_that_do_not_fit_are_401_and_look_alike,
        disabled_identity_is_403,
        module_path_is_for_the_modules_key,
        ids_in_the_path_are_unescaped_and_checked,
        too_many_messages_are_429_until_the_told_time,
        before_the_roster_is_read_devices_are_asked_to_wait,
        refusals_go_to_the_bus_for_whom_they_concern,
        health_and_unknown_paths_need_no_credential,
        client_that_leaves_costs_nothing_and_stays_stored,
        stop_answers_those_who_wait_and_frees_nothing_early,
        tls_port_needs_certificate_and_key,
        certificate_of_the_connection_stands_for_a_token,
    };
    const struct check_suite suite = {.name = "ingest/http_front", .tests = tests,
                                     .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown,
                                     .timeout_seconds = 60};
    return check_main(&suite);
}
