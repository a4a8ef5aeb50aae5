#include "detect/sigma_set.h"

#include <stdlib.h>
#include <string.h>

#include "detect/needles.h"

#define NEEDLE_BYTES_MIN 3 /* shorter ones are in every event */
#define NEEDLES_MAX 500    /* of one rule: beyond that it is tried always */

/* Which rules ask for a needle. */
struct asking {
    uint32_t *rules;
    size_t count;
};

struct sigma_set {
    const struct sigma_rule *const *rules;
    size_t count, always_count;
    bool *always;
    struct needles *needles;
    struct asking *asking; /* by needle */
};

struct sigma_scratch {
    uint64_t *wanted; /* a bit for each rule */
    bool *seen;       /* for each needle */
    uint32_t *seen_list;
    size_t seen_count;
    const struct sigma_set *set;
};

/* Texts of which one has to be in the event; `count` 0: none is known. */
struct demand {
    struct text texts[NEEDLES_MAX];
    size_t count, shortest;
};

static struct text clause_text(const struct sigma_clause *clause)
{
    struct text longest = TEXT_NONE;

    if (clause->is_number || clause->part)
        return TEXT_NONE;
    switch (clause->test) {
    case SIGMA_EQUAL:
    case SIGMA_CONTAINS:
    case SIGMA_STARTS:
    case SIGMA_ENDS:
        return clause->text;
    case SIGMA_GLOB:
        for (size_t i = 0; i < clause->token_count; i++)
            if (clause->tokens[i].kind == SIGMA_TEXT && clause->tokens[i].text.count > longest.count)
                longest = clause->tokens[i].text;
        return longest;
    default:
        return TEXT_NONE;
    }
}

static void demand_of(const struct sigma_node *node, struct demand *out);

/* One of any: all that its parts demand, where each of them demands something. */
static void demand_any(const struct sigma_node *node, struct demand *out)
{
    struct demand *part = malloc(sizeof *part);

    if (!part)
        abort();
    out->count = 0;
    out->shortest = SIZE_MAX;
    for (size_t i = 0; i < node->count; i++) {
        demand_of(node->nodes[i], part);
        if (!part->count || out->count + part->count > NEEDLES_MAX) {
            out->count = 0;
            break;
        }
        memcpy(out->texts + out->count, part->texts, part->count * sizeof *part->texts);
        out->count += part->count;
        out->shortest = part->shortest < out->shortest ? part->shortest : out->shortest;
    }
    free(part);
}

/* All: the part whose texts are longest will be met least. */
static void demand_all(const struct sigma_node *node, struct demand *out)
{
    struct demand *part = malloc(sizeof *part);

    if (!part)
        abort();
    out->count = 0;
    for (size_t i = 0; i < node->count; i++) {
        demand_of(node->nodes[i], part);
        if (part->count && (!out->count || part->shortest > out->shortest))
            *out = *part;
    }
    free(part);
}

static void demand_of(const struct sigma_node *node, struct demand *out)
{
    struct text text;

    out->count = 0;
    switch (node->kind) {
    case SIGMA_CLAUSE:
        text = clause_text(node->clause);
        if (text.count >= NEEDLE_BYTES_MIN) {
            out->texts[out->count++] = text;
            out->shortest = text.count;
        }
        break;
    case SIGMA_AND:
        demand_all(node, out);
        break;
    case SIGMA_OR:
        demand_any(node, out);
        break;
    case SIGMA_NOT:
        break;
    }
}

static void ask(struct sigma_set *set, size_t *room, uint32_t needle, uint32_t rule)
{
    if (needle >= *room) {
        size_t grown = 2 * *room + needle + 64;
        set->asking = realloc(set->asking, grown * sizeof *set->asking);
        if (!set->asking)
            abort();
        memset(set->asking + *room, 0, (grown - *room) * sizeof *set->asking);
        *room = grown;
    }
    struct asking *asking = &set->asking[needle];
    if (asking->count && asking->rules[asking->count - 1] == rule)
        return;
    if (!(asking->count & (asking->count - 1))) { /* grows at 0, 1, 2, 4 … */
        asking->rules = realloc(asking->rules, (asking->count ? 2 * asking->count : 1) * sizeof *asking->rules);
        if (!asking->rules)
            abort();
    }
    asking->rules[asking->count++] = rule;
}

struct sigma_set *sigma_set_new(const struct sigma_rule *const *rules, size_t count)
{
    struct sigma_set *set = calloc(1, sizeof *set);
    struct demand *demand = malloc(sizeof *demand);
    size_t room = 0;

    if (!set || !demand)
        abort();
    *set = (struct sigma_set){.rules = rules, .count = count, .always = calloc(count + 1, sizeof *set->always), .needles = needles_new()};
    if (!set->always)
        abort();
    for (size_t i = 0; i < count; i++) {
        if (!rules[i]->condition)
            continue; /* a correlation looks at other rules' matches, and at no event */
        demand_of(rules[i]->condition, demand);
        set->always[i] = !demand->count;
        set->always_count += !demand->count;
        for (size_t k = 0; k < demand->count; k++)
            ask(set, &room, needles_add(set->needles, demand->texts[k]), (uint32_t)i);
    }
    needles_build(set->needles);
    free(demand);
    return set;
}

void sigma_set_free(struct sigma_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < needles_count(set->needles); i++)
        free(set->asking[i].rules);
    needles_free(set->needles);
    free(set->asking);
    free(set->always);
    free(set);
}

size_t sigma_set_always(const struct sigma_set *set)
{
    return set->always_count;
}

bool sigma_set_tries(const struct sigma_set *set, size_t rule)
{
    return set->always[rule];
}

struct sigma_scratch *sigma_scratch_new(const struct sigma_set *set)
{
    struct sigma_scratch *scratch = calloc(1, sizeof *scratch);
    size_t needles = needles_count(set->needles);

    if (!scratch)
        abort();
    scratch->set = set;
    scratch->wanted = calloc(set->count / 64 + 1, sizeof *scratch->wanted);
    scratch->seen = calloc(needles + 1, sizeof *scratch->seen);
    scratch->seen_list = calloc(needles + 1, sizeof *scratch->seen_list);
    if (!scratch->wanted || !scratch->seen || !scratch->seen_list)
        abort();
    return scratch;
}

void sigma_scratch_free(struct sigma_scratch *scratch)
{
    if (!scratch)
        return;
    free(scratch->wanted);
    free(scratch->seen);
    free(scratch->seen_list);
    free(scratch);
}

static void needle_seen(void *context, uint32_t needle)
{
    struct sigma_scratch *scratch = context;

    if (scratch->seen[needle])
        return;
    scratch->seen[needle] = true;
    scratch->seen_list[scratch->seen_count++] = needle;
}

void sigma_set_match(const struct sigma_set *set, struct sigma_scratch *scratch, const struct sigma_event *event, sigma_matched *each, void *context)
{
    struct sigma_found found[SIGMA_FOUND_MAX];
    size_t count;

    for (size_t i = 0; i < set->count; i += 64)
        scratch->wanted[i / 64] = 0;
    for (size_t i = 0; i < event->count; i++)
        if (event->fields[i].value.bytes)
            needles_scan(set->needles, event->fields[i].value, needle_seen, scratch);
    for (size_t i = 0; i < scratch->seen_count; i++) {
        const struct asking *asking = &set->asking[scratch->seen_list[i]];
        for (size_t k = 0; k < asking->count; k++)
            scratch->wanted[asking->rules[k] / 64] |= UINT64_C(1) << asking->rules[k] % 64;
        scratch->seen[scratch->seen_list[i]] = false;
    }
    scratch->seen_count = 0;
    for (size_t i = 0; i < set->count; i++)
        if ((set->always[i] || scratch->wanted[i / 64] >> i % 64 & 1) && sigma_match(set->rules[i], event, found, &count))
            each(context, i, found, count);
}
