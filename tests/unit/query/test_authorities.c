#include <gnutls/x509.h>
#include <string.h>
#include <time.h>

#include "tests/support/certificate_authority.h"
#include "tests/unit/query/fixture.h"

/* Authorities over HTTP, and devices that show certificates. */
#define SHA1_HEX "00112233445566778899AABBCCDDEEFF00112233"

static struct issued *issue(const char *common_name, bool authority, const struct issued *by)
{
    const struct certificate_wish wish = {.common_name = common_name, .authority = authority};

    return certificate_authority_issue(&wish, by);
}

/* {"<name>": "<value>"} with what is given in front of it. */
static const char *body(const char *before, const char *name, const char *value)
{
    json_t *string = json_string(value);
    char *quoted = json_dumps(string, JSON_ENCODE_ANY);
    const char *text = arena_format(&fixture.arena, "{%s\"%s\":%s}", before, name, quoted);

    free(quoted);
    json_decref(string);
    return text;
}

static const char *refusal(const json_t *answer)
{
    return string_in(json_object_get(answer, "error"), "message");
}

static const json_t *add(const char *admin, const char *name, const struct issued *authority, long code)
{
    return ask(admin, "POST", "/v1/authorities",
               body(arena_format(&fixture.arena, "\"name\":\"%s\",", name), "certificate", certificate_authority_pem(authority)),
               code);
}

static const json_t *prove(const char *admin, const char *name, const char *code, const struct issued *by, long answer)
{
    struct issued *proof = issue(code, false, by);
    const json_t *shown = ask(admin, "POST", arena_format(&fixture.arena, "/v1/authorities/%s/verify", name),
                              body("", "certificate", certificate_authority_pem(proof)), answer);

    certificate_authority_free(proof);
    return shown;
}

START_TEST(authority_counts_once_its_key_was_shown)
{
    const char *admin = token("admin", "default");
    struct issued *ca = issue("plant", true, NULL), *other = issue("plant", true, NULL);

    const json_t *made = add(admin, "plant", ca, 201);
    const char *code = string_in(made, "verification_code");
    ck_assert_str_eq(string_in(made, "status"), "unverified");
    ck_assert_str_eq(string_in(made, "subject"), "CN=plant");
    ck_assert_uint_eq(strlen(code), 40);
    ck_assert_uint_eq(strlen(string_in(made, "sha256")), 64);
    add(admin, "plant", ca, 409);
    ck_assert_ptr_nonnull(strstr(refusal(prove(admin, "plant", "something else", ca, 400)), code));
    prove(admin, "plant", code, other, 400);
    ck_assert_str_eq(string_in(get(admin, "/v1/authorities/plant"), "status"), "unverified");
    ask(admin, "POST", "/v1/authorities/plant/enable", NULL, 400);
    ask(admin, "POST", "/v1/authorities/plant/disable", NULL, 400);

    made = prove(admin, "plant", code, ca, 200);
    ck_assert_str_eq(string_in(made, "status"), "verified");
    ck_assert_str_eq(string_in(get(admin, "/v1/authorities/plant"), "status"), "verified");
    ck_assert(string_in(made, "verified_at"));
    prove(admin, "plant", code, ca, 409);
    ck_assert_str_eq(string_in(ask(admin, "POST", "/v1/authorities/plant/disable", NULL, 200), "status"), "disabled");
    prove(admin, "plant", code, ca, 409);
    ck_assert_str_eq(string_in(ask(admin, "POST", "/v1/authorities/plant/enable", NULL, 200), "status"), "verified");
    ask(admin, "DELETE", "/v1/authorities/plant", NULL, 204);
    ask(admin, "GET", "/v1/authorities/plant", NULL, 404);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.audit WHERE action LIKE 'authority.%' AND action NOT LIKE '%.refused'"), 5);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.alert WHERE cause = 'plant' AND rule_id IN"
                                               " ('IoT_CertificateSuccessfullyAddedToHub', 'IoT_CertificateSuccessfullyDeletedFromHub')"), 2);
    certificate_authority_free(ca);
    certificate_authority_free(other);
}
END_TEST

START_TEST(verified_authority_leads_to_one_workspace)
{
    const char *a = token("admin", "default"), *b = token("admin", "bravo");
    struct issued *ca = issue("shared", true, NULL);

    const char *code_a = string_in(add(a, "shared", ca, 201), "verification_code");
    const char *code_b = string_in(add(b, "shared", ca, 201), "verification_code");
    prove(a, "shared", code_a, ca, 200);
    prove(b, "shared", code_b, ca, 409);
    ask(a, "POST", "/v1/authorities/shared/disable", NULL, 200);
    prove(b, "shared", code_b, ca, 200);
    ask(a, "POST", "/v1/authorities/shared/enable", NULL, 409);
    ck_assert_str_eq(string_in(get(a, "/v1/authorities/shared"), "status"), "disabled");
    ck_assert_uint_eq(count_in(get(token("reader", NULL), "/v1/authorities"), "authorities"), 2);
    ask(token("reader", NULL), "GET", "/v1/authorities/shared", NULL, 400);
    get(token("reader", NULL), "/v1/authorities/shared?workspace=bravo");
    ask(token("analyst", NULL), "POST", "/v1/authorities/shared/disable?workspace=bravo", NULL, 403);
    certificate_authority_free(ca);
}
END_TEST

/* Under the ids that clients know; the audit has what was tried, and nothing of it is done. */
START_TEST(what_was_tried_and_refused_is_an_alert)
{
    const char *admin = token("admin", "default");
    struct issued *ca = issue("plant", true, NULL), *leaf = issue("leaf", false, NULL);

    add(admin, "bad", leaf, 400);
    add(admin, "bad", leaf, 400);
    add(admin, "plant", ca, 201);
    add(admin, "plant", ca, 409);
    prove(admin, "plant", string_in(get(admin, "/v1/authorities/plant"), "verification_code"), ca, 200);
    ask(admin, "POST", "/v1/groups", "{\"name\":\"line\",\"authentication\":\"authority\",\"authority\":\"plant\"}", 201);
    ask(admin, "DELETE", "/v1/authorities/plant", NULL, 409);
    ask(admin, "DELETE", "/v1/authorities/none", NULL, 404);
    ask(admin, "POST", "/v1/authorities", "{\"name\":\"x\",\"nonsense\":1}", 400); /* nothing was tried */
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.audit WHERE action LIKE 'authority.%.refused'"), 4);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT repeat_count FROM picket.alert WHERE rule_id = 'Hub_CertificateFailedToBeAddedToHub'"
                                               " AND cause = 'bad' AND details ->> 'Reason' LIKE '%is no authority%'"), 2);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.alert WHERE rule_id = 'Hub_CertificateFailedToBeAddedToHub'"), 2);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.alert WHERE rule_id = 'IoT.Hub_CertificateFailedToBeDeletedFromHub'"
                                               " AND cause = 'plant' AND details ->> 'Reason' LIKE '%line%'"), 1);
    ck_assert_str_eq(string_in(get(admin, "/v1/authorities/plant"), "status"), "verified");
    certificate_authority_free(ca);
    certificate_authority_free(leaf);
}
END_TEST

START_TEST(what_is_no_authority_is_refused_with_a_sentence)
{
    const char *admin = token("admin", "default");
    const struct certificate_wish ended = {.common_name = "ended", .authority = true, .not_before_s = 1000, .not_after_s = 2000};
    struct issued *leaf = issue("leaf", false, NULL), *old = certificate_authority_issue(&ended, NULL),
                  *ca = issue("ca", true, NULL);

    ck_assert_ptr_nonnull(strstr(refusal(add(admin, "x", leaf, 400)), "CN=leaf is no authority"));
    ck_assert_ptr_nonnull(strstr(refusal(add(admin, "x", old, 400)), "CN=ended expired on 1970-01-01"));
    ask(admin, "POST", "/v1/authorities", "{\"name\":\"x\"}", 400);
    ask(admin, "POST", "/v1/authorities", "{\"name\":\"x\",\"certificate\":\"nothing\"}", 400);
    ask(admin, "POST", "/v1/authorities", body("", "certificate", certificate_authority_pem(ca)), 400);
    ck_assert_ptr_nonnull(strstr(refusal(add(admin, "a b", ca, 400)), "\"name\" has 1 to 128"));
    const char *both = arena_format(&fixture.arena, "%s%s", certificate_authority_pem(ca), certificate_authority_pem(leaf));
    ask(admin, "POST", "/v1/authorities", body("\"name\":\"x\",", "certificate", both), 400);
    ask(admin, "GET", "/v1/authorities/none", NULL, 404);
    ask(admin, "DELETE", "/v1/authorities/none", NULL, 404);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.certificate_authority"), 0);
    certificate_authority_free(leaf);
    certificate_authority_free(old);
    certificate_authority_free(ca);
}
END_TEST

static const json_t *list_put(const char *admin, const struct issued *by, const struct issued *gone, int64_t this_update_s, long code)
{
    struct text der = certificate_authority_revoke(by, &gone, 1, this_update_s, this_update_s + 86400);
    char *pem = certificate_authority_list_pem(der);
    const json_t *answer = ask(admin, "PUT", "/v1/authorities/ca/crl", body("", "crl", pem), code);

    free(pem);
    free((void *)(uintptr_t)der.bytes);
    return answer;
}

START_TEST(list_of_the_authority_is_put_in_force_and_never_an_older_one)
{
    const char *admin = token("admin", "default");
    struct issued *ca = issue("ca", true, NULL), *other = issue("ca", true, NULL), *gone = issue("d", false, ca);
    int64_t now_s = time(NULL);

    add(admin, "ca", ca, 201);
    ck_assert(json_is_null(json_object_get(get(admin, "/v1/authorities/ca"), "crl_count")));
    const json_t *shown = list_put(admin, ca, gone, now_s, 200);
    ck_assert_int_eq(number_in(shown, "crl_count"), 1);
    ck_assert(text_starts(text_of(string_in(shown, "crl_next_update")), TEXT("20")));
    list_put(admin, ca, gone, now_s, 200);
    list_put(admin, ca, gone, now_s - 1, 409);
    list_put(admin, other, gone, now_s + 1, 400);
    ask(admin, "PUT", "/v1/authorities/ca/crl", "{\"crl\":\"nothing\"}", 400);
    ask(admin, "PUT", "/v1/authorities/ca/crl", "{}", 400);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.audit WHERE action = 'authority.crl'"), 2);
    certificate_authority_free(ca);
    certificate_authority_free(other);
    certificate_authority_free(gone);
}
END_TEST

START_TEST(lists_of_authorities_have_pages)
{
    const char *admin = token("admin", "default");

    for (int i = 0; i < 3; i++) {
        struct issued *ca = issue("ca", true, NULL);
        add(admin, arena_format(&fixture.arena, "ca-%d", i), ca, 201);
        certificate_authority_free(ca);
    }
    const json_t *page = get(admin, "/v1/authorities?limit=2");
    ck_assert_uint_eq(count_in(page, "authorities"), 2);
    page = get(admin, arena_format(&fixture.arena, "/v1/authorities?limit=2&cursor=%s", string_in(page, "next")));
    ck_assert_uint_eq(count_in(page, "authorities"), 1);
    ck_assert(json_is_null(json_object_get(page, "next")));
}
END_TEST

START_TEST(device_has_the_credential_that_was_asked_for_and_no_other)
{
    const char *admin = token("admin", "default");

    const json_t *made = ask(admin, "POST", "/v1/devices",
                             "{\"id\":\"t\",\"authentication\":\"thumbprint\",\"primary_thumbprint\":"
                             "\"00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33\"}", 201);
    ck_assert_str_eq(string_in(made, "primary_thumbprint"), SHA1_HEX);
    ck_assert(json_is_null(json_object_get(made, "secondary_thumbprint")));
    ck_assert_ptr_null(json_object_get(made, "primary_key"));
    ck_assert_str_eq(string_in(made, "connection_string"), "HostName=picket.example:8443;DeviceId=t;x509=true");
    made = ask(admin, "POST", "/v1/devices", "{\"id\":\"t/m\",\"authentication\":\"authority\"}", 201);
    ck_assert_str_eq(string_in(made, "connection_string"), "HostName=picket.example:8443;DeviceId=t;ModuleId=m;x509=true");
    ck_assert_ptr_null(json_object_get(made, "primary_thumbprint"));
    ck_assert_ptr_null(json_object_get(ask(admin, "POST", "/v1/devices", "{\"id\":\"s\"}", 201), "authentication"));
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.credential WHERE kind = 'thumbprint'"
                                               " AND thumbprint_primary = '\\x" SHA1_HEX "' AND sealed_primary IS NULL"), 1);

    const json_t *shown = get(token("reader", "default"), "/v1/devices/t");
    ck_assert_str_eq(string_in(shown, "authentication"), "thumbprint");
    ck_assert_str_eq(string_in(shown, "primary_thumbprint"), SHA1_HEX);
    ck_assert_str_eq(string_in(get(admin, "/v1/devices/t/modules/m"), "authentication"), "authority");
    shown = get(admin, "/v1/devices/s");
    ck_assert_str_eq(string_in(shown, "authentication"), "sas");
    ck_assert_ptr_null(json_object_get(shown, "primary_key"));
    ck_assert_str_eq(string_in(get(admin, "/v1/devices/t/connection-string"), "connection_string"),
                     "HostName=picket.example:8443;DeviceId=t;x509=true");
    ask(admin, "POST", "/v1/devices/t/rotate-key", "{\"key\":\"both\"}", 400);
}
END_TEST

START_TEST(credentials_of_mixed_kinds_are_refused)
{
    static const char *const bodies[] = {
        "{\"id\":\"x\",\"authentication\":\"x509\"}",
        "{\"id\":\"x\",\"authentication\":\"thumbprint\"}",
        "{\"id\":\"x\",\"authentication\":\"thumbprint\",\"secondary_thumbprint\":\"" SHA1_HEX "\"}",
        "{\"id\":\"x\",\"authentication\":\"thumbprint\",\"primary_thumbprint\":\"abc\"}",
        "{\"id\":\"x\",\"authentication\":\"thumbprint\",\"primary_thumbprint\":7}",
        "{\"id\":\"x\",\"authentication\":\"authority\",\"primary_thumbprint\":\"" SHA1_HEX "\"}",
        "{\"id\":\"x\",\"authentication\":\"authority\",\"primary_key\":\"MDEyMzQ1Njc4OWFiY2RlZg==\"}",
        "{\"id\":\"x\",\"primary_thumbprint\":\"" SHA1_HEX "\"}",
    };
    const char *admin = token("admin", "default");

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        ask(admin, "POST", "/v1/devices", bodies[i], 400);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.device"), 0);
}
END_TEST

START_TEST(credential_of_a_device_can_become_another)
{
    const char *admin = token("admin", "default");
    static const char path[] = "/v1/devices/d/authentication";

    ask(admin, "POST", "/v1/devices", "{\"id\":\"d\"}", 201);
    ask(admin, "PUT", path, "{\"authentication\":\"thumbprint\",\"primary_thumbprint\":\"" SHA1_HEX "\"}", 200);
    ck_assert_str_eq(string_in(get(admin, "/v1/devices/d"), "authentication"), "thumbprint");
    ask(admin, "PUT", path, "{\"authentication\":\"authority\"}", 200);
    ck_assert_str_eq(string_in(get(admin, "/v1/devices/d"), "authentication"), "authority");
    const json_t *keys = ask(admin, "PUT", path, "{}", 200);
    ck_assert_uint_eq(strlen(string_in(keys, "primary_key")), 44);
    ask(admin, "POST", "/v1/devices/d/rotate-key", "{\"key\":\"both\"}", 200);
    ask(admin, "PUT", path, "{\"id\":\"d\"}", 400);
    ask(admin, "PUT", "/v1/devices/none/authentication", "{}", 404);
    ask(token("analyst", NULL), "PUT", path, "{}", 403);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.credential"), 1);
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.audit WHERE action = 'device.authentication'"), 3);
    ask(admin, "DELETE", "/v1/devices/d", NULL, 204);
    ask(admin, "POST", "/v1/devices", "{\"id\":\"d\",\"authentication\":\"authority\"}", 201);
}
END_TEST

/* An enrolment gives its device a key, also where it showed a certificate before. */
START_TEST(enrolling_replaces_a_credential_of_another_kind)
{
    ask(token("admin", "default"), "POST", "/v1/devices", "{\"id\":\"d\",\"authentication\":\"authority\"}", 201);
    sql("SELECT picket.enrolment_register(1, 'd', NULL, 'd', 'sas', '\\x00', '\\x01', NULL, NULL, '{}', '{}', '{}')");
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.credential WHERE kind = 'sas'"), 1);
    sql("SELECT picket.enrolment_register(1, 'd', NULL, 'd', 'sas', '\\x02', '\\x03', NULL, NULL, '{}', '{}', '{}')");
    ck_assert_int_eq(sql_number(fixture.owner, "SELECT count(*) FROM picket.credential WHERE sealed_primary = '\\x02'"), 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        authority_counts_once_its_key_was_shown,
        verified_authority_leads_to_one_workspace,
        what_was_tried_and_refused_is_an_alert,
        what_is_no_authority_is_refused_with_a_sentence,
        list_of_the_authority_is_put_in_force_and_never_an_older_one,
        lists_of_authorities_have_pages,
        device_has_the_credential_that_was_asked_for_and_no_other,
        credentials_of_mixed_kinds_are_refused,
        credential_of_a_device_can_become_another,
        enrolling_replaces_a_credential_of_another_kind,
    };

    template_make();
    return FIXTURE_MAIN("query/authorities", tests);
}
