#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "tests/support/certificate_authority.h"
#include "tests/support/check_main.h"
#include "tests/support/database.h"
#include "tests/support/whole.h"

/* The real picket-agent and a real picketd, by MQTT over TLS: what it sends, and what it is told. */
#define TIME_LIMIT_S 180
#define WAIT_MS 30000
#define INTERVALS "send_interval_s = 1\nprocess_interval_s = 1\nsocket_interval_s = 3600\nsnapshot_interval_s = 3600\n"

#define FIRST_KEY "Zmlyc3Qga2V5IG9mIHRoZSBkZXZpY2UsIDMyIGJ5dGU="
#define SECOND_KEY "c2Vjb25kIGtleSBvZiB0aGUgZGV2aWNlIDMyIGJ5dGU="

static char folder[64], config[128];
static const char *mqtts_port;
static struct program *agent;
static struct buf out, said;

static const char *picket_said(int code, const char *const *arguments)
{
    int ended = whole_picket(arguments, &out, &said);

    ck_assert_msg(ended == code, "%s %s ended with %d: %s%s", arguments[0], arguments[1], ended, out.count ? out.bytes : "", said.count ? said.bytes : "");
    return out.count ? out.bytes : "";
}
#define picket(code, ...) picket_said(code, (const char *const[]){__VA_ARGS__, NULL})

static const char *state_of(const char *sql)
{
    return pipeline_text("%s", sql);
}

static void wait_text(const char *sql, const char *expected)
{
    int64_t until_ms = clock_monotonic_ms() + WAIT_MS;

    while (strcmp(state_of(sql), expected) != 0) {
        if (clock_monotonic_ms() > until_ms)
            pipeline_abort("%s is not %s but %s", sql, expected, state_of(sql));
        poll(NULL, 0, 50);
    }
}

static void agent_start(const char *connection_string, const char *more)
{
    FILE *file = fopen(config, "we");

    ck_assert_ptr_nonnull(file);
    fprintf(file, "connection_string = %s\nca_file = %s\nspool_folder = %s/spool\ntransport = mqtt\nmqtt_port = %s\n" INTERVALS "%s", connection_string, whole_ca_file(), folder,
            mqtts_port, more);
    fclose(file);
    agent = program_start("picket-agent", (const char *const[]){"--config", config, NULL}, NULL);
}

/* A device with a key of its own, and the agent as it. */
static void device_start(const char *device)
{
    char connection[1024];

    picket(0, "device", "create", device);
    snprintf(connection, sizeof connection, "%s", picket(0, "device", "connection-string", device));
    connection[strcspn(connection, "\n")] = '\0';
    agent_start(connection, "");
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT connected FROM picket.device_connection WHERE device_id = '%s'", device);
    wait_text(sql, "t");
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/picket-agent-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(config, sizeof config, "%s/agent.conf", folder);
    buf_init(&out, 1 << 20);
    buf_init(&said, 1 << 20);
}

static void teardown(void)
{
    if (agent)
        program_close(agent);
    agent = NULL;
    program_run("/bin/rm", (const char *const[]){"-rf", folder, NULL}, NULL, NULL);
    buf_done(&said);
    buf_done(&out);
}

START_TEST(what_it_sees_arrives_and_the_ledger_has_no_gap)
{
    device_start("hub-1");
    wait_text("SELECT count(DISTINCT name) >= 4 FROM picket.raw_event WHERE device_id = 'hub-1'", "t");
    ck_assert_str_eq(state_of("SELECT count(*) FROM picket.message WHERE device_id = 'hub-1' AND departures IS NOT NULL"), "0");
    ck_assert_str_eq(state_of("SELECT coalesce(string_agg(DISTINCT departures::text, ' '), '') FROM picket.raw_event WHERE device_id = 'hub-1'"), "");
    ck_assert_str_eq(state_of("SELECT transport FROM picket.device_connection WHERE device_id = 'hub-1'"), "mqtt");
    ck_assert_int_eq(program_stop(agent), 0);
    /* All that was numbered has come: nothing is open in any stream. */
    wait_text("SELECT coalesce(bool_and(gap_from IS NULL AND settled_lost = 0), false) FROM picket.ledger WHERE device_id = 'hub-1'", "t");
}
END_TEST

START_TEST(the_twin_is_applied_at_once_and_answered)
{
    device_start("hub-2");
    picket(0, "twin", "set", "hub-2", "Process_Disabled=true", "Login_MessageFrequency=Sometimes", "CollectorsCore_PriorityIntervals=1,2,3");
    wait_text("SELECT reported ->> 'latest_state' FROM picket.twin WHERE device_id = 'hub-2'", "failed");
    ck_assert_str_eq(state_of("SELECT reported -> 'latest_invalid_fields' FROM picket.twin WHERE device_id = 'hub-2'"), "[\"Login_MessageFrequency\"]");
    picket(0, "twin", "set", "hub-2", "Login_MessageFrequency=Low", "CollectorsCore_PriorityIntervals=null");
    wait_text("SELECT reported ->> 'latest_state' FROM picket.twin WHERE device_id = 'hub-2'", "success");
    wait_text("SELECT count(*) FROM picket.raw_event WHERE device_id = 'hub-2' AND name = 'ConfigurationError' AND details ->> 'Message' LIKE '%Login_MessageFrequency%'", "1");
    /* Started again, it reads the twin that was set meanwhile. */
    ck_assert_int_eq(program_stop(agent), 0);
    picket(0, "twin", "set", "hub-2", "Heartbeat_MessageFrequency=never");
    program_close(agent);
    agent = program_start("picket-agent", (const char *const[]){"--config", config, NULL}, NULL);
    wait_text("SELECT reported -> 'latest_invalid_fields' FROM picket.twin WHERE device_id = 'hub-2'", "[\"Heartbeat_MessageFrequency\"]");
}
END_TEST

START_TEST(the_classic_twin_says_how_long_messages_are)
{
    /* Hundreds of packages: in two messages by default, in many now. */
    static const char short_ones[] = "SELECT count(*) >= 5 FROM (SELECT bus_offset FROM picket.raw_event WHERE device_id = 'hub-8' AND name = 'SBoM' GROUP BY bus_offset"
                                     " HAVING sum(octet_length(details::text)) < 8192) messages";

    device_start("hub-8");
    ck_assert_str_eq(state_of(short_ones), "f");
    picket(0, "twin", "set", "hub-8", "ms_iotn:urn_azureiot_Security_SecurityAgentConfiguration={\"maxMessageSizeInBytes\":{\"value\":8192}}");
    wait_text("SELECT reported #>> '{ms_iotn:urn_azureiot_Security_SecurityAgentConfiguration,maxMessageSizeInBytes,value}' FROM picket.twin WHERE device_id = 'hub-8'", "8192");
    picket(0, "method", "call", "hub-8", "collect", "--payload", "{\"collector\":\"packages\"}");
    wait_text(short_ones, "t");
}
END_TEST

START_TEST(direct_methods_are_answered)
{
    device_start("hub-3");
    const char *answer = picket(0, "method", "call", "hub-3", "ping", "--json");
    ck_assert_msg(strstr(answer, "\"uptime_s\":") && strstr(answer, "\"version\":"), "%s", answer);
    wait_text("SELECT count(*) FROM picket.raw_event WHERE device_id = 'hub-3' AND name = 'LocalUsers' AND element = 0", "1");
    picket(0, "method", "call", "hub-3", "collect", "--payload", "{\"collector\":\"local users\"}");
    wait_text("SELECT count(*) FROM picket.raw_event WHERE device_id = 'hub-3' AND name = 'LocalUsers' AND element = 0", "2");
    answer = picket(1, "method", "call", "hub-3", "collect", "--payload", "{\"collector\":\"dreams\"}");
    ck_assert_msg(strstr(answer, "processes, listening ports"), "%s", answer);
    picket(1, "method", "call", "hub-3", "explode");
}
END_TEST

/* Waits until the device has connected once more. */
static void reconnected_wait(const char *device, const char *before)
{
    char sql[300];

    snprintf(sql, sizeof sql, "SELECT connected AND connected_at > '%s' FROM picket.device_connection WHERE device_id = '%s'", before, device);
    wait_text(sql, "t");
}

START_TEST(a_rotated_key_holds_and_a_wrong_one_is_given_up)
{
    static const char connected_at[] = "SELECT connected_at FROM picket.device_connection WHERE device_id = 'hub-4'";
    char before[64];

    picket(0, "device", "create", "hub-4", "--primary-key", FIRST_KEY, "--secondary-key", SECOND_KEY);
    agent_start("HostName=localhost;DeviceId=hub-4;SharedAccessKey=" FIRST_KEY, "");
    wait_text("SELECT connected FROM picket.device_connection WHERE device_id = 'hub-4'", "t");
    /* One that the server does not know: the old one is used again. */
    snprintf(before, sizeof before, "%s", state_of(connected_at));
    picket(0, "method", "call", "hub-4", "rotateCredential", "--payload", "{\"key\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}");
    reconnected_wait("hub-4", before);
    ck_assert_ptr_nonnull(strstr(picket(0, "method", "call", "hub-4", "ping", "--json"), "uptime_s"));
    picket(1, "method", "call", "hub-4", "rotateCredential", "--payload", "{\"key\":\"short\"}");

    /* The server's second key; then the first one is made anew, and the device stays. */
    snprintf(before, sizeof before, "%s", state_of(connected_at));
    picket(0, "method", "call", "hub-4", "rotateCredential", "--payload", "{\"key\":\"" SECOND_KEY "\"}");
    reconnected_wait("hub-4", before);
    picket(0, "device", "rotate-key", "hub-4", "--key", "primary");
    ck_assert_int_eq(program_stop(agent), 0);
    program_close(agent);
    snprintf(before, sizeof before, "%s", state_of(connected_at));
    agent = program_start("picket-agent", (const char *const[]){"--config", config, NULL}, NULL); /* its file still has the first key */
    reconnected_wait("hub-4", before);
}
END_TEST

/* Puts a certificate and its key where the agent finds them: its thumbprint, and the lines of the configuration. */
#define OWN_LINES_SIZE 400
static void own_write(struct issued *own, char thumbprint[65], char lines[OWN_LINES_SIZE])
{
    static const char *const keys[] = {"certificate_file", "key_file"};
    const char *const texts[] = {certificate_authority_pem(own), certificate_authority_key_pem(own)};
    char path[128];

    for (size_t i = 0; i < 32; i++)
        snprintf(thumbprint + 2 * i, 3, "%02x", certificate_authority_sha256(own)[i]);
    lines[0] = '\0';
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/own.%s", folder, keys[i]);
        FILE *file = fopen(path, "we");
        ck_assert_ptr_nonnull(file);
        fputs(texts[i], file);
        fclose(file);
        size_t used = strlen(lines);
        snprintf(lines + used, OWN_LINES_SIZE - used, "%s = %s\n", keys[i], path);
    }
}

START_TEST(with_a_certificate_there_is_no_key)
{
    struct issued *authority = certificate_authority_issue(&(struct certificate_wish){.common_name = "CA", .authority = true}, NULL);
    struct issued *own = certificate_authority_issue(&(struct certificate_wish){.common_name = "hub-5"}, authority);
    char thumbprint[65], lines[OWN_LINES_SIZE];

    own_write(own, thumbprint, lines);
    picket(0, "device", "create", "hub-5", "--thumbprint", thumbprint);
    agent_start("HostName=localhost;DeviceId=hub-5;x509=true", lines);
    wait_text("SELECT count(*) > 0 FROM picket.raw_event WHERE device_id = 'hub-5' AND name = 'ProcessCreate'", "t");
    certificate_authority_free(own);
    certificate_authority_free(authority);
}
END_TEST

/* One configuration for a fleet: who the device is, its own name says. */
static void fleet_start(const char *registration, const char *more)
{
    FILE *file = fopen(config, "we");

    ck_assert_ptr_nonnull(file);
    fprintf(file, "enrolment_host = localhost:%s\nregistration_id = %s\nca_file = %s\nspool_folder = %s/new/spool\ntransport = mqtt\nmqtt_port = %s\n" INTERVALS "%s",
            strrchr(whole_device_url(), ':') + 1, registration, whole_ca_file(), folder, mqtts_port, more);
    fclose(file);
    agent = program_start("picket-agent", (const char *const[]){"--config", config, NULL}, NULL);
}

/* A member of a JSON answer of `picket`, as text. */
static void answered(const char *answer, const char *name, char text[200])
{
    json_t *json = json_loads(answer, 0, NULL);

    ck_assert_msg(json != NULL && json_is_string(json_object_get(json, name)), "%s", answer);
    snprintf(text, 200, "%s", json_string_value(json_object_get(json, name)));
    json_decref(json);
}

START_TEST(a_fleet_enrols_with_the_key_of_its_group)
{
    char scope[200], key[200], more[500];
    const char *answer = picket(0, "group", "create", "fleet", "--json");

    answered(answer, "id_scope", scope);
    answered(answer, "primary_key", key);
    snprintf(more, sizeof more, "id_scope = %s\ngroup_key = %s\n", scope, key);
    fleet_start("born-1", more);
    wait_text("SELECT count(*) > 0 FROM picket.raw_event WHERE device_id = 'born-1' AND name = 'ProcessCreate'", "t");
    /* What has no connection string is checked where it enrols. */
    buf_clear(&said);
    (void)program_run("picket-agent", (const char *const[]){"--config", config, "--check", NULL}, NULL, &said);
    buf_append(&said, "", 1);
    ck_assert_msg(strstr(said.bytes, "\nserver            ok       localhost:"), "%s", said.bytes);
    ck_assert_int_eq(program_stop(agent), 0);
    program_close(agent);
    /* It knows from then on, without the service. */
    snprintf(more, sizeof more, "id_scope = %s\ngroup_key = c29tZXRoaW5nIGVsc2Ugb2YgMzIgYnl0ZXMgbGVuZ3Q=\n", scope);
    fleet_start("born-1", more);
    char before[64];
    snprintf(before, sizeof before, "%s", state_of("SELECT now()"));
    reconnected_wait("born-1", before);
    ck_assert_int_eq(program_stop(agent), 0);
    program_close(agent);
    /* Another device with a wrong key is refused, and says so. */
    program_run("/bin/rm", (const char *const[]){"-rf", folder, NULL}, NULL, NULL);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    fleet_start("born-2", more);
    ck_assert_int_eq(program_wait(agent, WAIT_MS), 2);
    ck_assert(program_log_wait(agent, "does not enrol born-2: 401", WAIT_MS));
}
END_TEST

START_TEST(a_device_that_its_server_forgot_enrols_again)
{
    char scope[200], key[200], more[500];
    const char *answer = picket(0, "group", "create", "forgetful", "--json");

    answered(answer, "id_scope", scope);
    answered(answer, "primary_key", key);
    snprintf(more, sizeof more, "id_scope = %s\ngroup_key = %s\n", scope, key);
    fleet_start("born-4", more);
    wait_text("SELECT count(*) > 0 FROM picket.raw_event WHERE device_id = 'born-4' AND name = 'ProcessCreate'", "t");
    picket(0, "device", "delete", "born-4");
    ck_assert(program_log_wait(agent, "enrolled again, as born-4 at localhost", WAIT_MS));
    wait_text("SELECT count(*) > 0 FROM picket.raw_event WHERE device_id = 'born-4' AND name = 'Diagnostic' AND details ->> 'Message' LIKE 'enrolled again%'", "t");
}
END_TEST

START_TEST(a_fleet_enrols_with_certificates)
{
    struct issued *authority = certificate_authority_issue(&(struct certificate_wish){.common_name = "Fleet CA", .authority = true}, NULL);
    struct issued *own = certificate_authority_issue(&(struct certificate_wish){.common_name = "born-3"}, authority);
    char thumbprint[65], lines[OWN_LINES_SIZE], more[OWN_LINES_SIZE + 220], scope[200];

    own_write(own, thumbprint, lines);
    answered(picket(0, "enrollment", "create", "born-3", "--thumbprint", thumbprint, "--json"), "id_scope", scope);
    snprintf(more, sizeof more, "id_scope = %s\n%s", scope, lines);
    fleet_start("born-3", more);
    wait_text("SELECT count(*) > 0 FROM picket.raw_event WHERE device_id = 'born-3' AND name = 'ProcessCreate'", "t");
    certificate_authority_free(own);
    certificate_authority_free(authority);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_it_sees_arrives_and_the_ledger_has_no_gap,
        the_twin_is_applied_at_once_and_answered,
        the_classic_twin_says_how_long_messages_are,
        direct_methods_are_answered,
        a_rotated_key_holds_and_a_wrong_one_is_given_up,
        with_a_certificate_there_is_no_key,
        a_fleet_enrols_with_the_key_of_its_group,
        a_device_that_its_server_forgot_enrols_again,
        a_fleet_enrols_with_certificates,
    };
    static char port[8], line[40];

    snprintf(port, sizeof port, "%u", program_free_port());
    snprintf(line, sizeof line, "mqtts_port: %s", port);
    mqtts_port = port;
    whole_start(1, (const char *const[]){line, NULL});
    int failed = check_main(&(const struct check_suite){"pipeline/agent_hub", tests, sizeof tests / sizeof tests[0], setup, teardown, TIME_LIMIT_S});
    return whole_stop() || failed;
}
