#include <stdlib.h>
#include <string.h>

#include "detect/sigma_match.h"
#include "detect/needles.h"
#include "detect/sigma_parse.h"
#include "detect/sigma_set.h"
#include "tests/support/check_main.h"

/* What Sigma's rules mean, by the specification 2.1: values, modifiers, conditions; and what is refused, with which words. */
#define FIELDS_MAX 20

static struct arena arena;

static void setup(void)
{
    arena_init(&arena);
}

static void teardown(void)
{
    arena_done(&arena);
}

struct taken {
    const struct sigma_rule *rules[8];
    const char *reasons[8];
    size_t count, refused;
};

static void take(void *context, const struct sigma_rule *rule, struct text id, const char *reason)
{
    struct taken *taken = context;

    (void)id;
    if (rule)
        taken->rules[taken->count++] = rule;
    else
        taken->reasons[taken->refused++] = arena_string(&arena, text_of(reason));
}

static const char *rule_of(const char *detection)
{
    return arena_format(&arena, "title: t\nid: i\nlogsource:\n  product: linux\ndetection:\n%s", detection);
}

static struct taken rules_of(const char *yaml)
{
    struct taken taken = {.count = 0};
    struct problem why;

    ck_assert_msg(sigma_parse(text_of(yaml), &arena, take, &taken, &why) == STATUS_OK, "%s\n%s", why.text, yaml);
    return taken;
}

/* "Name=value;Other=value"; a name alone is null. */
static struct sigma_event event_of(const char *said)
{
    struct sigma_field *fields = ARENA_ARRAY(&arena, struct sigma_field, FIELDS_MAX);
    struct text rest = text_of(said), pair;
    size_t count = 0;

    while (rest.bytes && rest.count && count < FIELDS_MAX) {
        rest = text_cut(rest, ';', &pair);
        fields[count].value = text_cut(pair, '=', &fields[count].name);
        count++;
    }
    return (struct sigma_event){fields, count};
}

static void expect(const char *detection, const char *said, bool matches)
{
    struct taken taken = rules_of(rule_of(detection));
    const struct sigma_event event = event_of(said);

    ck_assert_msg(taken.count == 1, "%s\nrefused: %s", detection, taken.refused ? taken.reasons[0] : "");
    ck_assert_msg(sigma_match(taken.rules[0], &event, NULL, NULL) == matches, "%s\n%s %s", detection, matches ? "does not match" : "matches", said);
    sigma_rule_done(taken.rules[0]);
}

/* One field's item against several values: those that match stand before NULL, those that do not behind it. */
static void values(const char *item, const char *const *said)
{
    const char *detection = arena_format(&arena, "  s:\n    %s\n  condition: s", item);
    bool matches = true;

    for (int ended = 0; ended < 2; said++) {
        if (!*said) {
            ended++;
            matches = false;
            continue;
        }
        expect(detection, *said, matches);
    }
}
#define VALUES(...) (const char *const[]){__VA_ARGS__, NULL}

static void refused(const char *detection, const char *reason)
{
    struct taken taken = rules_of(rule_of(detection));

    ck_assert_msg(taken.count == 0 && taken.refused == 1 && strstr(taken.reasons[0], reason), "%s\nsays %s\nand not %s", detection,
                  taken.refused ? taken.reasons[0] : "nothing", reason);
}

START_TEST(values_are_patterns_without_case)
{
    values("F: 'Ab'", VALUES("F=ab", "F=AB", "X=1;F=aB", NULL, "F=abc", "F=", "F", "G=ab", "f=ab"));
    values("F: 'a*c'", VALUES("F=ac", "F=aXXc", NULL, "F=acd", "F=xac"));
    values("F: 'a?c'", VALUES("F=abc", "F=a\u00e9c", NULL, "F=ac", "F=abbc"));
    values("F: '*'", VALUES("F=x", "F=", NULL, "F", "G=x"));
    values("F: 'a\\*c'", VALUES("F=a*c", NULL, "F=abc"));
    values("F: 'a\\\\*c'", VALUES("F=a\\c", "F=a\\xxc", NULL, "F=axc"));
    values("F: 'a\\b\\\\c'", VALUES("F=a\\b\\c", NULL, "F=abc"));
    values("F: '*a*b*c*'", VALUES("F=abc", "F=xaybzcw", NULL, "F=acb"));
    values("F: ''", VALUES("F=", NULL, "F=x", "F", "G=x"));
    values("F: null", VALUES("F", "G=x", NULL, "F=", "F=x"));
    values("F: 10", VALUES("F=10", "F=10.0", NULL, "F=100", "F=x10", "F=0x0a"));
    values("F: '10'", VALUES("F=10", NULL, "F=10.0"));
    values("F: true", VALUES("F=true", "F=True", NULL, "F=1"));
    values("F: [a, 'b*']", VALUES("F=A", "F=bcd", "F=x;F=a", NULL, "F=c"));
}
END_TEST

START_TEST(modifiers_change_what_values_mean)
{
    values("F|contains: bc", VALUES("F=abcd", "F=BC", NULL, "F=b"));
    values("F|startswith: [ab, cd]", VALUES("F=abx", "F=CD", NULL, "F=xab"));
    values("F|endswith: '.sh'", VALUES("F=a.SH", NULL, "F=a.sh2"));
    values("F|contains: 'a*c'", VALUES("F=xabcx", NULL, "F=xcax"));
    values("F|contains|all: [x, y]", VALUES("F=axby", NULL, "F=ax", "F=y"));
    values("F|contains|cased: Ab", VALUES("F=xAbx", NULL, "F=xabx"));
    values("F|neq: a", VALUES("F=b", "G=a", NULL, "F=A"));
    values("F|exists: true", VALUES("F=", "F", "F=x", NULL, "G=x"));
    values("F|exists: false", VALUES("G=x", NULL, "F=x"));
    values("F|re: '^a.c$'", VALUES("F=abc", NULL, "F=aBcd", "F=ABC"));
    values("F|re|i: 'b+'", VALUES("F=xBBx", NULL, "F=x"));
    values("F|cidr: 10.1.0.0/18", VALUES("F=10.1.63.255", NULL, "F=10.1.64.0", "F=x", "F=::1"));
    values("F|cidr: ['2001:db8::/33', '192.0.2.1/32']", VALUES("F=2001:db8:7fff::1", "F=192.0.2.1", NULL, "F=2001:db8:8000::1", "F=192.0.2.2"));
    values("F|gt: 5", VALUES("F=6", "F=5.5", NULL, "F=5", "F=x", "F="));
    values("F|gte: 5", VALUES("F=5", NULL, "F=4.9"));
    values("F|lt: -1", VALUES("F=-2", NULL, "F=-1"));
    values("F|lte: 1.5", VALUES("F=1.5", NULL, "F=2"));
    values("F|base64: 'foo'", VALUES("F=Zm9v", NULL, "F=foo"));
    values("F|base64offset|contains: 'foobar'", VALUES("F=Zm9vYmFy", "F=IGZvb2Jhcg==", "F=ICBmb29iYXI=", NULL, "F=foobar"));
    values("F|wide|base64offset|contains: 'ping'", VALUES("F=cABpAG4AZwA=", NULL, "F=cGluZw=="));
    values("F|contains|windash: ' -c '", VALUES("F=x -c y", "F=x /c y", "F=x \u2014c y", NULL, "F=x c y", "F=x -cc y"));
    values("F|windash|contains: '-a -b'", VALUES("F=-a -b", "F=/a /b", "F=-a /b", NULL, "F=-a"));
    values("F|fieldref: G", VALUES("F=a;G=A", NULL, "F=a;G=b", "F=a"));
    values("F|fieldref|neq: G", VALUES("F=a;G=b", "F=a", NULL, "F=a;G=A"));
    values("F|fieldref|contains: G", VALUES("F=xaby;G=AB", "F=ab;G=ab", "F=a;G=", NULL, "F=axb;G=ab", "F=a;G=ab", "F=a", "F;G=a"));
    values("F|fieldref|startswith: G", VALUES("F=abx;G=AB", NULL, "F=xab;G=ab", "F=a;G=ab"));
    values("F|fieldref|endswith: [G, H]", VALUES("F=xab;G=AB", "F=xc;G=ab;H=c", NULL, "F=abx;G=ab", "F=b;G=ab"));
    values("F|hour: 10", VALUES("F=2026-01-31T10:20:30Z", NULL, "F=2026-01-31T11:20:30Z", "F=10"));
    values("F|week|gte: 5", VALUES("F=2026-01-31", NULL, "F=2026-01-18"));
}
END_TEST

START_TEST(all_wants_one_variant_of_each_value)
{
    values("F|contains|all|windash: [' -a', ' -b']", VALUES("F=x -a -b", "F=x /b -a", "F= /a /b", NULL, "F=x -a /a", "F= -b", "F=ab"));
    values("F|windash|contains|all: ['-a', x]", VALUES("F=/a x", "F=x-a", NULL, "F=-a", "F=x"));
    values("F|base64offset|contains|all: [foobar, 'ping ']", VALUES("F=Zm9vYmFycGluZyA=", NULL, "F=Zm9vYmFy", "F=cGluZyA="));
    values("F|contains|all|windash|neq: [' -a', ' -b']", VALUES("F= -a", NULL, "F= /a -b"));
    refused("  s:\n    F|contains|all|windash: -a\n  condition: s", "all of one value");
}
END_TEST

START_TEST(maps_are_all_lists_are_any)
{
    expect("  s:\n    A: 1\n    B: 2\n  condition: s", "A=1;B=2", true);
    expect("  s:\n    A: 1\n    B: 2\n  condition: s", "A=1;B=3", false);
    expect("  s:\n    - A: 1\n    - B: 2\n      C: 3\n  condition: s", "B=2;C=3", true);
    expect("  s:\n    - A: 1\n    - B: 2\n      C: 3\n  condition: s", "B=2", false);
    expect("  s:\n    - evil\n    - 'x -n'\n  condition: s", "A=1;B=is EVIL", true);
    expect("  s:\n    '|all':\n      - evil\n      - bad\n  condition: s", "A=evil;B=bad", true);
    expect("  s:\n    '|all':\n      - evil\n      - bad\n  condition: s", "A=evil", false);
}
END_TEST

START_TEST(conditions_have_their_order)
{
#define THREE "  a:\n    A: 1\n  b:\n    B: 1\n  _c:\n    C: 1\n  condition: "
    expect(THREE "a or b and _c", "A=1", true);
    expect(THREE "(a or b) and _c", "A=1", false);
    expect(THREE "a and not b", "A=1", true);
    expect(THREE "not (a or b)", "C=1", true);
    expect(THREE "not a or b", "A=1;B=1", true);
    expect(THREE "1 of them", "C=1", false);
    expect(THREE "all of them", "A=1;B=1", true);
    expect(THREE "1 of _*", "C=1", true);
    expect(THREE "all of a* AND b", "A=1;B=1", true);
    expect(THREE "\n    - a\n    - b", "B=1", true);
    refused(THREE "a and", "ends too early");
    refused(THREE "(a or b", ") is lacking");
    refused(THREE "a b", "goes on with b");
    refused(THREE "nobody", "names nobody");
    refused(THREE "1 of x*", "names x*");
    refused(THREE "a | count() > 5", "correlation");
}
END_TEST

START_TEST(placeholders_stand_for_the_values_that_the_rule_names)
{
#define PLACES(item) "  s:\n    " item "\n  condition: s\nplaceholders:\n  who: [ada, 'e*e']\n  one: 7"
    expect(PLACES("F|expand: '%who%'"), "F=ada", true);
    expect(PLACES("F|expand: '%who%'"), "F=eXXe", true);
    expect(PLACES("F|expand: '%who%'"), "F=adam", false);
    expect(PLACES("F|expand: ['%one%', x]"), "F=x", true);
    expect(PLACES("F|expand: ['%one%', x]"), "F=7", true);
    expect(PLACES("F|contains|expand: 'a%one%-%who%b'"), "F=za7-adabz", true);
    expect(PLACES("F|contains|expand: 'a%one%-%who%b'"), "F=a7-ab", false);
    expect(PLACES("F|expand|re: '^(%who%)$'"), "F=ada", true);
    expect(PLACES("F|expand: '\\%who%one%'"), "F=%who7", true);
    expect(PLACES("F|expand: '50%'"), "F=50%", true); /* one percent is none */
    expect(PLACES("F: '%who%'"), "F=%who%", true);   /* nor is any without the modifier */
    expect(PLACES("'|expand': '%who%'"), "G=to ada now", true);
    expect("  s:\n    F|expand: 7\n  condition: s", "F=7", true);
}
END_TEST

START_TEST(what_is_not_understood_is_refused_with_the_reason)
{
    refused("  s:\n    F|contains|fieldref: G\n  condition: s", "fieldref does not go with what stands before it");
    refused("  s:\n    F|startswith|re: x\n  condition: s", "re does not go with what stands before it");
    refused("  s:\n    F|nonsense: x\n  condition: s", "no modifier nonsense");
    refused("  s:\n    F|expand: '%x%'\n  condition: s", "%x% stands for nothing");
    refused("  s:\n    F|expand: '%x%'\n  condition: s\nplaceholders: {x: {}}", "a list of texts");
    refused("  s:\n    F|expand: '%x%'\n  condition: s\nplaceholders: {x: []}", "empty list");
    refused("  s:\n    F|expand: '%x%'\n  condition: s\nplaceholders: [x]", "a map");
    refused("  s:\n    F|expand: '%x%%x%%x%%x%%x%%x%%x%'\n  condition: s\nplaceholders: {x: [a, b, c]}", "1000 values");
    refused("  s:\n    F|re: '('\n  condition: s", "regular expression");
    refused("  s:\n    F|cidr: 300.1.1.1/8\n  condition: s", "no network");
    refused("  s:\n    F|cidr: 10.0.0.0/33\n  condition: s", "no network");
    refused("  s:\n    F|gt: x\n  condition: s", "a number is wanted");
    refused("  s:\n    F|exists: maybe\n  condition: s", "true or false");
    refused("  s:\n    F|contains|all: x\n  condition: s", "all of one value");
    refused("  s:\n    F|base64: 'a*'\n  condition: s", "stars");
    refused("  s:\n    F|base64|windash: '-a'\n  condition: s", "before an encoding");
    refused("  s:\n    F|base64|re: 'a'\n  condition: s", "does not go with");
    refused("  s:\n    F: {}\n  condition: s", "neither a value nor a list");
    refused("  s:\n    F: []\n  condition: s", "empty list");
    refused("  s: {}\n  condition: s", "empty");
    refused("  s:\n    F: x\n", "no condition");
    refused("  s:\n    F: x\n  timeframe: 5m\n  condition: s", "correlation");
    ck_assert_ptr_nonnull(strstr(rules_of("title: x\nlogsource: {product: a}\n").reasons[0], "no detection"));
    ck_assert_ptr_nonnull(strstr(rules_of("title: x\ndetection: {s: {a: 1}, condition: s}\n").reasons[0], "no logsource"));
    ck_assert_ptr_nonnull(strstr(rules_of("- a\n- b\n").reasons[0], "no rule"));
    ck_assert_ptr_nonnull(strstr(rules_of("title: x\ncorrelation: {type: event_count}\n").reasons[0], "correlation"));
}
END_TEST

START_TEST(documents_stand_for_themselves)
{
    struct taken taken = rules_of(arena_format(&arena, "%s\n---\ntitle: y\n---\n%s", rule_of("  s:\n    A: 1\n  condition: s"),
                                           rule_of("  s:\n    A: 2\n  condition: s")));
    struct problem why;

    ck_assert_uint_eq(taken.count, 2);
    ck_assert_uint_eq(taken.refused, 1);
    ck_assert_int_eq(sigma_parse(TEXT("title: [\n"), &arena, take, &taken, &why), STATUS_REJECT);
    ck_assert_ptr_nonnull(strstr(why.text, "line"));
}
END_TEST

/* An alias may stand for a list of aliases, and so on; an expression may try all ways. */
START_TEST(rules_that_are_built_to_blow_up_are_bounded)
{
    char *yaml = arena_string(&arena, text_of("  a0: &a0 [{A: 1}, {A: 2}]\n"));

    for (int i = 1; i < 40; i++)
        yaml = arena_format(&arena, "%s  a%d: &a%d [*a%d, *a%d, *a%d]\n", yaml, i, i, i - 1, i - 1, i - 1);
    refused(arena_format(&arena, "%s  condition: a0", yaml), "more than");
    expect("  s:\n    F|re: '^(a+)+$'\n  condition: s", "F=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false);
    expect("  s:\n    F|re: '(x+x+)+y'\n  condition: s", "F=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", false);
    expect("  s:\n    F: '*a*a*a*a*a*a*a*a*a*a*a*a*b'\n  condition: s", "F=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false);
    refused("  s:\n    F|windash: '-a -b -c -d -e -f -g -h'\n  condition: s", "variants");
}
END_TEST

START_TEST(what_matched_is_told)
{
    struct taken taken = rules_of(rule_of("  s:\n    A|contains: [x, y]\n    B: 1\n  f:\n    C: 1\n  condition: s and not f"));
    const struct sigma_event event = event_of("B=1;A=xyz");
    struct sigma_found found[SIGMA_FOUND_MAX];
    size_t count = 0;

    ck_assert(sigma_match(taken.rules[0], &event, found, &count));
    ck_assert_uint_eq(count, 2);
    ck_assert(text_equal(found[0].field->name, TEXT("A")) && text_equal(found[0].clause->printed, TEXT("A contains 'x'")));
    ck_assert(text_equal(found[1].field->name, TEXT("B")) && text_equal(found[1].clause->printed, TEXT("B is '1'")));
    sigma_rule_done(taken.rules[0]);
}
END_TEST

/* ---- many at once ---- */

static uint32_t dice_state;

static unsigned dice(unsigned sides)
{
    dice_state = dice_state * 1664525 + 1013904223; /* Numerical Recipes */
    return (dice_state >> 8) % sides;
}

/* Words of a few letters, so that they overlap and lie within each other. */
static struct text word(unsigned letters, unsigned most)
{
    char *text = ARENA_ARRAY(&arena, char, most + 1);
    size_t count = 1 + dice(most);

    for (size_t i = 0; i < count; i++)
        text[i] = (char)((dice(4) ? 'a' : 'A') + (char)dice(letters));
    return (struct text){text, count};
}

struct ends {
    unsigned times[400];
};

static void ended(void *context, uint32_t needle)
{
    ((struct ends *)context)->times[needle]++;
}

START_TEST(needles_are_found_wherever_they_end)
{
    for (unsigned round = 0; round < 60; round++) {
        struct needles *needles = needles_new();
        struct text texts[400];
        size_t count = 0;
        dice_state = round;
        for (unsigned i = 0, wanted = 1 + dice(300); i < wanted; i++) {
            struct text text = word(2 + round % 5, 1 + round % 9);
            if (needles_add(needles, text) == count)
                texts[count++] = text;
        }
        ck_assert_uint_eq(needles_count(needles), count);
        needles_build(needles);
        for (unsigned i = 0; i < 20; i++) {
            struct text value = word(3 + round % 5, 120);
            struct ends found = {{0}};
            needles_scan(needles, value, ended, &found);
            for (size_t k = 0; k < count; k++) {
                unsigned times = 0;
                for (size_t at = 0; at + texts[k].count <= value.count; at++)
                    times += text_equal_nocase((struct text){value.bytes + at, texts[k].count}, texts[k]);
                ck_assert_msg(found.times[k] == times, "%.*s in %.*s: %u and not %u", TEXT_ARGS(texts[k]), TEXT_ARGS(value), found.times[k], times);
            }
        }
        needles_free(needles);
    }
}
END_TEST

static void tell(void *context, size_t rule, const struct sigma_found *found, size_t count)
{
    const char **said = context;

    *said = arena_format(&arena, "%s%zu(%zu%s) ", *said, rule, count, count && found[0].field ? "f" : "");
}

/* The set passes rules over that cannot match; what is left has to be what each rule by itself says. */
START_TEST(a_set_says_what_each_rule_says)
{
    static const char *const detections[] = {
        "  s:\n    A: aba\n  condition: s",
        "  s:\n    A|contains: [abc, bca]\n    B|endswith: cab\n  condition: s",
        "  s:\n    A|contains|all: [abb, bac]\n  f:\n    B|contains: aa\n  condition: s and not f",
        "  s:\n    A: 'ab*cb?a*'\n  condition: s",
        "  s:\n    A|contains: a\n  condition: s",
        "  s:\n    A|re: 'a[bc]+a'\n    B|contains: bbb\n  condition: s",
        "  s:\n    A|re|i: '^abc'\n  condition: s",
        "  s:\n    A: null\n  condition: s",
        "  s: [acac, baba]\n  condition: s",
        "  s:\n    A|contains: cba\n  t:\n    B|startswith: aab\n  u:\n    B: bbc\n  condition: 1 of s or (t and not u)",
        "  s:\n    A|contains: accc\n  condition: not s",
        "  s:\n    A|cased|contains: ABA\n  condition: s",
        "  s:\n    A|fieldref: B\n  condition: s",
        "  s:\n    - A|startswith: caa\n    - B|exists: false\n  condition: s",
        "  s:\n    A|contains: [aaaa, a]\n    B|contains: [cccc, bbbb]\n  condition: s",
    };
    enum { COUNT = sizeof detections / sizeof *detections };
    const struct sigma_rule *rules[COUNT];
    unsigned matches = 0;

    for (size_t i = 0; i < COUNT; i++) {
        struct taken taken = rules_of(rule_of(detections[i]));
        ck_assert_msg(taken.count == 1, "%s: %s", detections[i], taken.refused ? taken.reasons[0] : "");
        rules[i] = taken.rules[0];
    }
    struct sigma_set *set = sigma_set_new(rules, COUNT);
    struct sigma_scratch *scratch = sigma_scratch_new(set);
    ck_assert_uint_eq(sigma_set_always(set), 7); /* short texts alone, null, a lone expression, not, fieldref, exists */
    dice_state = 7;
    for (unsigned round = 0; round < 3000; round++) {
        struct sigma_field fields[3] = {{TEXT("A"), word(3, 14)}, {TEXT("B"), word(3, 10)}, {TEXT("A"), word(3, 6)}};
        const struct sigma_event event = {fields + dice(2), 1 + dice(2)};
        const char *together = "", *apart = "";
        sigma_set_match(set, scratch, &event, tell, &together);
        for (size_t i = 0; i < COUNT; i++) {
            struct sigma_found found[SIGMA_FOUND_MAX];
            size_t count;
            if (sigma_match(rules[i], &event, found, &count)) {
                tell(&apart, i, found, count);
                matches++;
            }
        }
        ck_assert_msg(strcmp(together, apart) == 0, "A=%.*s B=%.*s: %s and not %s", TEXT_ARGS(fields[0].value), TEXT_ARGS(fields[1].value), together, apart);
    }
    ck_assert_uint_gt(matches, 3000);
    sigma_scratch_free(scratch);
    sigma_set_free(set);
    for (size_t i = 0; i < COUNT; i++)
        sigma_rule_done(rules[i]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        values_are_patterns_without_case,
        modifiers_change_what_values_mean,
        all_wants_one_variant_of_each_value,
        maps_are_all_lists_are_any,
        conditions_have_their_order,
        placeholders_stand_for_the_values_that_the_rule_names,
        what_is_not_understood_is_refused_with_the_reason,
        documents_stand_for_themselves,
        rules_that_are_built_to_blow_up_are_bounded,
        what_matched_is_told,
        needles_are_found_wherever_they_end,
        a_set_says_what_each_rule_says,
    };
    const struct check_suite suite = {"detect/sigma", tests, sizeof tests / sizeof *tests, setup, teardown, 60};
    return check_main(&suite);
}
