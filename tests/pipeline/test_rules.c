#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/check_main.h"
#include "tests/support/keeper.h"
#include "tests/support/program.h"

/* Rules tried offline by the command, as people and scripts do it. */
#define SIGMA "../shared/data/sigma"
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

static int rule_test(const char *const *arguments)
{
    const char *all[16] = {"rule", "test"};

    for (size_t i = 0; arguments[i]; i++)
        all[i + 2] = arguments[i];
    buf_clear(&output);
    int code = program_run("picket", all, NULL, &output);
    buf_byte(&output, '\0');
    return code;
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

START_TEST(known_answers_are_met)
{
    char python[512], script[512], picket[512];

    if (access(SIGMA "/regression/cases.ndjson", R_OK)) {
        fprintf(stderr, SIGMA " is not there: known answers are not compared\n");
        return;
    }
    snprintf(python, sizeof python, "%s/python/bin/python", program_build_root());
    snprintf(script, sizeof script, "%s/../tests/sigma/known.py", program_build_root());
    snprintf(picket, sizeof picket, "%s/picket", program_build_path());
    int code = program_run(python, (const char *const[]){script, picket, SIGMA, NULL}, NULL, &output);
    buf_byte(&output, '\0');
    ck_assert_msg(code == 0, "%s", output.bytes);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        each_match_is_a_line_that_says_why,
        folders_are_read_to_their_last_file_and_refusals_told,
        what_is_asked_wrong_is_said,
        known_answers_are_met,
    };
    const struct check_suite suite = {"rules", tests, sizeof tests / sizeof *tests, setup, teardown, TIME_LIMIT_S};
    return check_main(&suite);
}
