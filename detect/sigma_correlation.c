#include "detect/sigma_correlation.h"

#include <stdio.h>
#include <stdlib.h>

/* What leads from a rule to those that name it. */
struct link {
    struct link *next;
    size_t by;    /* the correlation's or the filter's number */
    size_t place; /* of the rule in its list */
};

struct of_rule {
    struct link *filters, *correlations;
    bool silent; /* a correlation names it, and none wants it told by itself */
    struct text lacking;
    size_t named; /* of a correlation: how many of its rules are there */
};

struct sigma_correlations {
    const struct sigma_rule *const *rules;
    struct of_rule *of;
    size_t count;
    struct arena arena;
};

static bool is_named(const struct sigma_rule *rule, struct text reference)
{
    return text_equal(rule->id, reference) || (rule->name.count && text_equal(rule->name, reference));
}

static void refer(struct sigma_correlations *correlations, size_t by, struct text reference, size_t place, bool filters)
{
    bool found = false;

    for (size_t i = 0; i < correlations->count; i++) {
        if (i == by || correlations->rules[i]->correlation || !is_named(correlations->rules[i], reference))
            continue;
        struct link **list = filters ? &correlations->of[i].filters : &correlations->of[i].correlations;
        struct link *link = ARENA_NEW(&correlations->arena, struct link);
        *link = (struct link){*list, by, place};
        *list = link;
        found = true;
    }
    correlations->of[by].named += found;
    if (!found && !correlations->of[by].lacking.bytes)
        correlations->of[by].lacking = reference;
}

struct sigma_correlations *sigma_correlations_new(const struct sigma_rule *const *rules, size_t count)
{
    struct sigma_correlations *correlations = calloc(1, sizeof *correlations);

    if (!correlations)
        abort();
    *correlations = (struct sigma_correlations){.rules = rules, .count = count, .of = calloc(count + 1, sizeof *correlations->of)};
    if (!correlations->of)
        abort();
    arena_init(&correlations->arena);
    for (size_t i = 0; i < count; i++) {
        const struct sigma_correlation *own = rules[i]->correlation;
        for (size_t k = 0; own && k < own->rule_count; k++)
            refer(correlations, i, own->rules[k], k, false);
        for (size_t k = 0; k < rules[i]->filtered_count; k++)
            refer(correlations, i, rules[i]->filtered[k], k, true);
    }
    for (size_t i = 0; i < count; i++) {
        correlations->of[i].silent = correlations->of[i].correlations != NULL;
        for (const struct link *link = correlations->of[i].correlations; link; link = link->next)
            if (rules[link->by]->correlation->generate)
                correlations->of[i].silent = false;
    }
    return correlations;
}

void sigma_correlations_free(struct sigma_correlations *correlations)
{
    if (!correlations)
        return;
    arena_done(&correlations->arena);
    free(correlations->of);
    free(correlations);
}

struct text sigma_correlations_lacking(const struct sigma_correlations *correlations, size_t rule)
{
    return correlations->of[rule].lacking;
}

bool sigma_correlations_count(const struct sigma_correlations *correlations, size_t rule)
{
    for (const struct link *link = correlations->of[rule].correlations; link; link = link->next)
        if (!sigma_correlation_spans(correlations->rules[link->by]))
            return true;
    return false;
}

static const char *const names_of_device[] = {"Computer", "ComputerName", "host", "Hostname", "hostname", "DeviceId", "device", NULL};

bool sigma_correlation_spans(const struct sigma_rule *rule)
{
    for (size_t i = 0; rule->correlation && i < rule->correlation->group_count; i++)
        if (text_among(rule->correlation->group_by[i], names_of_device))
            return false;
    return rule->correlation != NULL;
}

/* ---- matches ---- */

struct matching {
    const struct sigma_correlations *correlations;
    const struct sigma_event *event;
    struct arena *arena;
};

static struct text value_of(const struct matching *matching, const struct sigma_correlation *correlation, const struct sigma_rule *rule, struct text field)
{
    for (size_t i = 0; i < correlation->alias_count; i++)
        if (text_equal(correlation->aliases[i].alias, field) && is_named(rule, correlation->aliases[i].rule)) {
            field = correlation->aliases[i].field;
            break;
        }
    for (size_t i = 0; i < matching->event->count; i++)
        if (text_equal(matching->event->fields[i].name, field) && matching->event->fields[i].value.bytes)
            return matching->event->fields[i].value;
    return TEXT_NONE;
}

/* The group's values as one key; false: the event lacks one, and belongs to no group. Devices are told apart by their memory. */
static bool key_make(const struct matching *matching, const struct sigma_correlation *correlation, const struct sigma_rule *rule, struct text *out)
{
    const char *key = "";

    for (size_t i = 0; i < correlation->group_count; i++) {
        struct text value = value_of(matching, correlation, rule, correlation->group_by[i]);
        if (!value.bytes && text_among(correlation->group_by[i], names_of_device))
            continue;
        if (!value.bytes)
            return false;
        key = arena_format(matching->arena, "%s%s%.*s", key, i ? SIGMA_KEY_PART : "", TEXT_ARGS(value));
    }
    *out = text_of(key);
    return true;
}

/* Which of the rules came in which order: as far as the list was walked. */
struct order {
    size_t next, count;
    int64_t from_us, at_us;
};

static void order_look(void *context, struct text value, int64_t at_us, uint64_t times)
{
    struct order *order = context;
    uint64_t place;

    (void)times;
    if (order->next < order->count && at_us > order->from_us && at_us <= order->at_us && text_to_u64(value, &place) && place == order->next)
        order->next++;
}

static bool is_full(const struct sigma_correlation *correlation, const struct sigma_hit *hit, const char *id, const struct memory *memory)
{
    struct memory_sum sum = memory_sum(memory, id, hit->key, hit->at_us, correlation->timespan_us);
    struct order order = {0, correlation->rule_count, hit->at_us - correlation->timespan_us, hit->at_us};

    switch (correlation->kind) {
    case SIGMA_EVENT_COUNT:
        return sum.times >= correlation->threshold;
    case SIGMA_VALUE_COUNT:
    case SIGMA_TEMPORAL:
        return sum.values >= correlation->threshold;
    case SIGMA_TEMPORAL_ORDERED:
        memory_walk(memory, id, hit->key, order_look, &order);
        return order.next == correlation->rule_count;
    }
    return false;
}

bool sigma_hit_completes(const struct sigma_rule *by, const struct sigma_hit *hit, struct memory *memory, struct arena *arena)
{
    const char *id = arena_format(arena, "sigma %.*s", TEXT_ARGS(by->id.bytes ? by->id : by->title));

    memory_note(memory, id, hit->key, hit->value, hit->hits, hit->at_us, by->correlation->timespan_us);
    if (!is_full(by->correlation, hit, id, memory))
        return false;
    memory_forget(memory, id, hit->key); /* the next round begins */
    return true;
}

static bool hit_make(const struct matching *matching, const struct sigma_rule *rule, const struct link *link, struct sigma_hit *hit)
{
    const struct sigma_correlation *correlation = matching->correlations->rules[link->by]->correlation;

    hit->by = link->by;
    hit->value = TEXT("");
    if (correlation->kind == SIGMA_VALUE_COUNT)
        hit->value = value_of(matching, correlation, rule, correlation->field);
    else if (correlation->kind != SIGMA_EVENT_COUNT)
        hit->value = text_of(arena_format(matching->arena, "%zu", link->place));
    return key_make(matching, correlation, rule, &hit->key) && hit->value.bytes;
}

void sigma_correlations_match(const struct sigma_correlations *correlations, size_t rule, const struct sigma_event *event, int64_t at_us, uint64_t hits, struct memory *memory,
                              struct arena *arena, const struct sigma_hearer *hearer)
{
    const struct sigma_rule *const *rules = correlations->rules;
    const struct of_rule *of = &correlations->of[rule];
    const struct matching matching = {correlations, event, arena};
    struct sigma_hit hit = {.at_us = at_us, .hits = hits};

    if (rules[rule]->filtered_count)
        return; /* a filter is no rule of its own */
    for (const struct link *link = of->filters; link; link = link->next)
        if (!sigma_match(rules[link->by], event, NULL, NULL))
            return;
    if (!of->silent)
        hearer->told(hearer->context, rule);
    for (const struct link *link = of->correlations; link; link = link->next) {
        if (!hit_make(&matching, rules[rule], link, &hit))
            continue;
        if (hearer->counted && sigma_correlation_spans(rules[link->by]))
            hearer->counted(hearer->context, &hit);
        else if (sigma_hit_completes(rules[link->by], &hit, memory, arena))
            hearer->told(hearer->context, link->by);
    }
}
