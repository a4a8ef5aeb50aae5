#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "programs/bootstrap.h"
#include "programs/sas.h"
#include "programs/up.h"
#include "runtime/buf.h"
#include "runtime/clock.h"
#include "runtime/process.h"
#include "runtime/secret.h"
#include "wire/limits.h"

#define FIRST_DEVICE "first-device"
#define FIRST_DEVICE_DAYS 30
#define SEND_INTERVAL_S 5 /* who tries it out wants to see something soon */
#define LINE_BYTES_MAX 4096
#define DAY_US (24 * 60 * 60 * 1000000LL)

static enum status token_ensure(struct up *up, struct problem *why);
static enum status operator_write(const struct up *up, const char *token, struct problem *why);
static enum status device_ensure(struct up *up, const char *id, json_t **connection, struct problem *why);
static enum status host_enrol(struct up *up, struct problem *why);
static void host_device_id(const struct up *up, char *out, size_t size);
static void shell_quoted(struct buf *out, const char *text);
static void server_url(const struct up *up, char *out, size_t size);

enum status up_enrol(struct up *up, struct problem *why)
{
    json_t *connection = NULL;

    enum status status = token_ensure(up, why);
    if (!status && !cli_given(up->cli, "no-agent"))
        status = host_enrol(up, why);
    if (!status)
        status = device_ensure(up, FIRST_DEVICE, &connection, why);
    if (!status)
        snprintf(up->first_connection, sizeof up->first_connection, "%s", json_string_value(connection));
    json_decref(connection);
    return status;
}

void up_enrol_recall(struct up *up)
{
    json_t *written = NULL, *device = NULL;
    char url[64];
    struct problem ignored;

    server_url(up, url, sizeof url);
    if (data_json_read(up_path(up, "operator.json"), &written, &ignored))
        return;
    client_close(up->client);
    up->client = client_new(url, json_string_value(json_object_get(written, "token")), up_path(up, "certificates/ca.pem"));
    enum status status =
        client_call(up->client, "GET", "/v1/devices/" FIRST_DEVICE "/connection-string?workspace=default", NULL, &device, &ignored);
    const char *connection = json_string_value(json_object_get(device, "connection_string"));
    if (!status && connection)
        snprintf(up->first_connection, sizeof up->first_connection, "%s", connection);
    json_decref(device);
    json_decref(written);
}

enum status up_enrol_print_curl(const struct up *up, struct problem *why)
{
    char token[SAS_TOKEN_SIZE];
    struct buf line;

    enum status status = sas_make(up->first_connection, clock_utc_us() + FIRST_DEVICE_DAYS * DAY_US, token, why);
    if (status)
        return status;
    buf_init(&line, LINE_BYTES_MAX);
    buf_string(&line, "curl -i --cacert ");
    shell_quoted(&line, up_path(up, "certificates/ca.pem"));
    buf_format(&line, " -H 'Authorization: %s' -H 'Content-Type: application/json' -d '{\"hello\":\"world\"}' ", token);
    buf_format(&line, "'https://localhost:%lld/devices/" FIRST_DEVICE "/messages/events?api-version=2020-03-13'",
               (long long)up->state.port_https);
    printf("%s\n", buf_failed(&line) ? "" : line.bytes);
    secret_wipe(token, sizeof token);
    buf_done(&line);
    return STATUS_OK;
}

/* The token of the last start is kept while the server accepts it. */
static enum status token_ensure(struct up *up, struct problem *why)
{
    char conninfo[sizeof up->conninfo + 32], url[64];
    const struct bootstrap_token wish = {conninfo, up_path(up, "master.key"), "admin", NULL, "picket up"};
    json_t *written = NULL, *made = NULL;
    const char *token = NULL;
    struct problem ignored;

    server_url(up, url, sizeof url);
    if (data_json_read(up_path(up, "operator.json"), &written, &ignored) == STATUS_OK)
        token = json_string_value(json_object_get(written, "token"));
    enum status status = STATUS_REJECT;
    if (token) {
        client_close(up->client);
        up->client = client_new(url, token, up_path(up, "certificates/ca.pem"));
        status = client_call(up->client, "GET", "/v1/devices?limit=1", NULL, &made, why);
        json_decref(made);
        made = NULL;
    }
    if (status == STATUS_REJECT) {
        snprintf(conninfo, sizeof conninfo, "%s dbname=picket", up->conninfo);
        status = bootstrap_token(&wish, &made, why);
        token = json_string_value(json_object_get(made, "token"));
        if (!status)
            up_say(up, "made an admin token for the operator: %s", up_path(up, "operator.json"));
    }
    if (!status)
        status = operator_write(up, token, why);
    client_close(up->client);
    up->client = client_new(url, token, up_path(up, "certificates/ca.pem"));
    json_decref(made);
    json_decref(written);
    return status;
}

static enum status operator_write(const struct up *up, const char *token, struct problem *why)
{
    char url[64];

    server_url(up, url, sizeof url);
    json_t *json = json_pack("{s:s, s:s, s:s}", "server", url, "token", token, "ca", up_path(up, "certificates/ca.pem"));
    enum status status = data_json_write(up_path(up, "operator.json"), json, 0600, why);
    json_decref(json);
    return status;
}

/* Enrols the device where it is not; `*connection` is its connection string. */
static enum status device_ensure(struct up *up, const char *id, json_t **connection, struct problem *why)
{
    json_t *body = json_pack("{s:s, s:s}", "id", id, "workspace", "default"), *device = NULL;
    char path[256];

    snprintf(path, sizeof path, "/v1/devices/%s/connection-string?workspace=default", id);
    enum status status = client_call(up->client, "GET", path, NULL, &device, why);
    if (status == STATUS_REJECT && client_code(up->client) == 404) {
        status = client_call(up->client, "POST", "/v1/devices", body, &device, why);
        if (!status)
            up_say(up, "enrolled the device %s", id);
    }
    if (!status) {
        *connection = json_incref(json_object_get(device, "connection_string"));
        if (!json_is_string(*connection))
            status = problem_set(why, STATUS_FAULT, "the server's answer about %s has no connection string", id);
    }
    json_decref(device);
    json_decref(body);
    return status;
}

static enum status host_enrol(struct up *up, struct problem *why)
{
    json_t *connection = NULL;
    struct buf config;

    host_device_id(up, up->state.host_device, sizeof up->state.host_device);
    enum status status = device_ensure(up, up->state.host_device, &connection, why);
    if (!status && mkdir(up_path(up, "spool"), 0700) != 0 && errno != EEXIST)
        status = problem_set(why, STATUS_REJECT, "%s cannot be made: %s", up_path(up, "spool"), strerror(errno));
    if (!status) {
        buf_init(&config, LINE_BYTES_MAX);
        buf_format(&config, "# Written by `picket up` at each start.\nconnection_string = %s\n", json_string_value(connection));
        buf_format(&config, "ca_file = %s\n", up_path(up, "certificates/ca.pem"));
        buf_format(&config, "transport = mqtt\nmqtt_port = %lld\n", (long long)up->state.port_mqtts);
        buf_format(&config, "spool_folder = %s\n", up_path(up, "spool"));
        buf_format(&config, "send_interval_s = %d\n", SEND_INTERVAL_S);
        status = process_write_file(up_path(up, "agent.conf"), buf_as_text(&config), 0600, why);
        secret_wipe(config.bytes, config.count);
        buf_done(&config);
    }
    json_decref(connection);
    return status;
}

/* Host names may hold what device ids may not, and the other way round. */
static void host_device_id(const struct up *up, char *out, size_t size)
{
    size_t count = 0;

    for (const char *at = up->host_name; *at && count < PICKET_ID_MAX && count + 1 < size; at++) {
        bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') ||
                     strchr("-._", *at);
        out[count++] = plain ? *at : '-';
    }
    out[count] = '\0';
    if (count == 0)
        snprintf(out, size, "this-host");
}

static void shell_quoted(struct buf *out, const char *text)
{
    buf_byte(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_string(out, "'\\''");
        else
            buf_byte(out, *text);
    }
    buf_byte(out, '\'');
}

static void server_url(const struct up *up, char *out, size_t size)
{
    snprintf(out, size, "https://localhost:%lld", (long long)up->state.port_query);
}
