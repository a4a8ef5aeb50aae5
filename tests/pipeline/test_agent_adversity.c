#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "tests/support/check_main.h"
#include "tests/support/database.h"
#include "tests/support/relay.h"
#include "tests/support/whole.h"

/* The real picket-agent in bad times: an hour without its server, a clock that jumps by a year, a full disk, kill -9 and a spool that was
 * damaged. It goes on, no number is used twice, and what was lost is told. Its clock is moved by libfaketime. */
#define TIME_LIMIT_S 600
#define WAIT_MS 120000 /* after a long outage the next try may be a minute away */
#define BURST 100
#define HOUR_S 3600
#define YEAR_S 31536000

static char folder[64], config[128], clock_file[128], device[32];
static uint16_t mqtts_port;
static struct relay *relay;
static struct program *agent;
static struct buf out, said;

/* The answer to `sql`, in which "device_id" is followed by which one. */
static const char *ask(const char *sql)
{
    static const char column[] = "device_id = ?";
    const char *at = strstr(sql, column);

    ck_assert_ptr_nonnull(at);
    return pipeline_text("%.*sdevice_id = '%s'%s", (int)(at - sql), sql, device, at + strlen(column));
}

static void wait_text(const char *sql, const char *expected)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;

    while (strcmp(ask(sql), expected) != 0) {
        if (clock_monotonic_ms() > until_ms) {
            fprintf(stderr, "the ledger: %s\n", ask("SELECT string_agg(concat_ws(' ', stream, highest, stored, dropped, drop_reasons, settled_below, settled_lost, gap_from), E'\\n') FROM picket.ledger WHERE device_id = ?"));
            buf_clear(&said);
            program_log(agent, &said);
            buf_append(&said, "", 1);
            pipeline_abort("%s is not %s but %s; the agent said: %s", sql, expected, ask(sql), said.bytes);
        }
        poll(NULL, 0, 50);
    }
}

/* Ahead of ours by so many seconds, and so many times as fast. */
static void clock_set(long ahead_s, unsigned times)
{
    char whole[160];

    snprintf(whole, sizeof whole, "%s.new", clock_file);
    FILE *file = fopen(whole, "we");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "%+ld x%u\n", ahead_s, times);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(rename(whole, clock_file), 0);
}

/* False, and said: there is no libfaketime, or a sanitizer does not stand it. */
static bool clock_begin(bool monotonic_too, const char *environment[8])
{
    static char preload[512], file[200];
    glob_t found = {0};
    bool there = !whole_sanitized() && glob("/usr/lib/*/faketime/libfaketimeMT.so.1", 0, NULL, &found) == 0;

    if (there) {
        size_t count = 0;
        snprintf(preload, sizeof preload, "LD_PRELOAD=%s", found.gl_pathv[0]);
        snprintf(file, sizeof file, "FAKETIME_TIMESTAMP_FILE=%s", clock_file);
        environment[count++] = preload;
        environment[count++] = file;
        environment[count++] = "FAKETIME_NO_CACHE=1";
        if (!monotonic_too)
            environment[count++] = "FAKETIME_DONT_FAKE_MONOTONIC=1";
        environment[count] = NULL;
        clock_set(0, 1);
    } else {
        fprintf(stderr, "skipped: no libfaketime, or a sanitizer that does not stand it\n");
    }
    globfree(&found);
    return there;
}

static void agent_configure(const char *name, const char *more)
{
    char connection[1024];

    snprintf(device, sizeof device, "%s", name);
    ck_assert_int_eq(whole_picket((const char *const[]){"device", "create", device, NULL}, &out, &said), 0);
    ck_assert_int_eq(whole_picket((const char *const[]){"device", "connection-string", device, NULL}, &out, &said), 0);
    snprintf(connection, sizeof connection, "%.*s", (int)strcspn(out.bytes, "\n"), out.bytes);
    FILE *file = fopen(config, "we");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "connection_string = %s\nca_file = %s\nspool_folder = %s/spool\ntransport = mqtt\nmqtt_port = %u\nsend_interval_s = 1\nprocess_interval_s = 1\nsocket_interval_s = 5\n"
                  "snapshot_interval_s = 600\n%s",
            connection, whole_ca_file(), folder, relay_port(relay), more);
    ck_assert_int_eq(fclose(file), 0);
}

/* Back when it watches: before that a signal ends it as any program. */
static void agent_start(const char *const *environment)
{
    agent = program_start("picket-agent", (const char *const[]){"--config", config, NULL}, environment);
    ck_assert(program_log_wait(agent, "watching;", WAIT_MS));
}

static void disconnected_wait(void)
{
    wait_text("SELECT connected FROM picket.device_connection WHERE device_id = ?", "f");
}

static void connected_wait(void)
{
    wait_text("SELECT connected FROM picket.device_connection WHERE device_id = ?", "t");
}

/* Processes with arguments of their own, so that each becomes an event; they live long enough for these to be read. */
static void burst(const char *tag)
{
    char script[240];

    snprintf(script, sizeof script, "i=0; while [ $i -lt %d ]; do /bin/sh -c \"sleep 0.3; : %s-$i\" & i=$((i+1)); done; wait", BURST, tag);
    ck_assert_int_eq(program_run("/bin/sh", (const char *const[]){"-c", script, NULL}, NULL, NULL), 0);
}

static unsigned kept(void)
{
    char path[128];
    struct dirent **names;
    unsigned count = 0;

    snprintf(path, sizeof path, "%s/spool", folder);
    int all = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < all; i++) {
        count += strstr(names[i]->d_name, ".message") != NULL;
        free(names[i]);
    }
    if (all >= 0)
        free(names);
    return count;
}

static void kept_wait(unsigned least)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;

    while (kept() < least) {
        if (clock_monotonic_ms() > until_ms)
            pipeline_abort("%u messages are kept, not %u", kept(), least);
        poll(NULL, 0, 50);
    }
}

/* The agent ends in order, and then every number that it gave is accounted for, and no number has two events. */
#define NUMBERS "SELECT sum(settled_stored + (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(stored) r)) FROM picket.ledger WHERE device_id = ?"
static void all_accounted_for(void)
{
    char numbers[32];

    ck_assert_int_eq(program_stop(agent), 0);
    wait_text("SELECT coalesce(bool_and(gap_from IS NULL AND settled_lost = 0), false) FROM picket.ledger WHERE device_id = ?", "t");
    ck_assert_str_eq(ask("SELECT bool_and(count = 1) FROM (SELECT count(*) FROM picket.ledger WHERE device_id = ? GROUP BY stream) each"), "t");
    snprintf(numbers, sizeof numbers, "%s", ask(NUMBERS));
    wait_text("SELECT count(*) FROM picket.raw_event WHERE device_id = ? AND element = 0", numbers);
    ck_assert_str_eq(ask("SELECT count(DISTINCT event_id) FROM picket.raw_event WHERE device_id = ? AND element = 0"), numbers);
}

static const char *dropped(void)
{
    return ask("SELECT coalesce(string_agg(reason, ' ' ORDER BY reason), '') FROM (SELECT DISTINCT jsonb_object_keys(drop_reasons) reason FROM picket.ledger WHERE device_id = ?) r");
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/picket-agent-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(config, sizeof config, "%s/agent.conf", folder);
    snprintf(clock_file, sizeof clock_file, "%s/clock", folder);
    buf_init(&out, 1 << 20);
    buf_init(&said, 16 << 20);
    relay = relay_start(mqtts_port);
}

static void teardown(void)
{
    if (agent)
        program_close(agent);
    agent = NULL;
    relay_stop(relay);
    program_run("/bin/rm", (const char *const[]){"-rf", folder, NULL}, NULL, NULL);
    buf_done(&said);
    buf_done(&out);
}

START_TEST(an_hour_without_the_server_loses_nothing)
{
    const char *environment[8];

    if (!clock_begin(true, environment))
        return;
    agent_configure("away-1", "");
    agent_start(environment);
    connected_wait();
    relay_open(relay, false);
    clock_set(0, 120);
    int64_t from_ms = clock_monotonic_ms();
    for (int i = 0; clock_monotonic_ms() - from_ms < HOUR_S * 1000 / 120; i++) {
        char tag[32];
        snprintf(tag, sizeof tag, "away-%d", i);
        burst(tag);
        poll(NULL, 0, 2000);
    }
    ck_assert_uint_ge(kept(), 10);
    disconnected_wait();
    relay_open(relay, true);
    connected_wait();
    /* It stays as fast: a clock that jumped now would let the message under way time out, and the next try wait for minutes. */
    wait_text("SELECT count(*) >= 5 * 100 FROM picket.raw_event WHERE device_id = ? AND details ->> 'CommandLine' ~ ': away-[0-9]+-[0-9]+$'", "t");
    all_accounted_for();
    ck_assert_str_eq(dropped(), "");
}
END_TEST

/* Its own view of certificates and keys is a year off, too: it keeps what it has until the clock is right again. */
START_TEST(a_clock_that_jumps_by_a_year_forward_and_back_loses_nothing)
{
    static const long jumps_s[] = {YEAR_S, -YEAR_S};
    const char *environment[8];

    if (!clock_begin(false, environment))
        return;
    agent_configure("jump-1", "");
    agent_start(environment);
    connected_wait();
    for (size_t i = 0; i < sizeof jumps_s / sizeof *jumps_s; i++) {
        clock_set(jumps_s[i], 1);
        burst(i ? "jump-back" : "jump-forward");
        relay_drop(relay);
        burst(i ? "then-back" : "then-forward");
        kept_wait(1);
        clock_set(0, 1);
        wait_text(i ? "SELECT count(*) FROM picket.raw_event WHERE device_id = ? AND details ->> 'CommandLine' ~ ': [a-z]+-back-[0-9]+$'"
                    : "SELECT count(*) FROM picket.raw_event WHERE device_id = ? AND details ->> 'CommandLine' ~ ': [a-z]+-forward-[0-9]+$'",
                  "200");
    }
    all_accounted_for();
    ck_assert_str_eq(dropped(), "");
}
END_TEST

/* The spool lies on a file system of 384 KiB. */
START_TEST(a_full_disk_is_told_and_ends_with_the_outage)
{
    static const char mount_and_run[] = "mkdir -p \"$1\" && mount -t tmpfs -o size=384k none \"$1\" && exec \"$2\" --config \"$3\"";
    char spool[128], program[512];

    if (geteuid() != 0 || program_run("/usr/bin/unshare", (const char *const[]){"--mount", "/bin/sh", "-c", "mount -t tmpfs none /mnt", NULL}, NULL, NULL) != 0) {
        fprintf(stderr, "skipped: there is no right to mount\n");
        return;
    }
    snprintf(spool, sizeof spool, "%s/spool", folder);
    snprintf(program, sizeof program, "%s/picket-agent", program_build_path());
    agent_configure("full-1", "");
    agent = program_start("/usr/bin/unshare", (const char *const[]){"--mount", "/bin/sh", "-c", mount_and_run, "sh", spool, program, config, NULL}, NULL);
    connected_wait();
    relay_open(relay, false);
    for (int i = 0; i < 20; i++) {
        char tag[32];
        snprintf(tag, sizeof tag, "full-%d", i);
        burst(tag);
    }
    ck_assert(program_log_wait(agent, "events dropped so far", WAIT_MS));
    disconnected_wait();
    relay_open(relay, true);
    connected_wait();
    burst("later");
    wait_text("SELECT count(*) FROM picket.raw_event WHERE device_id = ? AND details ->> 'CommandLine' ~ ': later-[0-9]+$'", "100");
    all_accounted_for();
    ck_assert_msg(*dropped() != '\0', "nothing was dropped");
}
END_TEST

/* Flips a byte in the middle of the oldest message that is kept, and cuts the newest in half. */
static void spool_damage(void)
{
    char path[700];
    struct dirent **names;
    int first = -1, last = -1, file;
    char byte;

    snprintf(path, sizeof path, "%s/spool", folder);
    int all = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < all; i++) {
        bool message = strstr(names[i]->d_name, ".message") != NULL;
        first = message && first < 0 ? i : first;
        last = message ? i : last;
    }
    ck_assert_int_lt(first, last);
    snprintf(path, sizeof path, "%s/spool/%s", folder, names[first]->d_name);
    file = open(path, O_RDWR | O_CLOEXEC);
    off_t middle = lseek(file, 0, SEEK_END) / 2;
    ck_assert_int_eq((int)pread(file, &byte, 1, middle), 1);
    byte = (char)~byte;
    ck_assert_int_eq((int)pwrite(file, &byte, 1, middle), 1);
    close(file);
    snprintf(path, sizeof path, "%s/spool/%s", folder, names[last]->d_name);
    file = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(ftruncate(file, lseek(file, 0, SEEK_END) / 2), 0);
    close(file);
    while (all-- > 0)
        free(names[all]);
    free(names);
}

START_TEST(kill_9_while_it_keeps_messages_and_a_damaged_spool_are_told)
{
    agent_configure("kill-1", "");
    agent_start(NULL);
    connected_wait();
    relay_open(relay, false);
    for (int i = 0; i < 8; i++) {
        char tag[32];
        unsigned before = kept();
        snprintf(tag, sizeof tag, "kill-%d", i);
        burst(tag);
        kept_wait(before + 1);
        burst(tag);
        poll(NULL, 0, 130 * i % 1000); /* another moment each time */
        program_kill(agent, SIGKILL);
        (void)program_wait(agent, WAIT_MS);
        program_close(agent);
        if (i == 3)
            spool_damage();
        agent_start(NULL);
    }
    disconnected_wait();
    relay_open(relay, true);
    connected_wait();
    burst("after");
    wait_text("SELECT count(*) FROM picket.raw_event WHERE device_id = ? AND details ->> 'CommandLine' ~ ': after-[0-9]+$'", "100");
    /* What was lost last is told with the next event of its priority. */
    ck_assert_int_eq(program_stop(agent), 0);
    program_close(agent);
    agent_start(NULL);
    wait_text("SELECT bool_and(gap_from IS NULL AND settled_lost = 0) FROM picket.ledger WHERE device_id = ?", "t");
    all_accounted_for();
    ck_assert_msg(strstr(dropped(), "restart") && strstr(dropped(), "spool-damaged"), "%s", dropped());
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        an_hour_without_the_server_loses_nothing,
        a_clock_that_jumps_by_a_year_forward_and_back_loses_nothing,
        a_full_disk_is_told_and_ends_with_the_outage,
        kill_9_while_it_keeps_messages_and_a_damaged_spool_are_told,
    };
    static char line[40];

    mqtts_port = program_free_port();
    snprintf(line, sizeof line, "mqtts_port: %u", mqtts_port);
    whole_start(1, (const char *const[]){line, NULL});
    int failed = check_main(&(const struct check_suite){"pipeline/agent_adversity", tests, sizeof tests / sizeof tests[0], setup, teardown, TIME_LIMIT_S});
    return whole_stop() || failed;
}
