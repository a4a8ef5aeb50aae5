#include "detect/finding_json.h"

#include <stdio.h>

static void member(struct buf *out, const char *name, struct text value)
{
    if (!value.bytes)
        return;
    if (out->bytes[out->count - 1] != '{')
        buf_byte(out, ',');
    buf_json_string(out, text_of(name));
    buf_byte(out, ':');
    buf_json_string(out, value);
}

void finding_write_reasons(const struct finding *finding, struct buf *out)
{
    buf_byte(out, '[');
    for (size_t i = 0; i < finding->reason_count; i++) {
        const struct finding_reason *reason = &finding->reasons[i];
        buf_string(out, i ? ",{" : "{");
        member(out, "field", reason->field);
        member(out, "clause", reason->clause);
        member(out, "value", reason->value);
        member(out, "event", finding->event->id);
        buf_byte(out, '}');
    }
    buf_byte(out, ']');
}

/* ---- entities ---- */

struct entities {
    struct buf *out;
    unsigned number;
};

static void entity_open(struct entities *entities, const char *type)
{
    buf_format(entities->out, "%s{\"$id\":\"%u\",\"Type\":\"%s\"", entities->number > 2 ? "," : "", entities->number, type);
    entities->number++;
}

static void entity_one(struct entities *entities, const char *type, const char *name, struct text value)
{
    if (!value.count)
        return;
    entity_open(entities, type);
    member(entities->out, name, value);
    buf_byte(entities->out, '}');
}

static void entity_file(struct entities *entities, struct text path)
{
    struct text name = event_base_name(path);

    if (!path.count)
        return;
    entity_open(entities, "file");
    member(entities->out, "Directory", (struct text){path.bytes, path.count - name.count});
    member(entities->out, "Name", name);
    buf_byte(entities->out, '}');
}

static void entity_hash(struct entities *entities, struct text value)
{
    if (!value.count)
        return;
    entity_open(entities, "filehash");
    member(entities->out, "Algorithm", value.count == 64 ? TEXT("SHA256") : value.count == 40 ? TEXT("SHA1") : TEXT("MD5"));
    member(entities->out, "Value", value);
    buf_byte(entities->out, '}');
}

static void entity_process(struct entities *entities, const struct event *event)
{
    if (event->kind != EVENT_PROCESS && !event->process_id.bytes)
        return;
    entity_open(entities, "process");
    member(entities->out, "ProcessId", event->process_id);
    member(entities->out, "CommandLine", event->command_line.count ? event->command_line : event->executable);
    buf_byte(entities->out, '}');
}

void finding_write_entities(const struct finding *finding, struct buf *out)
{
    const struct event *event = finding->event;
    struct entities entities = {out, 2};

    buf_byte(out, '[');
    entity_process(&entities, event);
    entity_one(&entities, "account", "Name", event->user);
    entity_one(&entities, "ip", "Address", event->remote_address);
    entity_one(&entities, "dns", "DomainName", event->domain);
    entity_file(&entities, event->kind == EVENT_FILE ? event->path : event->kind == EVENT_PROCESS ? event->executable : TEXT_NONE);
    entity_hash(&entities, event->hash);
    for (size_t i = 0; i < finding->entity_count; i++) {
        struct text value = finding->entities[i].value;
        switch (finding->entities[i].kind) {
        case FINDING_ADDRESS:
            entity_one(&entities, "ip", "Address", value);
            break;
        case FINDING_USER:
            if (!text_equal(value, event->user))
                entity_one(&entities, "account", "Name", value);
            break;
        case FINDING_FILE:
            entity_file(&entities, value);
            break;
        case FINDING_HASH:
            if (!text_equal(value, event->hash))
                entity_hash(&entities, value);
            break;
        case FINDING_DOMAIN:
            if (!text_equal(value, event->domain))
                entity_one(&entities, "dns", "DomainName", value);
            break;
        case FINDING_URL:
            entity_one(&entities, "url", "Url", value);
            break;
        case FINDING_PROCESS:
            entity_one(&entities, "process", "CommandLine", value);
            break;
        }
    }
    buf_byte(out, ']');
}

/* ---- extended properties ---- */

static struct text reason_value(const struct finding *finding, const char *field)
{
    for (size_t i = 0; i < finding->reason_count; i++)
        if (text_equal(finding->reasons[i].field, text_of(field)))
            return finding->reasons[i].value;
    return TEXT_NONE;
}

static void port(struct buf *out, const char *name, uint32_t number)
{
    char digits[16];

    snprintf(digits, sizeof digits, "%u", number);
    if (number)
        member(out, name, text_of(digits));
}

void finding_write_properties(const struct finding *finding, struct buf *out)
{
    const struct event *event = finding->event;

    buf_byte(out, '{');
    switch (event->kind) {
    case EVENT_PROCESS:
        member(out, "CommandLine", event->command_line.bytes ? event->command_line : event->executable);
        member(out, "Executable", event->executable);
        member(out, "User Name", event->user);
        member(out, "UserId", event->user_id);
        member(out, "ParentProcessId", event->parent_process_id);
        break;
    case EVENT_LOGIN:
        member(out, "Full Source Address", event->remote_address);
        member(out, "Remote Address", event->remote_address);
        port(out, "Remote Port", event->remote_port);
        port(out, "Local Port", event->local_port);
        member(out, "User Name", event->user);
        member(out, "User Names", reason_value(finding, "UserName"));
        member(out, "Login Process Id", event->process_id);
        member(out, "Login Shell", event->executable);
        break;
    case EVENT_CONNECTION:
    case EVENT_NAME_QUERY:
        member(out, "Remote Address", event->remote_address);
        port(out, "Remote Port", event->remote_port);
        port(out, "Local Port", event->local_port);
        member(out, "Protocol", event->protocol);
        member(out, "Domain", event->domain);
        member(out, "Executable", event->executable);
        break;
    default:
        member(out, "Path", event->path);
        member(out, "Interface", event->interface);
        port(out, "Local Port", event->local_port);
        member(out, "User Name", event->user);
        break;
    }
    member(out, "RawEventName", event->name);
    buf_byte(out, '}');
}
