#include <stdio.h>

#include "detect/engine.h"
#include "detect/sigma_parse.h"
#include "runtime/buf.h"
#include "tests/support/check_main.h"

/* Rules over the matches of others, and filters before them: by the engine, on Picket's events. */
#define FROM_US INT64_C(1790000000000000)

static struct {
    struct arena arena, events;
    const struct sigma_rule *rules[50];
    size_t count;
    char refused[300];
    struct engine *engine;
    struct engine_scratch *scratch;
    struct memory *memory, *fleet; /* of the device; of all */
    struct buf said; /* "second:rule " for each finding */
} tested;

static void setup(void)
{
    arena_init(&tested.arena);
    arena_init(&tested.events);
    tested.count = 0;
    tested.refused[0] = '\0';
    buf_init(&tested.said, 65536);
}

static void teardown(void)
{
    engine_scratch_free(tested.scratch);
    engine_free(tested.engine);
    for (size_t i = 0; i < tested.count; i++)
        sigma_rule_done(tested.rules[i]);
    buf_done(&tested.said);
    arena_done(&tested.events);
    arena_done(&tested.arena);
}

static void rule_take(void *context, const struct sigma_rule *rule, struct text id, const char *reason)
{
    (void)context;
    (void)id;
    if (rule)
        tested.rules[tested.count++] = rule;
    else
        snprintf(tested.refused, sizeof tested.refused, "%s", reason);
}

static void rules_read(const char *yaml)
{
    struct problem why;

    ck_assert_msg(sigma_parse(text_of(yaml), &tested.arena, rule_take, NULL, &why) == STATUS_OK, "%s", why.text);
}

static void engine_make(const char *yaml)
{
    struct sigma_mapping *mapping = NULL;
    bool *off = ARENA_ARRAY(&tested.arena, bool, builtin_rules_count);
    struct problem why;

    rules_read(yaml);
    ck_assert_msg(!tested.refused[0], "%s", tested.refused);
    for (size_t i = 0; i < builtin_rules_count; i++)
        off[i] = true;
    ck_assert_int_eq(sigma_mapping_read(sigma_mapping_builtin(), &tested.arena, &mapping, &why), STATUS_OK);
    tested.engine = engine_new(&(struct engine_content){.off = off, .mapping = mapping, .sigma = tested.rules, .sigma_count = tested.count});
    tested.scratch = engine_scratch_new(tested.engine);
    tested.memory = memory_new(&tested.arena);
    tested.fleet = memory_new(&tested.arena);
}

static void judge(struct memory *memory, int second, const char *user, const char *command)
{
    struct findings findings = {.count = 0};
    const struct event_source source = {
        .name = TEXT("ProcessCreate"),
        .details = text_of(arena_format(&tested.events, "{\"Executable\":\"/bin/x\",\"CommandLine\":\"%s\",\"UserName\":\"%s\"}", command, user)),
        .at_us = FROM_US + second * INT64_C(1000000),
        .hits = 1,
    };
    struct event event;

    ck_assert(event_read(&source, &tested.events, &event));
    engine_judge(tested.engine, tested.scratch, &event, 1, engine_remembers(tested.engine, &event) ? memory : NULL, &tested.events, &findings);
    for (const struct finding *finding = findings.first; finding; finding = finding->next)
        buf_format(&tested.said, "%d:%.*s ", second, TEXT_ARGS(finding->about->id));
    for (const struct finding_hit *hit = findings.first_hit; hit; hit = hit->next)
        if (engine_hit_completes(tested.engine, &hit->hit, tested.fleet, &tested.events))
            buf_format(&tested.said, "%d:%.*s over all ", second, TEXT_ARGS(hit->about->id));
}

static void process(int second, const char *user, const char *command)
{
    judge(tested.memory, second, user, command);
}

static const char *said(void)
{
    const char *copy = arena_string(&tested.arena, buf_as_text(&tested.said));
    buf_clear(&tested.said);
    return copy;
}

#define BASE(id, name, word) \
    "title: " id "\nid: " id "\nname: " name "\nlogsource: {product: linux, category: process_creation}\ndetection:\n  s:\n    CommandLine|contains: " word "\n  condition: s\n---\n"
#define CORRELATION(type, rules, rest) "title: c\nid: c\nlevel: high\ncorrelation:\n  type: " type "\n  rules: " rules "\n  timespan: 1m\n" rest

START_TEST(events_are_counted_by_their_group_within_the_timespan)
{
    engine_make(BASE("a", "na", "zebra") CORRELATION("event_count", "[na]", "  group-by: [User, Computer]\n  condition: {gte: 3}\n"));
    process(0, "u", "zebra");
    process(10, "v", "zebra");
    process(20, "u", "zebra");
    process(30, "u", "tapir");
    ck_assert_str_eq(said(), ""); /* the rule itself is not told */
    process(59, "u", "zebra");
    ck_assert_str_eq(said(), "59:c ");
    process(61, "u", "zebra"); /* the next round */
    process(100, "u", "zebra");
    process(122, "u", "zebra"); /* the first of these is out of the window by now */
    ck_assert_str_eq(said(), "");
    process(130, "u", "zebra");
    ck_assert_str_eq(said(), "130:c ");
}
END_TEST

START_TEST(different_values_are_counted_and_the_rule_is_told_where_it_is_said_so)
{
    engine_make(BASE("a", "na", "zebra") CORRELATION("value_count", "a", "  group-by: [Computer, Image]\n  condition: {field: User, gt: 2}\n  generate: true\n"));
    process(0, "u", "zebra");
    process(1, "u", "zebra");
    process(2, "v", "zebra");
    ck_assert_str_eq(said(), "0:a 1:a 2:a ");
    process(3, "w", "zebra");
    ck_assert_str_eq(said(), "3:a 3:c ");
}
END_TEST

START_TEST(rules_are_met_together_or_in_their_order)
{
    engine_make(BASE("a", "na", "zebra") BASE("b", "nb", "tapir") CORRELATION("temporal", "[na, nb]", "  group-by: [User, Computer]\n"));
    process(0, "u", "tapir");
    process(1, "v", "zebra");
    ck_assert_str_eq(said(), "");
    process(2, "u", "zebra");
    ck_assert_str_eq(said(), "2:c ");
    process(3, "u", "zebra");
    process(64, "u", "tapir");
    ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(the_order_counts_where_it_is_asked_for)
{
    engine_make(BASE("a", "na", "zebra") BASE("b", "nb", "tapir") CORRELATION("temporal_ordered", "[na, nb]", "  group-by: [User, Computer]\n"));
    process(0, "u", "tapir");
    process(2, "u", "zebra");
    ck_assert_str_eq(said(), "");
    process(3, "u", "tapir");
    ck_assert_str_eq(said(), "3:c ");
}
END_TEST

START_TEST(what_is_not_grouped_by_the_device_counts_over_all_of_them)
{
    struct memory *other = memory_new(&tested.arena);

    engine_make(BASE("a", "na", "zebra") BASE("b", "nb", "tapir") CORRELATION("event_count", "[na]", "  group-by: [User]\n  condition: {gte: 3}\n") "---\n"
                "title: d\nid: d\ncorrelation:\n  type: temporal\n  rules: [na, nb]\n  timespan: 1m\n");
    process(0, "u", "zebra");
    judge(other, 1, "u", "zebra");
    judge(other, 2, "v", "zebra");
    ck_assert_str_eq(said(), "");
    judge(other, 3, "u", "zebra");
    ck_assert_str_eq(said(), "3:c over all ");
    process(10, "w", "tapir");
    ck_assert_str_eq(said(), "10:d over all "); /* without a group all events are one */
    ck_assert(!memory_changed(tested.memory) && !memory_changed(other));
}
END_TEST

START_TEST(an_alias_is_what_a_field_is_called_in_each_rule)
{
    engine_make(BASE("a", "na", "zebra") BASE("b", "nb", "tapir")
                    CORRELATION("temporal", "[na, nb]", "  group-by: [who, Hostname]\n  aliases:\n    who:\n      na: User\n      nb: CommandLine\n"));
    process(0, "tapir", "zebra");
    ck_assert_str_eq(said(), "");
    process(1, "other", "tapir");
    ck_assert_str_eq(said(), "1:c ");
}
END_TEST

START_TEST(a_filter_lets_through_what_its_condition_says)
{
    engine_make(BASE("a", "na", "zebra") BASE("b", "nb", "tapir")
                "title: f\nid: f\nlogsource: {product: linux, category: process_creation}\nfilter:\n  rules: [na]\n  quiet:\n    User: backup\n  condition: not quiet\n---\n"
                    CORRELATION("event_count", "[nb]", "  group-by: [host]\n  condition: {gte: 2}\n"));
    process(0, "backup", "zebra");
    process(1, "root", "zebra");
    process(2, "backup", "tapir");
    process(3, "backup", "tapir");
    ck_assert_str_eq(said(), "1:a 3:c ");
}
END_TEST

START_TEST(what_is_not_understood_is_refused_with_the_reason)
{
    static const struct {
        const char *yaml, *reason;
    } cases[] = {
        {CORRELATION("event_count", "[a]", "  condition: {lt: 3}\n"), "stays below"},
        {CORRELATION("event_count", "[a]", ""), "no number"},
        {CORRELATION("event_count", "[a]", "  condition: {gte: 100000}\n"), "at most"},
        {CORRELATION("value_count", "[a]", "  condition: {gte: 3}\n"), "condition.field"},
        {CORRELATION("sum", "[a]", "  condition: {gte: 3}\n"), "value_count"},
        {CORRELATION("event_count", "[]", "  condition: {gte: 3}\n"), "1 to"},
        {"title: c\nid: c\ncorrelation:\n  type: temporal\n  rules: [a]\n  timespan: soon\n", "timespan"},
        {"title: f\nid: f\nlogsource: {product: linux}\nfilter:\n  quiet:\n    User: x\n  condition: not quiet\n", "names the rules"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tested.refused[0] = '\0';
        rules_read(cases[i].yaml);
        ck_assert_msg(strstr(tested.refused, cases[i].reason), "%s: %s", cases[i].yaml, tested.refused);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        events_are_counted_by_their_group_within_the_timespan,
        different_values_are_counted_and_the_rule_is_told_where_it_is_said_so,
        rules_are_met_together_or_in_their_order,
        the_order_counts_where_it_is_asked_for,
        what_is_not_grouped_by_the_device_counts_over_all_of_them,
        an_alias_is_what_a_field_is_called_in_each_rule,
        a_filter_lets_through_what_its_condition_says,
        what_is_not_understood_is_refused_with_the_reason,
    };
    const struct check_suite suite = {"detect/correlation", tests, sizeof tests / sizeof *tests, setup, teardown, 60};
    return check_main(&suite);
}
