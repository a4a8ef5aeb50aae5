#include "detect/sigma_correlation.h"
#include "detect/sigma_parse.h"
#include "detect/sigma_set.h"

/* Whatever stands in a file of rules: each is understood or refused with a reason, and can be tried on any event, where a set says
 * the same as the rule by itself. Behind the first 0 byte stand the values of the event's fields, a line each. */
#define FIELDS_MAX 16

struct trial {
    struct sigma_event event;
};

static void together(void *context, size_t rule, const struct sigma_found *found, size_t count)
{
    (void)rule;
    (void)found;
    (void)count;
    *(bool *)context = true;
}

static void try(void *context, const struct sigma_rule *rule, struct text id, const char *reason)
{
    const struct trial *trial = context;
    struct sigma_found found[SIGMA_FOUND_MAX];
    size_t count;

    (void)id;
    if (!rule) {
        if (!reason || !*reason)
            __builtin_trap();
        return;
    }
    if (!rule->condition) { /* a correlation: it names others */
        struct sigma_correlations *correlations = sigma_correlations_new(&rule, 1);
        if (!sigma_correlations_lacking(correlations, 0).count)
            __builtin_trap();
        sigma_correlations_free(correlations);
        sigma_rule_done(rule);
        return;
    }
    struct sigma_set *set = sigma_set_new(&rule, 1);
    struct sigma_scratch *scratch = sigma_scratch_new(set);
    bool apart = sigma_match(rule, &trial->event, found, &count), matched = false;
    sigma_set_match(set, scratch, &trial->event, together, &matched);
    if (count > SIGMA_FOUND_MAX || matched != apart)
        __builtin_trap();
    sigma_scratch_free(scratch);
    sigma_set_free(set);
    sigma_rule_done(rule);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const char *const names[] = {"CommandLine", "Image", "A", "B"};
    struct text yaml, rest = text_cut((struct text){(const char *)bytes, count}, '\0', &yaml), value;
    struct sigma_field fields[FIELDS_MAX];
    struct trial trial = {{fields, 0}};
    struct problem why;
    struct arena arena;

    arena_init(&arena);
    while (rest.bytes && trial.event.count < FIELDS_MAX) {
        rest = text_cut(rest, '\n', &value);
        fields[trial.event.count] = (struct sigma_field){text_of(names[trial.event.count % 4]), value};
        trial.event.count++;
    }
    if (sigma_parse(yaml, &arena, try, &trial, &why) && !why.text[0])
        __builtin_trap();
    arena_done(&arena);
    return 0;
}
