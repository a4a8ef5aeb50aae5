#include "detect/sigma_placeholder.h"

#include <stdio.h>

#define PLACEHOLDERS_MAX 100
#define EXPANDED_MAX 1000 /* values of one field */
#define NESTED_MAX 8      /* placeholders in one value */

static bool refuse(char *reason, const char *what, struct text name)
{
    snprintf(reason, SIGMA_REASON_SIZE, "the placeholder %%%.*s%% %s", TEXT_ARGS(name), what);
    return false;
}

static bool placeholder_read(yaml_document_t *document, const yaml_node_t *node, struct arena *arena, struct sigma_placeholder *out, char *reason)
{
    bool list = node->type == YAML_SEQUENCE_NODE;

    out->count = list ? yaml_node_items(node) : 1;
    struct text *values = ARENA_ARRAY(arena, struct text, out->count + 1);
    out->values = values;
    for (size_t i = 0; i < out->count; i++) {
        values[i] = arena_text(arena, yaml_node_text(list ? yaml_node_item(document, node, i) : node));
        if (!values[i].bytes)
            return refuse(reason, "stands for a text, or for a list of texts", out->name);
    }
    return out->count ? true : refuse(reason, "has an empty list", out->name);
}

bool sigma_placeholders_read(yaml_document_t *document, const yaml_node_t *mapping, struct arena *arena, const struct sigma_placeholder **out, char *reason)
{
    size_t count = 0;

    *out = NULL;
    if (!mapping)
        return true;
    if (mapping->type != YAML_MAPPING_NODE) {
        snprintf(reason, SIGMA_REASON_SIZE, "placeholders are a map of names to values");
        return false;
    }
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++) {
        struct sigma_placeholder *read = ARENA_NEW(arena, struct sigma_placeholder);
        *read = (struct sigma_placeholder){.next = *out, .name = arena_text(arena, yaml_node_text(yaml_document_get_node(document, pair->key)))};
        if (++count > PLACEHOLDERS_MAX)
            return refuse(reason, "is one too many", read->name);
        if (!placeholder_read(document, yaml_document_get_node(document, pair->value), arena, read, reason))
            return false;
        *out = read;
    }
    return true;
}

/* ---- expanding ---- */

struct expanding {
    struct sigma_item *item;
    struct sigma_value *out;
    size_t count;
};

/* What stands before the next placeholder, its name, and what stands behind; without one the head is all. */
static bool placeholder_next(struct text rest, struct text *head, struct text *name, struct text *tail)
{
    size_t from = 0;

    while (from < rest.count && (rest.bytes[from] != '%' || (from && rest.bytes[from - 1] == '\\')))
        from++;
    *head = (struct text){rest.bytes, from};
    if (from == rest.count)
        return false;
    *tail = text_cut((struct text){rest.bytes + from + 1, rest.count - from - 1}, '%', name);
    return tail->bytes && name->count;
}

static struct text percents_unescape(struct arena *arena, struct text raw)
{
    char *out = ARENA_ARRAY(arena, char, raw.count + 1);
    size_t count = 0;

    for (size_t i = 0; i < raw.count; i++)
        if (raw.bytes[i] != '\\' || i + 1 == raw.count || raw.bytes[i + 1] != '%')
            out[count++] = raw.bytes[i];
    return (struct text){out, count};
}

static bool value_expand(struct expanding *expanding, const char *before, struct text rest, unsigned depth)
{
    struct sigma_item *item = expanding->item;
    const struct sigma_placeholder *placeholder = item->placeholders;
    struct text head, name = TEXT_NONE, tail = TEXT_NONE;
    bool found = placeholder_next(rest, &head, &name, &tail);
    struct text plain = percents_unescape(item->arena, found ? head : rest);

    before = arena_format(item->arena, "%s%.*s", before, TEXT_ARGS(plain));
    if (!found) {
        if (expanding->count == EXPANDED_MAX)
            return refuse(item->reason, "and others make more than 1000 values", item->field);
        expanding->out[expanding->count++] = sigma_value_text(item->arena, text_of(before));
        return true;
    }
    while (placeholder && !text_equal(placeholder->name, name))
        placeholder = placeholder->next;
    if (!placeholder)
        return refuse(item->reason, "stands for nothing: write its values into the rule, placeholders: {name: [a, b]}", name);
    if (depth == NESTED_MAX)
        return refuse(item->reason, "is one too many in a value", name);
    for (size_t i = 0; i < placeholder->count; i++)
        if (!value_expand(expanding, arena_format(item->arena, "%s%.*s", before, TEXT_ARGS(placeholder->values[i])), tail, depth + 1))
            return false;
    return true;
}

static bool expands(const struct sigma_item *item)
{
    struct text rest = item->modifiers, modifier;

    while (rest.bytes && rest.count) {
        rest = text_cut(rest, '|', &modifier);
        if (text_equal(modifier, TEXT("expand")))
            return true;
    }
    return false;
}

bool sigma_expand(struct sigma_item *item)
{
    if (!expands(item))
        return true;
    struct expanding expanding = {item, ARENA_ARRAY(item->arena, struct sigma_value, EXPANDED_MAX), 0};

    for (size_t i = 0; i < item->count; i++) {
        if (item->values[i].kind != SIGMA_VALUE_TEXT && expanding.count < EXPANDED_MAX)
            expanding.out[expanding.count++] = item->values[i];
        else if (!value_expand(&expanding, "", item->values[i].raw, 0))
            return false;
    }
    item->values = expanding.out;
    item->count = expanding.count;
    return true;
}
