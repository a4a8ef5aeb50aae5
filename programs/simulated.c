#include "programs/simulated.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "detect/rule_samples.h"
#include "programs/client.h"
#include "programs/data_folder.h"
#include "runtime/clock.h"
#include "runtime/process.h"
#include "runtime/secret.h"

#define FEED "simulated"
#define CERTIFIED "certified" /* the module that shows a certificate */
#define TOKEN_S (30 * 24 * 3600)
#define SEND_S 10L
#define KNOWN_MS 10000 /* until a door must know a device that was just made */
#define LOOK_MS 50
#define DAY_S INT64_C(86400)

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

/* "HostName=localhost:8443;DeviceId=…": where the device sends to. */
static enum status sender_make(const char *connection, struct simulated *device, struct problem *why)
{
    const char *host = strstr(connection, "HostName=");
    size_t count = host ? strcspn(host + 9, ";") : 0;

    if (!count || count >= sizeof device->host)
        return problem_set(why, STATUS_REJECT, "the connection string of %s names no host", device->id);
    snprintf(device->host, sizeof device->host, "%.*s", (int)count, host + 9);
    enum status status = sas_make(connection, clock_utc_us() + TOKEN_S * INT64_C(1000000), device->token, why);
    if (!status)
        status = sas_make(connection, clock_utc_us() - TOKEN_S * INT64_C(1000000), device->token_over, why);
    if (!status)
        status = sas_forge(connection, clock_utc_us() + TOKEN_S * INT64_C(1000000), device->token_forged, why);
    return status;
}

/* How a device calls; NULL and 0: not so. */
struct call {
    const char *token, *certificate; /* the latter a file */
    const char *from;                /* the address, as curl wants it */
    long family;                     /* CURL_IPRESOLVE_… */
    const struct buf *message;       /* NULL: it only asks whether something waits for it, as a device can */
};

static size_t answer_drop(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count;
}

static struct curl_slist *call_headers(const struct call *call)
{
    struct curl_slist *headers = NULL;
    char authorization[SAS_TOKEN_SIZE + 32];

    if (call->token) {
        snprintf(authorization, sizeof authorization, "Authorization: %s", call->token);
        headers = curl_slist_append(headers, authorization);
    }
    return curl_slist_append(headers, "Content-Type: application/json");
}

/* The server's code, 0 where there was no answer. */
static long call_make(struct simulator *simulator, const struct simulated *device, const struct call *call, CURLcode *result)
{
    struct curl_slist *headers = call_headers(call);
    CURL *curl = simulator->curl;
    char url[600];
    long code = 0;

    snprintf(url, sizeof url, "https://%s/devices/%s%s%s/messages/%s?api-version=2020-03-13", device->host, device->id, device->module[0] ? "/modules/" : "",
             device->module, call->message ? "events" : "devicebound");
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (call->message) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->message->bytes);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->message->count);
    }
    if (call->certificate) {
        curl_easy_setopt(curl, CURLOPT_SSLCERT, call->certificate);
        curl_easy_setopt(curl, CURLOPT_SSLKEY, call->certificate);
    }
    /* What another call left open does for this one only where who calls, and from where, is no part of the connection. */
    bool own = call->certificate || call->from || call->family;
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, own ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, own ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_INTERFACE, call->from);
    curl_easy_setopt(curl, CURLOPT_IPRESOLVE, call->family);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, answer_drop);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, SEND_S);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (simulator->ca[0])
        curl_easy_setopt(curl, CURLOPT_CAINFO, simulator->ca);
    *result = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    curl_slist_free_all(headers);
    return *result == CURLE_OK ? code : 0;
}

static struct call right_call(const struct simulated *device)
{
    return (struct call){.token = device->token[0] ? device->token : NULL, .certificate = device->certificate.file ? device->certificate.path : NULL};
}

/* Without events; the caller's to buf_done(). */
static void message_empty(struct buf *out)
{
    buf_init(out, 1024);
    simulated_message_open(out);
    simulated_message_close(out);
}

/* A door hears of a new identity a moment after it was made. */
static enum status let_in(struct simulator *simulator, const struct simulated *device, struct problem *why)
{
    int64_t until_ms = clock_monotonic_ms() + KNOWN_MS;
    struct call call = right_call(device);
    CURLcode result = CURLE_OK;
    struct buf message;
    long code;

    message_empty(&message);
    call.message = device->module[0] ? &message : NULL;
    while ((code = call_make(simulator, device, &call, &result)) != 204 && clock_monotonic_ms() < until_ms && !process_wait_stop(LOOK_MS))
        ;
    buf_done(&message);
    if (code == 204)
        return STATUS_OK;
    return problem_set(why, STATUS_RETRY, "%s does not let %s in: %s (%ld)", device->host, device->id,
                       result == CURLE_OK ? "not taken" : curl_easy_strerror(result), code);
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
    if (!status)
        status = let_in(simulator, out, why);
    json_decref(answer);
    json_decref(made);
    return status;
}

enum status simulated_open_certified(struct simulator *simulator, const struct simulated *device, struct simulated *out, struct problem *why)
{
    int64_t now_s = clock_utc_us() / 1000000;
    char name[2 * sizeof device->id];
    json_t *made = NULL;

    *out = (struct simulated){.module = CERTIFIED};
    snprintf(out->id, sizeof out->id, "%s", device->id);
    snprintf(out->host, sizeof out->host, "%s", device->host);
    snprintf(name, sizeof name, "%s/" CERTIFIED, device->id);
    enum status status = simulated_certificate_make(name, now_s - DAY_S, now_s + DAY_S, &out->certificate, why);
    if (!status)
        status = simulated_certificate_make(name, now_s - 2 * DAY_S, now_s - DAY_S, &out->certificate_over, why);
    if (!status)
        status = simulated_certificate_make(name, now_s - DAY_S, now_s + DAY_S, &out->certificate_other, why);
    if (!status)
        status = simulator_call(simulator, "POST", "/v1/devices", json_pack("{s:s,s:s,s:s,s:s}", "id", name, "authentication", "thumbprint",
                                "primary_thumbprint", out->certificate.thumbprint, "secondary_thumbprint", out->certificate_over.thumbprint), &made, why);
    if (!status)
        status = let_in(simulator, out, why);
    json_decref(made);
    return status;
}

void simulated_close(struct simulated *device)
{
    simulated_certificate_done(&device->certificate);
    simulated_certificate_done(&device->certificate_over);
    simulated_certificate_done(&device->certificate_other);
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

long simulated_send(struct simulator *simulator, const struct simulated *device, const struct buf *message)
{
    struct call call = right_call(device);
    CURLcode result;

    call.message = message;
    long code = call_make(simulator, device, &call, &result);
    if (code != 204)
        fprintf(stderr, "%s: %s (%ld)\n", device->id, result == CURLE_OK ? "not taken" : curl_easy_strerror(result), code);
    return code;
}

/* Two addresses of this machine from which it reaches the server: of the loopback where the server is there, else one of each family. */
static void places_find(struct simulator *simulator, const struct simulated *device, struct call places[2])
{
    struct call call = right_call(device);
    char *address = NULL;
    CURLcode result;

    places[0] = places[1] = call;
    (void)call_make(simulator, device, &call, &result);
    curl_easy_getinfo(simulator->curl, CURLINFO_PRIMARY_IP, &address);
    bool loopback = address && (strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0);
    places[0].family = CURL_IPRESOLVE_V4;
    places[0].from = loopback ? "host!127.0.0.1" : NULL;
    places[1].family = loopback ? CURL_IPRESOLVE_V4 : CURL_IPRESOLVE_V6;
    places[1].from = loopback ? "host!127.0.0.2" : NULL;
}

static enum status rate_lower(struct simulator *simulator, const struct simulated *device)
{
    struct problem ignored;
    json_t *answer = NULL;
    char path[128];

    snprintf(path, sizeof path, "/v1/devices/%s", device->id);
    enum status status = simulator_call(simulator, "PATCH", path, json_pack("{s:i}", "messages_per_second", 1), &answer, &ignored);
    json_decref(answer);
    return status;
}

bool simulated_offend(struct simulator *simulator, const struct simulated *device, enum simulated_fault fault, unsigned times)
{
    struct call ways[2] = {right_call(device), right_call(device)};
    long expected = fault == SIMULATED_TWO_PLACES ? 204 : fault == SIMULATED_TOO_FAST ? 429 : 401;
    unsigned count = 0;
    struct buf message;
    CURLcode ignored;

    if (fault == SIMULATED_TOO_FAST && rate_lower(simulator, device))
        return false;
    message_empty(&message);
    switch (fault) {
    case SIMULATED_TOKEN_OVER: ways[0].token = device->token_over; break;
    case SIMULATED_TOKEN_FORGED: ways[0].token = device->token_forged; break;
    case SIMULATED_CERTIFICATE_OVER: ways[0].certificate = device->certificate_over.path; break;
    case SIMULATED_CERTIFICATE_OTHER: ways[0].certificate = device->certificate_other.path; break;
    case SIMULATED_TWO_PLACES: places_find(simulator, device, ways); break;
    case SIMULATED_TOO_FAST: break;
    }
    if (fault != SIMULATED_TWO_PLACES)
        ways[0].message = &message;
    unsigned spare = fault == SIMULATED_TOO_FAST ? 10 * times : 0; /* the lower rate is in force a moment after it was set */
    for (unsigned i = 0; count < times && i - count <= spare; i++)
        count += call_make(simulator, device, &ways[fault == SIMULATED_TWO_PLACES && i % 2], &ignored) == expected;
    buf_done(&message);
    return count == times;
}
