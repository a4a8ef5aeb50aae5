#include "ingest/registrations.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/sas.h"
#include "runtime/clock.h"
#include "tests/support/certificate_authority.h"
#include "tests/support/check_main.h"
#include "tests/support/database.h"
#include "tests/support/database_template.h"
#include "tests/support/device_token.h"

/* Enrolment against a real database, by keys and by certificates. Each test has a database of its own. */
#define SCOPE "0neTEST0001"
#define GROUP_KEY "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
#define REGISTRATION "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"
#define DERIVED_KEY "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=" /* Microsoft's own example */
#define QUERY_MS 10000

static struct registration_settings settings = {.master = {{1, 2, 3}}, .hub_host_name = "hub.test:8443"};
static struct registration_answer answer;
static struct arena arena;
static struct db *ingest, *owner;
static struct problem why;

static void sql(const char *statement)
{
    ck_assert_msg(db_query(owner, statement, NULL, 0, QUERY_MS, NULL, &why) == STATUS_OK, "%s: %s", statement, why.text);
}

static const char *sql_text(const char *statement)
{
    struct db_rows *rows = NULL;

    ck_assert_msg(db_query(owner, statement, NULL, 0, QUERY_MS, &rows, &why) == STATUS_OK, "%s: %s", statement, why.text);
    const char *text = db_rows_count(rows) ? arena_string(&arena, db_text(rows, 0, 0)) : "(none)";
    db_rows_free(rows);
    return text;
}

static void setup(void)
{
    struct db *server = NULL;

    ck_assert_int_eq(secret_init(&why), STATUS_OK);
    ck_assert_int_eq(db_open(database_conninfo(), NULL, "test", &server, &why), STATUS_OK);
    const char *make = "CREATE DATABASE registrations TEMPLATE picket_template";
    ck_assert_int_eq(db_query(server, "DROP DATABASE IF EXISTS registrations", NULL, 0, QUERY_MS, NULL, &why), STATUS_OK);
    ck_assert_int_eq(db_query(server, make, NULL, 0, QUERY_MS, NULL, &why), STATUS_OK);
    db_close(server);
    ck_assert_int_eq(db_open(database_conninfo_for("postgres", "registrations"), NULL, "test", &owner, &why), STATUS_OK);
    ck_assert_int_eq(db_open(database_conninfo_for("picket_ingest", "registrations"), NULL, "test", &ingest, &why), STATUS_OK);
    settings.authorities = authorities_new();
    arena_init(&arena);
}

static void teardown(void)
{
    arena_done(&arena);
    authorities_free(settings.authorities);
    db_close(ingest);
    db_close(owner);
}

/* ---- what the tests enrol ---- */

static size_t key_read(const char *base64, uint8_t key[PICKET_KEY_MAX])
{
    size_t count = 0;

    ck_assert(text_base64_decode(text_of(base64), key, PICKET_KEY_MAX, &count));
    return count;
}

/* bytea text of a sealed key. */
static const char *sealed(const char *base64)
{
    uint8_t key[PICKET_KEY_MAX], bytes[SECRET_SEALED_BYTES(PICKET_KEY_MAX)];
    char hex[2 * sizeof bytes + 1];
    size_t count = key_read(base64, key);

    secret_seal(&settings.master, key, count, bytes);
    text_hex_encode(bytes, SECRET_SEALED_BYTES(count), hex);
    return arena_format(&arena, "'\\x%s'", hex);
}

#define OTHER_KEY "c29tZSBvdGhlciBrZXksIG5vdCBkZXJpdmVkIGF0IGFsbA=="

static void group_make(const char *name, const char *primary, const char *secondary)
{
    sql(arena_format(&arena, "INSERT INTO picket.enrollment_group (workspace_id, name, sealed_primary, sealed_secondary, tags,"
                             " desired, modules) VALUES (1, '%s', %s, %s, '{\"group\":\"%s\"}', '{\"speed\":3}', '{sec}')",
                     name, sealed(primary), sealed(secondary), name));
}

static const char *hex_of(const uint8_t *bytes, size_t count)
{
    char *hex = arena_alloc(&arena, 2, count + 1);

    text_hex_encode(bytes, count, hex);
    return hex;
}

/* A verified authority of the workspace, also where ingest looks for it, with what it revoked. */
static void authority_make(const struct issued *ca, const char *name, struct text revocations)
{
    struct text der = certificate_authority_der(ca);
    struct authority *list = malloc(sizeof *list);

    sql(arena_format(&arena, "INSERT INTO picket.certificate_authority (workspace_id, name, status, certificate, sha256, subject,"
                             " not_before, not_after, verification_code, verified_at) VALUES (1, '%s', 'verified', '\\x%s',"
                             " '\\x%s', 'CN', now(), now(), 'c', now())",
                     name, hex_of((const uint8_t *)der.bytes, der.count), hex_of(certificate_authority_sha256(ca), 32)));
    *list = (struct authority){.workspace = 1};
    list->id = strtoll(sql_text(arena_format(&arena, "SELECT authority_id FROM picket.certificate_authority WHERE name = '%s'",
                                             name)), NULL, 10);
    ck_assert_int_eq(x509_authority_new(der, revocations, &list->certificate, &why), STATUS_OK);
    authorities_set(settings.authorities, list, 1);
    sql(arena_format(&arena, "INSERT INTO picket.enrollment_group (workspace_id, name, authority) VALUES (1, '%s', '%s')", name,
                     name));
}

/* ---- what devices do ---- */

static int64_t now_us(void)
{
    return clock_utc_us();
}

static struct registration_claim by_key(const char *registration, const char *key, int64_t for_s)
{
    uint8_t bytes[PICKET_KEY_MAX];
    char token[DEVICE_TOKEN_SIZE];
    size_t count = key_read(key, bytes);

    device_token_make(arena_format(&arena, SCOPE "/registrations/%s", registration), bytes, count, now_us() / 1000000 + for_s,
                      token);
    return (struct registration_claim){.id_scope = TEXT(SCOPE),
                                       .registration_id = text_of(registration),
                                       .token = text_of(arena_string(&arena, text_of(token)))};
}

static struct registration_claim by_certificate(const char *registration, const struct issued *issued)
{
    struct text *chain = arena_alloc(&arena, 1, sizeof *chain);

    *chain = certificate_authority_der(issued);
    return (struct registration_claim){
        .id_scope = TEXT(SCOPE), .registration_id = text_of(registration), .chain = chain, .chain_count = 1};
}

static unsigned enrol(struct registration_claim claim)
{
    registration_register(ingest, &settings, &claim, TEXT("{\"registrationId\":\"any\"}"), now_us(), &arena, &answer);
    return answer.code;
}

/* A member of the answer's body, or of its registrationState; "" when there is none. */
static const char *member(const char *name)
{
    json_t *body = json_loadb(answer.body.bytes, answer.body.count, 0, NULL);
    json_t *state = json_object_get(body, "registrationState");
    const char *value = json_string_value(json_object_get(state ? state : body, name));

    ck_assert_msg(body != NULL, "%.*s", TEXT_ARGS(answer.body));
    value = arena_string(&arena, text_of(value ? value : ""));
    json_decref(body);
    return value;
}

static unsigned ask(struct registration_claim claim, struct text operation)
{
    registration_operation(ingest, &settings, &claim, operation, now_us(), &arena, &answer);
    return answer.code;
}

#define DEVICE(column) "SELECT " column " FROM picket.device WHERE device_id = '" REGISTRATION "' AND module_id = ''"

START_TEST(a_derived_key_makes_the_device_and_its_modules)
{
    group_make("factory", GROUP_KEY, OTHER_KEY);
    struct registration_claim claim = by_key(REGISTRATION, DERIVED_KEY, 600);
    ck_assert_uint_eq(enrol(claim), 202);
    ck_assert_str_eq(member("status"), "assigning");
    ck_assert_uint_eq(answer.retry_after_s, 3);
    ck_assert_uint_eq(ask(claim, answer.operation_id), 200);
    ck_assert_str_eq(member("status"), "assigned");
    ck_assert_str_eq(member("deviceId"), REGISTRATION);
    ck_assert_str_eq(member("assignedHub"), "hub.test");
    ck_assert_str_eq(member("substatus"), "initialAssignment");
    ck_assert_str_eq(sql_text(DEVICE("status || (tags ->> 'group')")), "enabledfactory");
    ck_assert_str_eq(sql_text("SELECT desired ->> 'speed' FROM picket.twin WHERE device_id = '" REGISTRATION "'"), "3");
    ck_assert_str_eq(sql_text("SELECT string_agg(module_id || ':' || kind, ' ' ORDER BY module_id) FROM picket.credential"),
                     ":sas sec:sas");
    registration_show(ingest, &settings, &claim, now_us(), &arena, &answer);
    ck_assert_uint_eq(answer.code, 200);
    ck_assert_str_eq(member("status"), "assigned");
}
END_TEST

START_TEST(what_fits_no_enrolment_is_refused_alike)
{
    group_make("factory", GROUP_KEY, OTHER_KEY);
    struct registration_claim claims[] = {
        by_key(REGISTRATION, OTHER_KEY, 600),       by_key(REGISTRATION, DERIVED_KEY, -SAS_TOLERANCE_S - 10),
        by_key("another-device", DERIVED_KEY, 600), by_key(REGISTRATION, DERIVED_KEY, 600),
        by_key(REGISTRATION, DERIVED_KEY, 600),     by_key(REGISTRATION, DERIVED_KEY, 600),
        by_key(REGISTRATION, DERIVED_KEY, 600),
    };
    claims[3].id_scope = TEXT("0neOTHER001");
    claims[4].registration_id = TEXT("another-device");
    claims[5].token = TEXT_NONE;
    claims[6].token = TEXT("SharedAccessSignature sr=x");

    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        ck_assert_msg(enrol(claims[i]) == 401, "%zu: %u", i, answer.code);
        ck_assert_str_eq(member("message"), "the credential fits no enrolment");
    }
    ck_assert_str_eq(sql_text("SELECT count(*) FROM picket.device"), "0");
}
END_TEST

START_TEST(either_key_of_any_group_is_tried)
{
    group_make("a", OTHER_KEY, OTHER_KEY);
    group_make("b", OTHER_KEY, GROUP_KEY);
    ck_assert_uint_eq(enrol(by_key(REGISTRATION, DERIVED_KEY, 600)), 202);
    ck_assert_str_eq(sql_text("SELECT group_name FROM picket.registration"), "b");
}
END_TEST

START_TEST(an_individual_enrolment_comes_before_every_group)
{
    group_make("factory", GROUP_KEY, GROUP_KEY);
    sql(arena_format(&arena, "INSERT INTO picket.enrollment (workspace_id, registration_id, device_id, sealed_primary,"
                             " sealed_secondary) VALUES (1, '" REGISTRATION "', 'pump', %s, %s)",
                     sealed(OTHER_KEY), sealed(OTHER_KEY)));
    ck_assert_uint_eq(enrol(by_key(REGISTRATION, DERIVED_KEY, 600)), 401);
    ck_assert_uint_eq(enrol(by_key(REGISTRATION, OTHER_KEY, 600)), 202);
    ck_assert_str_eq(sql_text("SELECT device_id FROM picket.device"), "pump");
}
END_TEST

START_TEST(who_registers_again_keeps_the_device)
{
    group_make("factory", GROUP_KEY, OTHER_KEY);
    struct registration_claim claim = by_key(REGISTRATION, DERIVED_KEY, 600);
    ck_assert_uint_eq(enrol(claim), 202);
    sql("UPDATE picket.device SET tags = '{\"kept\":\"yes\"}' WHERE module_id = ''");
    struct text before = answer.operation_id;
    ck_assert_uint_eq(enrol(claim), 202);
    ck_assert_uint_eq(ask(claim, before), 404);
    (void)enrol(claim);
    ck_assert_uint_eq(ask(claim, answer.operation_id), 200);
    ck_assert_str_eq(member("substatus"), "deviceDataMigrated");
    ck_assert_str_eq(sql_text(DEVICE("tags ->> 'kept'")), "yes");
}
END_TEST

START_TEST(an_operators_word_holds)
{
    group_make("factory", GROUP_KEY, OTHER_KEY);
    struct registration_claim claim = by_key(REGISTRATION, DERIVED_KEY, 600);
    ck_assert_uint_eq(enrol(claim), 202);
    struct text operation = answer.operation_id;
    sql("UPDATE picket.device SET status = 'disabled' WHERE module_id = ''");
    ck_assert_uint_eq(enrol(claim), 400);
    ck_assert_uint_eq(ask(claim, operation), 200);
    ck_assert_str_eq(member("status"), "disabled");
    sql("UPDATE picket.device SET status = 'deleted'");
    ck_assert_uint_eq(enrol(claim), 202);
    ck_assert_str_eq(sql_text(DEVICE("status")), "enabled");

    sql("UPDATE picket.enrollment_group SET status = 'disabled'");
    ck_assert_uint_eq(enrol(claim), 401);
    ck_assert_str_eq(member("message"), "the enrolment is disabled");
    sql("DELETE FROM picket.enrollment_group");
    ck_assert_uint_eq(enrol(claim), 401);
}
END_TEST

START_TEST(an_authority_of_a_group_vouches_for_its_devices)
{
    struct issued *ca = certificate_authority_issue(&(struct certificate_wish){.common_name = "ca", .authority = true}, NULL);
    struct issued *foreign = certificate_authority_issue(&(struct certificate_wish){.common_name = "ca", .authority = true}, NULL);
    int64_t now_s = now_us() / 1000000;
    const struct certificate_wish wish = {.common_name = "pump-1"},
                                  past = {.common_name = "pump-1", .not_before_s = now_s - 9000, .not_after_s = now_s - 5000};
    struct issued *good = certificate_authority_issue(&wish, ca), *revoked = certificate_authority_issue(&wish, ca);
    struct issued *strange = certificate_authority_issue(&wish, foreign), *own = certificate_authority_issue(&wish, NULL);
    struct issued *old = certificate_authority_issue(&past, ca);
    struct text list = certificate_authority_revoke(ca, (const struct issued *const[]){revoked}, 1, now_s - 60, now_s + 3600);
    struct issued *const bad[] = {revoked, strange, own, old};

    group_make("keys", GROUP_KEY, OTHER_KEY); /* which is tried as well, and does not fit */
    authority_make(ca, "plant", list);
    ck_assert_uint_eq(enrol(by_certificate("pump-1", good)), 202);
    ck_assert_str_eq(sql_text("SELECT kind || coalesce(sealed_primary::text, '') FROM picket.credential"), "authority");
    ck_assert_uint_eq(enrol(by_certificate("pump-2", good)), 401);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(enrol(by_certificate("pump-1", bad[i])) == 401, "%zu", i);

    /* A token counts, where both are shown. */
    struct registration_claim both = by_certificate("pump-1", good);
    both.token = by_key("pump-1", OTHER_KEY, 600).token;
    ck_assert_uint_eq(enrol(both), 401);

    /* The authority is gone from the list before the group is told. */
    authorities_set(settings.authorities, NULL, 0);
    ck_assert_uint_eq(enrol(by_certificate("pump-1", good)), 401);
    struct issued *const all[] = {ca, foreign, good, revoked, strange, own, old};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        certificate_authority_free(all[i]);
    free((void *)(uintptr_t)list.bytes);
}
END_TEST

START_TEST(either_thumbprint_lets_one_device_register)
{
    int64_t now_s = now_us() / 1000000;
    const struct certificate_wish wish = {.common_name = "pump-1"},
                                  past = {.common_name = "pump-1", .not_before_s = now_s - 9000, .not_after_s = now_s - 5000};
    struct issued *first = certificate_authority_issue(&wish, NULL), *second = certificate_authority_issue(&wish, NULL);
    struct issued *third = certificate_authority_issue(&wish, NULL), *old = certificate_authority_issue(&past, NULL);

    sql(arena_format(&arena, "INSERT INTO picket.enrollment (workspace_id, registration_id, device_id, thumbprint_primary,"
                             " thumbprint_secondary) VALUES (1, 'pump-1', 'device-1', '\\x%s', '\\x%s')",
                     hex_of(certificate_authority_sha1(first), 20), hex_of(certificate_authority_sha256(second), 32)));
    ck_assert_uint_eq(enrol(by_certificate("pump-1", first)), 202);
    ck_assert_uint_eq(enrol(by_certificate("pump-1", second)), 202);
    ck_assert_uint_eq(enrol(by_certificate("pump-1", third)), 401);
    ck_assert_uint_eq(enrol(by_certificate("device-1", first)), 401);
    ck_assert_str_eq(sql_text("SELECT device_id || kind || octet_length(thumbprint_primary) || octet_length(thumbprint_secondary)"
                              " FROM picket.credential"), "device-1thumbprint2032");
    sql(arena_format(&arena, "UPDATE picket.enrollment SET thumbprint_primary = '\\x%s'", hex_of(certificate_authority_sha1(old), 20)));
    ck_assert_uint_eq(enrol(by_certificate("pump-1", old)), 401);
    struct issued *const all[] = {first, second, third, old};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        certificate_authority_free(all[i]);
}
END_TEST

START_TEST(a_database_that_is_away_is_503)
{
    group_make("factory", GROUP_KEY, OTHER_KEY);
    struct registration_claim claim = by_key(REGISTRATION, DERIVED_KEY, 600);
    database_stop();
    ck_assert_uint_eq(enrol(claim), 503);
    ck_assert_uint_gt(answer.retry_after_s, 0);
    database_restart();
    ck_assert_uint_eq(enrol(claim), 202);
}
END_TEST

START_TEST(a_body_that_is_none_is_400)
{
    group_make("factory", GROUP_KEY, OTHER_KEY);
    struct registration_claim claim = by_key(REGISTRATION, DERIVED_KEY, 600);

    registration_register(ingest, &settings, &claim, TEXT("[1]"), now_us(), &arena, &answer);
    ck_assert_uint_eq(answer.code, 400);
    registration_register(ingest, &settings, &claim, TEXT(""), now_us(), &arena, &answer);
    ck_assert_uint_eq(answer.code, 202);
}
END_TEST

int main(void)
{
    static const char *const fill[] = {"UPDATE picket.workspace SET id_scope = '" SCOPE "' WHERE workspace_id = 1"};
    const TTest *const tests[] = {
        a_derived_key_makes_the_device_and_its_modules,
        what_fits_no_enrolment_is_refused_alike,
        either_key_of_any_group_is_tried,
        an_individual_enrolment_comes_before_every_group,
        who_registers_again_keeps_the_device,
        an_operators_word_holds,
        an_authority_of_a_group_vouches_for_its_devices,
        either_thumbprint_lets_one_device_register,
        a_database_that_is_away_is_503,
        a_body_that_is_none_is_400,
    };
    const struct check_suite suite = {.name = "ingest/registrations", .tests = tests,
                                      .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown,
                                      .timeout_seconds = 60};

    database_template_make(fill, 1);
    return check_main(&suite);
}
