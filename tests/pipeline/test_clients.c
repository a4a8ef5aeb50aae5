#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
                  (const char *const[]){"localhost", whole_ca_file(), whole_token(), whole_query_url(), NULL});
}
END_TEST

START_TEST(paho_and_mosquitto_speak_both_versions_over_tls_and_websocket)
{
    client_passes("paho_device.py", (const char *const[]){MQTTS_PORT, https_port(), whole_ca_file(), whole_token(),
                                                          whole_query_url(), NULL});
}
END_TEST

START_TEST(https_answers_what_classic_agents_and_the_c_sdk_ask)
{
    client_passes("https_device.py",
                  (const char *const[]){whole_device_url(), whole_ca_file(), whole_token(), whole_query_url(), NULL});
}
END_TEST

int main(void)
{
    static const char *const settings[] = {"mqtts_port: " MQTTS_PORT, NULL};
    const TTest *const tests[] = {
        microsofts_device_sdk_and_provisioning_client_work_unmodified,
        paho_and_mosquitto_speak_both_versions_over_tls_and_websocket,
        https_answers_what_classic_agents_and_the_c_sdk_ask,
    };
    const struct check_suite suite = {.name = "pipeline/clients",
                                      .tests = tests,
                                      .count = sizeof tests / sizeof *tests,
                                      .timeout_seconds = TIME_LIMIT_S};

    whole_start(1, settings);
    int failed = check_main(&suite);
    return whole_stop() || failed;
}
