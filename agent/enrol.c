#include "agent/enrol.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/http_answer.h"
#include "agent/https_send.h"
#include "wire/json_reader.h"

#define API "api-version=2021-06-01"
#define TOKEN_LIFE_S 3600
#define POLLS_MAX 20
#define POLL_MS 3000
#define REPLY_MAX 8192
#define HEAD_MAX (CREDENTIAL_TOKEN_SIZE + 2048)
#define KEPT_NAME "enrolment"
#define RESOURCE_MAX (64 + PICKET_ID_MAX + 32)

/* ---- the service's answers ---- */

/* A string member that is wanted; false: it is passed over. */
static bool take(struct picket_json_reader *reader, const struct picket_json_token *name, const char *wanted, char *out, size_t size)
{
    struct picket_json_reader ahead = *reader;
    struct picket_json_token value;

    if (!picket_json_is(name, wanted, strlen(wanted)) || picket_json_next(&ahead, &value) != PICKET_JSON_STRING || value.count >= size)
        return false;
    out[picket_json_unescape(&value, out)] = '\0';
    *reader = ahead;
    return true;
}

static bool members_read(struct picket_json_reader *reader, struct enrolment *out, char status[32])
{
    struct picket_json_token name, opened;

    while (picket_json_next(reader, &name) == PICKET_JSON_NAME) {
        struct picket_json_reader ahead = *reader;
        if (PICKET_JSON_IS(&name, "registrationState") && picket_json_next(&ahead, &opened) == PICKET_JSON_OBJECT_OPEN) {
            *reader = ahead;
            if (!members_read(reader, out, status))
                return false;
        } else if (!take(reader, &name, "status", status, 32) && !take(reader, &name, "assignedHub", out->hub, sizeof out->hub) &&
                   !take(reader, &name, "deviceId", out->device, sizeof out->device) && !take(reader, &name, "operationId", out->operation, sizeof out->operation) &&
                   !take(reader, &name, "message", out->message, sizeof out->message) && !take(reader, &name, "errorMessage", out->message, sizeof out->message) &&
                   !picket_json_skip(reader, &name, NULL, NULL)) {
            return false;
        }
    }
    return name.kind == PICKET_JSON_OBJECT_CLOSE;
}

bool enrolment_read(const char *json, size_t count, struct enrolment *out)
{
    struct picket_json_reader reader;
    struct picket_json_token token;
    char status[32] = "";

    memset(out, 0, sizeof *out);
    picket_json_init(&reader, json, count, 16);
    if (picket_json_next(&reader, &token) != PICKET_JSON_OBJECT_OPEN || !members_read(&reader, out, status) || picket_json_next(&reader, &token) != PICKET_JSON_END)
        return false;
    out->assigned = strcmp(status, "assigned") == 0 && out->hub[0] && out->device[0];
    out->assigning = strcmp(status, "assigning") == 0 && out->operation[0];
    return true;
}

/* ---- what was learnt before ---- */

static bool connection_use(struct agent_config *config, const char *text, struct reason *why)
{
    if (strlen(text) >= sizeof config->connection_string || !credential_read(text, &config->credential, why))
        return false;
    memcpy(config->connection_string, text, strlen(text) + 1);
    return true;
}

static bool kept_use(struct agent_config *config)
{
    char path[FILE_PATH_SIZE + 16], text[sizeof config->connection_string];
    struct reason ignored;

    snprintf(path, sizeof path, "%s/" KEPT_NAME, config->spool_folder);
    long count = file_read(path, text, sizeof text - 1);
    if (count <= 0)
        return false;
    text[count] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return connection_use(config, text, &ignored);
}

/* ---- enrolling ---- */

struct enrolling {
    struct agent_config *config;
    struct uplink *uplink;
    char host[PICKET_HOST_MAX + 1];
    uint16_t port;
    char registration[PICKET_ID_MAX + 1], key[CREDENTIAL_DERIVED_SIZE], authorization[CREDENTIAL_TOKEN_SIZE];
    const volatile sig_atomic_t *stopping;
};

bool enrol_target(const struct agent_config *config, char host[PICKET_HOST_MAX + 1], struct uplink_target *out, struct reason *why)
{
    *out = (struct uplink_target){host, CREDENTIAL_PORT, config->ca_file, config->certificate_file, config->key_file, config->proxy};
    return credential_host_read("enrolment_host", config->enrolment_host, strlen(config->enrolment_host), host, &out->port, why);
}

static bool token_make(struct enrolling *enrolling, int64_t now_s, struct reason *why)
{
    const struct agent_config *config = enrolling->config;
    char resource[RESOURCE_MAX];
    struct credential own = {.port = 0};

    if (!config->group_key[0])
        return true;
    if (!credential_derive(config->group_key, enrolling->registration, uplink_hmac_sha256, enrolling->key))
        return reason_set(why, "group_key is not Base64 of a key");
    snprintf(resource, sizeof resource, "%s/registrations/%s", config->id_scope, enrolling->registration);
    bool fine = credential_rotate(&own, enrolling->key, strlen(enrolling->key)) &&
                credential_token_for(resource, own.key, own.key_count, now_s + TOKEN_LIFE_S, uplink_hmac_sha256, enrolling->authorization);
    explicit_bzero(&own, sizeof own);
    return fine || reason_set(why, "the registration id is too long for a token");
}

static enum enrol_status call(struct enrolling *enrolling, const char *method, const char *path, const char *body, struct enrolment *out, struct reason *why)
{
    const struct agent_config *config = enrolling->config;
    struct http_answer answer;
    char head[HEAD_MAX], reply[REPLY_MAX] = "";
    bool token = enrolling->authorization[0] != '\0';
    int count = snprintf(head, sizeof head, "%s /%s/registrations/%s%s?" API " HTTP/1.1\r\nHost: %s\r\n%s%s%sContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", method,
                         config->id_scope, enrolling->registration, path, enrolling->host, token ? "Authorization: " : "", enrolling->authorization, token ? "\r\n" : "", strlen(body));

    if (count < 0 || count >= (int)sizeof head) {
        reason_set(why, "the registration id is too long for a request");
        return ENROL_REFUSED;
    }
    if (!https_call(enrolling->uplink, head, (size_t)count, body, strlen(body), &answer, reply, sizeof reply, why))
        return ENROL_LATER;
    bool read = enrolment_read(reply, strlen(reply), out);
    if (read && (answer.code == 200 || answer.code == 202) && (out->assigned || out->assigning))
        return ENROL_DONE;
    reason_set(why, "%s does not enrol %s: %u %s", enrolling->host, enrolling->registration, answer.code, read ? out->message : "");
    return http_answer_status(answer.code) == PICKET_SEND_REFUSED || answer.code == 401 || answer.code == 404 ? ENROL_REFUSED : ENROL_LATER;
}

static enum enrol_status assigned_use(struct enrolling *enrolling, const struct enrolment *assigned, struct reason *why)
{
    struct agent_config *config = enrolling->config;
    char text[sizeof config->connection_string], port[8] = "";

    if (!strchr(assigned->hub, ':') && enrolling->port != CREDENTIAL_PORT)
        snprintf(port, sizeof port, ":%u", enrolling->port);
    int count = snprintf(text, sizeof text, "HostName=%s%s;DeviceId=%s;%s%s\n", assigned->hub, port, assigned->device, enrolling->key[0] ? "SharedAccessKey=" : "x509=true", enrolling->key);
    const struct iovec part = {text, (size_t)count};
    if (!file_folder_make(config->spool_folder)) {
        reason_set(why, "the spool folder %s cannot be made", config->spool_folder);
        return ENROL_LATER;
    }
    if (count < 0 || count >= (int)sizeof text || !file_write(config->spool_folder, KEPT_NAME, &part, 1, why))
        return ENROL_LATER;
    text[count - 1] = '\0';
    bool used = connection_use(config, text, why);
    explicit_bzero(text, sizeof text);
    return used ? ENROL_DONE : ENROL_REFUSED;
}

static enum enrol_status service_ask(struct enrolling *enrolling, struct reason *why)
{
    struct enrolment answer;
    char body[64 + PICKET_ID_MAX], path[300];

    snprintf(body, sizeof body, "{\"registrationId\":\"%s\"}", enrolling->registration);
    enum enrol_status status = call(enrolling, "PUT", "/register", body, &answer, why);
    for (int i = 0; status == ENROL_DONE && answer.assigning; i++) {
        snprintf(path, sizeof path, "/operations/%s", answer.operation);
        if (i == POLLS_MAX || *enrolling->stopping) {
            reason_set(why, "%s is still assigning", enrolling->host);
            return ENROL_LATER;
        }
        (void)poll(NULL, 0, POLL_MS);
        status = call(enrolling, "GET", path, "", &answer, why);
    }
    return status == ENROL_DONE ? assigned_use(enrolling, &answer, why) : status;
}

enum enrol_status enrol(struct agent_config *config, int64_t now_s, const volatile sig_atomic_t *stopping, struct reason *why)
{
    return config->connection_string[0] || kept_use(config) ? ENROL_DONE : enrol_again(config, now_s, stopping, why);
}

enum enrol_status enrol_again(struct agent_config *config, int64_t now_s, const volatile sig_atomic_t *stopping, struct reason *why)
{
    struct enrolling enrolling = {.config = config, .stopping = stopping};
    struct uplink_target target;
    enum enrol_status status = ENROL_REFUSED;

    if (config->registration_id[0])
        memcpy(enrolling.registration, config->registration_id, sizeof enrolling.registration);
    else if (gethostname(enrolling.registration, sizeof enrolling.registration - 1) != 0)
        enrolling.registration[0] = '\0';
    if (!enrol_target(config, enrolling.host, &target, why) || !token_make(&enrolling, now_s, why))
        return ENROL_REFUSED;
    enrolling.port = target.port;
    enrolling.uplink = uplink_new(&target, stopping, why);
    if (enrolling.uplink)
        status = service_ask(&enrolling, why);
    uplink_free(enrolling.uplink);
    explicit_bzero(enrolling.key, sizeof enrolling.key);
    return status;
}
