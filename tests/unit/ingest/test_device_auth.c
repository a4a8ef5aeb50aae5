#include "ingest/device_auth.h"

#include <stdio.h>
#include <stdlib.h>

#include "ingest/ingest_metrics.h"
#include "ingest/sas.h"
#include "runtime/secret.h"
#include "tests/support/check_main.h"
#include "tests/support/device_token.h"

#define NOW_S 1767348000
#define HOUR_S 3600

static const uint8_t primary[32] = "primary key of the first device";
static const uint8_t secondary[32] = "secondary key of that device...";
static const uint8_t other[32] = "a key that nobody enrolled here";

static struct roster *roster;
static struct device_auth *auth;
static struct problem why;
static char token[DEVICE_TOKEN_SIZE];

static void enrol(uint32_t workspace, const char *device, const char *module, const uint8_t *first,
                  const uint8_t *second, bool enabled)
{
    struct identity identity = {workspace, text_of(device), text_of(module)};
    struct roster_entry entry = {.enabled = enabled, .messages_per_second = -1, .bytes_per_second = -1};
    struct roster_keys keys = {.primary_count = first ? 32 : 0, .secondary_count = second ? 32 : 0};

    if (first)
        memcpy(keys.primary, first, 32);
    if (second)
        memcpy(keys.secondary, second, 32);
    ck_assert_int_eq(roster_put(roster, &identity, &entry, &keys, &why), STATUS_OK);
}

static void setup(void)
{
    const struct roster_host hosts[] = {
        {TEXT(""), {1, -1, -1}},
        {TEXT("acme.example.com"), {2, 50, -1}},
    };

    ck_assert_int_eq(secret_init(&why), STATUS_OK);
    roster = roster_new(100);
    roster_workspaces_set(roster, hosts, 2);
    enrol(1, "d1", "", primary, secondary, true);
    enrol(1, "d1", "azureiotsecurity", other, NULL, true);
    enrol(1, "off", "", primary, secondary, false);
    enrol(1, "odd#id%", "", primary, secondary, true);
    enrol(2, "d1", "", other, NULL, true);
    roster_set_loaded(roster);
    auth = device_auth_new(roster);
}

static void teardown(void)
{
    device_auth_free(auth);
    roster_free(roster);
}

static struct device_auth_result check_at(const char *credential, const char *device, const char *module,
                                          int64_t now_s)
{
    struct device_auth_claim claim = {text_of(credential), TEXT("hub.local:8443"), text_of(device), text_of(module), false, NULL, 0};
    struct device_auth_result result;

    device_auth_check(auth, &claim, now_s * 1000000, &result);
    return result;
}

static enum device_auth_verdict verdict(const char *credential, const char *device, const char *module)
{
    return check_at(credential, device, module, NOW_S).verdict;
}

static const char *sign(const char *resource, const uint8_t *key)
{
    device_token_make(resource, key, 32, NOW_S + HOUR_S, token);
    return token;
}

START_TEST(published_vector_of_a_derived_key_is_met)
{
    static const char group_key[] =
        "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
    uint8_t key[PICKET_KEY_MAX], derived[SECRET_HMAC_BYTES];
    size_t count;
    char encoded[TEXT_BASE64_SIZE(SECRET_HMAC_BYTES)];

    ck_assert(text_base64_decode(text_of(group_key), key, sizeof key, &count));
    secret_hmac_sha256(key, count, TEXT("sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"), derived);
    text_base64_encode(derived, sizeof derived, encoded);
    ck_assert_str_eq(encoded, "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=");
}
END_TEST

START_TEST(token_made_elsewhere_fits)
{
    /* HMAC-SHA256 by Python's hmac over "hub.local/devices/d1\n1767351600" with the primary key. */
    static const char made[] = "SharedAccessSignature sr=hub.local/devices/d1&"
                               "sig=PKjVEPXi5zZeq8izO0UqgzJFLuDFsJ8baj70v%2FkpSTQ%3D&se=1767351600&skn=";
    ck_assert_int_eq(verdict(made, "d1", ""), DEVICE_AUTH_PASSED);
}
END_TEST

START_TEST(both_keys_fit_and_no_other_does)
{
    ck_assert_int_eq(verdict(sign("hub.local/devices/d1", primary), "d1", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(verdict(sign("hub.local/devices/d1", secondary), "d1", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(verdict(sign("hub.local/devices/d1", other), "d1", ""), DEVICE_AUTH_UNFIT);
    ck_assert_int_eq(check_at(sign("hub.local/devices/d1", other), "d1", "", NOW_S).flaw, DEVICE_AUTH_TOKEN_SIGNATURE);
}
END_TEST

START_TEST(parameters_come_in_any_order)
{
    char shuffled[DEVICE_TOKEN_SIZE];
    const char *sr, *sig, *se;

    sign("hub.local%2fdevices%2Fd1", primary);
    sr = strstr(token, "sr=");
    sig = strstr(token, "&sig=");
    se = strstr(token, "&se=");
    snprintf(shuffled, sizeof shuffled, "SharedAccessSignature skn=&%s%.*s&%.*s", se + 1, (int)(se - sig), sig,
             (int)(sig - sr), sr);
    ck_assert_int_eq(verdict(shuffled, "d1", ""), DEVICE_AUTH_PASSED);
}
END_TEST

START_TEST(resource_covers_by_whole_segments)
{
    static const char *const fit[] = {
        "hub.local",
        "hub.local/devices",
        "hub.local/devices/d1",
        "HUB.Local:8443/devices/d1",
        "hub.local%2Fdevices%2fd1",
        "hub.local%3A8883%2Fdevices%2Fd1",
        "anything.at.all/devices/d1",
    };
    static const char *const unfit[] = {
        "hub.local/devices/d",
        "hub.local%2Fdevices%2Fd2",
        "hub.local%2Fdevices%2Fd1%2Fmodules%2Fazureiotsecurity",
        "hub.local%252Fdevices%252Fd2",
        "hub.local/devices/d11",
        "hub.local/devices/D1",
        "hub.local/device",
        "hub.local/",
        "hub.local/devices/",
        "hub.local/devices/d1/",
        "hub.local/devices/d1/modules/azureiotsecurity",
        "hub.local/devices/d2",
        "hub.local/modules/d1",
        "/devices/d1",
        ":8443/devices/d1",
    };

    for (size_t i = 0; i < sizeof fit / sizeof *fit; i++)
        ck_assert_msg(verdict(sign(fit[i], primary), "d1", "") == DEVICE_AUTH_PASSED, "%s", fit[i]);
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++)
        ck_assert_msg(verdict(sign(unfit[i], primary), "d1", "") == DEVICE_AUTH_UNFIT, "%s", unfit[i]);
}
END_TEST

START_TEST(ids_fit_unescaped_escaped_once_or_twice)
{
    ck_assert_int_eq(verdict(sign("hub.local/devices/odd#id%", primary), "odd#id%", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(verdict(sign("hub.local%2Fdevices%2Fodd%23id%25", primary), "odd#id%", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(verdict(sign("hub.local%2Fdevices%2Fodd%2523id%2525", primary), "odd#id%", ""),
                     DEVICE_AUTH_PASSED);
}
END_TEST

START_TEST(module_needs_its_own_key)
{
    static const char module[] = "azureiotsecurity";

    ck_assert_int_eq(verdict(sign("hub.local/devices/d1/modules/azureiotsecurity", other), "d1", module),
                     DEVICE_AUTH_PASSED);
    ck_assert_int_eq(verdict(sign("hub.local/devices/d1", other), "d1", module), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(verdict(sign("hub.local/devices/d1/modules/azureiotsecurity", primary), "d1", module),
                     DEVICE_AUTH_UNFIT);
    ck_assert_int_eq(verdict(sign("hub.local/devices/d1/modules/another", other), "d1", module), DEVICE_AUTH_UNFIT);
    ck_assert_int_eq(verdict(sign("hub.local/devices/d1", primary), "d1", "unknown"), DEVICE_AUTH_UNFIT);
}
END_TEST

START_TEST(expiry_is_forgiven_five_minutes)
{
    sign("hub.local/devices/d1", primary);
    ck_assert_int_eq(check_at(token, "d1", "", NOW_S + HOUR_S + SAS_TOLERANCE_S).verdict, DEVICE_AUTH_PASSED);
    ck_assert_int_eq(check_at(token, "d1", "", NOW_S + HOUR_S + SAS_TOLERANCE_S + 1).verdict, DEVICE_AUTH_UNFIT);
    ck_assert_int_eq(check_at(token, "d1", "", NOW_S + HOUR_S + SAS_TOLERANCE_S + 1).flaw, DEVICE_AUTH_TOKEN_EXPIRED);
}
END_TEST

START_TEST(malformed_tokens_are_unfit)
{
    static const char *const broken[] = {
        "",
        "SharedAccessSignature",
        "SharedAccessSignature ",
        "Bearer abc",
        "SharedAccessSignaturesr=h&sig=YQ==&se=1",
        "SharedAccessSignature sr=hub.local&se=1900000000",
        "SharedAccessSignature sig=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D&se=1900000000",
        "SharedAccessSignature sr=hub.local&sig=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D",
        "SharedAccessSignature sr=&sig=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D&se=1900000000",
        "SharedAccessSignature sr=hub.local&sig=&se=1900000000",
        "SharedAccessSignature sr=hub.local&sig=YQ%3D%3D&se=1900000000",
        "SharedAccessSignature sr=hub.local&sig=%zz&se=1900000000",
        "SharedAccessSignature sr=hub.local&sig=!!!!&se=1900000000",
        "SharedAccessSignature sr=hub.local&sig=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D%3D&se=1900000000",
        "SharedAccessSignature sr=hub.local&sig=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D&se=",
        "SharedAccessSignature sr=hub.local&sig=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D&se=-1",
        "SharedAccessSignature sr=hub.local&sig=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D&se=1e9",
        "SharedAccessSignature sr=hub.local&sig=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D&se=99999999999999999999",
        "SharedAccessSignature sr=a&sr=hub.local&sig=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D&se=1900000000",
        "SharedAccessSignature sr=%zz&sig=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%3D&se=1900000000",
        "SharedAccessSignature &&&===&sr&sig&se",
    };

    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct device_auth_result result = check_at(broken[i], "d1", "", NOW_S);
        ck_assert_msg(result.verdict == DEVICE_AUTH_UNFIT, "%s", broken[i]);
        ck_assert_msg(result.reason.text[0], "%s", broken[i]);
        ck_assert(result.enrolled && result.workspace.workspace == 1);
    }
}
END_TEST

START_TEST(longer_token_than_the_limit_is_unfit)
{
    char *longer = malloc(2 * PICKET_TOKEN_MAX + 1);

    sign("hub.local/devices/d1", primary);
    int count = snprintf(longer, 2 * PICKET_TOKEN_MAX, "%s&skn=", token);
    memset(longer + count, 'x', (size_t)(2 * PICKET_TOKEN_MAX - count));
    longer[2 * PICKET_TOKEN_MAX] = 0;
    ck_assert_int_eq(verdict(longer, "d1", ""), DEVICE_AUTH_UNFIT);
    free(longer);
}
END_TEST

START_TEST(host_of_the_token_names_the_workspace)
{
    struct device_auth_result result = check_at(sign("Acme.Example.com/devices/d1", other), "d1", "", NOW_S);

    ck_assert_int_eq(result.verdict, DEVICE_AUTH_PASSED);
    ck_assert_uint_eq(result.workspace.workspace, 2);
    ck_assert_int_eq(result.workspace.messages_per_second, 50);
    ck_assert_int_eq(verdict(sign("acme.example.com/devices/d1", primary), "d1", ""), DEVICE_AUTH_UNFIT);
    ck_assert_int_eq(verdict(sign("hub.local/devices/d1", other), "d1", ""), DEVICE_AUTH_UNFIT);
}
END_TEST

START_TEST(without_a_token_the_host_header_names_the_workspace)
{
    struct device_auth_claim claim = {TEXT_NONE, TEXT("ACME.example.com:443"), TEXT("d9"), TEXT(""), false, NULL, 0};
    struct device_auth_result result;

    device_auth_check(auth, &claim, (int64_t)NOW_S * 1000000, &result);
    ck_assert_int_eq(result.verdict, DEVICE_AUTH_UNFIT);
    ck_assert(result.in_workspace && !result.enrolled);
    ck_assert_uint_eq(result.workspace.workspace, 2);
}
END_TEST

START_TEST(disabled_is_told_only_to_who_has_the_key)
{
    ck_assert_int_eq(verdict(sign("hub.local/devices/off", primary), "off", ""), DEVICE_AUTH_DISABLED);
    ck_assert_int_eq(verdict(sign("hub.local/devices/off", other), "off", ""), DEVICE_AUTH_UNFIT);
}
END_TEST

START_TEST(verified_token_is_remembered_until_its_keys_change)
{
    sign("hub.local/devices/d1", primary);
    int64_t hits = metric_get(&ingest_metrics.auth_cache_hits);
    ck_assert_int_eq(verdict(token, "d1", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(metric_get(&ingest_metrics.auth_cache_hits), hits);
    ck_assert_int_eq(verdict(token, "d1", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(metric_get(&ingest_metrics.auth_cache_hits), hits + 1);

    enrol(1, "d1", "", other, secondary, true);
    ck_assert_int_eq(verdict(token, "d1", ""), DEVICE_AUTH_UNFIT);
    enrol(1, "d1", "", primary, secondary, false);
    ck_assert_int_eq(verdict(token, "d1", ""), DEVICE_AUTH_DISABLED);
    ck_assert_int_eq(metric_get(&ingest_metrics.auth_cache_hits), hits + 1);
}
END_TEST

START_TEST(remembered_token_still_expires)
{
    sign("hub.local/devices/d1", primary);
    ck_assert_int_eq(verdict(token, "d1", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(check_at(token, "d1", "", NOW_S + HOUR_S + SAS_TOLERANCE_S + 1).verdict, DEVICE_AUTH_UNFIT);
}
END_TEST

START_TEST(remembered_token_of_one_fits_no_other)
{
    enrol(1, "d2", "", primary, NULL, true);
    sign("hub.local", primary);
    ck_assert_int_eq(verdict(token, "d1", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(verdict(token, "d2", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(verdict(token, "d1", "azureiotsecurity"), DEVICE_AUTH_UNFIT);
}
END_TEST

START_TEST(identity_without_keys_is_unfit)
{
    enrol(1, "keyless", "", NULL, NULL, true);
    static const uint8_t no_key[32];
    ck_assert_int_eq(verdict(sign("hub.local/devices/keyless", no_key), "keyless", ""), DEVICE_AUTH_UNFIT);
    ck_assert_int_eq(verdict(sign("hub.local/devices/nobody", no_key), "nobody", ""), DEVICE_AUTH_UNFIT);
}
END_TEST

START_TEST(nobody_is_unknown_before_the_roster_was_read)
{
    struct roster *fresh = roster_new(10);
    struct device_auth *early = device_auth_new(fresh);
    struct device_auth_claim claim = {TEXT_NONE, TEXT("h"), TEXT("d1"), TEXT(""), false, NULL, 0};
    struct device_auth_result result;

    device_auth_check(early, &claim, 0, &result);
    ck_assert_int_eq(result.verdict, DEVICE_AUTH_UNREADY);
    device_auth_free(early);
    roster_free(fresh);
}
END_TEST

static enum device_auth_verdict connects(const char *host, const char *credential, struct device_auth_mark *mark)
{
    struct device_auth_claim claim = {text_of(credential), text_of(host), TEXT("d1"), TEXT(""), true, NULL, 0};
    struct device_auth_result result;

    device_auth_check(auth, &claim, NOW_S * INT64_C(1000000), &result);
    *mark = result.mark;
    return result.verdict;
}

START_TEST(connection_names_the_host_of_its_token)
{
    struct device_auth_mark mark;

    sign("hub.local/devices/d1", primary);
    ck_assert_int_eq(connects("HUB.local", token, &mark), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(connects("hub.local:8883", token, &mark), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(connects("other.local", token, &mark), DEVICE_AUTH_UNFIT);
}
END_TEST

START_TEST(connection_holds_as_long_as_its_key_does)
{
    struct identity d1 = {1, TEXT("d1"), TEXT("")};
    struct device_auth_mark by_primary, by_secondary;

    ck_assert_int_eq(connects("hub.local", sign("hub.local/devices/d1", primary), &by_primary), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(connects("hub.local", sign("hub.local/devices/d1", secondary), &by_secondary), DEVICE_AUTH_PASSED);
    uint64_t changes = device_auth_changes(auth);
    enrol(1, "d1", "", other, secondary, true);
    ck_assert_uint_ne(device_auth_changes(auth), changes);
    ck_assert(!device_auth_holds(auth, &d1, &by_primary));
    ck_assert(device_auth_holds(auth, &d1, &by_secondary));
    ck_assert(device_auth_holds(auth, &d1, &by_secondary));
    enrol(1, "d1", "", other, secondary, false);
    ck_assert(!device_auth_holds(auth, &d1, &by_secondary));
    enrol(1, "d1", "", other, secondary, true);
    ck_assert(device_auth_holds(auth, &d1, &by_secondary));
    roster_remove(roster, &d1);
    ck_assert(!device_auth_holds(auth, &d1, &by_secondary));
}
END_TEST

START_TEST(limits_of_a_connection_follow_what_an_operator_says)
{
    struct identity d1 = {2, TEXT("d1"), TEXT("")}, nobody = {9, TEXT("d1"), TEXT("")};
    const struct roster_host hosts[] = {{TEXT(""), {1, -1, -1}}, {TEXT("acme.example.com"), {2, 70, -1}}};
    struct roster_entry entry = {.messages_per_second = 3}, found = entry;
    struct roster_workspace workspace = {.messages_per_second = 4};
    struct roster_keys keys = {.primary_count = 32};

    device_auth_limits(auth, &nobody, &found, &workspace);
    ck_assert(found.messages_per_second == 3 && workspace.messages_per_second == 4);
    uint64_t changes = device_auth_changes(auth);
    roster_workspaces_set(roster, hosts, 2);
    ck_assert_uint_ne(device_auth_changes(auth), changes);
    changes = device_auth_changes(auth);
    roster_workspaces_set(roster, hosts, 2); /* as they were: nobody has to look again */
    ck_assert_uint_eq(device_auth_changes(auth), changes);
    entry = (struct roster_entry){.enabled = true, .messages_per_second = 5, .bytes_per_second = 6};
    ck_assert_int_eq(roster_put(roster, &d1, &entry, &keys, &why), STATUS_OK);
    device_auth_limits(auth, &d1, &found, &workspace);
    ck_assert(found.messages_per_second == 5 && found.bytes_per_second == 6 && workspace.messages_per_second == 70);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        published_vector_of_a_derived_key_is_met,
        token_made_elsewhere_fits,
        both_keys_fit_and_no_other_does,
        parameters_come_in_any_order,
        resource_covers_by_whole_segments,
        ids_fit_unescaped_escaped_once_or_twice,
        module_needs_its_own_key,
        expiry_is_forgiven_five_minutes,
        malformed_tokens_are_unfit,
        longer_token_than_the_limit_is_unfit,
        host_of_the_token_names_the_workspace,
        without_a_token_the_host_header_names_the_workspace,
        disabled_is_told_only_to_who_has_the_key,
        verified_token_is_remembered_until_its_keys_change,
        remembered_token_still_expires,
        remembered_token_of_one_fits_no_other,
        identity_without_keys_is_unfit,
        nobody_is_unknown_before_the_roster_was_read,
        connection_names_the_host_of_its_token,
        connection_holds_as_long_as_its_key_does,
        limits_of_a_connection_follow_what_an_operator_says,
    };
    const struct check_suite suite = {.name = "ingest/device_auth", .tests = tests,
                                     .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown,
                                     .timeout_seconds = 60};
    return check_main(&suite);
}
