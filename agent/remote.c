#include "agent/remote.h"

#include <stdio.h>
#include <string.h>

#include "wire/json_reader.h"
#include "wire/json_writer.h"

#define ERROR_TEXT_MAX (PICKET_TWIN_REPORT_MAX * 2)
#define MESSAGE_TEXT_MAX 2048
#define ARGUMENT_MAX 128
#define SPOOL_BYTES_LEAST (4 * PICKET_AGENT_MESSAGE_MIN)

/* ---- the twin ---- */

/* What of the settings is the core's and the port's. The spool holds some messages, however little it is allowed. */
static void settings_use(struct remote *remote)
{
    struct picket_agent_settings settings = remote->agent->settings;

    for (int i = 0; i < PICKET_PRIORITIES; i++)
        settings.interval_ms[i] = remote->settings.interval_s[i] > UINT32_MAX / 1000 ? UINT32_MAX : remote->settings.interval_s[i] * 1000;
    settings.message_bytes = remote->settings.message_bytes < remote->settings.cache_bytes / 2 ? remote->settings.message_bytes : remote->settings.cache_bytes / 2;
    picket_agent_configure(remote->agent, &settings);
    linux_port_timeout(remote->port, remote->settings.message_timeout_s);
    bool theirs = remote->settings.cache_bytes != remote->base.cache_bytes;
    linux_port_limit(remote->port, !theirs ? 0 : remote->settings.cache_bytes > SPOOL_BYTES_LEAST ? remote->settings.cache_bytes : SPOOL_BYTES_LEAST);
}

static void error_observe(struct remote *remote, const char *name, const char *type, const char *message)
{
    static char text[ERROR_TEXT_MAX];
    struct picket_json_writer writer;

    picket_json_write_init(&writer, text, sizeof text);
    picket_json_open_array(&writer);
    picket_json_open_object(&writer);
    member_text(&writer, "ConfigurationName", name);
    member_text(&writer, "ErrorType", type);
    picket_json_write_name(&writer, "UsedConfiguration");
    picket_json_write_string(&writer, remote->report, remote->report_count);
    member_text(&writer, "Message", message);
    picket_json_close_object(&writer);
    picket_json_close_array(&writer);
    const struct picket_event event = {.name = "ConfigurationError", .payload = text, .payload_count = picket_json_written(&writer), .type = PICKET_EVENT_OPERATIONAL};
    if (event.payload_count)
        (void)picket_agent_observe(remote->agent, &event);
}

/* Keys of the wrong type in one event, as the classic agent has it; each contradiction in one of its own. */
static void errors_observe(struct remote *remote, const struct picket_twin_result *result)
{
    static const char *const types[] = {"TypeMismatch", "NotOptimal", "Conflict"};
    char message[MESSAGE_TEXT_MAX];
    size_t count = 0;

    for (unsigned i = 0; i < result->wrong_count; i++) {
        const struct picket_twin_wrong *wrong = &result->wrong[i];
        if (wrong->error != PICKET_TWIN_TYPE_MISMATCH) {
            error_observe(remote, wrong->name, types[wrong->error],
                          wrong->error == PICKET_TWIN_CONFLICT ? "It contradicts another key, and is not used." : "It is used, but a multiple of 4096 would be better.");
            continue;
        }
        int added = snprintf(message + count, sizeof message - count, "%s%s", count ? ", " : "These keys cannot be used: ", wrong->name);
        count += added > 0 && (size_t)added < sizeof message - count ? (size_t)added : 0;
    }
    if (count)
        error_observe(remote, "TwinConfiguration", "TypeMismatch", message);
}

static void twin_take(void *context, const char *json, size_t count)
{
    struct remote *remote = context;
    struct picket_twin_result result;

    if (!remote->agent || !picket_twin_apply(&remote->settings, &remote->base, json, count, &result))
        return; /* the server checks what it hands on: this is none of its */
    if (result.changed) {
        collectors_configure(remote->collectors, &remote->settings);
        settings_use(remote);
    }
    if (!result.micro && !result.classic && !result.changed)
        return;
    remote->report_count = picket_twin_report(&remote->settings, &result, remote->report, sizeof remote->report);
    errors_observe(remote, &result);
}

void remote_serve(struct remote *remote)
{
    if (remote->report_count && linux_port_report(remote->port, remote->report, remote->report_count))
        remote->report_count = 0;
}

/* ---- methods ---- */

/* The member of that name of an object, as text; false: there is none. */
static bool argument_read(const char *payload, size_t count, const char *name, char out[ARGUMENT_MAX])
{
    struct picket_json_reader reader;
    struct picket_json_token token;

    picket_json_init(&reader, payload, count, 8);
    if (picket_json_next(&reader, &token) != PICKET_JSON_OBJECT_OPEN)
        return false;
    while (picket_json_next(&reader, &token) == PICKET_JSON_NAME) {
        bool wanted = picket_json_is(&token, name, strlen(name));
        if (!wanted) {
            if (!picket_json_skip(&reader, &token, NULL, NULL))
                return false;
            continue;
        }
        if (picket_json_next(&reader, &token) != PICKET_JSON_STRING || token.count >= ARGUMENT_MAX)
            return false;
        out[picket_json_unescape(&token, out)] = '\0';
        return true;
    }
    return false;
}

static unsigned ping(struct remote *remote, struct picket_json_writer *writer)
{
    const struct picket_port *port = remote->agent->port;
    const struct picket_agent_counts *counts = &remote->agent->counts;

    member_text(writer, "version", remote->agent->settings.version);
    member_number(writer, "uptime_s", (port->monotonic_ms(port->context) - remote->started_ms) / 1000);
    member_number(writer, "observed", (int64_t)counts->observed);
    member_number(writer, "sent", (int64_t)counts->sent);
    member_number(writer, "kept", (int64_t)linux_port_kept(remote->port));
    member_number(writer, "dropped", (int64_t)counts->dropped);
    return 200;
}

static unsigned collect(struct remote *remote, const char *payload, size_t count, struct picket_json_writer *writer)
{
    char name[ARGUMENT_MAX] = "all", names[COLLECTOR_NAMES_SIZE];

    (void)argument_read(payload, count, "collector", name);
    if (collectors_collect(remote->collectors, name)) {
        member_text(writer, "collected", name);
        return 200;
    }
    collectors_names(names);
    member_text(writer, "error", "there is no such collector");
    member_text(writer, "collectors", names);
    return 404;
}

static unsigned rotate(struct remote *remote, const char *payload, size_t count, struct picket_json_writer *writer)
{
    char key[ARGUMENT_MAX];

    if (!argument_read(payload, count, "key", key)) {
        member_text(writer, "error", "{\"key\": \"BASE64\"} is wanted");
        return 400;
    }
    bool rotated = linux_port_rotate(remote->port, key, strlen(key));
    explicit_bzero(key, sizeof key);
    member_text(writer, rotated ? "rotated" : "error", rotated ? "from the next connection on" : "this is no key, there is a certificate instead of one, or it cannot be kept");
    return rotated ? 200 : 400;
}

static unsigned method_run(void *context, const char *name, const char *payload, size_t count, char *answer, size_t size, size_t *answer_count)
{
    struct remote *remote = context;
    struct picket_json_writer writer;
    unsigned status;

    picket_json_write_init(&writer, answer, size);
    picket_json_open_object(&writer);
    if (!remote->agent) {
        status = 503;
    } else if (strcmp(name, "ping") == 0) {
        status = ping(remote, &writer);
    } else if (strcmp(name, "collect") == 0) {
        status = collect(remote, payload, count, &writer);
    } else if (strcmp(name, "rotateCredential") == 0) {
        status = rotate(remote, payload, count, &writer);
    } else {
        member_text(&writer, "error", "there is no such method: ping, collect, rotateCredential");
        status = 404;
    }
    picket_json_close_object(&writer);
    *answer_count = picket_json_written(&writer);
    return status;
}

void remote_hooks(struct remote *remote, struct hub_hooks *out)
{
    memset(remote, 0, sizeof *remote);
    *out = (struct hub_hooks){remote, twin_take, method_run};
}

void remote_begin(struct remote *remote, struct picket_agent *agent, struct collectors *collectors, struct linux_port *port, const struct picket_settings *base)
{
    remote->agent = agent;
    remote->collectors = collectors;
    remote->port = port;
    remote->base = *base;
    remote->settings = *base;
    remote->started_ms = agent->port->monotonic_ms(agent->port->context);
}
