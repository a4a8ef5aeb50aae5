#include "kql/kql.h"
#include "tests/support/check_main.h"

/* What columns a query gives, and what is refused by which name. Expected names and types are those that Microsoft's
 * analyzer gives. */
static struct arena arena;
static struct catalog *catalog;

static void setup(void)
{
    static const char *const tables[] = {
        "Events(TimeGenerated:datetime, Device:string, Count:long, Port:int, Share:real, Details:dynamic, Id:guid)",
        "Devices(Device:string, Site:string, Count:string)",
    };
    struct kql_diagnostic wrong;
    struct problem why;

    arena_init(&arena);
    catalog = catalog_new();
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        ck_assert_int_eq(catalog_add_declared(catalog, text_of(tables[i]), &why), STATUS_OK);
    ck_assert_int_eq(catalog_add_function(catalog, TEXT("Busy"), TEXT("(least:long=10)"),
                                          TEXT("Events | where Count > least"), &wrong),
                     STATUS_OK);
    ck_assert_int_eq(
        catalog_add_function(catalog, TEXT("Broken"), TEXT_NONE, TEXT("Events | where Nothing > 1"), &wrong),
        STATUS_OK);
    ck_assert_int_eq(catalog_add_function(catalog, TEXT("Nine"), TEXT_NONE,
                                          TEXT("                                        'nine'"), &wrong),
                     STATUS_OK);
    ck_assert_int_eq(catalog_add_function(catalog, TEXT("Again"), TEXT_NONE, TEXT("Again | take 1"), &wrong),
                     STATUS_OK);
}

static void teardown(void)
{
    catalog_free(catalog);
    arena_done(&arena);
}

/* "a:long b:string" of the last result, or "code at place: message". */
static const char *bound(const char *source)
{
    const struct kql_options options = {.now_ticks = 1};
    struct bound_query *query;
    struct kql_diagnostic wrong;
    const char *out = "";

    if (kql_bind(text_of(source), catalog, &options, &arena, &query, &wrong))
        return arena_format(&arena, "%s at %u: %s", wrong.code, wrong.place.at, wrong.message);
    while (query->next)
        query = query->next;
    for (unsigned i = 0; i < query->rows->count; i++)
        out = arena_format(&arena, "%s%s%.*s:%s", out, i ? " " : "", TEXT_ARGS(query->rows->columns[i]->name),
                           kql_type_name(query->rows->columns[i]->type));
    return out;
}

static void expect(const char *source, const char *columns)
{
    const char *found = bound(source);

    ck_assert_msg(strcmp(found, columns) == 0, "%s\n  gives  %s\n  wanted %s", source, found, columns);
}

static void refused(const char *source, const char *beginning)
{
    const char *found = bound(source);

    ck_assert_msg(strncmp(found, beginning, strlen(beginning)) == 0, "%s\n  gives  %s\n  wanted %s", source,
                  found, beginning);
}

START_TEST(columns_are_named_after_what_they_are_made_of)
{
    expect(
        "Events | summarize count(), sum(Count), dcount(Device), make_set(Port), countif(Count > 1) by bin(TimeGenerated, 1h)",
        "TimeGenerated:datetime count_:long sum_Count:long dcount_Device:long set_Port:dynamic countif_:long");
    expect("Events | summarize by tostring(Details.a.b), Device", "Details_a_b:string Device:string");
    expect("Events | project tolong(Details['x']), Count + 1, strrep(Device, 2)",
           "Details_x:long Column1:long Column2:string");
    expect("print 1, x = 2, now()", "print_0:long x:long print_2:datetime");
    expect("Events | summarize percentile(Share, 95), percentiles(Count, 5, 50)",
           "percentile_Share_95:real percentile_Count_5:long percentile_Count_50:long");
    expect("Events | count", "Count:long");
}
END_TEST

START_TEST(arithmetic_comes_to_the_wider_type)
{
    expect(
        "Events | project a = Port + Port, b = Count * 1.5, c = 1d / 1h, d = TimeGenerated - TimeGenerated, e = Details.n + 1",
        "a:long b:real c:real d:timespan e:long");
    expect("print a = iff(true, 1, 2.5), b = case(true, 'x', 'y'), c = coalesce(int(null), 5)",
           "a:real b:string c:long");
    expect("print a = 7 / 2, b = decimal(1) + 1, c = ago(1d), d = -1h",
           "a:long b:decimal c:datetime d:timespan");
}
END_TEST

START_TEST(operators_show_the_columns_that_kusto_shows)
{
    expect("Events | extend Device = 5 | project-away T*, Details, Id",
           "Device:long Count:long Port:int Share:real");
    expect("Events | project-rename When = TimeGenerated | project-keep When, C*",
           "When:datetime Count:long");
    expect("Events | project-reorder Share, D* | getschema | project ColumnName", "ColumnName:string");
    expect("Events | project Device, Count | join (Devices) on Device",
           "Device:string Count:long Device1:string Site:string Count1:string");
    expect("Events | project Device | join kind=leftanti Devices on $left.Device == $right.Site",
           "Device:string");
    expect("Events | project Device, Count | lookup Devices on Device",
           "Device:string Count:long Site:string Count1:string");
    expect("Events | project Device, Count | union withsource=T Devices",
           "T:string Device:string Count_long:long Count_string:string Site:string");
    expect("Events | project Details | mv-expand with_itemindex=i Details to typeof(long)",
           "Details:long i:long");
    expect("Events | project Device, Details | mv-apply d = Details on (summarize n = count())",
           "Device:string Details:dynamic n:long");
    expect("Events | project Device | parse Device with * 'a' n:long ',' rest",
           "Device:string n:long rest:string");
    expect("Events | summarize arg_max(TimeGenerated, Port, Share) by Device",
           "Device:string TimeGenerated:datetime Port:int Share:real");
    expect("Devices | summarize arg_max(Site, *) by Device", "Device:string Site:string Count:string");
    expect("datatable(a:long, b:string)[1, 'x'] | sort by a | extend n = row_number()",
           "a:long b:string n:long");
    expect("find in (Devices) where Count == '1'", "source_:string Device:string Site:string Count:string");
    expect("find in (Devices, Events) where Site == 'x' project Site:dynamic, pack(*)",
           "source_:string Site:dynamic pack_:dynamic");
    refused("find in (Devices) where Count == '1' project pack(*), Site", "semantic.arguments");
    expect("search in (Devices) 'pump'", "$table:string Device:string Site:string Count:string");
}
END_TEST

START_TEST(names_stand_for_values_rows_and_functions)
{
    expect("let n = 5; let T = Events | where Count > n; T | project Count", "Count:long");
    expect("let f = (x:long, y:string='a') { strcat_delim('-', y, x) }; print f(1)", "print_0:string");
    expect("let f = (T:(Device:string)) { T | project Device }; Events | invoke f()", "Device:string");
    expect("Busy | project Count", "Count:long");
    expect("Busy(3) | summarize max(Count)", "max_Count:long");
    expect("union isfuzzy=true Nowhere, (Devices | project Site)", "Site:string");
    expect("let x = toscalar(Events | summarize max(Count)); print x", "print_0:long");
    expect("Events | project Timestamp", "Timestamp:datetime"); /* as hunting queries call it */
    refused("let f = (x:long) { x }; print f('a')", "semantic.type at 32: x has to be a long");
    refused("let f = (x:long) { x }; print f()", "semantic.arguments at 30");
    refused("Again", "semantic.too_deep");
    refused("print true and Nine()", "semantic.type at 15"); /* the nine lies beyond the end of this text */
}
END_TEST

START_TEST(what_is_wrong_is_said_by_code_place_and_name)
{
    refused("Nowhere | take 1", "semantic.unknown_table at 0: there is no table Nowhere");
    refused("Events | where Nothing == 1", "semantic.unknown_column at 15: there is no column Nothing");
    refused("Events | extend a = frobnicate(1)",
            "semantic.unknown_function at 20: there is no function frobnicate()");
    refused("Events | scan with (step s: true;)", "unsupported.operator at 9: scan is not supported");
    refused("print geo_point_to_s2cell(1.0, 2.0)",
            "unsupported.function at 6: geo_point_to_s2cell() is not supported");
    refused("Broken | take 1", "semantic.unknown_column at 0: in Broken: there is no column Nothing");
    refused("Events | summarize by Details", "semantic.type at 22");
    refused("Events | sort by Details", "semantic.type at 17");
    refused("Events | project Count, Count", "semantic.duplicate_column at 24");
    refused("Events | extend a = Count + 1, b = a", "semantic.unknown_column at 35");
    refused("Events | extend n = row_number()", "semantic.serialize at 20");
    refused("Events | where Count", "semantic.type at 15");
    refused("Events | where sum(Count) > 1", "semantic.aggregate at 15");
    refused("print sum(1)", "semantic.aggregate at 6");
    refused("print row_number()", "semantic.serialize at 6");
    refused("Events | join Devices on Site",
            "semantic.unknown_column at 25: the left side has no column Site");
    refused("let a = 1;", "semantic.empty");
}
END_TEST

START_TEST(patterns_that_cannot_mean_the_same_are_refused)
{
    expect("Events | where Device matches regex @'^a[\\s\\S]+\\bx\\d{2}'", bound("Events"));
    refused("Events | where Device matches regex 'a(?=b)'", "semantic.regex at 36");
    refused("Events | extend a = extract('(a+?)(a*)(b|a.*c)+?', 1, Device)", "unsupported.regex");
    refused("Events | where Device matches regex '[a'", "semantic.regex");
    refused("Events | where Device matches regex 'a)(b'", "semantic.regex");
    refused("Events | where Device matches regex '(a'", "semantic.regex");
}
END_TEST

START_TEST(a_name_with_stars_is_found_in_one_way_or_another_and_soon)
{
    expect("Events | project-keep *i*e*", "TimeGenerated:datetime Device:string");
    expect("Events | project-keep D*, P*t", "Device:string Port:int Details:dynamic");
    expect("Events | project-away *e*, *o*", "Id:guid");
    expect("Events | project-keep *e*i*e*, **t", "Device:string Count:long Port:int");
    refused("union ****************************************************************************************************iT*", "semantic.");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        columns_are_named_after_what_they_are_made_of, arithmetic_comes_to_the_wider_type,
        operators_show_the_columns_that_kusto_shows,   names_stand_for_values_rows_and_functions,
        a_name_with_stars_is_found_in_one_way_or_another_and_soon,
        what_is_wrong_is_said_by_code_place_and_name,  patterns_that_cannot_mean_the_same_are_refused,
    };
    const struct check_suite suite = {"kql/bind", tests, sizeof tests / sizeof *tests, setup, teardown, 30};
    return check_main(&suite);
}
