#include <string.h>

#include "kql/kql.h"
#include "tests/support/check_main.h"

/* Which questions are answered from rows that were added up, and which cannot be. That the answers are the same is shown
 * on the database: query/test_questions. */
static struct arena arena;
static struct catalog *catalog;

static void setup(void)
{
    struct catalog_column columns[] = {
        {.name = TEXT("TimeGenerated"), .type = TYPE_DATETIME, .storage = KQL_TIMESTAMPTZ, .sql = TEXT("at")},
        {.name = TEXT("Name"), .type = TYPE_STRING, .sql = TEXT("name")},
        {.name = TEXT("Hits"), .type = TYPE_LONG, .sql = TEXT("hits")},
        {.name = TEXT("Device"), .type = TYPE_STRING, .sql = TEXT("device")},
    };
    struct catalog_column added[] = {
        {.name = TEXT("TimeGenerated"), .type = TYPE_DATETIME, .storage = KQL_TIMESTAMPTZ, .sql = TEXT("hour")},
        {.name = TEXT("Name"), .type = TYPE_STRING, .sql = TEXT("name")},
        {.name = TEXT("_count"), .type = TYPE_LONG, .sql = TEXT("n")},
        {.name = TEXT("_sum_Hits"), .type = TYPE_DECIMAL, .sql = TEXT("hits")},
        {.name = TEXT("_max_TimeGenerated"), .type = TYPE_DATETIME, .storage = KQL_TIMESTAMPTZ, .sql = TEXT("last")},
    };
    const struct catalog_table rollup = {.name = TEXT("_T"), .columns = added, .count = 5, .sql = TEXT("added_up")};
    const struct catalog_table table = {
        .name = TEXT("T"), .columns = columns, .count = 4, .sql = TEXT("raw"), .rollup = &rollup};

    arena_init(&arena);
    catalog = catalog_new();
    catalog_add_table(catalog, &table);
}

static void teardown(void)
{
    catalog_free(catalog);
    arena_done(&arena);
}

static const char *sql_of(const char *source)
{
    const struct kql_options options = {.now_ticks = INT64_C(638000000000000000)};
    struct bound_query *query;
    struct kql_diagnostic wrong;
    struct kql_sql *sql = NULL;

    ck_assert_msg(!kql_bind(text_of(source), catalog, &options, &arena, &query, &wrong), "%s: %s", source, wrong.message);
    ck_assert_msg(!kql_emit(query, "kql", &arena, &sql, &wrong), "%s: %s", source, wrong.message);
    return arena_string(&arena, sql->sql);
}

static unsigned reads(const char *sql, const char *table)
{
    const char *from = arena_format(&arena, " FROM %s ", table);
    unsigned count = 0;

    while ((sql = strstr(sql, from))) {
        sql++;
        count++;
    }
    return count;
}

/* How often the statement reads rows added up, and rows as they are. */
static void expect(const char *source, unsigned added_up, unsigned raw)
{
    const char *sql = sql_of(source);

    ck_assert_msg(reads(sql, "added_up") == added_up && reads(sql, "raw") == raw, "%s\n  reads %u and %u\n  %s", source,
                  reads(sql, "added_up"), reads(sql, "raw"), sql);
}

START_TEST(whole_hours_come_from_rows_added_up)
{
    expect("T | count", 1, 0);
    expect("T | distinct Name", 1, 0);
    expect("T | summarize count() by Name, bin(TimeGenerated, 1h)", 1, 0);
    expect("T | where Timestamp >= datetime(2022-01-01) | summarize count() by Name", 1, 0);
    expect("T | where datetime(2022-01-01) <= TimeGenerated and TimeGenerated < datetime(2022-02-01) | count", 1, 0);
    expect("T | extend Hour = bin(TimeGenerated, 6h), Kind = toupper(Name) | where Kind has 'A' | summarize sum(Hits), max(TimeGenerated) by Hour, Kind",
           1, 0);
    expect("T | summarize n = countif(Name == 'a'), share = round(100.0 * countif(Name == 'b') / count(), 2), dcount(Name) by startofweek(TimeGenerated)",
           1, 0);
    expect("T | project At = TimeGenerated, N = Name | summarize count() by N, hourofday(At)", 1, 0);
    expect("let f = (name:string) { T | where Name == name }; f('a') | count", 1, 0);
    expect("T | where Name in (toscalar(T | take 1 | project Name)) | count", 1, 1);
    expect("T | where Device == 'x' | count | union (T | count)", 1, 1);
}
END_TEST

START_TEST(the_hours_at_the_ends_come_from_the_rows_themselves)
{
    expect("T | where TimeGenerated > ago(30d) | summarize count() by Name, bin(TimeGenerated, 1d)", 1, 1);
    expect("T | where TimeGenerated between (datetime(2022-01-01T00:30) .. datetime(2022-01-02T00:30)) | count", 1, 2);
    expect("T | where TimeGenerated between (datetime(2022-01-01T00:00) .. datetime(2022-01-02T00:00)) | count", 1, 1);
    expect("T | where TimeGenerated > datetime(2022-01-01T00:10) | where TimeGenerated < datetime(2022-01-01T02:00) and Name != '' | count", 1, 1);
    /* No hour is whole. */
    expect("T | where TimeGenerated between (datetime(2022-01-01T00:30) .. datetime(2022-01-01T01:45)) | count", 0, 1);
    expect("T | where TimeGenerated < datetime(2022-01-01) and TimeGenerated > datetime(2022-01-02) | count", 0, 1);
}
END_TEST

START_TEST(what_the_rows_added_up_do_not_tell_is_not_asked_of_them)
{
    static const char *const raw[] = {
        "T | summarize count() by Device",
        "T | where Device == 'x' | count",
        "T | summarize count() by TimeGenerated",
        "T | summarize count() by bin(TimeGenerated, 30m)",
        "T | summarize count() by bin(TimeGenerated, 90m)",
        "T | summarize count() by bin(TimeGenerated - 10m, 1h)",
        "T | summarize count() by format_datetime(TimeGenerated, 'HH:mm')",
        "T | summarize count() by datetime_part('minute', TimeGenerated)",
        "T | summarize min(TimeGenerated)",
        "T | summarize max(Hits)",
        "T | summarize avg(Hits)",
        "T | summarize sum(Hits * 2)",
        "T | summarize sum(strlen(Name))",
        "T | summarize countif(Hits > 1)",
        "T | summarize countif(TimeGenerated > ago(1h))",
        "T | summarize dcount(Device) by Name",
        "T | summarize make_list(Name)",
        "T | summarize percentile(strlen(Name), 50)",
        "T | where TimeGenerated > ago(1d) or Name == 'a' | count",
        "T | where TimeGenerated != datetime(2022-01-01) | count",
        "T | where TimeGenerated > ago(strlen(Name) * 1h) | count",
        "T | take 10 | count",
        "T | order by TimeGenerated asc | extend n = row_number() | summarize count() by n",
        "T | where rand() < 0.5 | count",
        "T | extend id = new_guid() | summarize count() by id",
    };

    for (size_t i = 0; i < sizeof raw / sizeof *raw; i++)
        expect(raw[i], 0, 1);
    expect("T | summarize arg_max(TimeGenerated, *) by Name", 0, 2);
}
END_TEST

/* A catalog outlives the request that it was read by. */
START_TEST(a_catalog_keeps_no_text_that_is_not_its_own)
{
    char texts[6][8] = {"V", "Body", "body", "parsed", "words", "view"};
    struct catalog_column column = {
        .name = text_of(texts[1]), .type = TYPE_STRING, .sql = text_of(texts[2]), .parsed_sql = text_of(texts[3]), .words_sql = text_of(texts[4])};
    const struct catalog_table table = {.name = text_of(texts[0]), .columns = &column, .count = 1, .sql = text_of(texts[5])};

    catalog_add_table(catalog, &table);
    memset(texts, '?', sizeof texts);
    const char *sql = sql_of("V | where Body has 'one' | extend n = parse_json(Body).n | project n");
    ck_assert_msg(!strchr(sql, '?') && strstr(sql, "parsed AS") && strstr(sql, "words AS") && reads(sql, "view") == 1, "%s", sql);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        whole_hours_come_from_rows_added_up,
        the_hours_at_the_ends_come_from_the_rows_themselves,
        what_the_rows_added_up_do_not_tell_is_not_asked_of_them,
        a_catalog_keeps_no_text_that_is_not_its_own,
    };
    const struct check_suite suite = {"kql/rollup", tests, sizeof tests / sizeof *tests, setup, teardown, 30};
    return check_main(&suite);
}
