#include "agent/collector.h"

#include "tests/support/check_main.h"
#include "tests/unit/agent/fake_port.h"
#include "tests/unit/agent/root_folder.h"

static struct fake fake;
static struct picket_agent agent;
static struct picket_settings config;
static struct collector_scope scope;
static char queue[1024 * 1024], message[128 * 1024];

static void setup(void)
{
    const struct picket_agent_settings settings = {"1.2.3", {1000, 1000, 1000}, 0};
    const struct picket_agent_memory memory = {.queues = {{queue, sizeof queue}}, .message = message, .message_size = sizeof message};
    root_make();
    root_write("/etc/passwd", "");
    root_write("/proc/net/tcp", "");
    root_write("/proc/1/stat", "");
    fake_init(&fake);
    picket_agent_init(&agent, &fake.port, &settings, &memory);
    picket_settings_default(&config);
    scope.agent = &agent;
    scope.root = root;
    scope.utc_ms = FAKE_START_UTC_MS;
}

static void teardown(void)
{
    fake_done(&fake);
    root_remove();
}

/* How many events of that name were sent so far. */
static unsigned sent(const char *name)
{
    char text[64];
    unsigned count = 0;

    ck_assert(picket_agent_flush(&agent));
    snprintf(text, sizeof text, "\"Name\":\"%s\"", name);
    for (size_t i = 0; i < fake.sent_count; i++) {
        for (const char *at = fake.sent[i].body; (at = strstr(at, text)); at++)
            count++;
    }
    return count;
}

START_TEST(each_collector_has_its_own_interval)
{
    config.snapshot_s = 100;
    config.process_polling_us = 7000000;
    struct collectors *collectors = collectors_open(&agent, &config, root, NULL);

    ck_assert_uint_eq(collectors_run(collectors), 7000);
    ck_assert_uint_eq(sent("SystemInformation"), 1);
    ck_assert_uint_eq(sent("LocalUsers"), 1);
    ck_assert_uint_eq(sent("ListeningPorts"), 1);
    fake.now_ms += 99999;
    ck_assert_uint_eq(collectors_run(collectors), 1);
    ck_assert_uint_eq(sent("LocalUsers"), 1);
    fake.now_ms += 1;
    collectors_run(collectors);
    ck_assert_uint_eq(sent("LocalUsers"), 2);
    ck_assert_uint_eq(sent("SystemInformation"), 2);
    collectors_close(collectors);
}
END_TEST

START_TEST(those_that_the_configuration_names_are_off_whatever_the_twin_says)
{
    struct reason why;
    struct collectors *collectors = collectors_open(&agent, &config, root, NULL);

    ck_assert(collectors_known("", &why));
    ck_assert(collectors_known(" local users,system information , ", &why));
    ck_assert(!collectors_known("local users, system", &why));
    ck_assert_msg(strncmp(why.text, "there is no collector system; there are system information, ", 59) == 0, "%s", why.text);
    collectors_switch_off(collectors, " local users,system information , ");
    collectors_configure(collectors, &config);
    collectors_run(collectors);
    ck_assert_uint_eq(sent("SystemInformation"), 0);
    ck_assert_uint_eq(sent("LocalUsers"), 0);
    ck_assert_uint_eq(sent("ListeningPorts"), 1);
    ck_assert(collectors_collect(collectors, "local users")); /* asked for by name */
    ck_assert_uint_eq(sent("LocalUsers"), 1);
    ck_assert(collectors_collect(collectors, "all"));
    ck_assert_uint_eq(sent("LocalUsers"), 1);
    ck_assert_uint_eq(sent("ListeningPorts"), 2);
    collectors_close(collectors);
}
END_TEST

START_TEST(what_cannot_be_seen_is_told_once_and_is_no_empty_list)
{
    ck_assert_int_eq(unlink(root_path("/etc/passwd")), 0);
    struct collectors *collectors = collectors_open(&agent, &config, root, NULL);
    for (int i = 0; i < 3; i++) {
        collectors_run(collectors);
        fake.now_ms += config.snapshot_s * 1000;
    }
    ck_assert_uint_eq(sent("LocalUsers"), 0);
    ck_assert_uint_eq(sent("ListeningPorts"), 3);
    unsigned before = sent("Diagnostic"), said = 0;
    for (size_t i = 0; i < fake.sent_count; i++)
        said += strstr(fake.sent[i].body, "local users: /etc/passwd cannot be read") != NULL;
    ck_assert_uint_eq(said, 1);
    root_write("/etc/passwd", "root:x:0:0:root:/:/bin/sh\n");
    collectors_run(collectors);
    ck_assert_uint_eq(sent("LocalUsers"), 1);
    ck_assert_uint_eq(sent("Diagnostic"), before + 1); /* that it can be seen now */
    collectors_close(collectors);
}
END_TEST

START_TEST(what_happens_while_a_watch_is_off_is_not_told_later)
{
    struct pollfd sockets[COLLECTOR_SOCKETS_MAX];

    snprintf(config.file_paths, sizeof config.file_paths, "/etc");
    root_write("/etc/x", "x");
    struct collectors *collectors = collectors_open(&agent, &config, root, NULL);
    collectors_run(collectors);
    size_t watched = collectors_sockets(collectors, sockets);
    config.subjects[PICKET_FILES].disabled = true;
    collectors_configure(collectors, &config);
    collectors_run(collectors);
    ck_assert_uint_eq(collectors_sockets(collectors, sockets), watched - 1);
    root_write("/etc/while-off", "x");
    collectors_run(collectors);
    config.subjects[PICKET_FILES].disabled = false;
    collectors_configure(collectors, &config);
    collectors_run(collectors);
    ck_assert_uint_eq(collectors_sockets(collectors, sockets), watched);
    ck_assert_uint_eq(sent("FileSystem"), 0);
    root_write("/etc/while-on", "x");
    collectors_run(collectors);
    ck_assert_uint_ge(sent("FileSystem"), 1);
    collectors_close(collectors);
}
END_TEST

START_TEST(a_collector_that_comes_late_is_not_made_up_for)
{
    struct collectors *collectors = collectors_open(&agent, &config, root, NULL);

    config.snapshot_s = 3600;
    collectors_run(collectors);
    fake.now_ms += 10 * INT64_C(3600000);
    ck_assert_uint_gt(collectors_run(collectors), 0);
    ck_assert_uint_eq(sent("LocalUsers"), 2);
    collectors_close(collectors);
}
END_TEST

START_TEST(elements_of_a_list_share_events_and_none_is_lost)
{
    struct payload payload;

    payload_open_list(&payload, &scope, "LocalUsers");
    for (unsigned i = 0; i < 5000; i++) {
        struct picket_json_writer *writer = payload_begin(&payload);
        member_number(writer, "N", i);
        member_text(writer, "T", "some text to fill it up, as an element of a list has");
        payload_end(&payload);
    }
    payload_close(&payload);
    unsigned events = sent("LocalUsers"), elements = 0;
    ck_assert_uint_gt(events, 2);
    ck_assert_uint_lt(events, 20);
    for (size_t i = 0; i < fake.sent_count; i++) {
        for (const char *at = fake.sent[i].body; (at = strstr(at, "{\"N\":")); at++)
            ck_assert_uint_eq((unsigned)strtoul(at + 5, NULL, 10), elements++);
    }
    ck_assert_uint_eq(elements, 5000);
}
END_TEST

START_TEST(each_happening_is_an_event_of_its_own)
{
    struct payload payload;

    payload_open_each(&payload, &scope, "Login");
    for (unsigned i = 0; i < 3; i++) {
        member_number(payload_begin(&payload), "N", i);
        payload_end(&payload);
    }
    payload_close(&payload);
    ck_assert_uint_eq(sent("Login"), 3);
}
END_TEST

START_TEST(nothing_happened_is_no_event_and_an_empty_list_is_one)
{
    struct payload payload;

    payload_open_each(&payload, &scope, "Login");
    payload_close(&payload);
    ck_assert_uint_eq(sent("Login"), 0);
    payload_open_list(&payload, &scope, "LocalUsers");
    payload_close(&payload);
    ck_assert_uint_eq(sent("LocalUsers"), 1);
}
END_TEST

START_TEST(an_element_too_long_takes_no_other_with_it)
{
    static char text[MEMBER_TEXT_MAX + 1];
    struct payload payload;

    memset(text, '\1', MEMBER_TEXT_MAX);
    payload_open_list(&payload, &scope, "LocalUsers");
    for (unsigned i = 0; i < 3; i++) {
        struct picket_json_writer *writer = payload_begin(&payload);
        member_number(writer, "N", i);
        for (unsigned j = 0; i == 1 && j < 3; j++)
            member_text(writer, "T", text);
        payload_end(&payload);
    }
    payload_close(&payload);
    ck_assert_uint_eq(sent("LocalUsers"), 1);
    ck_assert_ptr_nonnull(strstr(fake.sent[0].body, "\"Payload\":[{\"N\":0},{\"N\":2}]"));
}
END_TEST

START_TEST(a_text_longer_than_a_member_is_cut)
{
    static char text[MEMBER_TEXT_MAX + 100];
    struct payload payload;

    memset(text, 'x', sizeof text - 1);
    payload_open_each(&payload, &scope, "Login");
    member_text(payload_begin(&payload), "T", text);
    payload_end(&payload);
    ck_assert_uint_eq(sent("Login"), 1);
    ck_assert_uint_eq(strspn(strstr(fake.sent[0].body, "\"T\":\"") + 5, "x"), MEMBER_TEXT_MAX);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        each_collector_has_its_own_interval,
        those_that_the_configuration_names_are_off_whatever_the_twin_says,
        what_cannot_be_seen_is_told_once_and_is_no_empty_list,
        what_happens_while_a_watch_is_off_is_not_told_later,
        a_collector_that_comes_late_is_not_made_up_for,
        elements_of_a_list_share_events_and_none_is_lost,
        each_happening_is_an_event_of_its_own,
        nothing_happened_is_no_event_and_an_empty_list_is_one,
        an_element_too_long_takes_no_other_with_it,
        a_text_longer_than_a_member_is_cut,
    };

    return check_main(&(const struct check_suite){
        .name = "agent/collectors",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .setup = setup,
        .teardown = teardown,
        .timeout_seconds = 30,
    });
}
