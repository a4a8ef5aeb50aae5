#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check_main.h"
#include "tests/support/program.h"

/* The real picket-agent on a host of its own, where Debian's programs do what it has to see: tests/support/host_facts.sh. What is told of
 * processes is in test_agent.c, since the kernel tells of them on the first network alone. */

#define OUTPUT_MAX (64 << 20)

static char folder[] = "/tmp/picket-host-XXXXXX";
static struct buf output;
static json_t *events; /* all that it told, in order; NULL: no host of one's own can be had here */

static bool hosts_can_be_had(void)
{
    static const char probe[] = "mount -t tmpfs none \"$0\" && mkdir \"$0/over\" \"$0/work\" && mount -t overlay -o \"lowerdir=/etc,upperdir=$0/over,workdir=$0/work\" none /etc";
    bool had = geteuid() == 0 && program_run("/usr/bin/unshare", (const char *const[]){"--mount", "--net", "/bin/sh", "-c", probe, folder, NULL}, NULL, NULL) == 0;

    if (!had)
        fprintf(stderr, "skipped: there is no right to make namespaces and to mount\n");
    return had;
}

static void setup(void)
{
    char script[512], sshd[512], agent[512];
    size_t i;

    buf_init(&output, OUTPUT_MAX);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    events = NULL;
    if (!hosts_can_be_had())
        return;
    snprintf(script, sizeof script, "%s/../tests/support/host_facts.sh", program_build_root());
    snprintf(sshd, sizeof sshd, "%s/unpacked", program_build_root());
    snprintf(agent, sizeof agent, "%s/picket-agent", program_build_path());
    int code = program_run("/usr/bin/unshare", (const char *const[]){"--mount", "--net", script, sshd, folder, agent, NULL}, NULL, &output);
    buf_append(&output, "", 1);
    ck_assert_msg(code == 0, "%.4000s", (const char *)output.bytes);
    events = json_array();
    for (char *line = (char *)output.bytes, *end; (end = strchr(line, '\n')); line = end + 1) {
        json_error_t error;
        json_t *message = json_loadb(line, (size_t)(end - line), 0, &error), *event;
        ck_assert_msg(message != NULL, "%s: %.200s", error.text, line);
        json_array_foreach(json_object_get(message, "Events"), i, event)
            json_array_append(events, event);
        json_decref(message);
    }
}

static void teardown(void)
{
    json_decref(events);
    (void)rmdir(folder);
    memcpy(strrchr(folder, '-') + 1, "XXXXXX", 6);
    buf_done(&output);
}

/* How many elements of events of that name have members that are so ({"UserName": "grace"}); with `last`, in the last of these events alone. */
static size_t count_of(const char *name, const char *like, bool last)
{
    json_t *wanted = json_loads(like, 0, NULL), *event, *element, *value;
    size_t count = 0, i, j;
    const char *key;

    ck_assert_ptr_nonnull(wanted);
    json_array_foreach(events, i, event) {
        if (strcmp(json_string_value(json_object_get(event, "Name")), name) != 0)
            continue;
        count = last ? 0 : count;
        json_array_foreach(json_object_get(event, "Payload"), j, element) {
            bool same = true;
            json_object_foreach(wanted, key, value)
                same = same && json_equal(json_object_get(element, key), value);
            count += same;
        }
    }
    json_decref(wanted);
    return count;
}

START_TEST(each_fact_of_a_live_host_becomes_its_event_once)
{
    if (!events)
        return;
    ck_assert_uint_eq(count_of("ListeningPorts", "{\"Protocol\": \"tcp6\", \"LocalAddress\": \"::1\", \"LocalPort\": \"2022\"}", true), 1);
    ck_assert_uint_eq(count_of("Login", "{}", false), 2);
    ck_assert_uint_eq(count_of("Login", "{\"UserName\": \"grace\", \"Result\": \"Fail\", \"RemoteAddress\": \"::1\"}", false), 1);
    ck_assert_uint_eq(count_of("Login", "{\"UserName\": \"grace\", \"Result\": \"Success\", \"RemoteAddress\": \"::1\"}", false), 1);
    ck_assert_uint_eq(count_of("LocalUsers", "{\"UserName\": \"hopper\", \"GroupNames\": \"hopper\"}", true), 1);
    ck_assert_uint_eq(count_of("FirewallConfiguration", "{\"ChainName\": \"inet picket_facts/doorway\", \"Action\": \"Allow\", \"Direction\": \"In\", \"Protocol\": \"tcp\", \"DestinationPort\": \"2022\"}", true), 1);
    ck_assert_uint_eq(count_of("FirewallConfiguration", "{\"ChainName\": \"inet picket_facts/doorway\", \"Action\": \"Deny\", \"Direction\": \"In\"}", true), 1);
    ck_assert_uint_eq(count_of("FirewallConfiguration", "{}", true), 2);
    ck_assert_uint_ge(count_of("SBoM", "{\"Name\": \"picket-fact\", \"Version\": \"1.2.3-4\", \"PackageManager\": \"dpkg\"}", false), 1);
    ck_assert_uint_eq(count_of("FileSystem", "{\"Path\": \"/etc/picket-fact.conf\", \"Mask\": \"Created\"}", false), 1);
    ck_assert_uint_eq(count_of("FileSystem", "{\"Path\": \"/etc/motd\", \"Mask\": \"Modified\"}", false), 1);
    ck_assert_uint_eq(count_of("PeripheralEthernet", "{\"InterfaceName\": \"picket1\", \"ActionType\": \"DOWN\"}", false), 1);
    ck_assert_uint_eq(count_of("DnsRequest", "{\"Domain\": \"fact.picket.example\", \"QueryType\": \"A\", \"RemoteAddress\": \"127.0.0.1\"}", false), 1);
    ck_assert_uint_eq(count_of("ConnectionCreate", "{\"Direction\": \"Out\", \"Protocol\": \"tcp\", \"RemoteAddress\": \"127.0.0.1\", \"RemotePort\": \"7007\"}", false), 1);
    ck_assert_uint_eq(count_of("ConnectionCreate", "{\"Direction\": \"Out\", \"LocalAddress\": \"::1\", \"RemotePort\": \"2022\"}", false), 2); /* both logins */
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        each_fact_of_a_live_host_becomes_its_event_once,
    };

    return check_main(&(const struct check_suite){
        .name = "pipeline/agent_host",
        .tests = tests,
        .count = sizeof tests / sizeof *tests,
        .setup = setup,
        .teardown = teardown,
        .timeout_seconds = 180,
    });
}
