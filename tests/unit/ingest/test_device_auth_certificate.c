#include "ingest/device_auth.h"

#include <gnutls/x509.h>
#include <stdlib.h>
#include <time.h>

#include "ingest/ingest_metrics.h"
#include "tests/support/certificate_authority.h"
#include "tests/support/check_main.h"
#include "tests/support/device_token.h"

/* Workspace 1 has the root, workspace 2 "acme.example.com" another authority; both have a device d1. */
#define CA_OF_1 11
#define CA_OF_2 22
#define HUB "hub.local:8883"

static struct roster *roster;
static struct device_auth *auth;
static struct problem why;
static struct issued *root, *other_root, *d1, *d1_of_other, *module, *own, *own_next, *stranger;
static int64_t now_s;

static struct issued *issue(const char *common_name, const struct issued *by)
{
    const struct certificate_wish wish = {.common_name = common_name, .authority = by == NULL};

    return certificate_authority_issue(&wish, by);
}

static struct issued *self_signed(const char *common_name, int64_t not_after_s)
{
    const struct certificate_wish wish = {.common_name = common_name, .not_after_s = not_after_s, .sha1 = true};

    return certificate_authority_issue(&wish, NULL);
}

static void enrol(uint32_t workspace, const char *device, const char *of_device, enum roster_credential credential, bool enabled)
{
    struct identity identity = {workspace, text_of(device), text_of(of_device)};
    struct roster_entry entry = {.enabled = enabled, .credential = credential, .messages_per_second = -1, .bytes_per_second = -1};
    struct roster_keys keys = {.primary_count = 0};

    ck_assert_int_eq(roster_put(roster, &identity, &entry, &keys, &why), STATUS_OK);
}

static void enrol_thumbprints(const char *device, const uint8_t *first, size_t first_count, const uint8_t *second,
                              size_t second_count)
{
    struct identity identity = {1, text_of(device), TEXT("")};
    struct roster_entry entry = {.enabled = true, .credential = ROSTER_THUMBPRINT, .messages_per_second = -1,
                                 .bytes_per_second = -1};
    struct roster_keys keys = {.primary_count = first_count, .secondary_count = second_count};

    memcpy(keys.primary, first, first_count);
    if (second_count)
        memcpy(keys.secondary, second, second_count);
    ck_assert_int_eq(roster_put(roster, &identity, &entry, &keys, &why), STATUS_OK);
}

static struct authority authority(int64_t id, uint32_t workspace, const struct issued *certificate, struct text revocations)
{
    struct authority made = {id, workspace, NULL};

    if (x509_authority_new(certificate_authority_der(certificate), revocations, &made.certificate, &why))
        abort();
    return made;
}

static void trust_both(struct text revoked_by_root)
{
    struct authority *list = calloc(2, sizeof *list);

    ck_assert_ptr_nonnull(list);
    list[0] = authority(CA_OF_1, 1, root, revoked_by_root);
    list[1] = authority(CA_OF_2, 2, other_root, TEXT_NONE);
    authorities_set(roster_authorities(roster), list, 2);
}

static void setup(void)
{
    const struct roster_host hosts[] = {{TEXT(""), {1, -1, -1}}, {TEXT("acme.example.com"), {2, 50, -1}}};

    ck_assert_int_eq(secret_init(&why), STATUS_OK);
    now_s = time(NULL);
    root = issue("root", NULL);
    other_root = issue("other root", NULL);
    d1 = issue("d1", root);
    d1_of_other = issue("d1", other_root);
    module = issue("d1/m", root);
    own = self_signed("whoever", now_s + 1000);
    own_next = self_signed("whoever else", now_s + 2000);
    stranger = self_signed("d1", now_s + 1000);
    roster = roster_new(100);
    roster_workspaces_set(roster, hosts, 2);
    enrol(1, "d1", "", ROSTER_AUTHORITY, true);
    enrol(1, "d1", "m", ROSTER_AUTHORITY, true);
    enrol(2, "d1", "", ROSTER_AUTHORITY, true);
    enrol_thumbprints("t1", certificate_authority_sha1(own), 20, certificate_authority_sha256(own_next), 32);
    trust_both(TEXT_NONE);
    roster_set_loaded(roster);
    auth = device_auth_new(roster);
}

static void teardown(void)
{
    struct issued *const all[] = {root, other_root, d1, d1_of_other, module, own, own_next, stranger};

    device_auth_free(auth);
    roster_free(roster);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        certificate_authority_free(all[i]);
}

static struct device_auth_result check(const struct issued *certificate, const char *host, const char *device,
                                       const char *of_device, int64_t at_s, bool connects)
{
    const struct text der = certificate_authority_der(certificate);
    const struct device_auth_claim claim = {TEXT_NONE, text_of(host), text_of(device), text_of(of_device), connects, &der, 1};
    struct device_auth_result result;

    device_auth_check(auth, &claim, at_s * 1000000, &result);
    if (result.verdict != DEVICE_AUTH_PASSED)
        ck_assert(result.reason.text[0]);
    return result;
}

static enum device_auth_verdict verdict(const struct issued *certificate, const char *device, const char *of_device)
{
    return check(certificate, HUB, device, of_device, now_s, false).verdict;
}

START_TEST(either_thumbprint_of_either_kind_fits_and_no_other_does)
{
    ck_assert_int_eq(verdict(own, "t1", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(verdict(own_next, "t1", ""), DEVICE_AUTH_PASSED);
    struct device_auth_result result = check(stranger, HUB, "t1", "", now_s, false);
    ck_assert_int_eq(result.verdict, DEVICE_AUTH_UNFIT);
    ck_assert(result.enrolled && result.workspace.workspace == 1);
    ck_assert_ptr_nonnull(strstr(result.reason.text, "none of the identity's thumbprints"));
    ck_assert_int_eq(result.flaw, DEVICE_AUTH_CERTIFICATE_MISMATCH);
    ck_assert_int_eq(verdict(d1, "t1", ""), DEVICE_AUTH_UNFIT);
    ck_assert_int_eq(verdict(own, "d1", ""), DEVICE_AUTH_UNFIT);
    ck_assert_int_eq(check(own, "acme.example.com", "t1", "", now_s, false).verdict, DEVICE_AUTH_UNFIT);
}
END_TEST

START_TEST(certificate_of_a_thumbprint_counts_within_its_dates)
{
    ck_assert_int_eq(check(own, HUB, "t1", "", now_s + 1000, false).verdict, DEVICE_AUTH_PASSED);
    ck_assert_int_eq(check(own, HUB, "t1", "", now_s + 1001, false).verdict, DEVICE_AUTH_UNFIT);
    ck_assert_int_eq(check(own_next, HUB, "t1", "", now_s - 3700, false).verdict, DEVICE_AUTH_UNFIT);
    struct device_auth_result result = check(own, HUB, "t1", "", now_s, true);
    ck_assert_int_eq(result.expires_at_s, now_s + 1000);
    ck_assert_int_eq(result.entry.credential, ROSTER_THUMBPRINT);
}
END_TEST

START_TEST(common_name_is_the_identity)
{
    ck_assert_int_eq(verdict(d1, "d1", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(verdict(module, "d1", "m"), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(verdict(d1, "d1", "m"), DEVICE_AUTH_UNFIT);
    ck_assert_int_eq(verdict(module, "d1", ""), DEVICE_AUTH_UNFIT);
    ck_assert_int_eq(verdict(stranger, "d1", ""), DEVICE_AUTH_UNFIT);
    enrol(1, "d2", "", ROSTER_AUTHORITY, true);
    enrol(1, "D1", "", ROSTER_AUTHORITY, true);
    ck_assert_int_eq(verdict(d1, "d2", ""), DEVICE_AUTH_UNFIT);
    ck_assert_int_eq(verdict(d1, "D1", ""), DEVICE_AUTH_UNFIT);
    struct device_auth_result result = check(d1, HUB, "d1", "", now_s, true);
    ck_assert_int_eq(result.entry.credential, ROSTER_AUTHORITY);
    ck_assert_int_gt(result.expires_at_s, now_s);
    ck_assert_int_le(result.expires_at_s, now_s + 3700);
    ck_assert_int_eq(check(d1, HUB, "d1", "", result.expires_at_s + 1, true).verdict, DEVICE_AUTH_UNFIT);
}
END_TEST

START_TEST(unknown_device_and_bad_certificate_look_alike)
{
    struct issued *nobody = issue("nobody", root);

    struct device_auth_result unknown = check(nobody, HUB, "nobody", "", now_s, false);
    struct device_auth_result bad = check(stranger, HUB, "d1", "", now_s, false);
    ck_assert_int_eq(unknown.verdict, DEVICE_AUTH_UNFIT);
    ck_assert_int_eq(bad.verdict, DEVICE_AUTH_UNFIT);
    ck_assert(!unknown.enrolled && bad.enrolled);
    certificate_authority_free(nobody);
}
END_TEST

START_TEST(the_authority_names_the_workspace_whatever_host_was_called)
{
    static const char *const hosts[] = {HUB, "acme.example.com", "nobody.knows.it"};

    for (size_t i = 0; i < 3; i++) {
        struct device_auth_result result = check(d1_of_other, hosts[i], "d1", "", now_s, false);
        ck_assert_int_eq(result.verdict, DEVICE_AUTH_PASSED);
        ck_assert_uint_eq(result.workspace.workspace, 2);
        ck_assert_int_eq(result.workspace.messages_per_second, 50);
        result = check(d1, hosts[i], "d1", "", now_s, false);
        ck_assert_int_eq(result.verdict, DEVICE_AUTH_PASSED);
        ck_assert_uint_eq(result.workspace.workspace, 1);
    }
    enrol(1, "only-1", "", ROSTER_AUTHORITY, true);
    struct issued *from_2 = issue("only-1", other_root);
    struct device_auth_result result = check(from_2, HUB, "only-1", "", now_s, false);
    ck_assert_int_eq(result.verdict, DEVICE_AUTH_UNFIT);
    ck_assert_uint_eq(result.workspace.workspace, 2);
    certificate_authority_free(from_2);
}
END_TEST

/* A thumbprint is not secret, so above all it signs nothing. */
START_TEST(tokens_and_certificates_each_let_in_their_own_kind)
{
    static const uint8_t key[32] = "a key";
    char token[DEVICE_TOKEN_SIZE];
    struct identity sas = {1, TEXT("s1"), TEXT("")};
    struct roster_entry entry = {.enabled = true, .credential = ROSTER_SAS, .messages_per_second = -1, .bytes_per_second = -1};
    struct roster_keys keys = {.primary_count = 32}, shown;
    struct device_auth_result result;
    struct issued *s1 = issue("s1", root);
    const struct text der = certificate_authority_der(s1);

    memcpy(keys.primary, key, sizeof key);
    ck_assert_int_eq(roster_put(roster, &sas, &entry, &keys, &why), STATUS_OK);
    ck_assert_int_eq(verdict(s1, "s1", ""), DEVICE_AUTH_UNFIT);

    device_token_make("hub.local/devices/t1", certificate_authority_sha256(own_next), 32, now_s + 3600, token);
    struct device_auth_claim claim = {text_of(token), TEXT("hub.local"), TEXT("t1"), TEXT(""), false, NULL, 0};
    device_auth_check(auth, &claim, now_s * 1000000, &result);
    ck_assert_int_eq(result.verdict, DEVICE_AUTH_UNFIT);
    device_token_make("hub.local/devices/d1", (const uint8_t[32]){0}, 32, now_s + 3600, token);
    claim.device = TEXT("d1");
    device_auth_check(auth, &claim, now_s * 1000000, &result);
    ck_assert_int_eq(result.verdict, DEVICE_AUTH_UNFIT);

    /* Both at once: the token is what counts. */
    device_token_make("hub.local/devices/s1", key, 32, now_s + 3600, token);
    claim = (struct device_auth_claim){text_of(token), TEXT("hub.local"), TEXT("s1"), TEXT(""), false, &der, 1};
    device_auth_check(auth, &claim, now_s * 1000000, &result);
    ck_assert_int_eq(result.verdict, DEVICE_AUTH_PASSED);
    device_token_make("hub.local/devices/d1", key, 32, now_s + 3600, token);
    const struct text d1_der = certificate_authority_der(d1);
    claim = (struct device_auth_claim){text_of(token), TEXT("hub.local"), TEXT("d1"), TEXT(""), false, &d1_der, 1};
    device_auth_check(auth, &claim, now_s * 1000000, &result);
    ck_assert_int_eq(result.verdict, DEVICE_AUTH_UNFIT);

    const struct identity by_thumbprint = {1, TEXT("t1"), TEXT("")};
    ck_assert(device_auth_keys(auth, &sas, &shown));
    ck_assert(!device_auth_keys(auth, &by_thumbprint, &shown));
    certificate_authority_free(s1);
}
END_TEST

START_TEST(disabled_is_told_only_to_who_has_the_certificate)
{
    enrol(1, "d1", "", ROSTER_AUTHORITY, false);
    ck_assert_int_eq(verdict(d1, "d1", ""), DEVICE_AUTH_DISABLED);
    ck_assert_int_eq(verdict(stranger, "d1", ""), DEVICE_AUTH_UNFIT);
}
END_TEST

START_TEST(verified_chain_is_remembered_until_anything_it_hung_on_changes)
{
    const struct issued *gone[] = {d1};
    struct text list = certificate_authority_revoke(root, gone, 1, now_s, now_s + 1000);
    int64_t hits = metric_get(&ingest_metrics.auth_cache_hits);

    ck_assert_int_eq(verdict(d1, "d1", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(verdict(own, "t1", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(metric_get(&ingest_metrics.auth_cache_hits), hits);
    ck_assert_int_eq(verdict(d1, "d1", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(verdict(own, "t1", ""), DEVICE_AUTH_PASSED);
    ck_assert_int_eq(metric_get(&ingest_metrics.auth_cache_hits), hits + 2);
    ck_assert_int_eq(verdict(d1, "d1", "m"), DEVICE_AUTH_UNFIT);
    ck_assert_int_eq(check(d1, HUB, "d1", "", now_s + 3700, false).verdict, DEVICE_AUTH_UNFIT);

    enrol_thumbprints("t1", certificate_authority_sha1(own_next), 20, NULL, 0);
    ck_assert_int_eq(verdict(own, "t1", ""), DEVICE_AUTH_UNFIT);
    enrol(1, "d1", "", ROSTER_AUTHORITY, false);
    ck_assert_int_eq(verdict(d1, "d1", ""), DEVICE_AUTH_DISABLED);
    enrol(1, "d1", "", ROSTER_SAS, true);
    ck_assert_int_eq(verdict(d1, "d1", ""), DEVICE_AUTH_UNFIT);
    enrol(1, "d1", "", ROSTER_AUTHORITY, true);
    ck_assert_int_eq(verdict(d1, "d1", ""), DEVICE_AUTH_PASSED);
    trust_both(list);
    ck_assert_int_eq(verdict(d1, "d1", ""), DEVICE_AUTH_UNFIT);
    trust_both(TEXT_NONE);
    ck_assert_int_eq(verdict(d1, "d1", ""), DEVICE_AUTH_PASSED);
    authorities_set(roster_authorities(roster), NULL, 0);
    ck_assert_int_eq(verdict(d1, "d1", ""), DEVICE_AUTH_UNFIT);
    free((void *)(uintptr_t)list.bytes);
}
END_TEST

START_TEST(connection_holds_as_long_as_its_thumbprint_does)
{
    struct identity t1 = {1, TEXT("t1"), TEXT("")};

    struct device_auth_mark by_first = check(own, HUB, "t1", "", now_s, true).mark;
    struct device_auth_mark by_second = check(own_next, HUB, "t1", "", now_s, true).mark;
    enrol_thumbprints("t1", certificate_authority_sha1(stranger), 20, certificate_authority_sha256(own_next), 32);
    ck_assert(!device_auth_holds(auth, &t1, &by_first));
    ck_assert(device_auth_holds(auth, &t1, &by_second));
    enrol(1, "t1", "", ROSTER_AUTHORITY, true);
    ck_assert(!device_auth_holds(auth, &t1, &by_second));
}
END_TEST

START_TEST(connection_holds_as_long_as_its_authority_does)
{
    struct identity identity = {1, TEXT("d1"), TEXT("")}, of_module = {1, TEXT("d1"), TEXT("m")};
    const struct issued *gone[] = {d1};
    struct text list = certificate_authority_revoke(root, gone, 1, now_s, now_s + 1000);

    struct device_auth_mark mark = check(d1, HUB, "d1", "", now_s, true).mark;
    struct device_auth_mark module_mark = check(module, HUB, "d1", "m", now_s, true).mark;
    uint64_t changes = device_auth_changes(auth);
    ck_assert(device_auth_holds(auth, &identity, &mark));
    trust_both(list);
    ck_assert_uint_ne(device_auth_changes(auth), changes);
    ck_assert(!device_auth_holds(auth, &identity, &mark));
    ck_assert(device_auth_holds(auth, &of_module, &module_mark));
    authorities_set(roster_authorities(roster), NULL, 0);
    ck_assert(!device_auth_holds(auth, &of_module, &module_mark));
    trust_both(TEXT_NONE);
    ck_assert(device_auth_holds(auth, &of_module, &module_mark));
    enrol(1, "d1", "m", ROSTER_AUTHORITY, false);
    ck_assert(!device_auth_holds(auth, &of_module, &module_mark));
    enrol(1, "d1", "m", ROSTER_SAS, true);
    ck_assert(!device_auth_holds(auth, &of_module, &module_mark));
    free((void *)(uintptr_t)list.bytes);
}
END_TEST

START_TEST(garbage_in_place_of_a_certificate_is_unfit)
{
    const struct text garbage[] = {TEXT("x"), TEXT("\x30\x03\x02\x01\x01")};
    struct text many[X509_CHAIN_MAX + 1];
    struct device_auth_claim claim = {TEXT_NONE, TEXT("h"), TEXT("d1"), TEXT(""), false, garbage, 2};
    struct device_auth_result result;

    device_auth_check(auth, &claim, now_s * 1000000, &result);
    ck_assert_int_eq(result.verdict, DEVICE_AUTH_UNFIT);
    ck_assert(result.enrolled);
    for (size_t i = 0; i <= X509_CHAIN_MAX; i++)
        many[i] = certificate_authority_der(d1);
    claim.chain = many;
    claim.chain_count = X509_CHAIN_MAX + 1;
    device_auth_check(auth, &claim, now_s * 1000000, &result);
    ck_assert_int_eq(result.verdict, DEVICE_AUTH_UNFIT);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        either_thumbprint_of_either_kind_fits_and_no_other_does,
        certificate_of_a_thumbprint_counts_within_its_dates,
        common_name_is_the_identity,
        unknown_device_and_bad_certificate_look_alike,
        the_authority_names_the_workspace_whatever_host_was_called,
        tokens_and_certificates_each_let_in_their_own_kind,
        disabled_is_told_only_to_who_has_the_certificate,
        verified_chain_is_remembered_until_anything_it_hung_on_changes,
        connection_holds_as_long_as_its_thumbprint_does,
        connection_holds_as_long_as_its_authority_does,
        garbage_in_place_of_a_certificate_is_unfit,
    };
    return check_main(&(const struct check_suite){.name = "ingest/device_auth_certificate",
                                                  .tests = tests,
                                                  .count = sizeof tests / sizeof *tests,
                                                  .setup = setup,
                                                  .teardown = teardown,
                                                  .timeout_seconds = 60});
}
