#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check_main.h"
#include "tests/support/database.h"
#include "tests/support/program.h"

/* KQL beside those who know it: answers that were recorded, Microsoft's own parser, published queries. What is compared and
 * how stands in tests/kql/. The larger collections lie beside the checkout; without them the smaller ones here count. */

#define SAMPLES "../shared/samples"
#define TIME_LIMIT_S 400

static struct buf output;

static void setup(void)
{
    buf_init(&output, 4 << 20);
}

static void teardown(void)
{
    buf_done(&output);
}

/* Runs a script of tests/kql/ and insists that it ends with 0. */
static void script_holds(const char *script, const char *const *arguments)
{
    char python[512], path[512], picket[512];
    const char *all[16] = {path, picket};
    size_t count = 2;

    snprintf(python, sizeof python, "%s/python/bin/python", program_build_root());
    snprintf(path, sizeof path, "%s/../tests/kql/%s", program_build_root(), script);
    snprintf(picket, sizeof picket, "%s/picket", program_build_path());
    for (; *arguments; arguments++)
        all[count++] = *arguments;
    buf_clear(&output);
    int code = program_run(python, all, NULL, &output);
    ck_assert_msg(code == 0, "%s ended with %d:\n%s", script, code, output.count ? output.bytes : "");
}

/* Whether published content lies beside the project; a test that goes without it says so. */
static bool lies_beside(const char *path, const char *what)
{
    bool there = access(path, R_OK) == 0;

    if (!there)
        fprintf(stderr, "skipped: %s is not there: %s\n", path, what);
    return there;
}

START_TEST(answers_are_those_that_are_known)
{
    script_holds("cases.py", (const char *const[]){database_conninfo(), "tests/kql/cases.jsonl", NULL});
    ck_assert_ptr_nonnull(strstr(output.bytes, "refused 0, differ 0"));
}
END_TEST

START_TEST(recorded_answers_are_given_or_refused)
{
    /* The recording ends in 0.30000000000000007, where doubles say 4; the others print cells, not values, or any row. */
    static const char judged[] =
        "kustainer/type-casts-coercion/0847,babykusto/BuiltIns_Log2,babykusto/Join_LeftOuterJoin1,docs/query/array-iff-function#2,"
        "docs/query/bag-zip#2,docs/query/bag-zip#4,docs/query/bag-zip#5,docs/query/bag-unpack-plugin#4,"
        "docs/query/base64-decode-toguid-function#1,docs/query/indexof-function#1,docs/query/join-innerunique#3,"
        "docs/query/parse-path-function#1,"
        "docs/query/parse-url-function#1,docs/query/parse-where-operator#4,"
        "docs/query/range-function#4,"
        "docs/query/replace-string-function#2,docs/query/series-acos-function#1,docs/query/series-asin-function#1,"
        "docs/query/series-cos-function#1,docs/query/series-tan-function#1,docs/query/trim-end-function#3,"
        "docs/query/trim-function#3,docs/query/trim-start-function#1,docs/query/trim-start-function#3,"
        "docs/query/variancepif-aggregation-function#1";

    if (!lies_beside(SAMPLES "/kql-conformance.jsonl", "recorded answers are not compared"))
        return;
    script_holds("cases.py", (const char *const[]){database_conninfo(), SAMPLES "/kql-conformance.jsonl", "--judged", judged, NULL});
}
END_TEST

START_TEST(published_queries_compile)
{
    if (lies_beside(SAMPLES "/kql/manifest.jsonl", "published queries are not compiled"))
        script_holds("corpora.py", (const char *const[]){SAMPLES "/kql", NULL});
}
END_TEST

START_TEST(published_iot_rules_fire_on_what_they_look_for_alone)
{
    if (lies_beside(SAMPLES "/kql/iot", "IoT rules are not run"))
        script_holds("fires.py", (const char *const[]){database_conninfo(), SAMPLES "/kql", NULL});
}
END_TEST

START_TEST(microsofts_parser_takes_the_same_texts)
{
    bool beside = lies_beside(SAMPLES "/kql/manifest.jsonl", "the two parsers are compared on the project's own cases alone");
    unsigned agreed, all;

    script_holds("agreement.py", beside ? (const char *const[]){"tests/kql/cases.jsonl", SAMPLES "/kql-conformance.jsonl",
                                                               SAMPLES "/kql/workbook-queries.jsonl", SAMPLES "/kql/community-queries.jsonl",
                                                               SAMPLES "/kql/rules", SAMPLES "/kql/iot", SAMPLES "/kql/parsers", NULL}
                                        : (const char *const[]){"tests/kql/cases.jsonl", NULL});
    const char *last = strstr(output.bytes, "\nagree ");
    ck_assert_int_eq(sscanf(last ? last + 1 : output.bytes, "agree %u of %u", &agreed, &all), 2);
    ck_assert_msg(agreed * 100.0 >= all * (beside ? 99.0 : 97.0), "%s", output.bytes);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        answers_are_those_that_are_known,
        recorded_answers_are_given_or_refused,
        published_queries_compile,
        published_iot_rules_fire_on_what_they_look_for_alone,
        microsofts_parser_takes_the_same_texts,
    };

    database_start(DATABASE_FAST);
    return check_main(&(const struct check_suite){.name = "pipeline/kql_oracles",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof tests[0],
                                                  .setup = setup,
                                                  .teardown = teardown,
                                                  .timeout_seconds = TIME_LIMIT_S});
}
