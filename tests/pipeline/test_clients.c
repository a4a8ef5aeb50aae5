#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/certificate_authority.h"
#include "tests/support/check_main.h"
#include "tests/support/database.h"
#include "tests/support/whole.h"

/* Clients that nobody here wrote, against one picketd: Microsoft's device SDK, Eclipse's MQTT library, mosquitto's
 * programs, and Python's HTTP. What they check stands in tests/clients/. */

#define TIME_LIMIT_S 300
#define MQTTS_PORT "8883" /* the SDK has no way to name another */

static void client_passes(const char *script, const char *const *arguments)
{
    char python[512], path[512];
    const char *all[12] = {path};
    struct buf out;
    size_t count = 1;

    snprintf(python, sizeof python, "%s/python/bin/python", program_build_root());
    snprintf(path, sizeof path, "%s/../tests/clients/%s", program_build_root(), script);
    for (; *arguments; arguments++) {
        ck_assert_uint_lt(count + 1, sizeof all / sizeof all[0]);
        all[count++] = *arguments;
    }
    buf_init(&out, 1 << 20);
    int code = program_run(python, all, NULL, &out);
    ck_assert_msg(code == 0 && strstr(out.bytes, "all checks hold"), "%s ended with %d:\n%s", script, code,
                  out.count ? out.bytes : "");
    buf_done(&out);
}

static const char *https_port(void)
{
    return strrchr(whole_device_url(), ':') + 1;
}

START_TEST(microsofts_device_sdk_and_provisioning_client_work_unmodified)
{
    client_passes("azure_device.py",
                  (const char *const[]){"localhost", https_port(), whole_ca_file(), whole_token(), whole_query_url(), NULL});
}
END_TEST

START_TEST(paho_and_mosquitto_speak_both_versions_over_tls_and_websocket)
{
    client_passes("paho_device.py", (const char *const[]){MQTTS_PORT, https_port(), whole_ca_file(), whole_token(),
                                                          whole_query_url(), NULL});
}
END_TEST

START_TEST(microsofts_query_clients_ask_over_both_apis_unmodified)
{
    client_passes("azure_query.py", (const char *const[]){whole_query_url(), whole_ca_file(), whole_token(), NULL});
}
END_TEST

START_TEST(https_answers_what_classic_agents_and_the_c_sdk_ask)
{
    client_passes("https_device.py",
                  (const char *const[]){whole_device_url(), whole_ca_file(), whole_token(), whole_query_url(), NULL});
}
END_TEST

static struct buf out, said;

/* Runs `picket …`, which has to end with `code`, and returns what it printed. */
static const char *picket_said(int code, const char *const *arguments)
{
    int ended = whole_picket(arguments, &out, &said);

    ck_assert_msg(ended == code, "%s %s ended with %d: %s%s", arguments[0], arguments[1], ended, out.count ? out.bytes : "",
                  said.count ? said.bytes : "");
    return out.count ? out.bytes : "";
}
#define picket(code, ...) picket_said(code, (const char *const[]){__VA_ARGS__, NULL})

START_TEST(operators_reach_devices_from_the_command_line)
{
    char path[] = "/tmp/picket-desired-XXXXXX";
    int fd = mkstemp(path);

    ck_assert_int_eq(write(fd, "{\"Heartbeat_Disabled\":true}", 27), 27);
    close(fd);
    buf_init(&out, 1 << 20);
    buf_init(&said, 1 << 20);
    picket(0, "device", "create", "cli-1");
    ck_assert_ptr_nonnull(strstr(picket(0, "twin", "set", "cli-1", "speed=3", "mode=fast"), "speed"));
    picket(0, "twin", "set", "cli-1", "--tags", "group=cellar");
    picket(0, "configuration", "set", "calm", "--desired", path, "--group", "cellar", "--priority", "5");
    const char *twin = picket(0, "twin", "show", "cli-1", "--json");
    ck_assert_ptr_nonnull(strstr(twin, "\"Heartbeat_Disabled\":true"));
    ck_assert_ptr_nonnull(strstr(twin, "\"mode\":\"fast\""));
    ck_assert_ptr_nonnull(strstr(picket(0, "configuration", "devices", "calm"), "pending"));
    ck_assert_ptr_nonnull(strstr(picket(0, "configuration", "list"), "cellar"));
    picket(0, "configuration", "delete", "calm");
    picket(2, "configuration", "show", "calm");
    ck_assert_ptr_nonnull(strstr(picket(0, "message", "send", "cli-1", "hello", "--properties", "a=b", "--json"), "queued"));
    ck_assert_ptr_nonnull(strstr(picket(0, "message", "list", "cli-1"), "queued"));
    picket(2, "message", "cancel", "cli-1", "999999");
    ck_assert_ptr_nonnull(strstr(picket(0, "message", "purge", "cli-1", "--json"), "\"purged\":1"));
    ck_assert_ptr_nonnull(strstr(picket(0, "message", "purge", "cli-1", "--json"), "\"purged\":0"));
    ck_assert_ptr_nonnull(strstr(picket(0, "message", "list", "cli-1"), "cancelled"));
    picket(2, "method", "call", "cli-1", "reboot");
    ck_assert_ptr_nonnull(strstr(said.bytes, "not connected"));
    picket(2, "method", "call", "cli-1", "reboot", "--payload", "{");
    ck_assert_ptr_nonnull(strstr(picket(0, "group", "create", "plant", "--modules", "azureiotsecurity", "--tags",
                                        "group=plant,firmware=1.2", "--desired", path, "--json"), "id_scope"));
    ck_assert_ptr_nonnull(strstr(picket(0, "group", "derive-key", "plant", "n-1"), "key"));
    ck_assert_ptr_nonnull(strstr(picket(0, "group", "list"), "plant"));
    picket(0, "group", "disable", "plant");
    ck_assert_ptr_nonnull(strstr(picket(0, "group", "show", "plant"), "disabled"));
    picket(0, "group", "enable", "plant");
    picket(0, "group", "delete", "plant");
    picket(0, "enrollment", "create", "reg-1", "--device", "other-name");
    ck_assert_ptr_nonnull(strstr(picket(0, "enrollment", "list"), "other-name"));
    picket(0, "enrollment", "delete", "reg-1");
    remove(path);
    buf_done(&out);
    buf_done(&said);
}
END_TEST

static char folder[] = "/tmp/picket-x509-XXXXXX";

/* A file of that folder; static string. */
static const char *file(const char *name, const char *ending)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
    return path;
}

static void file_write(const char *path, const char *text)
{
    FILE *stream = fopen(path, "we");

    ck_assert_ptr_nonnull(stream);
    fputs(text, stream);
    ck_assert_int_eq(fclose(stream), 0);
}

/* NAME.pem and NAME.key in the folder. */
static struct issued *issue(const char *name, const struct certificate_wish *wish, const struct issued *by)
{
    struct issued *made = certificate_authority_issue(wish, by);

    file_write(file(name, "pem"), certificate_authority_pem(made));
    file_write(file(name, "key"), certificate_authority_key_pem(made));
    return made;
}

START_TEST(devices_show_certificates_that_operators_vouch_for)
{
    const struct certificate_wish ca_wish = {.common_name = "plant", .authority = true};
    char code[64] = "", thumbprint[2 * 20 + 1];

    ck_assert_ptr_nonnull(mkdtemp(folder));
    buf_init(&out, 1 << 20);
    buf_init(&said, 1 << 20);
    struct issued *ca = issue("ca", &ca_wish, NULL);
    const char *shown = strstr(picket(0, "ca", "add", "plant", file("ca", "pem"), "--json"), "\"verification_code\":\"");
    ck_assert_ptr_nonnull(shown);
    snprintf(code, sizeof code, "%.40s", strchr(shown, ':') + 2);
    struct issued *unfit = issue("unfit", &(struct certificate_wish){.common_name = "another code"}, ca);
    picket(2, "ca", "verify", "plant", file("unfit", "pem"));
    ck_assert_ptr_nonnull(strstr(said.bytes, code));
    picket(2, "ca", "verify", "plant", file("absent", "pem"));
    struct issued *proof = issue("proof", &(struct certificate_wish){.common_name = code}, ca);
    ck_assert_ptr_nonnull(strstr(picket(0, "ca", "verify", "plant", file("proof", "pem")), "verified"));

    struct issued *x_1 = issue("x-1", &(struct certificate_wish){.common_name = "x-1"}, ca);
    struct issued *sec = issue("sec", &(struct certificate_wish){.common_name = "x-1/sec"}, ca);
    struct issued *t_1 = issue("t-1", &(struct certificate_wish){.common_name = "whatever"}, NULL);
    struct issued *n_1 = issue("n-1", &(struct certificate_wish){.common_name = "n-1"}, ca);
    struct issued *s_1 = issue("s-1", &(struct certificate_wish){.common_name = "s-1"}, NULL);
    struct text list = certificate_authority_revoke(ca, (const struct issued *const[]){x_1, n_1}, 2, 1000, 2000);
    char *pem = certificate_authority_list_pem(list);
    file_write(file("crl", "pem"), pem);
    text_hex_encode(certificate_authority_sha1(t_1), 20, thumbprint);
    ck_assert_ptr_nonnull(strstr(picket(0, "device", "create", "x-1", "--x509-ca"), "x509=true"));
    picket(0, "device", "create", "x-1/sec", "--x509-ca");
    picket(0, "device", "create", "t-1");
    ck_assert_ptr_nonnull(strstr(picket(0, "device", "authentication", "t-1", "--thumbprint", thumbprint), "x509=true"));
    picket(2, "device", "create", "t-2", "--thumbprint", "nothing");
    picket(2, "device", "create", "t-2", "--x509-ca", "--thumbprint", thumbprint);
    picket(2, "group", "create", "line", "--authority", "nowhere");
    picket(2, "group", "create", "line", "--authority", "plant", "--primary-key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    ck_assert_ptr_nonnull(strstr(picket(0, "group", "create", "line", "--authority", "plant", "--tags", "group=line", "--modules",
                                        "azureiotsecurity", "--json"), "id_scope"));
    ck_assert_ptr_null(strstr(out.bytes, "primary_key"));
    picket(2, "group", "derive-key", "line", "n-1");
    text_hex_encode(certificate_authority_sha1(s_1), 20, thumbprint);
    picket(2, "enrollment", "create", "s-1", "--thumbprint", "nothing");
    picket(0, "enrollment", "create", "s-1", "--thumbprint", thumbprint, "--device", "single-1");
    ck_assert_ptr_nonnull(strstr(picket(0, "enrollment", "show", "s-1", "--json"), "\"authentication\":\"thumbprint\""));
    picket(2, "ca", "delete", "plant");
    ck_assert_ptr_nonnull(strstr(said.bytes, "The group line"));
    client_passes("x509_device.py", (const char *const[]){"localhost", https_port(), whole_ca_file(), whole_token(),
                                                          whole_query_url(), folder, NULL});
    picket(0, "ca", "crl", "plant", file("crl", "pem"));
    ck_assert_ptr_nonnull(strstr(picket(0, "ca", "list"), "verified"));
    picket(0, "ca", "disable", "plant");
    ck_assert_ptr_nonnull(strstr(picket(0, "ca", "show", "plant"), "disabled"));
    picket(0, "ca", "enable", "plant");
    picket(0, "group", "delete", "line");
    picket(0, "ca", "delete", "plant");
    picket(2, "ca", "show", "plant");

    struct issued *const all[] = {ca, unfit, proof, x_1, sec, t_1, n_1, s_1};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        certificate_authority_free(all[i]);
    ck_assert_int_eq(program_run("/bin/rm", (const char *const[]){"-r", folder, NULL}, NULL, NULL), 0);
    free(pem);
    free((void *)(uintptr_t)list.bytes);
    buf_done(&out);
    buf_done(&said);
}
END_TEST

int main(void)
{
    static const char *const settings[] = {"mqtts_port: " MQTTS_PORT, NULL};
    const TTest *const tests[] = {
        microsofts_device_sdk_and_provisioning_client_work_unmodified, microsofts_query_clients_ask_over_both_apis_unmodified,
        paho_and_mosquitto_speak_both_versions_over_tls_and_websocket,
        https_answers_what_classic_agents_and_the_c_sdk_ask,
        operators_reach_devices_from_the_command_line,
        devices_show_certificates_that_operators_vouch_for,
    };
    const struct check_suite suite = {.name = "pipeline/clients",
                                      .tests = tests,
                                      .count = sizeof tests / sizeof *tests,
                                      .timeout_seconds = TIME_LIMIT_S};

    whole_start(1, settings);
    int failed = check_main(&suite);
    return whole_stop() || failed;
}
