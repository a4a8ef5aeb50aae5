#include "detect/sigma_mapping.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "detect/yaml_node.h"

#define WORDS_MAX 60   /* a0, a1 … */

/* sigma_mapping.yml, as it is. */
__asm__(".section .rodata\n"
        "sigma_mapping_text:\n"
        ".incbin \"detect/sigma_mapping.yml\"\n"
        "sigma_mapping_text_end:\n"
        ".byte 0\n"
        ".previous\n");
extern const char sigma_mapping_text[], sigma_mapping_text_end[];

enum value_kind {
    VALUE_TEXT, /* a member of struct event, at `at` */
    VALUE_COMMAND_NAME,
    VALUE_REMOTE_PORT,
    VALUE_LOCAL_PORT,
    VALUE_SOURCE_ADDRESS,
    VALUE_SOURCE_PORT,
    VALUE_DESTINATION_ADDRESS,
    VALUE_DESTINATION_PORT,
    VALUE_INITIATED,
    VALUE_OUTCOME,
    VALUE_DETAILS, /* the member `name` of the details */
    VALUE_CONSTANT,
};

static const struct {
    const char *name;
    enum value_kind kind;
    size_t at;
} values[] = {
    {"executable", VALUE_TEXT, offsetof(struct event, executable)},
    {"command_line", VALUE_TEXT, offsetof(struct event, command_line)},
    {"command_name", VALUE_COMMAND_NAME, 0},
    {"user", VALUE_TEXT, offsetof(struct event, user)},
    {"user_id", VALUE_TEXT, offsetof(struct event, user_id)},
    {"process_id", VALUE_TEXT, offsetof(struct event, process_id)},
    {"parent_process_id", VALUE_TEXT, offsetof(struct event, parent_process_id)},
    {"hash", VALUE_TEXT, offsetof(struct event, hash)},
    {"remote_address", VALUE_TEXT, offsetof(struct event, remote_address)},
    {"remote_port", VALUE_REMOTE_PORT, 0},
    {"local_address", VALUE_TEXT, offsetof(struct event, local_address)},
    {"local_port", VALUE_LOCAL_PORT, 0},
    {"source_address", VALUE_SOURCE_ADDRESS, 0},
    {"source_port", VALUE_SOURCE_PORT, 0},
    {"destination_address", VALUE_DESTINATION_ADDRESS, 0},
    {"destination_port", VALUE_DESTINATION_PORT, 0},
    {"initiated", VALUE_INITIATED, 0},
    {"protocol", VALUE_TEXT, offsetof(struct event, protocol)},
    {"domain", VALUE_TEXT, offsetof(struct event, domain)},
    {"path", VALUE_TEXT, offsetof(struct event, path)},
    {"action", VALUE_TEXT, offsetof(struct event, action)},
    {"interface", VALUE_TEXT, offsetof(struct event, interface)},
    {"groups", VALUE_TEXT, offsetof(struct event, groups)},
    {"operation", VALUE_TEXT, offsetof(struct event, operation)},
    {"outcome", VALUE_OUTCOME, 0},
    {"message", VALUE_TEXT, offsetof(struct event, message)},
};

static const struct {
    const char *name;
    enum event_kind kind;
} kinds[] = {
    {"process", EVENT_PROCESS}, {"connection", EVENT_CONNECTION}, {"name_query", EVENT_NAME_QUERY}, {"login", EVENT_LOGIN},
    {"listener", EVENT_LISTENER}, {"user", EVENT_USER}, {"file", EVENT_FILE}, {"usb", EVENT_USB}, {"ethernet", EVENT_ETHERNET},
    {"log", EVENT_LOG}, {"configuration", EVENT_CONFIGURATION},
};

struct mapped {
    struct text field;
    enum value_kind kind;
    size_t at;
    struct text name; /* of the details' member, or the constant */
};

struct sigma_source {
    struct text category, product, service;
    unsigned kinds;
    struct mapped fields[SIGMA_SOURCE_FIELDS_MAX];
    size_t count;
    struct text words; /* "a": the words of the command line are a0, a1 …; TEXT_NONE */
    struct text word_names[WORDS_MAX];
    bool details;      /* all members of the details by their own names */
};

struct sigma_mapping {
    struct sigma_source *sources;
    size_t count;
};

struct text sigma_mapping_builtin(void)
{
    return (struct text){sigma_mapping_text, (size_t)(sigma_mapping_text_end - sigma_mapping_text)};
}

size_t sigma_mapping_count(const struct sigma_mapping *mapping)
{
    return mapping->count;
}

const struct sigma_source *sigma_mapping_source(const struct sigma_mapping *mapping, size_t i)
{
    return &mapping->sources[i];
}

unsigned sigma_source_kinds(const struct sigma_source *source)
{
    return source->kinds;
}

/* ---- reading ---- */

struct reading {
    yaml_document_t *document;
    struct arena *arena;
    struct sigma_source *source;
    size_t number; /* of the entry, from 1 */
    struct problem *why;
};

static struct text kept(const struct reading *reading, const yaml_node_t *node)
{
    return arena_text(reading->arena, yaml_node_text(node));
}

static enum status mapped_add(struct reading *reading, struct mapped mapped)
{
    if (reading->source->count == SIGMA_SOURCE_FIELDS_MAX)
        return problem_set(reading->why, STATUS_REJECT, "entry %zu has more than %d fields", reading->number, SIGMA_SOURCE_FIELDS_MAX);
    reading->source->fields[reading->source->count++] = mapped;
    return STATUS_OK;
}

static enum status field_read(struct reading *reading, const yaml_node_t *key, const yaml_node_t *value)
{
    struct mapped mapped = {.field = kept(reading, key)};
    struct text named = kept(reading, value);

    if (!mapped.field.bytes || !named.bytes)
        return problem_set(reading->why, STATUS_REJECT, "entry %zu: a field is a name and the name of a value", reading->number);
    if (text_starts(named, TEXT("details."))) {
        mapped.kind = VALUE_DETAILS;
        mapped.name = (struct text){named.bytes + 8, named.count - 8};
        return mapped_add(reading, mapped);
    }
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (text_equal(named, text_of(values[i].name))) {
            mapped.kind = values[i].kind;
            mapped.at = values[i].at;
            return mapped_add(reading, mapped);
        }
    return problem_set(reading->why, STATUS_REJECT, "entry %zu: there is no value \"%.*s\"", reading->number, TEXT_ARGS(named));
}

static enum status constant_read(struct reading *reading, const yaml_node_t *key, const yaml_node_t *value)
{
    struct mapped mapped = {.field = kept(reading, key), .kind = VALUE_CONSTANT, .name = kept(reading, value)};
    enum status status = STATUS_OK;

    if (mapped.name.bytes)
        return mapped_add(reading, mapped);
    for (size_t i = 0; !status && i < yaml_node_items(value); i++) {
        mapped.name = kept(reading, yaml_node_item(reading->document, value, i));
        status = mapped.name.bytes ? mapped_add(reading, mapped) : problem_set(reading->why, STATUS_REJECT, "entry %zu: a value is a text", reading->number);
    }
    return status;
}

static enum status pairs_read(struct reading *reading, const yaml_node_t *mapping, enum status (*each)(struct reading *, const yaml_node_t *, const yaml_node_t *))
{
    enum status status = STATUS_OK;

    if (!mapping)
        return STATUS_OK;
    if (mapping->type != YAML_MAPPING_NODE)
        return problem_set(reading->why, STATUS_REJECT, "entry %zu: fields and values are maps", reading->number);
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; !status && pair < mapping->data.mapping.pairs.top; pair++)
        status = each(reading, yaml_document_get_node(reading->document, pair->key), yaml_document_get_node(reading->document, pair->value));
    return status;
}

static enum status source_read(struct reading *reading, const yaml_node_t *entry)
{
    const yaml_node_t *logsource = yaml_node_member(reading->document, entry, "logsource"), *events = yaml_node_member(reading->document, entry, "events");
    struct sigma_source *source = reading->source;

    if (!logsource || !yaml_node_items(events))
        return problem_set(reading->why, STATUS_REJECT, "entry %zu has no logsource, or no events", reading->number);
    source->category = kept(reading, yaml_node_member(reading->document, logsource, "category"));
    source->product = kept(reading, yaml_node_member(reading->document, logsource, "product"));
    source->service = kept(reading, yaml_node_member(reading->document, logsource, "service"));
    source->words = kept(reading, yaml_node_member(reading->document, entry, "words"));
    for (size_t i = 0; source->words.bytes && i < WORDS_MAX; i++)
        source->word_names[i] = text_of(arena_format(reading->arena, "%.*s%zu", TEXT_ARGS(source->words), i));
    source->details = text_equal(yaml_node_text(yaml_node_member(reading->document, entry, "details")), TEXT("true"));
    for (size_t i = 0; i < yaml_node_items(events); i++) {
        struct text name = yaml_node_text(yaml_node_item(reading->document, events, i));
        unsigned before = source->kinds;
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            if (text_equal(name, text_of(kinds[k].name)))
                source->kinds |= EVENT_BIT(kinds[k].kind);
        if (source->kinds == before)
            return problem_set(reading->why, STATUS_REJECT, "entry %zu: there is no kind of events \"%.*s\"", reading->number, TEXT_ARGS(name));
    }
    enum status status = pairs_read(reading, yaml_node_member(reading->document, entry, "fields"), field_read);
    return status ? status : pairs_read(reading, yaml_node_member(reading->document, entry, "values"), constant_read);
}

static enum status document_read(yaml_document_t *document, struct arena *arena, struct sigma_mapping *mapping, struct problem *why)
{
    const yaml_node_t *root = yaml_document_get_root_node(document);
    struct reading reading = {.document = document, .arena = arena, .why = why};
    enum status status = STATUS_OK;

    if (!yaml_node_items(root) || yaml_node_items(root) > SIGMA_SOURCES_MAX)
        return problem_set(why, STATUS_REJECT, "a mapping is a list of 1 to %d entries", SIGMA_SOURCES_MAX);
    mapping->sources = ARENA_ARRAY(arena, struct sigma_source, yaml_node_items(root));
    for (size_t i = 0; !status && i < yaml_node_items(root); i++) {
        reading.source = &mapping->sources[i];
        reading.number = i + 1;
        status = source_read(&reading, yaml_node_item(document, root, i));
        mapping->count++;
    }
    return status;
}

enum status sigma_mapping_read(struct text yaml, struct arena *arena, struct sigma_mapping **out, struct problem *why)
{
    struct sigma_mapping *mapping = ARENA_NEW(arena, struct sigma_mapping);
    yaml_document_t document;
    yaml_parser_t parser;
    enum status status;

    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml.bytes, yaml.count);
    if (yaml_parser_load(&parser, &document)) {
        status = document_read(&document, arena, mapping, why);
        yaml_document_delete(&document);
    } else {
        status = problem_set(why, STATUS_REJECT, "no YAML: %s in line %zu", parser.problem ? parser.problem : "something", parser.problem_mark.line + 1);
    }
    yaml_parser_delete(&parser);
    if (!status)
        *out = mapping;
    return status;
}

/* ---- events ---- */

static bool says_as_well(struct text rule, struct text source)
{
    return !rule.count || text_equal(rule, source);
}

bool sigma_source_covers(const struct sigma_source *source, const struct sigma_rule *rule)
{
    if (!rule->category.count && !rule->product.count && !rule->service.count)
        return false;
    return says_as_well(rule->category, source->category) && says_as_well(rule->service, source->service) &&
           (!source->product.count || says_as_well(rule->product, source->product));
}

static struct text port_text(uint32_t port, struct arena *arena)
{
    return port ? text_of(arena_format(arena, "%u", port)) : TEXT_NONE;
}

static struct text value_of(const struct mapped *mapped, const struct event *event, struct arena *arena)
{
    bool in = event->direction == EVENT_IN;

    switch (mapped->kind) {
    case VALUE_TEXT:
        return *(const struct text *)(const void *)((const char *)event + mapped->at);
    case VALUE_COMMAND_NAME:
        return event_base_name(event->executable);
    case VALUE_REMOTE_PORT:
        return port_text(event->remote_port, arena);
    case VALUE_LOCAL_PORT:
        return port_text(event->local_port, arena);
    case VALUE_SOURCE_ADDRESS:
        return in ? event->remote_address : event->local_address;
    case VALUE_SOURCE_PORT:
        return port_text(in ? event->remote_port : event->local_port, arena);
    case VALUE_DESTINATION_ADDRESS:
        return in ? event->local_address : event->remote_address;
    case VALUE_DESTINATION_PORT:
        return port_text(in ? event->local_port : event->remote_port, arena);
    case VALUE_INITIATED:
        return event->direction == EVENT_OUT ? TEXT("true") : in ? TEXT("false") : TEXT_NONE;
    case VALUE_OUTCOME:
        return event->outcome == EVENT_SUCCEEDED ? TEXT("success") : event->outcome == EVENT_FAILED ? TEXT("failed") : TEXT_NONE;
    case VALUE_DETAILS:
        return event_field(event, mapped->name);
    case VALUE_CONSTANT:
        return mapped->name;
    }
    return TEXT_NONE;
}

void sigma_source_fields(const struct sigma_source *source, const struct event *event, const struct command_line *line, struct arena *arena, struct sigma_event *out)
{
    size_t words = source->words.bytes && line->count ? line->commands[0].word_count : 0, count = 0;
    words = words < WORDS_MAX ? words : WORDS_MAX;
    struct sigma_field *fields = ARENA_ARRAY(arena, struct sigma_field, source->count + words + (source->details ? event->field_count : 0));

    for (size_t i = 0; i < source->count; i++) {
        struct text value = value_of(&source->fields[i], event, arena);
        if (value.bytes)
            fields[count++] = (struct sigma_field){source->fields[i].field, value};
    }
    for (size_t i = 0; i < words; i++)
        fields[count++] = (struct sigma_field){source->word_names[i], line->commands[0].words[i]};
    for (size_t i = 0; source->details && i < event->field_count; i++)
        fields[count++] = event->fields[i];
    *out = (struct sigma_event){fields, count};
}

/* ---- what can never be ---- */

static bool has_field(const struct sigma_source *source, struct text field)
{
    if (!field.bytes || source->details)
        return true;
    for (size_t i = 0; i < source->count; i++)
        if (text_equal(source->fields[i].field, field))
            return true;
    uint64_t number;
    return source->words.bytes && text_starts(field, source->words) &&
           text_to_u64((struct text){field.bytes + source->words.count, field.count - source->words.count}, &number);
}

/* Whether the node may hold; what it lacks is put into `lacking`, the first of them. */
static bool can_hold(const struct sigma_source *source, const struct sigma_node *node, struct text *lacking)
{
    bool any = false;

    switch (node->kind) {
    case SIGMA_CLAUSE:
        if (node->clause->test == SIGMA_NULL || has_field(source, node->clause->field))
            return true;
        if (!lacking->bytes)
            *lacking = node->clause->field;
        return false;
    case SIGMA_AND:
        for (size_t i = 0; i < node->count; i++)
            if (!can_hold(source, node->nodes[i], lacking))
                return false;
        return true;
    case SIGMA_OR:
        for (size_t i = 0; i < node->count; i++)
            any = can_hold(source, node->nodes[i], lacking) || any;
        return any;
    case SIGMA_NOT:
        return true;
    }
    return true;
}

const char *sigma_mapping_never(const struct sigma_mapping *mapping, const struct sigma_rule *rule, struct arena *arena)
{
    struct text lacking = TEXT_NONE;
    bool covered = false;

    if (rule->correlation || rule->filtered_count)
        return NULL; /* that is the question of the rules that they name */
    for (size_t i = 0; i < mapping->count; i++) {
        if (!sigma_source_covers(&mapping->sources[i], rule))
            continue;
        covered = true;
        if (can_hold(&mapping->sources[i], rule->condition, &lacking))
            return NULL;
    }
    if (!covered)
        return arena_format(arena, "it can never match: no events are mapped to its log source (category %.*s, product %.*s, service %.*s)",
                            TEXT_ARGS(rule->category.count ? rule->category : TEXT("-")), TEXT_ARGS(rule->product.count ? rule->product : TEXT("-")),
                            TEXT_ARGS(rule->service.count ? rule->service : TEXT("-")));
    return arena_format(arena, "it can never match: it asks for %.*s, which no event of its log source has", TEXT_ARGS(lacking));
}
