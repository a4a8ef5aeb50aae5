#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/process.h"
#include "tests/support/program.h"

/* The real `picket up` on this host: its cluster, its picketd and its agent, in a data folder of the test's own. Most
 * tests share one that the fixture starts; whatever they kill they start again. */

#define WAIT_MS 60000
#define OUTPUT_MAX (1 << 20)
#define POSTS_WORD "posted-by-test"

static char folder[64], port_https[8], port_mqtts[8], port_query[8], server[64], ca_file[128], bearer[256];
static char curl_line[4096]; /* as `up` printed it */
static struct buf output;
static struct program_reply reply;

static void state_read(json_t **out)
{
    char path[128];
    snprintf(path, sizeof path, "%s/state.json", folder);
    *out = json_load_file(path, 0, NULL);
    ck_assert_ptr_nonnull(*out);
}

static long pid_of(const char *name)
{
    json_t *state;
    state_read(&state);
    long pid = (long)json_integer_value(json_object_get(json_object_get(state, name), "pid"));
    json_decref(state);
    return pid;
}

static long postgres_pid(void)
{
    char path[128], line[32] = "";
    snprintf(path, sizeof path, "%s/postgres/postmaster.pid", folder);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (!fgets(line, sizeof line, file))
        line[0] = '\0';
    fclose(file);
    return strtol(line, NULL, 10);
}

/* Also true for a process that has ended and that nobody has waited for. */
static bool gone(long pid)
{
    char path[64], stat[256] = "";
    if (pid <= 0)
        return true;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return true;
    if (!fgets(stat, sizeof stat, file))
        stat[0] = '\0';
    fclose(file);
    return strstr(stat, ") Z ") != NULL || stat[0] == '\0';
}

static void wait_gone(long pid)
{
    const struct timespec pause = {0, 10000000};
    int64_t deadline = clock_monotonic_ms() + WAIT_MS;
    while (!gone(pid) && clock_monotonic_ms() < deadline)
        nanosleep(&pause, NULL);
    ck_assert_msg(gone(pid), "process %ld still runs", pid);
}

static int run(const char *const *arguments)
{
    buf_clear(&output);
    return program_run("picket", arguments, NULL, &output);
}

static int up_with(const char *simulate)
{
    return run((const char *const[]){"up", "--detach", "--data", folder, "--port-https", port_https, "--port-mqtts", port_mqtts,
                                     "--port-query", port_query, simulate, NULL});
}

static int up(void)
{
    return up_with("--no-simulate");
}

static int verb(const char *a, const char *b, const char *c, const char *d)
{
    const char *arguments[8] = {a};
    size_t count = 1;
    const char *const rest[] = {b, c, d};
    for (size_t i = 0; i < 3; i++) {
        if (rest[i])
            arguments[count++] = rest[i];
    }
    arguments[count++] = "--data";
    arguments[count++] = folder;
    return run(arguments);
}

static void ports_choose(void)
{
    snprintf(port_https, sizeof port_https, "%u", program_free_port());
    snprintf(port_mqtts, sizeof port_mqtts, "%u", program_free_port());
    snprintf(port_query, sizeof port_query, "%u", program_free_port());
    snprintf(server, sizeof server, "https://localhost:%s", port_query);
}

static void operator_read(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/operator.json", folder);
    json_t *json = json_load_file(path, 0, NULL);
    ck_assert_ptr_nonnull(json);
    snprintf(bearer, sizeof bearer, "Authorization: Bearer %s", json_string_value(json_object_get(json, "token")));
    snprintf(ca_file, sizeof ca_file, "%s", json_string_value(json_object_get(json, "ca")));
    json_decref(json);
    program_http_trust(ca_file);
}

static void folder_make(void)
{
    snprintf(folder, sizeof folder, "/tmp/picket-up-XXXXXX");
    if (!mkdtemp(folder))
        abort();
}

static void folder_remove(void)
{
    program_run("/bin/rm", (const char *const[]){"-rf", folder, NULL}, NULL, NULL);
}

static void start_all(void)
{
    folder_make();
    ports_choose();
    int code = up();
    if (code != 0) {
        fprintf(stderr, "up: exit %d\n%s\n", code, output.bytes);
        exit(1);
    }
    const char *line = strstr(output.bytes, "\ncurl ");
    if (line)
        snprintf(curl_line, sizeof curl_line, "%.*s", (int)strcspn(line + 1, "\n"), line + 1);
    operator_read();
}

static void stop_all(void)
{
    verb("down", NULL, NULL, NULL);
    folder_remove();
}

static void expect_ready(void)
{
    char url[96];
    snprintf(url, sizeof url, "%s/readyz", server);
    bool ready = program_http_until("GET", url, NULL, TEXT_NONE, 200, WAIT_MS, &reply);
    ck_assert_msg(ready, "%ld %s", reply.code, reply.body.bytes ? reply.body.bytes : reply.reason);
    program_reply_done(&reply);
}

/* Waits until the API lists an event of `device` whose details hold `word`. */
static void expect_event(const char *device, const char *word)
{
    const struct timespec pause = {0, 20000000};
    int64_t deadline = clock_monotonic_ms() + WAIT_MS;
    const char *const headers[] = {bearer, NULL};
    char url[160];
    bool found = false;

    snprintf(url, sizeof url, "%s/v1/events?device=%s", server, device);
    while (!found && clock_monotonic_ms() < deadline) {
        program_http("GET", url, headers, TEXT_NONE, &reply);
        ck_assert_msg(reply.code == 200, "%ld %s", reply.code, reply.body.bytes ? reply.body.bytes : reply.reason);
        found = strstr(reply.body.bytes, word) != NULL;
        program_reply_done(&reply);
        if (!found)
            nanosleep(&pause, NULL);
    }
    ck_assert_msg(found, "no event of %s with %s", device, word);
}

static void post(const char *device, const char *body)
{
    char url[160], authorization[1400], path[128];

    ck_assert_int_eq(verb("device", "sas", device, NULL), 0);
    snprintf(authorization, sizeof authorization, "Authorization: %.*s", (int)strcspn(output.bytes, "\n"), output.bytes);
    const char *const headers[] = {authorization, "Content-Type: application/json", NULL};
    snprintf(path, sizeof path, "/devices/%s/messages/events?api-version=2020-03-13", device);
    snprintf(url, sizeof url, "https://localhost:%s%s", port_https, path);
    /* The front door hears of a new device within a second or two. */
    bool taken = program_http_until("POST", url, headers, text_of(body), 204, WAIT_MS, &reply);
    ck_assert_msg(taken, "%ld %s", reply.code, reply.body.bytes ? reply.body.bytes : reply.reason);
    ck_assert(text_starts(program_reply_header(&reply, "Picket-Receipt"), TEXT("direct/")));
    program_reply_done(&reply);
}

START_TEST(detached_up_returns_when_it_is_ready_and_keeps_secrets_private)
{
    static const char *const secrets[] = {"operator.json", "master.key", "certificates/ca.key", "certificates/server.key",
                                          "agent.conf"};
    expect_ready();
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        char path[128];
        struct stat facts;
        snprintf(path, sizeof path, "%s/%s", folder, secrets[i]);
        ck_assert_int_eq(stat(path, &facts), 0);
        ck_assert_int_eq(facts.st_mode & 0077, 0);
    }
}
END_TEST

START_TEST(a_new_device_posts_and_its_event_is_listed)
{
    ck_assert_int_eq(verb("device", "create", "pump-17", "--json"), 0);
    json_t *device = json_loads(output.bytes, 0, NULL);
    ck_assert_msg(device != NULL, "%s", output.bytes);
    ck_assert_str_eq(json_string_value(json_object_get(device, "id")), "pump-17");
    ck_assert_ptr_nonnull(json_string_value(json_object_get(device, "primary_key")));
    json_decref(device);
    post("pump-17", "{\"word\":\"" POSTS_WORD "\"}");
    expect_event("pump-17", POSTS_WORD);
    ck_assert_int_eq(verb("events", "--device", "pump-17", "--json"), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, POSTS_WORD));
    ck_assert_int_eq(verb("events", "--device", "pump-17", NULL), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, "pump-17"));
}
END_TEST

START_TEST(the_printed_curl_line_works_when_pasted)
{
    ck_assert_str_ne(curl_line, "");
    buf_clear(&output);
    ck_assert_int_eq(program_run("/bin/sh", (const char *const[]){"-c", curl_line, NULL}, NULL, &output), 0);
    ck_assert_msg(strstr(output.bytes, " 204") != NULL, "%s", output.bytes);
    expect_event("first-device", "hello");
}
END_TEST

START_TEST(this_host_is_enrolled_and_its_agent_is_heard)
{
    json_t *state;
    state_read(&state);
    expect_event(json_string_value(json_object_get(state, "host_device")), "\"id\"");
    json_decref(state);
}
END_TEST

START_TEST(devices_are_shown_disabled_enabled_and_deleted)
{
    ck_assert_int_eq(verb("device", "create", "pump-18", NULL), 0);
    ck_assert_int_eq(verb("device", "create", "pump-18/security", "--json"), 0);
    ck_assert_int_eq(verb("device", "disable", "pump-18", NULL), 0);
    ck_assert_int_eq(verb("device", "show", "pump-18", "--json"), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, "\"disabled\""));
    ck_assert_int_eq(verb("device", "enable", "pump-18", NULL), 0);
    ck_assert_int_eq(verb("device", "rotate-key", "pump-18", NULL), 0);
    ck_assert_int_eq(verb("device", "connection-string", "pump-18/security", NULL), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, ";ModuleId=security;SharedAccessKey="));
    ck_assert_int_eq(verb("device", "list", NULL, NULL), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, "pump-18"));
    ck_assert_int_eq(verb("device", "delete", "pump-18", NULL), 0);
    ck_assert_int_eq(verb("device", "show", "pump-18", NULL), 2);
}
END_TEST

START_TEST(lists_of_every_noun_answer)
{
    ck_assert_int_eq(verb("alert", "list", NULL, NULL), 0);
    ck_assert_int_eq(verb("dead-letter", "list", "--json", NULL), 0);
    ck_assert_int_eq(verb("workspace", "list", NULL, NULL), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, "default"));
    ck_assert_int_eq(verb("token", "list", "--json", NULL), 0);
    ck_assert_int_eq(verb("token", "create", "--role", "reader"), 0);
    ck_assert_int_eq(verb("status", "--json", NULL, NULL), 0);
    json_t *status = json_loads(output.bytes, 0, NULL);
    ck_assert(json_is_true(json_object_get(status, "ready")));
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(status, "pids"), "postgres")), postgres_pid());
    json_decref(status);
}
END_TEST

START_TEST(a_second_up_says_where_the_first_one_is)
{
    long before = pid_of("picketd");
    ck_assert_int_eq(up(), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, "running already"));
    ck_assert_ptr_nonnull(strstr(output.bytes, server));
    ck_assert_int_eq(pid_of("picketd"), before);
}
END_TEST

START_TEST(picketd_that_was_killed_is_started_again)
{
    long before = pid_of("picketd");
    ck_assert_int_eq(kill((pid_t)before, SIGKILL), 0);
    wait_gone(before);
    ck_assert_int_eq(up(), 0);
    expect_ready();
    ck_assert_int_ne(pid_of("picketd"), before);
}
END_TEST

START_TEST(postgres_that_runs_alone_is_taken_over)
{
    long postgres = postgres_pid();
    const char *const killed[] = {"supervisor", "agent", "picketd"};
    for (size_t i = 0; i < 3; i++) {
        long pid = pid_of(killed[i]);
        ck_assert_int_eq(kill((pid_t)pid, SIGKILL), 0);
        wait_gone(pid);
    }
    ck_assert_msg(up() == 0, "%s", output.bytes);
    ck_assert_ptr_nonnull(strstr(output.bytes, "took over"));
    ck_assert_int_eq(postgres_pid(), postgres);
    expect_ready();
}
END_TEST

START_TEST(down_leaves_no_process_and_the_next_start_has_the_data)
{
    const long pids[] = {pid_of("supervisor"), pid_of("picketd"), pid_of("agent"), postgres_pid()};
    ck_assert_int_eq(verb("down", NULL, NULL, NULL), 0);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_gt(pids[i], 0);
        ck_assert_msg(gone(pids[i]), "process %ld still runs", pids[i]);
    }
    ck_assert_int_eq(verb("status", NULL, NULL, NULL), 3);
    ck_assert_int_eq(verb("down", NULL, NULL, NULL), 0);
    ck_assert_msg(up() == 0, "%s", output.bytes);
    expect_event("pump-17", POSTS_WORD);
}
END_TEST

START_TEST(a_port_in_use_is_one_sentence)
{
    char other[64];
    snprintf(other, sizeof other, "/tmp/picket-up-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(other));
    ck_assert_int_eq(run((const char *const[]){"up", "--detach", "--quiet", "--data", other, "--port-https", port_https, NULL}), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, port_https));
    ck_assert_ptr_nonnull(strstr(output.bytes, "--port-https"));
    ck_assert_ptr_eq(strchr(output.bytes, '\n'), output.bytes + output.count - 1);
    program_run("/bin/rm", (const char *const[]){"-rf", other, NULL}, NULL, NULL);
}
END_TEST

START_TEST(a_cluster_that_does_not_start_is_said_why)
{
    char other[64], version[96], https[16], mqtts[16], query[16];
    struct problem why;

    snprintf(other, sizeof other, "/tmp/picket-up-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(other));
    snprintf(version, sizeof version, "%s/postgres/PG_VERSION", other);
    snprintf(https, sizeof https, "%u", (unsigned)program_free_port());
    snprintf(mqtts, sizeof mqtts, "%u", (unsigned)program_free_port());
    snprintf(query, sizeof query, "%u", (unsigned)program_free_port());
    const char *const start[] = {"up",   "--detach",     "--quiet", "--no-agent", "--no-simulate", "--data", other,
                                 "--port-https", https, "--port-mqtts", mqtts, "--port-query", query, NULL};
    ck_assert_msg(run(start) == 0, "%s", output.bytes);
    ck_assert_int_eq(run((const char *const[]){"down", "--data", other, NULL}), 0);
    ck_assert_int_eq(process_write_file(version, TEXT("9.1\n"), 0644, &why), STATUS_OK);
    ck_assert_int_eq(run(start), 2);
    ck_assert_msg(strstr(output.bytes, "FATAL") != NULL, "%s", output.bytes);
    ck_assert_ptr_nonnull(strstr(output.bytes, "log/postgres.log"));
    program_run("/bin/rm", (const char *const[]){"-rf", other, NULL}, NULL, NULL);
}
END_TEST

START_TEST(a_folder_that_cannot_be_written_is_one_sentence)
{
    ck_assert_int_eq(run((const char *const[]){"up", "--detach", "--data", "/proc/picket", NULL}), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, "--data"));
    ck_assert_ptr_eq(strchr(output.bytes, '\n'), output.bytes + output.count - 1);
}
END_TEST

START_TEST(a_folder_closed_to_the_database_user_is_said_so)
{
    char closed[64], data[80];
    if (geteuid() != 0)
        return;
    snprintf(closed, sizeof closed, "/tmp/picket-closed-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(closed)); /* 0700, root's */
    snprintf(data, sizeof data, "%s/data", closed);
    ck_assert_int_eq(run((const char *const[]){"up", "--detach", "--quiet", "--data", data, "--port-https", "39443",
                                               "--port-mqtts", "39883", "--port-query", "39440", NULL}), 2);
    ck_assert_ptr_nonnull(strstr(output.bytes, closed));
    program_run("/bin/rm", (const char *const[]){"-rf", closed, NULL}, NULL, NULL);
}
END_TEST

START_TEST(an_unprivileged_user_has_it_all_as_well)
{
    const struct passwd *nobody = getpwnam("nobody");
    char picket[512], command[4096], other[64];
    static const char *const shells[] = {"/usr/sbin/runuser", "/sbin/runuser"};
    const char *runuser = access(shells[0], X_OK) == 0 ? shells[0] : shells[1];

    /* Needs root to become somebody else, who can reach what was built. */
    if (geteuid() != 0 || !nobody || access(runuser, X_OK) != 0)
        return;
    snprintf(picket, sizeof picket, "%s/picket", program_build_path());
    buf_clear(&output);
    if (program_run(runuser, (const char *const[]){"-u", "nobody", "--", picket, "--version", NULL}, NULL, &output) != 0)
        return;
    snprintf(other, sizeof other, "/tmp/picket-up-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(other));
    ck_assert_int_eq(chown(other, nobody->pw_uid, nobody->pw_gid), 0);
    snprintf(command, sizeof command,
             "cd %s && '%s' up --detach --port-https %u --port-query %u && '%s' status && '%s' device list && '%s' down", other,
             picket, program_free_port(), program_free_port(), picket, picket, picket);
    buf_clear(&output);
    int code = program_run(runuser, (const char *const[]){"-u", "nobody", "--", "/bin/sh", "-c", command, NULL}, NULL, &output);
    ck_assert_msg(code == 0, "%d\n%s", code, output.bytes);
    ck_assert_ptr_nonnull(strstr(output.bytes, "first-device"));
    program_run("/bin/rm", (const char *const[]){"-rf", other, NULL}, NULL, NULL);
}
END_TEST

START_TEST(help_and_usage_are_told_apart_by_their_exit_codes)
{
    ck_assert_int_eq(run((const char *const[]){"device", "create", "--help", NULL}), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, "--server"));
    ck_assert_ptr_nonnull(strstr(output.bytes, "--token"));
    ck_assert_ptr_nonnull(strstr(output.bytes, "--ca"));
    ck_assert_ptr_nonnull(strstr(output.bytes, "--data"));
    ck_assert_int_eq(run((const char *const[]){"up", "--help", NULL}), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, "--no-simulate"));
    ck_assert_int_eq(run((const char *const[]){"device", "create", NULL}), 64);
    ck_assert_int_eq(run((const char *const[]){"device", "list", "--nonsense", NULL}), 64);
    ck_assert_int_eq(run((const char *const[]){"nonsense", NULL}), 64);
    ck_assert_int_eq(run((const char *const[]){"device", "list", "--server", "https://localhost:1", "--token", "t", NULL}), 3);
    ck_assert_int_eq(run((const char *const[]){"device", "list", "--data", "/nonexistent", NULL}), 2);
}
END_TEST

/* Each built-in detection is heard through the live pipeline; one that is hidden is an alarm, until it is heard. */
START_TEST(canaries_hear_every_detection_and_tell_of_a_silent_one)
{
    folder_make();
    ports_choose();
    ck_assert_int_eq(up(), 0);
    ck_assert_msg(verb("canary", "run", "--json", NULL) == 0, "%s", output.bytes);
    json_t *found = json_loads(output.bytes, 0, NULL);
    ck_assert_int_ge(json_integer_value(json_object_get(found, "tried")), 59);
    ck_assert_uint_eq(json_object_size(json_object_get(found, "not_tried")), 0);
    ck_assert_int_eq(verb("alert", "list", "--json", NULL), 0);
    ck_assert(!strstr(output.count ? output.bytes : "", "canary"));

    ck_assert_int_eq(run((const char *const[]){"exception", "add", "--rule", "IoT_ReverseShell", "--reason", "r", "--owner", "o", "--json", "--data", folder, NULL}), 0);
    json_t *made = json_loads(output.bytes, 0, NULL);
    ck_assert_int_eq(verb("canary", "run", NULL, NULL), 1);
    ck_assert_ptr_nonnull(strstr(output.bytes, "silent: IoT_ReverseShell"));
    ck_assert_int_eq(verb("alert", "list", "--json", NULL), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, "\"canary.silent\""));
    ck_assert_int_eq(verb("exception", "remove", json_string_value(json_object_get(made, "id")), NULL), 0);
    ck_assert_int_eq(verb("canary", "run", NULL, NULL), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, " detections heard; from message to alert half within "));
    ck_assert_int_eq(verb("alert", "list", "--json", NULL), 0);
    ck_assert(!strstr(output.count ? output.bytes : "", "canary"));
    ck_assert_int_eq(verb("down", NULL, NULL, NULL), 0);
    json_decref(found);
    json_decref(made);
}
END_TEST

/* What a newcomer sees in the first minute: each attack is found, marked as simulated, and all of it goes with one command. */
START_TEST(the_simulations_attacks_are_found_and_go_with_one_command)
{
    static const char *const rules[] = {"Picket_NetworkScan", "IoT_DownloadFileThenRun", "IoT_CommonBots", "IoT_Bruteforce_Success", "IoT_CryptoMiner",
                                        "IoT_ReverseShell",   "IoT_USBConnection",       "Picket_NewListener", "IoT_TiConnection"};
    const struct timespec pause = {0, 250000000};
    int64_t deadline = clock_monotonic_ms() + 5 * 60000;
    size_t found = 0;

    folder_make();
    ports_choose();
    ck_assert_int_eq(up_with(NULL), 0);
    while (found < sizeof rules / sizeof *rules) {
        found = 0;
        ck_assert_int_eq(verb("alert", "list", "--json", NULL), 0);
        for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
            found += strstr(output.bytes ? output.bytes : "", rules[i]) != NULL;
        ck_assert_msg(clock_monotonic_ms() < deadline, "%zu of the attacks were found: %s", found, output.bytes);
        nanosleep(&pause, NULL);
    }
    for (const char *line = output.bytes; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        ck_assert_msg(memmem(line, strcspn(line, "\n"), "[simulated] ", 12) && memmem(line, strcspn(line, "\n"), "\"simulated-", 11), "%.300s", line);
    long simulation = pid_of("simulation");
    ck_assert_int_eq(verb("simulate", "remove", NULL, NULL), 0);
    ck_assert(!strstr(output.bytes, "removed 0 devices"));
    ck_assert_int_eq(verb("simulate", "remove", NULL, NULL), 0);
    ck_assert_ptr_nonnull(strstr(output.bytes, "removed 0 devices, 0 alerts, 0 events"));
    ck_assert_int_eq(verb("alert", "list", "--all", "--json"), 0);
    ck_assert_uint_eq(output.count, 0);
    ck_assert_int_eq(verb("incident", "list", "--all", "--json"), 0);
    ck_assert_uint_eq(output.count, 0);
    ck_assert_int_eq(verb("device", "list", "--json", NULL), 0);
    ck_assert(!strstr(output.bytes, "simulated-"));
    while (!gone(simulation) && clock_monotonic_ms() < deadline)
        nanosleep(&pause, NULL);
    ck_assert(gone(simulation));
    ck_assert_int_eq(verb("down", NULL, NULL, NULL), 0);
    ck_assert_int_eq(up_with(NULL), 0);
    ck_assert_int_eq(pid_of("simulation"), 0); /* it stays away */
    ck_assert_int_eq(verb("down", NULL, NULL, NULL), 0);
}
END_TEST

static TCase *tcase(const char *name)
{
    TCase *made = tcase_create(name);
    tcase_set_timeout(made, 300);
    return made;
}

int main(void)
{
    Suite *suite = suite_create("up");
    buf_init(&output, OUTPUT_MAX);
    TCase *running = tcase("a running one"), *refused = tcase("refused"), *simulating = tcase("simulating");

    tcase_add_unchecked_fixture(running, start_all, stop_all);
    tcase_add_test(running, detached_up_returns_when_it_is_ready_and_keeps_secrets_private);
    tcase_add_test(running, a_new_device_posts_and_its_event_is_listed);
    tcase_add_test(running, the_printed_curl_line_works_when_pasted);
    tcase_add_test(running, this_host_is_enrolled_and_its_agent_is_heard);
    tcase_add_test(running, devices_are_shown_disabled_enabled_and_deleted);
    tcase_add_test(running, lists_of_every_noun_answer);
    tcase_add_test(running, a_second_up_says_where_the_first_one_is);
    tcase_add_test(running, picketd_that_was_killed_is_started_again);
    tcase_add_test(running, postgres_that_runs_alone_is_taken_over);
    tcase_add_test(running, down_leaves_no_process_and_the_next_start_has_the_data);
    tcase_add_test(running, a_port_in_use_is_one_sentence);
    suite_add_tcase(suite, running);
    tcase_add_test(refused, a_cluster_that_does_not_start_is_said_why);
    tcase_add_test(refused, a_folder_that_cannot_be_written_is_one_sentence);
    tcase_add_test(refused, a_folder_closed_to_the_database_user_is_said_so);
    tcase_add_test(refused, an_unprivileged_user_has_it_all_as_well);
    tcase_add_test(refused, help_and_usage_are_told_apart_by_their_exit_codes);
    suite_add_tcase(suite, refused);
    tcase_set_timeout(simulating, 600);
    tcase_add_test(simulating, canaries_hear_every_detection_and_tell_of_a_silent_one);
    tcase_add_test(simulating, the_simulations_attacks_are_found_and_go_with_one_command);
    suite_add_tcase(suite, simulating);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    buf_done(&output);
    return failed ? 1 : 0;
}
