#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/check_main.h"
#include "tests/support/database.h"
#include "tests/support/program.h"

/* The real `picket kql check` and `picket kql run`, on files as people keep them. */

#define OUTPUT_MAX (1 << 20)

static char folder[64];
static struct buf output;

static void setup(void)
{
    buf_init(&output, OUTPUT_MAX);
    snprintf(folder, sizeof folder, "/tmp/picket-kql-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    program_run("/bin/rm", (const char *const[]){"-rf", folder, NULL}, NULL, NULL);
    buf_done(&output);
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

/* Runs it in a shell, so that names are those within the folder. */
static int check(const char *arguments)
{
    char line[512];

    snprintf(line, sizeof line, "cd %s && %s/picket kql check %s", folder, program_build_path(), arguments);
    buf_clear(&output);
    return program_run("/bin/sh", (const char *const[]){"-c", line, NULL}, NULL, &output);
}

static void expect_line(const char *line)
{
    ck_assert_msg(strstr(output.bytes ? output.bytes : "", line) != NULL, "%s\nis not in\n%s", line,
                  output.bytes ? output.bytes : "");
}

START_TEST(queries_of_all_kinds_of_files_give_their_columns)
{
    write_file("tables.txt", "# what there is\nT(a:long, b:string)\n\nU(['odd name']:datetime, c:real)\n");
    write_file("one.kql", "T | where a > 1\n| summarize n = count() by b");
    write_file("two.YAML", "id: x\nname: Two\nquery: |\n  T\n  | project a\n");
    write_file("three.jsonl",
               "{\"id\":\"q1\",\"query\":\"U | project c\"}\n{\"id\":\"q2\",\"query\":\"print 1\"}\n");
    ck_assert_int_eq(check("--schema tables.txt one.kql two.YAML three.jsonl"), 0);
    expect_line("{\"file\":\"one.kql\",\"id\":null,\"columns\":[{\"name\":\"b\",\"type\":\"string\"},"
                "{\"name\":\"n\",\"type\":\"long\"}]}\n");
    expect_line("{\"file\":\"two.YAML\",\"id\":null,\"columns\":[{\"name\":\"a\",\"type\":\"long\"}]}\n");
    expect_line(
        "{\"file\":\"three.jsonl\",\"id\":\"q1\",\"columns\":[{\"name\":\"c\",\"type\":\"real\"}]}\n");
    expect_line(
        "{\"file\":\"three.jsonl\",\"id\":\"q2\",\"columns\":[{\"name\":\"print_0\",\"type\":\"long\"}]}\n");
}
END_TEST

START_TEST(a_function_goes_by_each_of_its_names)
{
    write_file("tables.txt", "T(a:long, b:string)\n");
    char functions[128];
    snprintf(functions, sizeof functions, "%s/functions", folder);
    ck_assert_int_eq(mkdir(functions, 0700), 0);
    write_file("functions/Stem.yaml",
               "ParserName: Named\nEquivalentBuiltInParser: _Im_Named\nParserParams:\n"
               "  - Name: least\n    Type: int\n    Default: 1\n"
               "  - Name: like\n    Type: string\n    Default: '*'\n"
               "ParserQuery: |\n  T | where a > least and (like == '*' or b has like)\n");
    write_file("functions/Rows.yaml", "FunctionName: Rows\nFunctionParams:\n  - Name: R:(a:long)\n    Type: table\n"
                                      "FunctionQuery: |\n  R | project twice = 2 * a\n");
    write_file("functions/Bare.kql", "// Save it with the alias as Aliased.\nT | project b\n");
    write_file("functions/Broken.kql", "T | where (");
    write_file("q.jsonl",
               "{\"query\":\"Named(least=3) | project a\"}\n{\"query\":\"_Im_Named | project a\"}\n"
               "{\"query\":\"Stem(2, 'x') | project a\"}\n{\"query\":\"T | invoke Rows()\"}\n{\"query\":\"Aliased | project x = b\"}\n");
    ck_assert_int_eq(check("--schema tables.txt --functions functions q.jsonl functions/Stem.yaml"), 0);
    expect_line("left out: functions/Broken.kql");
    expect_line("\"columns\":[{\"name\":\"twice\",\"type\":\"long\"}]");
    expect_line("\"columns\":[{\"name\":\"x\",\"type\":\"string\"}]");
    expect_line("{\"file\":\"functions/Stem.yaml\",\"id\":null,\"columns\":[{\"name\":\"a\"");
}
END_TEST

START_TEST(what_is_refused_has_a_code_a_place_and_exit_1)
{
    write_file("tables.txt", "T(a:long, b:string)\n");
    write_file("bad.kql", "T\n| where zzz == 1");
    write_file("good.kql", "T | count");
    ck_assert_int_eq(check("--schema tables.txt bad.kql good.kql"), 1);
    expect_line("{\"file\":\"bad.kql\",\"id\":null,\"diagnostics\":[{\"code\":\"semantic.unknown_column\","
                "\"severity\":\"error\",\"message\":\"there is no column zzz\",\"line\":2,\"column\":9}]}\n");
    expect_line("{\"file\":\"good.kql\"");
    write_file("odd.kql", "['a\"b'] | where ['c\"; --'] == 'd'");
    write_file("odd.txt", "['a\"b'](['c\"; --']:string)\n");
    ck_assert_int_eq(check("--sql --schema odd.txt odd.kql"), 0);
    expect_line(
        "FROM (SELECT \\\"c\\\"\\\"; --\\\" AS c1 FROM \\\"a\\\"\\\"b\\\" t1) t2 WHERE (c1 = $1::text)");
    write_file("function.yaml",
               "ParserParams:\n  - Name: n\n    Type: long\nParserQuery: T | where a > n and yyy\n");
    ck_assert_int_eq(check("--schema tables.txt function.yaml"), 1);
    expect_line("\"there is no column yyy\",\"line\":1,\"column\":21");
}
END_TEST

START_TEST(files_that_are_none_are_refused_with_a_sentence)
{
    ck_assert_int_eq(check("nowhere.kql"), 2);
    expect_line("nowhere.kql cannot be opened");
    write_file("empty.yaml", "name: x\n");
    ck_assert_int_eq(check("empty.yaml"), 2);
    expect_line("empty.yaml has no query, FunctionQuery or ParserQuery");
    write_file("broken.jsonl", "{\"query\":\"print 1\"}\n[]\n");
    ck_assert_int_eq(check("broken.jsonl"), 2);
    expect_line("broken.jsonl, line 2: a JSON object with a query is wanted here");
    write_file("tables.txt", "T(a:long)\nT(a:wrong)\n");
    write_file("q.kql", "print 1");
    ck_assert_int_eq(check("--schema tables.txt q.kql"), 2);
    expect_line("tables.txt, line 2:");
}
END_TEST

/* ---- what queries give ---- */

struct answer {
    const char *query, *rows;
};

/* Runs all of them at once, with their places as ids. */
static void expect_answers(const struct answer *answers, size_t count)
{
    char path[128], line[64];
    FILE *file;

    snprintf(path, sizeof path, "%s/queries.jsonl", folder);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    for (size_t i = 0; i < count; i++) {
        struct buf query = {0};
        buf_init(&query, OUTPUT_MAX);
        buf_json_string(&query, text_of(answers[i].query));
        fprintf(file, "{\"id\":\"%zu\",\"query\":%s}\n", i, query.bytes);
        buf_done(&query);
    }
    fclose(file);
    const char *const arguments[] = {"kql", "run", path, "--json", "--database", database_conninfo(), NULL};
    buf_clear(&output);
    ck_assert_msg(program_run("picket", arguments, NULL, &output) == 0, "%s", output.bytes);
    for (size_t i = 0; i < count; i++) {
        snprintf(line, sizeof line, "{\"id\":\"%zu\",", i);
        const char *found = strstr(output.bytes, line), *end = found ? strchr(found, '\n') : NULL;
        ck_assert_msg(end != NULL, "%s has no line in\n%s", line, output.bytes);
        size_t wanted = strlen(answers[i].rows);
        ck_assert_msg(
            (size_t)(end - found) > wanted + 1 && strncmp(end - wanted - 1, answers[i].rows, wanted) == 0,
            "%s\n  gives  %.*s\n  wanted %s", answers[i].query, (int)(end - found), found, answers[i].rows);
    }
}

START_TEST(nulls_and_empty_texts_are_told_apart)
{
    static const struct answer answers[] = {
        {"datatable(x:long)[1, long(null)] | where x != 1 | count", "[[1]]"},
        {"datatable(x:long)[1, long(null)] | where not(x == 1) | count", "[[1]]"},
        {"datatable(x:long)[1, long(null)] | where x == x | count", "[[1]]"},
        {"datatable(x:long)[1, long(null)] | where x !in (1, 2) | count", "[[1]]"},
        {"datatable(x:long)[long(null)] | where not(x > 0) | count", "[[0]]"},
        {"print isnull(''), isempty(''), tostring(int(null)), coalesce('', 'fb')",
         "[[false,true,\"\",\"fb\"]]"},
        {"datatable(x:long)[] | summarize count(), sum(x), avg(x), min(x), make_list(x)",
         "[[0,0,\"NaN\",null,[]]]"},
        {"datatable(k:long, v:string)[long(null), 'a'] | join kind=inner (datatable(k:long, w:string)[long(null), 'b']) on k",
         "[[null,\"a\",null,\"b\"]]"},
        {"datatable(k:long)[1] | join kind=leftouter (datatable(k:long, w:string)[2, 'b']) on k",
         "[[1,null,\"\"]]"},
        {"datatable(x:long)[3, long(null), 1] | sort by x asc", "[[null],[1],[3]]"},
        {"datatable(x:long)[3, long(null), 1] | sort by x", "[[3],[1],[null]]"},
    };
    expect_answers(answers, sizeof answers / sizeof *answers);
}
END_TEST

START_TEST(numbers_and_times_come_out_as_kusto_counts)
{
    static const struct answer answers[] = {
        {"print 7 / 2, -7 / 2, -7 % 3, 7 % -3, 1 / 0, 1.0 / 0.0", "[[3,-3,2,1,null,\"Infinity\"]]"},
        {"print 9223372036854775807 + 1, bin(-5, 2), 1d / 1h", "[[-9223372036854775808,-6,24]]"},
        {"print toint('12.5'), toint('0xFF'), toint(-2.5), tolong(1d), tobool('1')",
         "[[null,255,-2,864000000000,true]]"},
        {"print tostring(true), tostring(1.0), tostring(1d), tostring(datetime(2020-01-31))",
         "[[\"True\",\"1.0\",\"1.00:00:00\",\"2020-01-31T00:00:00.0000000Z\"]]"},
        {"print bin(datetime(1955-11-05), 7d), startofweek(datetime(2024-05-15)), dayofweek(datetime(2024-05-15))",
         "[[\"1955-10-31T00:00:00.0000000Z\",\"2024-05-12T00:00:00.0000000Z\",\"3.00:00:00\"]]"},
        {"print datetime_diff('month', datetime(2021-03-15), datetime(2020-01-01)), format_timespan(-2.5h, 'hh:mm')",
         "[[14,\"-02:30\"]]"},
        {"print endofday(datetime(2024-01-01)), todatetime('no')",
         "[[\"2024-01-01T23:59:59.9999999Z\",null]]"},
        {"print now() == now(), datetime(now) == now()", "[[true,true]]"},
        {"print datetime(1/31/2020 10:00), todatetime('01/31/2020')",
         "[[\"2020-01-31T10:00:00.0000000Z\",\"2020-01-31T00:00:00.0000000Z\"]]"},
    };
    expect_answers(answers, sizeof answers / sizeof *answers);
}
END_TEST

START_TEST(texts_are_found_by_terms_and_cases)
{
    static const struct answer answers[] = {
        {"print 'alpha_beta' has 'alpha', 'helloworld' has 'hello', 'a.b c' has 'b C', 'x' contains ''",
         "[[true,false,true,true]]"},
        {"print 'Café' =~ 'cAFÉ', 'Straße' =~ 'strasse', 'ABC' == 'abc', 'ABC' in~ ('abc')",
         "[[true,false,false,true]]"},
        {"print '100%' contains '0%', 'a_c' startswith 'a_', 'x*y' has '*'", "[[true,true,true]]"},
        {"print 'the cat' has_any ('dog', 'CAT', 'x', 'y'), 'the cat' has_all (dynamic(['cat', 'the']))",
         "[[true,true]]"},
        {"print extract('x=(\\\\d+)', 1, 'a x=12'), extract('z', 0, 'a'), extract_all('z', 'a')",
         "[[\"12\",\"\",null]]"},
        {"print 'a\\nb' matches regex 'a.b', 'a b' matches regex '\\\\bb', replace_regex('ab', '(a)(b)', '\\\\2\\\\1')",
         "[[false,true,\"ba\"]]"},
        {"print trim('x', 'xxabcxx'), substring('hello', -3, 2), indexof('abc', 'z'), split('', ','), split('a,b', ',', 1)",
         "[[\"xabcx\",\"ll\",-1,[\"\"],[\"b\"]]]"},
        {"datatable(s:string)['b', 'a.', '..', 'a..b'] | sort by s asc",
         "[[\"..\"],[\"a.\"],[\"a..b\"],[\"b\"]]"},
    };
    expect_answers(answers, sizeof answers / sizeof *answers);
}
END_TEST

/* Each repetition is as greedy as it says, also where PostgreSQL knows one kind for the whole. */
START_TEST(repetitions_take_as_much_as_they_say)
{
    static const struct answer answers[] = {
        {"print extract('\\\\[info\\\\]\\\\s+\\\\[(.*?)\\\\]', 1, '[info]  [a] [b]')", "[[\"a\"]]"},
        {"print extract('User\\\\s(.*?)@\\\\d{1,3}\\\\.\\\\d{1,3}', 1, 'User a@b@10.20')", "[[\"a@b\"]]"},
        {"print extract('.*?(Source|Host):\\\\s+?(\\\\d+.\\\\d+.\\\\d+.\\\\d+).*', 2, 'x Host:  10.20.30.40 y')",
         "[[\"10.20.30.40\"]]"},
        {"print extract('.*?Reason:\\\\s+?([^,]+).*', 1, 'Reason:   bad, x')", "[[\"  bad\"]]"},
        {"print extract('a(.*)b', 1, 'a1b2b'), extract('a(.*?)b', 1, 'a1b2b')", "[[\"1b2\",\"1\"]]"},
        {"print extract('x.*y(.*?)z', 1, 'xaybzcyddzez'), extract('x.*?y(.*)z', 1, 'xaybzcyddze')",
         "[[\"dd\",\"bzcydd\"]]"},
        {"print extract('(?i)B(c)', 1, 'abC'), extract_all('(?i)(B)', 'abB'), trim('(?i)X', 'xax'), replace_regex('aB', '(?i)b', 'c')",
         "[[\"C\",[\"b\", \"B\"],\"a\",\"ac\"]]"},
        {"print extract('a((?i)bc[d-f]+)x', 1, 'aBCDEFx'), 'aBCX' matches regex 'a(?i:bc)x', 'aBcx' matches regex 'a(?i:bc)x'",
         "[[\"BCDEF\",false,true]]"},
        {"print x = 'hello' | extend r = '(?i)H.l' | where x matches regex r | project x", "[[\"hello\"]]"},
        {"print s = 'say \"A\" to' | parse s with * '\"' ['a name'] '\" ' rest | project ['a name'], rest", "[[\"A\",\"to\"]]"},
        {"print s = 'net user Foo bar /ADD' | parse kind=regex flags=iU s with * 'user ' u ' ' * '/ad' | project u", "[[\"Foo\"]]"},
        {"print s = 'a12b' | parse-where kind=regex s with x '[0-9]' n:int 'b' | project x, n", "[[\"a\",2]]"},
        {"print s = 'a12b' | parse-where kind=regex s with 'c' y", "[]"},
        {"print extract('(a+?)(a*)(b|a.*c)+?', 2, 'aaab')", "\"line\":1,\"column\":15}"},
    };
    expect_answers(answers, sizeof answers / sizeof *answers);
}
END_TEST

START_TEST(dynamics_give_what_they_have)
{
    static const struct answer answers[] = {
        {"print d = dynamic({'a': {'b': [1, 2]}}) | project d.a.b[-1], d.x.y, isnull(d.a.z)",
         "[[2,null,true]]"},
        {"print parse_json('not json'), parse_json(''), array_length(dynamic(5)), array_length(dynamic([]))",
         "[[\"not json\",null,null,0]]"},
        {"print tostring(parse_json('{\"b\": 1, \"a\": [1, 2]}'))", "[[\"{\\\"b\\\":1,\\\"a\\\":[1,2]}\"]]"},
        {"datatable(v:dynamic)[dynamic([1, 2, 3]), dynamic([]), dynamic(null)] | mv-expand v | count",
         "[[4]]"},
        {"print x = real(null), y = long(null), z = '', b = bool(null), d = dynamic(null), t = datetime(null), m = decimal(null)"
         " | project pack_all(), pack_all(true), pack('x', x)",
         "[[{\"x\":null,\"y\":null,\"z\":\"\",\"b\":null,\"d\":null,\"t\":null,\"m\":null},{},{\"x\":null}]]"},
        {"print d = dynamic({'n': 9007199254740993}) | project tolong(d.n) + 1", "[[9007199254740994]]"},
        {"print a = dynamic([3, 1, 2]) | mv-apply a to typeof(long) on (top 2 by a | summarize s = sum(a))",
         "[[[3,1,2],5]]"},
        {"datatable(g:string, v:string)['x', 'b', 'x', 'a', 'x', 'b'] | summarize make_set(v), make_list(v) by g",
         "[[\"x\",[\"b\", \"a\"],[\"b\", \"a\", \"b\"]]]"},
    };
    expect_answers(answers, sizeof answers / sizeof *answers);
}
END_TEST

START_TEST(rows_are_joined_grouped_and_ordered_as_kusto_does)
{
    static const struct answer answers[] = {
        {"datatable(k:long, v:long)[1, 10, 1, 11] | join (datatable(k:long, w:long)[1, 100, 1, 101]) on k | count",
         "[[2]]"},
        {"datatable(k:long, v:long)[1, 10, 1, 11] | join kind=inner (datatable(k:long, w:long)[1, 100, 1, 101]) on k | count",
         "[[4]]"},
        {"datatable(k:string, t:long, v:string)['a', 1, 'x', 'a', 2, 'y', 'b', 5, 'z'] | summarize arg_max(t, *) by k | sort by k asc",
         "[[\"a\",2,\"y\"],[\"b\",5,\"z\"]]"},
        {"range x from 1 to 10 step 1 | summarize percentile(x, 50), dcount(x % 3), countif(x > 8)",
         "[[5,3,2]]"},
        {"range x from 1 to 3 step 1 | sort by x desc | extend n = row_number(), p = prev(x)",
         "[[3,1,null],[2,2,3],[1,3,2]]"},
        {"union withsource=s (print a = 1), (print b = 'x') | sort by s asc",
         "[[\"union_arg0\",1,\"\"],[\"union_arg1\",null,\"x\"]]"},
        {"let T = materialize(range x from 1 to 3 step 1); T | where x > toscalar(T | summarize avg(x))",
         "[[3]]"},
        {"datatable(s:string)['id=7, name=pump'] | parse s with 'id=' id:long ', name=' name",
         "[[\"id=7, name=pump\",7,\"pump\"]]"},
        {"datatable(a:long, b:string)[1, 'pump', 2, 'fan'] | search 'PUMP' | project a", "[[1]]"},
        {"datatable(a:string, b:string, c:long)['x', 'p', 5, 'x', 'q', 7, 'x', 'r', 1, 'y', 'p', 9, 'z', 'q', 2]"
         " | top-nested 2 of a by sum(c), top-nested 1 of b by s = max(c) | sort by a asc",
         "[[\"x\",13,\"q\",7],[\"y\",9,\"p\",9]]"},
        {"datatable(a:string, b:string, c:long)['x', 'p', 5, 'x', 'q', 7, 'y', 'p', 9]"
         " | top-nested of a by count() asc, top-nested 1 of z = b by min(c) asc | project aggregated_a, z, aggregated_z | sort by z asc, aggregated_a asc",
         "[[1,\"p\",9],[2,\"p\",5]]"},
        {"datatable(a:long, t:datetime, b:string)[17, datetime(2026-01-02), 'x', 3, datetime(2025-02-03), 'T17 z'] | where * has '17' | count",
         "[[1]]"},
        {"datatable(a:long, t:datetime, b:string)[17, datetime(2026-01-02), 'x', 3, datetime(2025-02-03), '17 z']"
         " | search '17' or '2026' or 'z' | count",
         "[[2]]"},
        {"print t = datetime(2026-01-02 03:04:05.1234567) | project tostring(t), bin(t, 1h), bin(-5, 3)",
         "[[\"2026-01-02T03:04:05.1234567Z\",\"2026-01-02T03:00:00.0000000Z\",-6]]"},
        {"let A = datatable(a:long, b:string)[1, 'x']; let B = datatable(a:long, c:real)[1, 2.5, 2, 0.5];"
         " find in (A, B) where a == 1 | project a, pack_ | sort by tostring(pack_) asc",
         "[[1,{\"b\":\"x\"}],[1,{\"c\":2.5}]]"},
        {"let A = datatable(a:long, b:string)[1, 'x']; let B = datatable(a:long, c:real)[1, 2.5];"
         " find in (A, B) where c > 1 project a, c | project a, c", "[[1,2.5]]"},
        {"range x from 1 to 4 step 1 | partition by y (take 1)", "\"line\":1,\"column\":43}"},
    };
    expect_answers(answers, sizeof answers / sizeof *answers);
}
END_TEST

START_TEST(series_have_a_value_for_every_place_of_their_axis)
{
    static const struct answer answers[] = {
        {"datatable(t:long, g:string)[1, 'a', 3, 'a', 4, 'a', 9, 'a', 1, 'b'] | make-series n = count() on t from 1 to 7 step 2 by g"
         " | sort by g asc",
         "[[\"a\",[1, 2, 0],[1, 3, 5]],[\"b\",[1, 0, 0],[1, 3, 5]]]"},
        {"datatable(t:datetime, v:long)[datetime(2021-01-01 05:00), 10, datetime(2021-01-03), 30] | make-series s = sum(v)"
         " default = -1 on t step 1d | project s, tostring(t[0])",
         "[[[10, -1, 30],\"2021-01-01T00:00:00.0000000Z\"]]"},
        {"datatable(t:long, v:long)[] | make-series avg(v) default = 5 on t in range(1, 3, 1)",
         "[[[5, 5, 5],[1, 2, 3]]]"},
    };
    expect_answers(answers, sizeof answers / sizeof *answers);
}
END_TEST

/* Whatever a literal or a name says, it stays one. */
START_TEST(nothing_of_a_query_is_taken_for_sql)
{
    static const struct answer answers[] = {
        {"print \"'; DROP TABLE x; --\", 'a\\\\', '$1', '%1'",
         "[[\"'; DROP TABLE x; --\",\"a\\\\\",\"$1\",\"%1\"]]"},
        {"print ['x\"; SELECT 1; --'] = 1 | extend d = dynamic({\"k'\\\"\": 1}) | project d[\"k'\\\"\"]",
         "[[1]]"},
        {"datatable(s:string)['{\"a\"}', ',', '\\\\', 'NULL', '\"'] | where s in ('NULL', '\"', '\\\\', '{\"a\"}') | count",
         "[[4]]"},
        {"print 'x' matches regex \"'[)];--\", 'abc' has \"')--\", replace_string(\"a'b\", \"'\", '\"')",
         "[[false,false,\"a\\\"b\"]]"},
    };
    expect_answers(answers, sizeof answers / sizeof *answers);
}
END_TEST

START_TEST(a_run_brings_a_database_where_none_is_named)
{
    char path[128];

    write_file("one.jsonl", "{\"id\":\"x\",\"query\":\"print 1 + 1\"}\n");
    snprintf(path, sizeof path, "%s/one.jsonl", folder);
    buf_clear(&output);
    ck_assert_int_eq(
        program_run("picket", (const char *const[]){"kql", "run", path, "--json", NULL}, NULL, &output), 0);
    expect_line("{\"id\":\"x\",\"columns\":[{\"name\":\"print_0\",\"type\":\"long\"}],\"rows\":[[2]]}\n");
    ck_assert_int_eq(
        program_run("/bin/sh", (const char *const[]){"-c", "ls -d /tmp/picket-run-*", NULL}, NULL, NULL), 2);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        queries_of_all_kinds_of_files_give_their_columns,
        a_function_goes_by_each_of_its_names,
        what_is_refused_has_a_code_a_place_and_exit_1,
        files_that_are_none_are_refused_with_a_sentence,
        nulls_and_empty_texts_are_told_apart,
        numbers_and_times_come_out_as_kusto_counts,
        texts_are_found_by_terms_and_cases,
        repetitions_take_as_much_as_they_say,
        dynamics_give_what_they_have,
        rows_are_joined_grouped_and_ordered_as_kusto_does,
        series_have_a_value_for_every_place_of_their_axis,
        nothing_of_a_query_is_taken_for_sql,
        a_run_brings_a_database_where_none_is_named,
    };
    const struct check_suite suite = {"pipeline/kql", tests,    sizeof tests / sizeof *tests,
                                      setup,          teardown, 30};

    database_start(DATABASE_FAST);
    return check_main(&suite);
}
