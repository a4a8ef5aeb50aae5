#include "programs/simulated.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "detect/rule_samples.h"
#include "programs/client.h"
#include "programs/data_folder.h"
#include "runtime/clock.h"
#include "runtime/secret.h"

#define FEED "simulated"
#define TOKEN_S (30 * 24 * 3600)
#define SEND_S 10L

struct simulator {
    const struct cli *cli;
    struct client *client;
    CURL *curl;
    char ca[DATA_PATH_SIZE]; /* "": the system's */
};

enum status simulator_open(const struct cli *cli, struct simulator **out, struct problem *why)
{
    const char *ca = cli_value(cli, "ca") ? cli_value(cli, "ca") : getenv("PICKET_CA");
    struct simulator *made = calloc(1, sizeof *made);
    char folder[DATA_PATH_SIZE];

    made->cli = cli;
    made->curl = curl_easy_init();
    if (ca)
        snprintf(made->ca, sizeof made->ca, "%s", ca);
    else if (data_folder_whole(data_folder_default(cli_value(cli, "data")), folder))
        data_folder_path(folder, "certificates/ca.pem", made->ca);
    if (made->ca[0] && access(made->ca, R_OK) != 0)
        made->ca[0] = '\0';
    *out = made;
    return client_open(cli, &made->client, why);
}

void simulator_close(struct simulator *take_simulator)
{
    if (!take_simulator)
        return;
    curl_easy_cleanup(take_simulator->curl);
    client_close(take_simulator->client);
    free(take_simulator);
}

enum status simulator_call(struct simulator *simulator, const char *method, const char *path, json_t *take_body, json_t **out, struct problem *why)
{
    const char *workspace = cli_value(simulator->cli, "workspace");
    struct buf whole;

    buf_init(&whole, 4096);
    buf_string(&whole, path);
    if (workspace) {
        buf_string(&whole, strchr(path, '?') ? "&workspace=" : "?workspace=");
        client_escape(&whole, workspace);
    }
    enum status status = client_call(simulator->client, method, whole.bytes, take_body, out, why);
    json_decref(take_body);
    buf_done(&whole);
    return status;
}

enum status simulator_feed(struct simulator *simulator, struct problem *why)
{
    json_t *answer = NULL, *values = json_array();
    char path[128];

    for (const char *const *value = rule_sample_indicators; *value; value++)
        json_array_append_new(values, json_string(*value));
    enum status status = simulator_call(simulator, "PUT", "/v1/feeds/" FEED, json_object(), &answer, why);
    bool there = !status && (size_t)json_integer_value(json_object_get(answer, "indicators")) == json_array_size(values);
    json_decref(answer);
    answer = NULL;
    if (status || there) {
        json_decref(values);
        return status;
    }
    status = simulator_call(simulator, "POST", "/v1/feeds/" FEED "/generations", NULL, &answer, why);
    long long generation = status ? 0 : (long long)json_integer_value(json_object_get(answer, "generation"));
    json_decref(answer);
    answer = NULL;
    snprintf(path, sizeof path, "/v1/feeds/" FEED "/generations/%lld", generation);
    if (!status)
        status = simulator_call(simulator, "POST", path, json_pack("{s:O}", "values", values), &answer, why);
    json_decref(values);
    json_decref(answer);
    answer = NULL;
    snprintf(path, sizeof path, "/v1/feeds/" FEED "/generations/%lld/finish", generation);
    if (!status)
        status = simulator_call(simulator, "POST", path, NULL, &answer, why);
    json_decref(answer);
    return status;
}

/* Another signature than the right one. */
static void token_forge(const char *token, char out[SAS_TOKEN_SIZE])
{
    snprintf(out, SAS_TOKEN_SIZE, "%s", token);
    char *signature = strstr(out, "sig=");
    if (signature)
        signature[4] = signature[4] == 'A' ? 'B' : 'A';
}

/* "HostName=localhost:8443;DeviceId=…": where the device sends to. */
static enum status sender_make(const char *connection, struct simulated *device, struct problem *why)
{
    const char *host = strstr(connection, "HostName=");
    size_t count = host ? strcspn(host + 9, ";") : 0;

    if (!count)
        return problem_set(why, STATUS_REJECT, "the connection string of %s names no host", device->id);
    snprintf(device->url, sizeof device->url, "https://%.*s/devices/%s/messages/events?api-version=2020-03-13", (int)count, host + 9, device->id);
    enum status status = sas_make(connection, clock_utc_us() + TOKEN_S * INT64_C(1000000), device->token, why);
    if (!status)
        status = sas_make(connection, clock_utc_us() - TOKEN_S * INT64_C(1000000), device->token_over, why);
    if (!status)
        token_forge(device->token, device->token_forged);
    return status;
}

enum status simulated_open(struct simulator *simulator, const char *id, struct simulated *out, struct problem *why)
{
    json_t *made = NULL, *answer = NULL;
    char path[256];

    *out = (struct simulated){0};
    snprintf(out->id, sizeof out->id, "%s", id);
    enum status status = simulator_call(simulator, "POST", "/v1/devices", json_pack("{s:s}", "id", id), &made, why);
    if (status == STATUS_REJECT && client_code(simulator->client) == 409) {
        snprintf(path, sizeof path, "/v1/devices/%s/connection-string", id);
        status = simulator_call(simulator, "GET", path, NULL, &made, why);
    }
    const char *connection = json_string_value(json_object_get(made, "connection_string"));
    if (!status && !connection)
        status = problem_set(why, STATUS_REJECT, "the server tells no connection string of %s: an admin's token is needed", id);
    if (!status)
        status = sender_make(connection, out, why);
    snprintf(path, sizeof path, "/v1/devices/%s/twin", id);
    if (!status)
        status = simulator_call(simulator, "PATCH", path, json_pack("{s:{s:b,s:s}}", "tags", "simulated", 1, "group", "simulated"), &answer, why);
    json_decref(answer);
    json_decref(made);
    return status;
}

void simulated_message_open(struct buf *out)
{
    buf_string(out, "{\"AgentVersion\":\"simulated\",\"AgentId\":\"00000000-0000-4000-8000-000000000000\",\"MessageSchemaVersion\":\"1.0\",\"Events\":[");
}

void simulated_message_event(struct buf *out, struct text name, int64_t at_us, struct text payload)
{
    char at[CLOCK_TEXT_SIZE];
    uint8_t random[16];
    char hex[2 * sizeof random + 1];

    clock_format(at_us, at);
    secret_random(random, sizeof random);
    text_hex_encode(random, sizeof random, hex);
    buf_format(out,
               "%s{\"Category\":\"Triggered\",\"EventType\":\"Security\",\"Name\":\"%.*s\",\"PayloadSchemaVersion\":\"1.0\",\"Id\":\"%.8s-%.4s-4%.3s-8%.3s-%.12s\","
               "\"TimestampLocal\":\"%s\",\"TimestampUTC\":\"%s\",\"IsEmpty\":false,\"Payload\":[",
               out->bytes[out->count - 1] == '[' ? "" : ",", TEXT_ARGS(name), hex, hex + 8, hex + 12, hex + 15, hex + 18, at, at);
    buf_text(out, payload);
    buf_string(out, "]}");
}

void simulated_message_close(struct buf *out)
{
    buf_string(out, "]}");
}

static size_t answer_drop(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count;
}

static long send_with(struct simulator *simulator, const struct simulated *device, const char *token, const struct buf *message, CURLcode *result)
{
    struct curl_slist *headers = NULL;
    struct buf authorization;
    long code = 0;

    buf_init(&authorization, 2 * SAS_TOKEN_SIZE);
    buf_format(&authorization, "Authorization: %s", token);
    headers = curl_slist_append(headers, authorization.bytes);
    headers = curl_slist_append(headers, "Content-Type: application/json");
    curl_easy_reset(simulator->curl);
    curl_easy_setopt(simulator->curl, CURLOPT_URL, device->url);
    curl_easy_setopt(simulator->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(simulator->curl, CURLOPT_POSTFIELDS, message->bytes);
    curl_easy_setopt(simulator->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)message->count);
    curl_easy_setopt(simulator->curl, CURLOPT_WRITEFUNCTION, answer_drop);
    curl_easy_setopt(simulator->curl, CURLOPT_TIMEOUT, SEND_S);
    curl_easy_setopt(simulator->curl, CURLOPT_NOSIGNAL, 1L);
    if (simulator->ca[0])
        curl_easy_setopt(simulator->curl, CURLOPT_CAINFO, simulator->ca);
    *result = curl_easy_perform(simulator->curl);
    curl_easy_getinfo(simulator->curl, CURLINFO_RESPONSE_CODE, &code);
    curl_slist_free_all(headers);
    buf_done(&authorization);
    return *result == CURLE_OK ? code : 0;
}

long simulated_send(struct simulator *simulator, const struct simulated *device, const struct buf *message)
{
    CURLcode result;
    long code = send_with(simulator, device, device->token, message, &result);

    if (code != 204)
        fprintf(stderr, "%s: %s (%ld)\n", device->id, result == CURLE_OK ? "not taken" : curl_easy_strerror(result), code);
    return code;
}

unsigned simulated_offend(struct simulator *simulator, const struct simulated *device, enum simulated_fault fault, unsigned times)
{
    const char *const tokens[] = {device->token_over, device->token_forged, device->token};
    const long expected = fault == SIMULATED_TOO_FAST ? 429 : 401;
    struct buf message;
    unsigned refused = 0;
    CURLcode ignored;

    buf_init(&message, 64);
    buf_string(&message, "{}");
    for (unsigned i = 0; i < times; i++)
        refused += send_with(simulator, device, tokens[fault], &message, &ignored) == expected;
    buf_done(&message);
    return refused;
}
