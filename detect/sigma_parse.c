#include "detect/sigma_parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "detect/sigma_placeholder.h"

#define DEPTH_MAX 60
#define DETECTIONS_MAX 1000
#define TAGS_MAX 50
#define CORRELATED_MAX 50
#define ALIASES_MAX 100
#define COUNT_MAX 250 /* below what a trace of the memory holds */
#define TIMESPAN_MAX_US INT64_C(2592000000000)
#define NODES_MAX 100000 /* an alias may stand for a list of aliases for lists … */

struct detection {
    struct text name;
    struct sigma_node *node;
};

struct parsing {
    yaml_document_t *document;
    struct arena *arena;
    struct sigma_rule rule;
    struct detection *detections;
    size_t detection_count, clause_room;
    const struct sigma_placeholder *placeholders;
    unsigned depth, nodes;
    bool is_filter; /* its detections stand beside the rules that it names */
    char reason[SIGMA_REASON_SIZE];
};

static void *refuse(struct parsing *parsing, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void *refuse(struct parsing *parsing, const char *format, ...)
{
    va_list arguments;

    if (!parsing->reason[0]) {
        va_start(arguments, format);
        vsnprintf(parsing->reason, sizeof parsing->reason, format, arguments);
        va_end(arguments);
    }
    return NULL;
}

/* ---- YAML ---- */

static const yaml_node_t *node_at(struct parsing *parsing, int index)
{
    return yaml_document_get_node(parsing->document, index);
}

static const yaml_node_t *member(struct parsing *parsing, const yaml_node_t *mapping, const char *name)
{
    return yaml_node_member(parsing->document, mapping, name);
}

static struct text member_text(struct parsing *parsing, const yaml_node_t *mapping, const char *name)
{
    return arena_text(parsing->arena, yaml_node_text(member(parsing, mapping, name)));
}

static bool value_read(struct parsing *parsing, const yaml_node_t *node, struct sigma_value *out)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL}, *const yes[] = {"true", "True", "TRUE", NULL},
                      *const no[] = {"false", "False", "FALSE", NULL};
    struct text raw = arena_text(parsing->arena, yaml_node_text(node));
    char *end;

    if (!raw.bytes)
        return refuse(parsing, "a value is a text, a number, true, false or null") != NULL;
    *out = sigma_value_text(parsing->arena, raw);
    if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return true;
    if (text_among(raw, nulls)) {
        *out = (struct sigma_value){.kind = SIGMA_VALUE_NULL, .raw = TEXT("null")};
    } else if (text_among(raw, yes) || text_among(raw, no)) {
        out->kind = SIGMA_VALUE_TRUTH;
        out->truth = text_among(raw, yes);
    } else if ((raw.bytes[0] >= '0' && raw.bytes[0] <= '9') || (raw.count > 1 && strchr("-+.", raw.bytes[0]))) {
        char *text = arena_string(parsing->arena, raw);
        out->number = strtod(text, &end);
        if (!*end && !strpbrk(text, "xX"))
            out->kind = SIGMA_VALUE_NUMBER;
    }
    return true;
}

/* ---- nodes ---- */

static struct sigma_node *node_of_clause(struct parsing *parsing, struct sigma_clause *clause)
{
    struct sigma_node *node = ARENA_NEW(parsing->arena, struct sigma_node);

    *node = (struct sigma_node){.kind = SIGMA_CLAUSE, .clause = clause};
    if (parsing->rule.clause_count == parsing->clause_room) {
        size_t room = 2 * parsing->clause_room + 32;
        struct sigma_clause **grown = ARENA_ARRAY(parsing->arena, struct sigma_clause *, room);
        if (parsing->rule.clause_count)
            memcpy(grown, parsing->rule.clauses, parsing->rule.clause_count * sizeof *grown);
        parsing->rule.clauses = grown;
        parsing->clause_room = room;
    }
    parsing->rule.clauses[parsing->rule.clause_count++] = clause;
    return node;
}

static struct sigma_node *node_of(struct parsing *parsing, enum sigma_node_kind kind, struct sigma_node **nodes, size_t count)
{
    struct sigma_node *node = ARENA_NEW(parsing->arena, struct sigma_node);

    if (count == 1 && kind != SIGMA_NOT)
        return nodes[0];
    *node = (struct sigma_node){.kind = kind, .nodes = nodes, .count = count};
    return node;
}

static struct sigma_node *negated(struct parsing *parsing, struct sigma_node *node)
{
    struct sigma_node **nodes = ARENA_ARRAY(parsing->arena, struct sigma_node *, 1);

    nodes[0] = node;
    return node_of(parsing, SIGMA_NOT, nodes, 1);
}

/* Of the variants of one value, which stand side by side, any does; of the values any, or all. */
static struct sigma_node *values_join(struct parsing *parsing, const struct sigma_item *item, struct sigma_node **nodes)
{
    struct sigma_node **groups = ARENA_ARRAY(parsing->arena, struct sigma_node *, item->count);
    size_t count = 0;

    if (!item->all)
        return node_of(parsing, SIGMA_OR, nodes, item->count);
    for (size_t from = 0, to; from < item->count; from = to) {
        for (to = from + 1; to < item->count && item->values[to].origin == item->values[from].origin; to++)
            ;
        groups[count++] = node_of(parsing, SIGMA_OR, nodes + from, to - from);
    }
    return node_of(parsing, SIGMA_AND, groups, count);
}

/* Field|modifiers: a value or a list. `key` "": keywords. */
static struct sigma_node *item_node(struct parsing *parsing, struct text key, const yaml_node_t *node)
{
    struct sigma_item item = {.arena = parsing->arena, .placeholders = parsing->placeholders, .reason = parsing->reason};
    bool list = node && node->type == YAML_SEQUENCE_NODE;

    if (!node || node->type == YAML_MAPPING_NODE)
        return refuse(parsing, "%.*s has neither a value nor a list of values", TEXT_ARGS(key));
    item.modifiers = text_cut(key, '|', &item.field);
    if (!item.field.count)
        item.field = TEXT_NONE;
    item.count = list ? yaml_node_items(node) : 1;
    item.values = ARENA_ARRAY(parsing->arena, struct sigma_value, item.count + 1);
    for (size_t i = 0; i < item.count; i++)
        if (!value_read(parsing, list ? node_at(parsing, node->data.sequence.items.start[i]) : node, &item.values[i]))
            return NULL;
    if (!item.count)
        return refuse(parsing, "%.*s has an empty list", TEXT_ARGS(key));
    if (!item.field.bytes && item.test == SIGMA_EQUAL) /* a keyword stands anywhere in a value */
        for (size_t i = 0; i < item.count; i++) {
            struct text raw = item.values[i].raw;
            if (item.values[i].kind == SIGMA_VALUE_NULL)
                return refuse(parsing, "null is no keyword");
            item.values[i] = sigma_value_text(parsing->arena, text_of(arena_format(parsing->arena, "*%.*s*", TEXT_ARGS(raw))));
        }
    if (!sigma_expand(&item) || !sigma_modify(&item))
        return NULL;
    struct sigma_node **nodes = ARENA_ARRAY(parsing->arena, struct sigma_node *, item.count);
    for (size_t i = 0; i < item.count; i++) {
        struct sigma_clause *clause = sigma_clause_of(&item, &item.values[i]);
        if (!clause)
            return NULL;
        nodes[i] = node_of_clause(parsing, clause);
        if (clause->test == SIGMA_EXISTS && !item.values[i].truth)
            nodes[i] = negated(parsing, nodes[i]);
    }
    struct sigma_node *joined = values_join(parsing, &item, nodes);
    return item.negated ? negated(parsing, joined) : joined;
}

static struct sigma_node *detection_node(struct parsing *parsing, const yaml_node_t *node);

static struct sigma_node *mapping_node(struct parsing *parsing, const yaml_node_t *mapping)
{
    const yaml_node_pair_t *pairs = mapping->data.mapping.pairs.start;
    size_t count = (size_t)(mapping->data.mapping.pairs.top - pairs);
    struct sigma_node **nodes = ARENA_ARRAY(parsing->arena, struct sigma_node *, count + 1);

    if (!count)
        return refuse(parsing, "a detection is empty");
    for (size_t i = 0; i < count; i++) {
        struct text key = arena_text(parsing->arena, yaml_node_text(node_at(parsing, pairs[i].key)));
        if (!key.bytes)
            return refuse(parsing, "a field's name is no text");
        nodes[i] = item_node(parsing, key, node_at(parsing, pairs[i].value));
        if (!nodes[i])
            return NULL;
    }
    return node_of(parsing, SIGMA_AND, nodes, count);
}

/* A list is maps, or keywords. */
static struct sigma_node *list_node(struct parsing *parsing, const yaml_node_t *list)
{
    size_t count = yaml_node_items(list);
    struct sigma_node **nodes = ARENA_ARRAY(parsing->arena, struct sigma_node *, count + 1);
    bool scalars = true;

    for (size_t i = 0; i < count; i++)
        scalars &= node_at(parsing, list->data.sequence.items.start[i])->type == YAML_SCALAR_NODE;
    if (!count || scalars)
        return item_node(parsing, TEXT(""), list);
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *item = node_at(parsing, list->data.sequence.items.start[i]);
        nodes[i] = item->type == YAML_SCALAR_NODE ? item_node(parsing, TEXT(""), item) : detection_node(parsing, item);
        if (!nodes[i])
            return NULL;
    }
    return node_of(parsing, SIGMA_OR, nodes, count);
}

static struct sigma_node *detection_node(struct parsing *parsing, const yaml_node_t *node)
{
    struct sigma_node *made;

    if (++parsing->nodes > NODES_MAX || parsing->rule.clause_count > NODES_MAX)
        return refuse(parsing, "the rule says more than %d things", NODES_MAX);
    if (++parsing->depth > DEPTH_MAX)
        return refuse(parsing, "detections are nested more than %d deep", DEPTH_MAX);
    made = node->type == YAML_MAPPING_NODE    ? mapping_node(parsing, node)
           : node->type == YAML_SEQUENCE_NODE ? list_node(parsing, node)
                                              : item_node(parsing, TEXT(""), node);
    parsing->depth--;
    return made;
}

/* ---- condition ---- */

struct condition {
    struct parsing *parsing;
    struct text rest, word; /* the word that is looked at; TEXT_NONE behind the last */
};

static void word_next(struct condition *condition)
{
    struct text rest = condition->rest;
    size_t count = 0;

    while (rest.count && memchr(" \t\r\n", rest.bytes[0], 4))
        rest = (struct text){rest.bytes + 1, rest.count - 1};
    if (rest.count && memchr("()|", rest.bytes[0], 3))
        count = 1;
    while (!(count == 1 && memchr("()|", rest.bytes[0], 3)) && count < rest.count && !memchr(" \t\r\n()|", rest.bytes[count], 7))
        count++;
    condition->word = count ? (struct text){rest.bytes, count} : TEXT_NONE;
    condition->rest = (struct text){rest.bytes + count, rest.count - count};
}

static bool word_is(const struct condition *condition, const char *word)
{
    return condition->word.bytes && text_equal_nocase(condition->word, text_of(word));
}

/* "1 of them", "all of selection*" */
static struct sigma_node *quantified(struct condition *condition, bool all)
{
    struct parsing *parsing = condition->parsing;
    struct sigma_node **nodes = ARENA_ARRAY(parsing->arena, struct sigma_node *, parsing->detection_count + 1);
    size_t count = 0;

    word_next(condition);
    if (!word_is(condition, "of"))
        return refuse(parsing, "\"of\" should stand here in the condition, and not %.*s", TEXT_ARGS(condition->word));
    word_next(condition);
    if (!condition->word.bytes)
        return refuse(parsing, "the condition ends behind \"of\"");
    bool them = word_is(condition, "them");
    for (size_t i = 0; i < parsing->detection_count; i++) {
        struct text name = parsing->detections[i].name;
        if (them ? !text_starts(name, TEXT("_")) : text_like(name, condition->word))
            nodes[count++] = parsing->detections[i].node;
    }
    if (!count)
        return refuse(parsing, "the condition names %.*s, and no detection is called so", TEXT_ARGS(condition->word));
    word_next(condition);
    return node_of(parsing, all ? SIGMA_AND : SIGMA_OR, nodes, count);
}

static struct sigma_node *any_of(struct condition *condition);

static struct sigma_node *primary(struct condition *condition)
{
    struct parsing *parsing = condition->parsing;
    struct sigma_node *node;

    if (++parsing->depth > DEPTH_MAX)
        return refuse(parsing, "the condition is nested more than %d deep", DEPTH_MAX);
    if (!condition->word.bytes)
        return refuse(parsing, "the condition ends too early");
    if (word_is(condition, "(")) {
        word_next(condition);
        node = any_of(condition);
        if (node && !word_is(condition, ")"))
            return refuse(parsing, "a ) is lacking in the condition");
        word_next(condition);
    } else if (word_is(condition, "not")) {
        word_next(condition);
        node = primary(condition);
        node = node ? negated(parsing, node) : NULL;
    } else if (word_is(condition, "1") || word_is(condition, "any") || word_is(condition, "all")) {
        node = quantified(condition, word_is(condition, "all"));
    } else {
        node = NULL;
        for (size_t i = 0; i < parsing->detection_count && !node; i++)
            if (text_equal(parsing->detections[i].name, condition->word))
                node = parsing->detections[i].node;
        if (!node)
            return refuse(parsing, "the condition names %.*s, and no detection is called so", TEXT_ARGS(condition->word));
        word_next(condition);
    }
    parsing->depth--;
    return node;
}

static struct sigma_node *chain(struct condition *condition, const char *word, enum sigma_node_kind kind,
                                struct sigma_node *(*part)(struct condition *))
{
    struct sigma_node *first = part(condition), **pair;

    while (first && word_is(condition, word)) {
        word_next(condition);
        pair = ARENA_ARRAY(condition->parsing->arena, struct sigma_node *, 2);
        pair[0] = first;
        pair[1] = part(condition);
        first = pair[1] ? node_of(condition->parsing, kind, pair, 2) : NULL;
    }
    return first;
}

static struct sigma_node *all_of(struct condition *condition)
{
    return chain(condition, "and", SIGMA_AND, primary);
}

static struct sigma_node *any_of(struct condition *condition)
{
    return chain(condition, "or", SIGMA_OR, all_of);
}

static struct sigma_node *condition_node(struct parsing *parsing, struct text text)
{
    struct condition condition = {.parsing = parsing, .rest = text};
    struct sigma_node *node;

    word_next(&condition);
    node = any_of(&condition);
    if (node && word_is(&condition, "|"))
        return refuse(parsing, "counting behind | in a condition is of old: write a correlation rule");
    if (node && condition.word.bytes)
        return refuse(parsing, "the condition goes on with %.*s, where it should end, or say and, or", TEXT_ARGS(condition.word));
    return node;
}

/* Several conditions are alternatives. */
static struct sigma_node *conditions(struct parsing *parsing, const yaml_node_t *node)
{
    struct sigma_node **nodes;
    size_t count;

    if (!node || (node->type == YAML_SEQUENCE_NODE && !yaml_node_items(node)) || node->type == YAML_MAPPING_NODE)
        return refuse(parsing, "there is no condition");
    if (node->type == YAML_SCALAR_NODE)
        return condition_node(parsing, arena_text(parsing->arena, yaml_node_text(node)));
    count = yaml_node_items(node);
    nodes = ARENA_ARRAY(parsing->arena, struct sigma_node *, count);
    for (size_t i = 0; i < count; i++) {
        struct text text = arena_text(parsing->arena, yaml_node_text(node_at(parsing, node->data.sequence.items.start[i])));
        nodes[i] = text.bytes ? condition_node(parsing, text) : refuse(parsing, "a condition is no text");
        if (!nodes[i])
            return NULL;
    }
    return node_of(parsing, SIGMA_OR, nodes, count);
}

/* ---- rules ---- */

static bool detections_read(struct parsing *parsing, const yaml_node_t *mapping)
{
    if (!mapping || mapping->type != YAML_MAPPING_NODE)
        return refuse(parsing, "there is no detection") != NULL;
    size_t count = (size_t)(mapping->data.mapping.pairs.top - mapping->data.mapping.pairs.start);
    if (count > DETECTIONS_MAX)
        return refuse(parsing, "more than %d detections", DETECTIONS_MAX) != NULL;
    parsing->detections = ARENA_ARRAY(parsing->arena, struct detection, count + 1);
    for (size_t i = 0; i < count; i++) {
        const yaml_node_pair_t *pair = &mapping->data.mapping.pairs.start[i];
        struct text name = arena_text(parsing->arena, yaml_node_text(node_at(parsing, pair->key)));
        if (text_equal(name, TEXT("condition")) || (parsing->is_filter && text_equal(name, TEXT("rules"))))
            continue;
        if (text_equal(name, TEXT("timeframe")))
            return refuse(parsing, "timeframe is of old: write a correlation rule") != NULL;
        struct sigma_node *node = name.bytes ? detection_node(parsing, node_at(parsing, pair->value)) : refuse(parsing, "a detection's name is no text");
        if (!node)
            return false;
        parsing->detections[parsing->detection_count++] = (struct detection){name, node};
    }
    return true;
}

/* "attack.t1059.004", "attack.credential-access": techniques and tactics, with commas between. */
static void tags_read(struct parsing *parsing, const yaml_node_t *root)
{
    const yaml_node_t *tags = member(parsing, root, "tags");
    struct text *tactics = &parsing->rule.tactics, *techniques = &parsing->rule.techniques;

    *tactics = *techniques = TEXT("");
    for (size_t i = 0; tags && tags->type == YAML_SEQUENCE_NODE && i < yaml_node_items(tags) && i < TAGS_MAX; i++) {
        struct text tag = yaml_node_text(node_at(parsing, tags->data.sequence.items.start[i]));
        if (!text_starts(tag, TEXT("attack.")) || tag.count == 7)
            continue;
        char *name = arena_string(parsing->arena, (struct text){tag.bytes + 7, tag.count - 7});
        bool technique = name[0] == 't' && name[1] >= '0' && name[1] <= '9';
        struct text *list = technique ? techniques : tactics;
        bool upper = true;
        char *out = name;
        for (char *at = name; *at; at++) { /* credential-access: CredentialAccess */
            bool dash = *at == '-' || *at == '_';
            char letter = upper && *at >= 'a' && *at <= 'z' ? (char)(*at & ~0x20) : *at;
            upper = dash;
            if (!dash)
                *out++ = letter;
        }
        *out = '\0';
        *list = text_of(arena_format(parsing->arena, "%.*s%s%s", TEXT_ARGS(*list), list->count ? ", " : "", name));
    }
}

/* ---- correlations and filters ---- */

/* A list of texts, or one alone. */
static bool texts_read(struct parsing *parsing, const yaml_node_t *node, const struct text **out, size_t *count)
{
    size_t items = yaml_node_items(node), room = items ? items : 1;
    struct text *texts = ARENA_ARRAY(parsing->arena, struct text, room);

    *count = 0;
    for (size_t i = 0; i < room; i++) {
        texts[i] = arena_text(parsing->arena, yaml_node_text(items ? yaml_node_item(parsing->document, node, i) : node));
        if (!texts[i].count)
            return false;
        (*count)++;
    }
    *out = texts;
    return true;
}

/* "15s", "5m", "1h", "1d", "1w". */
static bool timespan_read(struct text text, int64_t *out_us)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
    uint64_t number;

    if (text.count < 2 || !text_to_u64((struct text){text.bytes, text.count - 1}, &number) || !number || number > 100000)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (text.bytes[text.count - 1] == units[i].unit) {
            *out_us = (int64_t)number * units[i].seconds * 1000000;
            return *out_us <= TIMESPAN_MAX_US;
        }
    return false;
}

static bool threshold_read(struct parsing *parsing, const yaml_node_t *condition, struct sigma_correlation *out)
{
    static const char *const words[] = {"gte", "gt", "eq"};
    static const char *const absent[] = {"lt", "lte", "neq", NULL};
    uint64_t number;

    for (size_t i = 0; absent[i]; i++)
        if (member(parsing, condition, absent[i]))
            return refuse(parsing, "a correlation's condition is gte, gt or eq: what stays below a number is seen by nobody while events come") != NULL;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const yaml_node_t *value = member(parsing, condition, words[i]);
        if (!value)
            continue;
        if (!text_to_u64(yaml_node_text(value), &number) || number > COUNT_MAX)
            return refuse(parsing, "a correlation's number is at most %d", COUNT_MAX) != NULL;
        out->threshold = number + (i == 1);
        return out->threshold > 0;
    }
    return refuse(parsing, "the correlation's condition has no number: gte, gt or eq say one") != NULL;
}

static bool aliases_read(struct parsing *parsing, const yaml_node_t *mapping, struct sigma_correlation *out)
{
    struct sigma_alias *aliases = ARENA_ARRAY(parsing->arena, struct sigma_alias, ALIASES_MAX);

    out->aliases = aliases;
    if (!mapping)
        return true;
    if (mapping->type != YAML_MAPPING_NODE)
        return refuse(parsing, "aliases are a map") != NULL;
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *fields = node_at(parsing, pair->value);
        if (fields->type != YAML_MAPPING_NODE)
            return refuse(parsing, "an alias says for each rule what its field is called") != NULL;
        for (const yaml_node_pair_t *field = fields->data.mapping.pairs.start; field < fields->data.mapping.pairs.top; field++) {
            if (out->alias_count == ALIASES_MAX)
                return refuse(parsing, "more than %d aliases", ALIASES_MAX) != NULL;
            aliases[out->alias_count++] = (struct sigma_alias){
                arena_text(parsing->arena, yaml_node_text(node_at(parsing, pair->key))),
                arena_text(parsing->arena, yaml_node_text(node_at(parsing, field->key))),
                arena_text(parsing->arena, yaml_node_text(node_at(parsing, field->value))),
            };
        }
    }
    return true;
}

static bool correlation_read(struct parsing *parsing, const yaml_node_t *root, const yaml_node_t *node)
{
    static const char *const kinds[] = {"event_count", "value_count", "temporal", "temporal_ordered"};
    struct sigma_correlation *out = ARENA_NEW(parsing->arena, struct sigma_correlation);
    struct text kind = member_text(parsing, node, "type");
    const yaml_node_t *condition = member(parsing, node, "condition"), *group = member(parsing, node, "group-by");
    const yaml_node_t *generate = member(parsing, node, "generate") ? member(parsing, node, "generate") : member(parsing, root, "generate");
    size_t which = 0;

    while (which < sizeof kinds / sizeof *kinds && !text_equal(kind, text_of(kinds[which])))
        which++;
    if (which == sizeof kinds / sizeof *kinds)
        return refuse(parsing, "a correlation's type is event_count, value_count, temporal or temporal_ordered, and not %.*s", TEXT_ARGS(kind.bytes ? kind : TEXT("absent"))) != NULL;
    out->kind = (enum sigma_correlation_kind)which;
    if (!texts_read(parsing, member(parsing, node, "rules"), &out->rules, &out->rule_count) || out->rule_count > CORRELATED_MAX)
        return refuse(parsing, "a correlation names 1 to %d rules", CORRELATED_MAX) != NULL;
    if (group && !texts_read(parsing, group, &out->group_by, &out->group_count))
        return refuse(parsing, "group-by is a list of fields") != NULL;
    if (!timespan_read(member_text(parsing, node, "timespan"), &out->timespan_us))
        return refuse(parsing, "a correlation's timespan is such as 30s, 5m or 1h, at most 30 days") != NULL;
    out->generate = text_equal(yaml_node_text(generate), TEXT("true"));
    out->field = member_text(parsing, condition, "field");
    if (out->kind == SIGMA_VALUE_COUNT && !out->field.count)
        return refuse(parsing, "value_count counts the values of a field: condition.field names it") != NULL;
    bool counts = out->kind == SIGMA_EVENT_COUNT || out->kind == SIGMA_VALUE_COUNT;
    out->threshold = out->rule_count;
    if ((counts || condition) && !threshold_read(parsing, condition, out))
        return false;
    parsing->rule.correlation = out;
    return aliases_read(parsing, member(parsing, node, "aliases"), out);
}

static bool filter_read(struct parsing *parsing, const yaml_node_t *node)
{
    parsing->is_filter = true;
    if (!texts_read(parsing, member(parsing, node, "rules"), &parsing->rule.filtered, &parsing->rule.filtered_count))
        return refuse(parsing, "a filter names the rules that it is for") != NULL;
    if (!detections_read(parsing, node))
        return false;
    parsing->rule.condition = conditions(parsing, member(parsing, node, "condition"));
    return parsing->rule.condition != NULL;
}

static bool rule_read(struct parsing *parsing, const yaml_node_t *root)
{
    struct sigma_rule *rule = &parsing->rule;
    const yaml_node_t *source = member(parsing, root, "logsource"), *detection = member(parsing, root, "detection");
    const yaml_node_t *correlation = member(parsing, root, "correlation"), *filter = member(parsing, root, "filter");

    if (!root || root->type != YAML_MAPPING_NODE)
        return refuse(parsing, "this is no rule: a map of names and values is one") != NULL;
    rule->id = member_text(parsing, root, "id");
    rule->name = member_text(parsing, root, "name");
    rule->title = member_text(parsing, root, "title");
    rule->status = member_text(parsing, root, "status");
    rule->level = member_text(parsing, root, "level");
    rule->description = member_text(parsing, root, "description");
    rule->author = member_text(parsing, root, "author");
    tags_read(parsing, root);
    if (!rule->title.bytes)
        return refuse(parsing, "there is no title") != NULL;
    if (!sigma_placeholders_read(parsing->document, member(parsing, root, "placeholders"), parsing->arena, &parsing->placeholders, parsing->reason))
        return false;
    if (correlation)
        return correlation_read(parsing, root, correlation);
    if (!source || source->type != YAML_MAPPING_NODE)
        return refuse(parsing, "there is no logsource") != NULL;
    rule->category = member_text(parsing, source, "category");
    rule->product = member_text(parsing, source, "product");
    rule->service = member_text(parsing, source, "service");
    if (filter)
        return filter_read(parsing, filter);
    if (!detections_read(parsing, detection))
        return false;
    rule->condition = conditions(parsing, member(parsing, detection, "condition"));
    return rule->condition != NULL;
}

void sigma_rule_done(const struct sigma_rule *rule)
{
    for (size_t i = 0; i < rule->clause_count; i++)
        regex_free(rule->clauses[i]->regex);
}

/* The lines that the document stands in; libyaml counts characters, and not bytes. */
static struct text document_text(const yaml_document_t *document, struct text yaml)
{
    size_t from = 0, to = yaml.count, line = 0, first = document->start_mark.line, last = document->end_mark.line;

    for (size_t i = 0; i < yaml.count && line < last; i++) {
        if (yaml.bytes[i] != '\n')
            continue;
        line++;
        if (line == first)
            from = i + 1;
        if (line == last)
            to = i + 1;
    }
    return (struct text){yaml.bytes + from, to - from};
}

static void document_read(yaml_document_t *document, struct text yaml, struct arena *arena, sigma_each *each, void *context)
{
    struct parsing parsing = {.document = document, .arena = arena};

    bool fine = rule_read(&parsing, yaml_document_get_root_node(document));
    struct text id = parsing.rule.id.bytes ? parsing.rule.id : parsing.rule.title;
    if (fine) {
        struct sigma_rule *rule = ARENA_NEW(arena, struct sigma_rule);
        *rule = parsing.rule;
        rule->source = document_text(document, yaml);
        each(context, rule, id, NULL);
    } else {
        sigma_rule_done(&parsing.rule);
        each(context, NULL, id, parsing.reason);
    }
}

enum status sigma_parse(struct text yaml, struct arena *arena, sigma_each *each, void *context, struct problem *why)
{
    enum status status = STATUS_OK;
    yaml_document_t document;
    yaml_parser_t parser;
    bool more = true;

    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml.bytes, yaml.count);
    while (more && !status) {
        if (!yaml_parser_load(&parser, &document)) {
            status = problem_set(why, STATUS_REJECT, "no YAML: %s in line %zu", parser.problem ? parser.problem : "something",
                                 parser.problem_mark.line + 1);
            break;
        }
        more = yaml_document_get_root_node(&document) != NULL;
        if (more)
            document_read(&document, yaml, arena, each, context);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return status;
}
