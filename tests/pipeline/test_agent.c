#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/certificate.h"
#include "tests/support/check_main.h"
#include "tests/support/program.h"

/* The real picket-agent on this host, without a server. */

#define OUTPUT_MAX (16 << 20)
#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static char folder[64], config[128], spool[128];
static struct certificate certificate;
static struct buf output;

static void write_config(const char *more)
{
    FILE *file = fopen(config, "w");

    ck_assert_ptr_nonnull(file);
    fprintf(file, "connection_string = HostName=localhost:%u;DeviceId=dev-1;SharedAccessKey=" KEY "\nca_file = %s\nspool_folder = %s\n%s",
            program_free_port(), certificate.certificate_file, spool, more);
    fclose(file);
}

static void setup(void)
{
    buf_init(&output, OUTPUT_MAX);
    snprintf(folder, sizeof folder, "/tmp/picket-agent-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(config, sizeof config, "%s/agent.conf", folder);
    snprintf(spool, sizeof spool, "%s/spool", folder);
    certificate_make(&certificate);
    write_config("");
}

static void teardown(void)
{
    program_run("/bin/rm", (const char *const[]){"-rf", folder, NULL}, NULL, NULL);
    certificate_remove(&certificate);
    buf_done(&output);
}

static int run(const char *flag, const char *other)
{
    buf_clear(&output);
    return program_run("picket-agent", (const char *const[]){"--config", config, flag, other, NULL}, NULL, &output);
}

static bool says(const char *text)
{
    return memmem(output.bytes, output.count, text, strlen(text)) != NULL;
}

static unsigned kept(void)
{
    DIR *opened = opendir(spool);
    const struct dirent *file;
    unsigned count = 0;

    while (opened && (file = readdir(opened)))
        count += strstr(file->d_name, ".message") != NULL;
    if (opened)
        closedir(opened);
    return count;
}

/* A process that waits, under a name of its own choice; back when it runs. */
static pid_t live_as(const char *name, const char *argument)
{
    int ends[2];
    char byte;

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        char *const arguments[] = {(char *)(uintptr_t)name, (char *)(uintptr_t)argument, NULL};
        execv("/bin/sleep", arguments);
        _exit(127);
    }
    close(ends[1]);
    ck_assert_msg(read(ends[0], &byte, 1) == 0, "exec() closes our end of the pipe");
    close(ends[0]);
    return pid;
}

/* The first payload element of an event of that name whose member is so; the caller's to json_decref(). */
static json_t *find_element(const char *event_name, const char *member, const char *value)
{
    json_t *found = NULL;
    const char *line = output.bytes, *end = output.bytes + output.count;

    for (; line < end; line = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1) {
        json_error_t error;
        json_t *event;
        size_t i;
        if (*line != '{')
            continue;
        size_t count = (size_t)((const char *)memchr(line, '\n', (size_t)(end - line)) - line);
        json_t *message = json_loadb(line, count, JSON_REJECT_DUPLICATES, &error);
        ck_assert_msg(message != NULL, "%s: %.*s", error.text, (int)count, line);
        json_array_foreach(json_object_get(message, "Events"), i, event) {
            json_t *element = json_array_get(json_object_get(event, "Payload"), 0);
            const char *text = json_string_value(json_object_get(element, member));
            if (!found && strcmp(json_string_value(json_object_get(event, "Name")), event_name) == 0 && text &&
                (!value || strcmp(text, value) == 0))
                found = json_incref(element);
        }
        json_decref(message);
    }
    return found;
}

START_TEST(a_dry_run_prints_what_this_host_does_hostile_names_included)
{
    pid_t pid = live_as("odd\nname \xe2\x98\xa0 \xff \"quoted\" \\", "300");

    ck_assert_int_eq(run("--dry-run", "--once"), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    json_t *process = find_element("ProcessCreate", "CommandLine", "odd\nname \xe2\x98\xa0 \xef\xbf\xbd \"quoted\" \\ 300");
    ck_assert_ptr_nonnull(process);
    ck_assert_int_eq(json_integer_value(json_object_get(process, "ProcessId")), pid);
    ck_assert_int_eq(json_integer_value(json_object_get(process, "ParentProcessId")), getpid());
    json_decref(process);
    json_t *user = find_element("LocalUsers", "UserName", NULL), *system = find_element("SystemInformation", "HostName", NULL);
    ck_assert_ptr_nonnull(user);
    ck_assert_ptr_nonnull(system);
    json_decref(user);
    json_decref(system);
    ck_assert_msg(access(spool, F_OK) != 0, "nothing is remembered");
}
END_TEST

/* How often a program of that name began, by all events: each of itself, and what they count. */
static uint64_t times_of(const char *mark)
{
    uint64_t times = 0;
    const char *line = output.bytes, *end = output.bytes + output.count;

    for (; line < end; line = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1) {
        json_t *event, *message;
        size_t i;
        if (*line != '{')
            continue;
        message = json_loadb(line, (size_t)((const char *)memchr(line, '\n', (size_t)(end - line)) - line), 0, NULL);
        ck_assert_ptr_nonnull(message);
        json_array_foreach(json_object_get(message, "Events"), i, event) {
            const json_t *element = json_array_get(json_object_get(event, "Payload"), 0), *hits = json_object_get(json_object_get(element, "ExtraDetails"), "HitCount");
            const char *command = json_string_value(json_object_get(element, "CommandLine")), *executable = json_string_value(json_object_get(element, "Executable"));
            bool gone = executable && command && !*command && (strcmp(executable, "(gone)") == 0 || strstr(executable, "true"));
            if (strcmp(json_string_value(json_object_get(event, "Name")), "ProcessCreate") == 0 && command && (strstr(command, mark) || gone))
                times += hits ? strtoull(json_string_value(hits), NULL, 10) : 1;
        }
        json_decref(message);
    }
    return times;
}

/* Only where the kernel tells of processes, which takes root on some. */
START_TEST(thousands_of_short_processes_are_a_few_events_with_an_exact_count)
{
    enum { BURST = 2000 };
    unsigned messages = 0;

    write_config("send_interval_s = 1\nprocess_interval_s = 1\n");
    struct program *program = program_start("picket-agent", (const char *const[]){"--config", config, "--dry-run", NULL}, NULL);
    ck_assert(program_log_wait(program, "\"Name\":\"SystemInformation\"", PROGRAM_WAIT_MS));
    for (int i = 0; i < BURST; i++) {
        pid_t child = fork();
        if (child == 0) {
            execl("/bin/true", "true", "one-of-the-burst", (char *)NULL);
            _exit(127);
        }
        waitpid(child, NULL, 0);
    }
    ck_assert_int_eq(program_stop(program), 0);
    buf_clear(&output);
    program_log(program, &output);
    program_close(program);
    if (says("looked at in intervals")) {
        fprintf(stderr, "skipped: the kernel does not tell of processes here\n");
        return;
    }
    ck_assert_uint_ge(times_of("one-of-the-burst"), BURST);
    for (const char *at = output.bytes; (at = memmem(at, (size_t)(output.bytes + output.count - at), "\n{\"AgentVersion\"", 16)); at++)
        messages++;
    ck_assert_msg(messages < 60, "%u messages", messages);
}
END_TEST

START_TEST(what_works_here_is_said_with_the_reason)
{
    ck_assert_int_eq(run("--check", NULL), 1);
    ck_assert_msg(says("\nserver            no       localhost cannot be reached"), "%s", output.bytes);
    ck_assert(says("processes         ok ") || says("processes         limited "));
    ck_assert(says("files             ok       by fanotify") || says("files             ok       by inotify"));
}
END_TEST

/* `make WITHOUT=…` of all collectors but the heartbeat. */
START_TEST(collectors_that_were_left_out_of_the_build_are_not_there)
{
    const char *const once[] = {"--config", config, "--once", "--dry-run", NULL}, *const checked[] = {"--config", config, "--check", NULL};
    struct stat whole, least;
    char path[512];

    ck_assert_int_eq(program_run("picket-agent-least", checked, NULL, &output), 1);
    ck_assert_msg(!says("processes ") && !says("files ") && says("spool ") && says("server "), "%s", output.bytes);
    buf_clear(&output);
    ck_assert_int_eq(program_run("picket-agent-least", once, NULL, &output), 0);
    ck_assert(says("\"Name\":\"Heartbeat\""));
    ck_assert(!says("\"Name\":\"ProcessCreate\"") && !says("\"Name\":\"OSBaseline\"") && !says("\"Name\":\"SystemInformation\""));
    snprintf(path, sizeof path, "%s/picket-agent", program_build_path());
    ck_assert_int_eq(stat(path, &whole), 0);
    snprintf(path, sizeof path, "%s/picket-agent-least", program_build_path());
    ck_assert_int_eq(stat(path, &least), 0);
    ck_assert_msg(least.st_size < whole.st_size * 3 / 4, "%ld of %ld", (long)least.st_size, (long)whole.st_size);
}
END_TEST

START_TEST(a_server_that_is_away_is_told_and_what_was_seen_is_kept)
{
    ck_assert_int_eq(run("--once", NULL), 3);
    ck_assert(says("localhost cannot be reached"));
    ck_assert(says("what was seen is kept"));
    ck_assert_uint_ge(kept(), 1);
    unsigned before = kept();
    ck_assert_int_eq(run("--once", NULL), 3);
    ck_assert_uint_gt(kept(), before);
}
END_TEST

START_TEST(a_signal_ends_it_and_what_is_queued_is_kept)
{
    struct program *program = program_start("picket-agent", (const char *const[]){"--config", config, NULL}, NULL);

    ck_assert(program_log_wait(program, "watching; messages go to localhost", PROGRAM_WAIT_MS));
    ck_assert_int_eq(program_stop(program), 0);
    program_close(program);
    ck_assert_uint_ge(kept(), 1);
}
END_TEST

START_TEST(only_one_watches_with_a_spool)
{
    struct program *program = program_start("picket-agent", (const char *const[]){"--config", config, NULL}, NULL);

    ck_assert(program_log_wait(program, "watching", PROGRAM_WAIT_MS));
    ck_assert_int_eq(run("--once", NULL), 2);
    ck_assert(says("in use by another picket-agent"));
    ck_assert_int_eq(program_stop(program), 0);
    program_close(program);
}
END_TEST

START_TEST(what_is_wrong_is_told_with_its_line)
{
    write_config("spool_byte = 1\n");
    ck_assert_int_eq(run("--once", NULL), 2);
    ck_assert(says("agent.conf:4: unknown key spool_byte"));
    ck_assert_int_eq(run("--twice", NULL), 64);
    ck_assert(says("--dry-run"));
    ck_assert_int_eq(program_run("picket-agent", NULL, NULL, NULL), 64);
    ck_assert_int_eq(run("--help", NULL), 0);
}
END_TEST

START_TEST(the_configuration_is_printed_without_its_key)
{
    ck_assert_int_eq(run("--print-config", NULL), 0);
    ck_assert(says("SharedAccessKey=(hidden)"));
    ck_assert(!says("AAECAw"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_dry_run_prints_what_this_host_does_hostile_names_included,
        thousands_of_short_processes_are_a_few_events_with_an_exact_count,
        what_works_here_is_said_with_the_reason,
        collectors_that_were_left_out_of_the_build_are_not_there,
        a_server_that_is_away_is_told_and_what_was_seen_is_kept,
        a_signal_ends_it_and_what_is_queued_is_kept,
        only_one_watches_with_a_spool,
        what_is_wrong_is_told_with_its_line,
        the_configuration_is_printed_without_its_key,
    };

    return check_main(&(const struct check_suite){
        .name = "pipeline/agent",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .setup = setup,
        .teardown = teardown,
        .timeout_seconds = 120,
    });
}
