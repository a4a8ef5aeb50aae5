#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/check_main.h"
#include "tests/support/program.h"

/* The real `picket kql check`, on files as people keep them. */

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
    write_file("two.yaml", "id: x\nname: Two\nquery: |\n  T\n  | project a\n");
    write_file("three.jsonl",
               "{\"id\":\"q1\",\"query\":\"U | project c\"}\n{\"id\":\"q2\",\"query\":\"print 1\"}\n");
    ck_assert_int_eq(check("--schema tables.txt one.kql two.yaml three.jsonl"), 0);
    expect_line("{\"file\":\"one.kql\",\"id\":null,\"columns\":[{\"name\":\"b\",\"type\":\"string\"},"
                "{\"name\":\"n\",\"type\":\"long\"}]}\n");
    expect_line("{\"file\":\"two.yaml\",\"id\":null,\"columns\":[{\"name\":\"a\",\"type\":\"long\"}]}\n");
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
    write_file("functions/Bare.kql", "// Save it with the alias as Aliased.\nT | project b\n");
    write_file("functions/Broken.kql", "T | where (");
    write_file("q.jsonl",
               "{\"query\":\"Named(least=3) | project a\"}\n{\"query\":\"_Im_Named | project a\"}\n"
               "{\"query\":\"Stem(2, 'x') | project a\"}\n{\"query\":\"Aliased | project x = b\"}\n");
    ck_assert_int_eq(check("--schema tables.txt --functions functions q.jsonl functions/Stem.yaml"), 0);
    expect_line("left out: functions/Broken.kql");
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
    write_file("function.yaml",
               "ParserParams:\n  - Name: n\n    Type: long\nParserQuery: T | where a > n and yyy\n");
    ck_assert_int_eq(check("--schema tables.txt function.yaml"), 1);
    expect_line("\"there is no column yyy\",\"line\":1,\"column\":21");
}
END_TEST

START_TEST(files_that_are_none_are_refused_with_a_sentence)
{
    ck_assert_int_eq(check("nowhere.kql"), 2);
    expect_line("cannot read nowhere.kql");
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

int main(void)
{
    const TTest *const tests[] = {
        queries_of_all_kinds_of_files_give_their_columns,
        a_function_goes_by_each_of_its_names,
        what_is_refused_has_a_code_a_place_and_exit_1,
        files_that_are_none_are_refused_with_a_sentence,
    };
    const struct check_suite suite = {"pipeline/kql", tests,    sizeof tests / sizeof *tests,
                                      setup,          teardown, 30};
    return check_main(&suite);
}
