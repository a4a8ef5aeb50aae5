#include "kql/functions.h"
#include "runtime/process.h"
#include "tests/support/check_main.h"

#include <stdio.h>
#include <stdlib.h>

/* The tables of signatures as such. */
static struct buf helpers;

static void setup(void)
{
    char path[4096];
    struct problem why;

    buf_init(&helpers, 1024 * 1024);
    snprintf(path, sizeof path, "%s/migrations/helpers/kql.sql", process_share_path());
    ck_assert_msg(process_read_file(path, 1024 * 1024, &helpers, &why) == STATUS_OK, "%s", why.text);
}

static void teardown(void)
{
    buf_done(&helpers);
}

static void expect_helper(const char *name, const char *at)
{
    char wanted[100];

    snprintf(wanted, sizeof wanted, "AGGREGATE kql.%.*s(", (int)strcspn(at, "("), at);
    bool there = strstr(helpers.bytes, wanted) != NULL;
    snprintf(wanted, sizeof wanted, "FUNCTION kql.%.*s(", (int)strcspn(at, "("), at);
    ck_assert_msg(there || strstr(helpers.bytes, wanted) != NULL, "%s calls what is not there: %s", name, wanted);
}

START_TEST(every_function_has_its_helpers)
{
    const struct kql_signatures *family;

    for (size_t i = 0; (family = signatures_at(i)); i++)
        for (size_t k = 0; k < family->count; k++)
            for (const char *at = family->rows[k].sql; (at = strchr(at, '@')); at++)
                expect_helper(family->rows[k].name, at + 1);
}
END_TEST

START_TEST(no_function_is_both_there_and_not_supported)
{
    const struct kql_signatures *family;

    for (size_t i = 0; (family = signatures_at(i)); i++)
        for (size_t k = 0; k < family->count; k++) {
            const struct kql_signature *row = &family->rows[k];
            ck_assert_msg(!function_is_known(text_of(row->name)) || strncmp(row->name, "series_", 7) == 0,
                          "%s", row->name);
        }
}
END_TEST

START_TEST(parameters_and_results_are_of_known_letters)
{
    const struct kql_signatures *family;

    for (size_t i = 0; (family = signatures_at(i)); i++)
        for (size_t k = 0; k < family->count; k++) {
            const struct kql_signature *row = &family->rows[k];
            ck_assert_msg(strspn(row->parameters, "bilrdstpgynmcxozSYRNGMTK?*+") == strlen(row->parameters),
                          "%s(%s)", row->name, row->parameters);
            ck_assert_msg(strlen(row->result) == 1 && strchr("bilrdstpgyw123", row->result[0]), "%s -> %s",
                          row->name, row->result);
            if (row->result[0] >= '1' && row->result[0] <= '3')
                ck_assert_uint_ge(strcspn(row->parameters, "?*+"), (size_t)(row->result[0] - '0'));
        }
}
END_TEST

START_TEST(rows_of_one_name_stand_together)
{
    const struct kql_signatures *family;
    const struct kql_signature *end;

    for (size_t i = 0; (family = signatures_at(i)); i++)
        for (size_t k = 0; k < family->count; k++) {
            const struct kql_signature *row = &family->rows[k];
            const struct kql_signature *first = signatures_find(family->kind, text_of(row->name), &end);
            ck_assert_msg(first <= row && row < end, "%s has rows apart from the others", row->name);
        }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        every_function_has_its_helpers,
        no_function_is_both_there_and_not_supported,
        parameters_and_results_are_of_known_letters,
        rows_of_one_name_stand_together,
    };
    const struct check_suite suite = {"kql/functions", tests,    sizeof tests / sizeof *tests,
                                      setup,           teardown, 30};
    return check_main(&suite);
}
