#include "programs/client.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "programs/data_folder.h"
#include "runtime/buf.h"

#define ANSWER_BYTES_MAX (64 * 1024 * 1024)
#define CONNECT_TIMEOUT_MS 10000L
#define CALL_TIMEOUT_MS 120000L /* above the server's own limit on a query */
#define PATIENCE_MORE_S 10 /* so that the server's own refusal comes first */
#define PATH_BYTES_MAX 8192

struct client {
    CURL *curl;
    char *server, *token, *ca_file;
    long code, timeout_ms;
    json_t *refusal; /* of the last call */
};

static char *copy_of(const char *text);
static const char *wanted(const struct cli *cli, const char *flag, const char *variable);
static enum status operator_read(const char *folder, json_t **out, struct problem *why);
static size_t body_append(char *bytes, size_t size, size_t count, void *context);
static void call_set(struct client *client, const char *method, const char *url, const char *body, struct buf *answer);
static struct curl_slist *call_headers(const struct client *client, bool body);
static enum status answer_read(struct client *client, const struct buf *answer, json_t **out, struct problem *why);
static enum status answer_refused(const struct client *client, const json_t *json, struct problem *why);

enum status client_open(const struct cli *cli, struct client **out, struct problem *why)
{
    const char *server = wanted(cli, "server", "PICKET_SERVER");
    const char *token = wanted(cli, "token", "PICKET_TOKEN");
    const char *ca = wanted(cli, "ca", "PICKET_CA");
    json_t *written = NULL;

    if (!server) {
        const char *folder = data_folder_default(cli_value(cli, "data"));
        enum status status = operator_read(folder, &written, why);
        if (status)
            return status;
        server = json_string_value(json_object_get(written, "server"));
        if (!token)
            token = json_string_value(json_object_get(written, "token"));
        if (!ca)
            ca = json_string_value(json_object_get(written, "ca"));
    }
    *out = client_new(server ? server : "", token, ca);
    json_decref(written);
    return STATUS_OK;
}

struct client *client_new(const char *server, const char *token, const char *ca_file)
{
    struct client *client = calloc(1, sizeof *client);
    size_t length = strlen(server);

    if (!client)
        abort();
    client->curl = curl_easy_init();
    if (!client->curl)
        abort();
    client->server = copy_of(server);
    while (length > 0 && client->server[length - 1] == '/')
        client->server[--length] = '\0';
    client->token = copy_of(token);
    client->ca_file = copy_of(ca_file);
    return client;
}

const char *client_server(const struct client *client)
{
    return client->server;
}

void client_close(struct client *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->curl);
    free(client->server);
    free(client->token);
    free(client->ca_file);
    json_decref(client->refusal);
    free(client);
}

enum status client_call(struct client *client, const char *method, const char *path, const json_t *body, json_t **out,
                        struct problem *why)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    char url[PATH_BYTES_MAX];
    struct buf answer;
    enum status status = STATUS_OK;

    assert(path[0] == '/');
    if (snprintf(url, sizeof url, "%s%s", client->server, path) >= (int)sizeof url) {
        free(text);
        return problem_set(why, STATUS_REJECT, "the request is longer than %d bytes", PATH_BYTES_MAX);
    }
    buf_init(&answer, ANSWER_BYTES_MAX);
    struct curl_slist *headers = call_headers(client, body != NULL);
    call_set(client, method, url, text, &answer);
    curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
    client->code = 0;
    json_decref(client->refusal);
    client->refusal = NULL;
    CURLcode outcome = curl_easy_perform(client->curl);
    if (outcome != CURLE_OK)
        status = problem_set(why, STATUS_RETRY, "%s cannot be reached: %s", client->server, curl_easy_strerror(outcome));
    else
        status = answer_read(client, &answer, out, why);
    curl_slist_free_all(headers);
    buf_done(&answer);
    free(text);
    return status;
}

void client_be_patient(struct client *client, uint32_t seconds)
{
    client->timeout_ms = ((long)seconds + PATIENCE_MORE_S) * 1000;
}

long client_code(const struct client *client)
{
    return client->code;
}

const json_t *client_refusal(const struct client *client)
{
    return client->refusal;
}

void client_escape(struct buf *out, const char *value)
{
    for (; *value; value++) {
        unsigned char byte = (unsigned char)*value;
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
                     strchr("-._~", byte);
        if (plain)
            buf_byte(out, (char)byte);
        else
            buf_format(out, "%%%02X", byte);
    }
}

enum status client_each(struct client *client, const char *path, const char *noun, int64_t limit,
                        void (*each)(void *context, const json_t *element), void *context, struct problem *why)
{
    struct buf page;
    int64_t seen = 0;
    enum status status = STATUS_OK;
    bool more = true;

    buf_init(&page, PATH_BYTES_MAX);
    buf_string(&page, path);
    while (!status && more) {
        json_t *answer = NULL;
        status = client_call(client, "GET", page.bytes, NULL, &answer, why);
        const json_t *list = json_object_get(answer, noun);
        const char *next = json_string_value(json_object_get(answer, "next"));
        for (size_t i = 0; i < json_array_size(list) && (!limit || seen < limit); i++, seen++)
            each(context, json_array_get(list, i));
        more = next && json_array_size(list) > 0 && (!limit || seen < limit);
        if (more) {
            buf_clear(&page);
            buf_format(&page, "%s%ccursor=", path, strchr(path, '?') ? '&' : '?');
            client_escape(&page, next);
        }
        json_decref(answer);
    }
    buf_done(&page);
    return status;
}

static char *copy_of(const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        abort();
    return copy;
}

static const char *wanted(const struct cli *cli, const char *flag, const char *variable)
{
    const char *value = cli_value(cli, flag);
    if (!value)
        value = getenv(variable);
    return value && *value ? value : NULL;
}

static enum status operator_read(const char *folder, json_t **out, struct problem *why)
{
    char path[DATA_PATH_SIZE];

    data_folder_path(folder, "operator.json", path);
    enum status status = data_json_read(path, out, why);
    if (status)
        return problem_set(why, STATUS_REJECT,
                           "no server is named and %s cannot be read: start one with `picket up`, or give --server and "
                           "--token, or --data",
                           path);
    return STATUS_OK;
}

static size_t body_append(char *bytes, size_t size, size_t count, void *context)
{
    struct buf *answer = context;
    buf_append(answer, bytes, size * count);
    return buf_failed(answer) ? 0 : size * count;
}

static void call_set(struct client *client, const char *method, const char *url, const char *body, struct buf *answer)
{
    CURL *curl = client->curl;

    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, client->timeout_ms ? client->timeout_ms : CALL_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, body_append);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    if (client->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
}

static struct curl_slist *call_headers(const struct client *client, bool body)
{
    struct curl_slist *headers = NULL;
    char line[1024];

    if (client->timeout_ms) {
        snprintf(line, sizeof line, "Prefer: wait=%ld", client->timeout_ms / 1000 - PATIENCE_MORE_S);
        headers = curl_slist_append(headers, line);
    }
    if (body)
        headers = curl_slist_append(headers, "Content-Type: application/json");
    if (client->token) {
        snprintf(line, sizeof line, "Authorization: Bearer %s", client->token);
        headers = curl_slist_append(headers, line);
    }
    return headers;
}

static enum status answer_read(struct client *client, const struct buf *answer, json_t **out, struct problem *why)
{
    json_error_t error;
    json_t *json = NULL;
    enum status status = STATUS_OK;

    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &client->code);
    if (answer->count > 0)
        json = json_loadb(answer->bytes, answer->count, JSON_DECODE_ANY, &error);
    if (client->code >= 400)
        status = answer_refused(client, json, why);
    else if (client->code < 200 || client->code >= 300 || (answer->count > 0 && !json))
        status = problem_set(why, STATUS_REJECT, "%s does not answer as a Picket server does (HTTP %ld)", client->server,
                             client->code);
    if (!status && out)
        *out = json;
    else if (status)
        client->refusal = json;
    else
        json_decref(json);
    return status;
}

static enum status answer_refused(const struct client *client, const json_t *json, struct problem *why)
{
    const char *message = json_string_value(json_object_get(json_object_get(json, "error"), "message"));
    enum status status = client->code == 503 || client->code == 504 || client->code == 429 ? STATUS_RETRY : STATUS_REJECT;

    if (message)
        return problem_set(why, status, "%s", message);
    if (client->code == 401)
        return problem_set(why, status, "%s does not accept the token: give one with --token", client->server);
    return problem_set(why, status, "%s answered HTTP %ld", client->server, client->code);
}
