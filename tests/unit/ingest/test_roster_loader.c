#include "ingest/roster_loader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/buf.h"
#include "runtime/clock.h"
#include "runtime/db.h"
#include "runtime/process.h"
#include "tests/support/certificate_authority.h"
#include "tests/support/check_main.h"
#include "tests/support/database.h"
#include "tests/support/migrate.h"

#define WAIT_MS 20000
#define SOON_MS 5000
#define QUERY_MS 30000
#define NUMBER_TEXT_OF(number) #number
#define NUMBER_TEXT(number) NUMBER_TEXT_OF(number)

static struct secret_master master = {{1, 2, 3}};
static struct roster *roster;
static struct roster_loader *loader;
static struct db *owner;
static struct problem why;

static void sql(struct db *db, const char *statement)
{
    ck_assert_msg(db_query(db, statement, NULL, 0, QUERY_MS, NULL, &why) == STATUS_OK, "%s: %s", statement, why.text);
}

static size_t roster_max = 1000000;

static void loader_start(const char *conninfo)
{
    roster = roster_new(roster_max);
    ck_assert_int_eq(roster_loader_open(conninfo, &master, roster, &loader, &why), STATUS_OK);
}

static void setup(void)
{
    ck_assert_int_eq(secret_init(&why), STATUS_OK);
    ck_assert_int_eq(db_open(database_conninfo(), NULL, "test", &owner, &why), STATUS_OK);
    loader = NULL;
}

static void teardown(void)
{
    roster_loader_close(loader);
    roster_free(roster);
    db_close(owner);
}

static bool wait_for(bool (*holds)(const char *device), const char *device, uint32_t within_ms)
{
    int64_t until_ms = clock_monotonic_ms() + within_ms;
    const struct timespec pause = {0, 2000000};

    while (!holds(device)) {
        if (clock_monotonic_ms() > until_ms)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

static bool find(const char *device, struct roster_entry *out)
{
    struct identity identity = {1, text_of(device), TEXT("")};
    return roster_find(roster, &identity, out);
}

static bool loaded(const char *unused)
{
    (void)unused;
    return roster_loaded(roster);
}

static bool enabled(const char *device)
{
    struct roster_entry entry;
    return find(device, &entry) && entry.enabled;
}

static bool disabled(const char *device)
{
    struct roster_entry entry;
    return find(device, &entry) && !entry.enabled;
}

static bool gone(const char *device)
{
    struct roster_entry entry;
    return !find(device, &entry);
}

static void enrol(struct db *db, const char *device, const char *module, const uint8_t key[32])
{
    uint8_t sealed[SECRET_SEALED_BYTES(32)];
    char hex[2 * sizeof sealed + 3] = "\\x";
    const char *parameters[] = {device, module, hex};

    secret_seal(&master, key, 32, sealed);
    text_hex_encode(sealed, sizeof sealed, hex + 2);
    ck_assert_msg(db_query(db, "INSERT INTO picket.device (workspace_id, device_id, module_id) VALUES (1, $1, $2)",
                           parameters, 2, QUERY_MS, NULL, &why) == STATUS_OK, "%s", why.text);
    ck_assert_msg(db_query(db, "INSERT INTO picket.credential (workspace_id, device_id, module_id, sealed_primary, "
                               "sealed_secondary) VALUES (1, $1, $2, $3::bytea, $3::bytea)",
                           parameters, 3, QUERY_MS, NULL, &why) == STATUS_OK, "%s", why.text);
}

static bool ready_note(const char *part_of_it)
{
    struct buf text;

    buf_init(&text, 65536);
    (void)process_print_ready(&text);
    bool found = strstr(text.bytes, part_of_it) != NULL;
    buf_done(&text);
    return found;
}

START_TEST(enrolled_identities_are_there_with_their_keys_and_limits)
{
    static const uint8_t key[32] = "the key";
    struct identity module = {1, TEXT("a1"), TEXT("m")};
    struct roster_entry entry;
    struct roster_keys keys;

    enrol(owner, "a1", "", key);
    enrol(owner, "a1", "m", key);
    enrol(owner, "a2", "", key);
    sql(owner, "UPDATE picket.device SET status = 'deleted' WHERE device_id = 'a2'");
    sql(owner, "UPDATE picket.device SET messages_per_second = 5 WHERE device_id = 'a1' AND module_id = ''");
    loader_start(database_conninfo_for(NULL, NULL));
    ck_assert(wait_for(loaded, "", WAIT_MS));
    ck_assert(find("a1", &entry));
    ck_assert_int_eq(entry.messages_per_second, 5);
    ck_assert_int_eq(entry.bytes_per_second, ROSTER_LIMIT_DEFAULT);
    ck_assert(roster_find(roster, &module, &entry));
    ck_assert(roster_keys(roster, &module, entry.generation, &keys));
    ck_assert_uint_eq(keys.primary_count, 32);
    ck_assert_mem_eq(keys.secondary, key, 32);
    ck_assert(gone("a2"));
    ck_assert(wait_for(ready_note, "\"ready\":true", SOON_MS));
}
END_TEST

START_TEST(changes_arrive_within_seconds)
{
    static const uint8_t old_key[32] = "old", new_key[32] = "new";
    struct roster_entry before, after;

    loader_start(database_conninfo_for(NULL, NULL));
    ck_assert(wait_for(loaded, "", WAIT_MS));
    enrol(owner, "b1", "", old_key);
    ck_assert(wait_for(enabled, "b1", SOON_MS));
    sql(owner, "UPDATE picket.device SET status = 'disabled' WHERE device_id = 'b1'");
    ck_assert(wait_for(disabled, "b1", SOON_MS));
    sql(owner, "UPDATE picket.device SET status = 'deleted' WHERE device_id = 'b1'");
    ck_assert(wait_for(gone, "b1", SOON_MS));
    sql(owner, "UPDATE picket.device SET status = 'enabled' WHERE device_id = 'b1'");
    ck_assert(wait_for(enabled, "b1", SOON_MS));
    find("b1", &before);

    uint8_t sealed[SECRET_SEALED_BYTES(32)];
    char hex[2 * sizeof sealed + 3] = "\\x";
    const char *parameters[] = {hex};
    secret_seal(&master, new_key, 32, sealed);
    text_hex_encode(sealed, sizeof sealed, hex + 2);
    ck_assert_int_eq(db_query(owner, "UPDATE picket.credential SET sealed_primary = $1::bytea WHERE device_id = 'b1'",
                              parameters, 1, QUERY_MS, NULL, &why), STATUS_OK);
    int64_t until_ms = clock_monotonic_ms() + SOON_MS;
    do
        ck_assert(find("b1", &after) && clock_monotonic_ms() < until_ms);
    while (after.generation == before.generation);
}
END_TEST

/* Numbers that gain a digit are greater, and smaller as text. */
START_TEST(changes_arrive_also_when_transaction_numbers_gain_a_digit)
{
    static const char burn[] = "DO $$ DECLARE last bigint := 10 ^ length(pg_current_xact_id()::text); BEGIN"
                               " WHILE pg_current_xact_id()::text::bigint < last LOOP COMMIT; END LOOP; END $$";
    static const uint8_t key[32] = "key";

    enrol(owner, "x1", "", key);
    enrol(owner, "x2", "", key);
    loader_start(database_conninfo_for(NULL, NULL));
    ck_assert(wait_for(loaded, "", WAIT_MS));
    sql(owner, burn);
    sql(owner, "UPDATE picket.device SET status = 'disabled' WHERE device_id = 'x1'");
    ck_assert(wait_for(disabled, "x1", SOON_MS));
    ck_assert(enabled("x2"));
}
END_TEST

static bool host_is_new(const char *host)
{
    struct roster_workspace workspace;
    return roster_workspace_of_host(roster, text_of(host), &workspace) && workspace.workspace != 1 &&
           workspace.messages_per_second == 77;
}

START_TEST(workspaces_and_their_hosts_arrive_within_seconds)
{
    loader_start(database_conninfo_for(NULL, NULL));
    ck_assert(wait_for(loaded, "", WAIT_MS));
    sql(owner, "INSERT INTO picket.workspace (name, host_names, messages_per_second) "
               "VALUES ('acme', '{acme.example,acme.test}', 77)");
    ck_assert(wait_for(host_is_new, "acme.test", SOON_MS));
    ck_assert(host_is_new("ACME.example"));
    ck_assert(!host_is_new("other.example"));
}
END_TEST

START_TEST(long_transaction_delays_no_revocation_and_loses_no_device)
{
    static const uint8_t key[32] = "key";
    struct db *slow = NULL;

    loader_start(database_conninfo_for(NULL, NULL));
    ck_assert(wait_for(loaded, "", WAIT_MS));
    enrol(owner, "c1", "", key);
    ck_assert_int_eq(db_open(database_conninfo(), NULL, "slow", &slow, &why), STATUS_OK);
    ck_assert_int_eq(db_begin(slow, QUERY_MS, &why), STATUS_OK);
    enrol(slow, "c2", "", key);
    enrol(owner, "c3", "", key);
    ck_assert(wait_for(enabled, "c1", SOON_MS));
    ck_assert(wait_for(enabled, "c3", SOON_MS));
    sql(owner, "UPDATE picket.device SET status = 'disabled' WHERE device_id = 'c1'");
    ck_assert(wait_for(disabled, "c1", SOON_MS));
    ck_assert(gone("c2"));
    ck_assert_int_eq(db_commit(slow, QUERY_MS, &why), STATUS_OK);
    ck_assert(wait_for(enabled, "c2", SOON_MS));
    db_close(slow);
}
END_TEST

START_TEST(lost_database_leaves_the_roster_and_is_caught_up_with)
{
    static const uint8_t key[32] = "key";

    enrol(owner, "d1", "", key);
    loader_start(database_conninfo_for(NULL, NULL));
    ck_assert(wait_for(enabled, "d1", WAIT_MS));
    database_stop();
    ck_assert(wait_for(ready_note, "not being renewed", WAIT_MS));
    ck_assert(enabled("d1"));
    ck_assert(ready_note("\"ready\":true"));
    database_restart();
    enrol(owner, "d2", "", key);
    ck_assert(wait_for(enabled, "d2", WAIT_MS));
}
END_TEST

START_TEST(database_that_is_away_at_first_is_waited_for)
{
    database_stop();
    loader_start(database_conninfo_for(NULL, NULL));
    ck_assert(!roster_loaded(roster));
    database_restart();
    ck_assert(wait_for(loaded, "", WAIT_MS));
}
END_TEST

START_TEST(database_without_schema_is_told_of)
{
    sql(owner, "CREATE DATABASE empty_one");
    loader_start(database_conninfo_for(NULL, "empty_one"));
    ck_assert(wait_for(ready_note, "run picket migrate", WAIT_MS));
    ck_assert(!roster_loaded(roster));
}
END_TEST

START_TEST(schema_older_than_this_build_is_told_of)
{
    struct db *other = NULL;

    sql(owner, "CREATE DATABASE old_one");
    ck_assert_int_eq(db_open(database_conninfo_for("postgres", "old_one"), NULL, "test", &other, &why), STATUS_OK);
    sql(other, "CREATE SCHEMA picket");
    sql(other, "CREATE TABLE picket.migration AS SELECT 3 AS number");
    sql(other, "GRANT USAGE ON SCHEMA picket TO picket_ingest");
    sql(other, "GRANT SELECT ON picket.migration TO picket_ingest");
    db_close(other);
    loader_start(database_conninfo_for(NULL, "old_one"));
    ck_assert(wait_for(ready_note, "at migration 3, this build needs " NUMBER_TEXT(ROSTER_SCHEMA_NEEDED), WAIT_MS));
    ck_assert(!roster_loaded(roster));
}
END_TEST

START_TEST(key_under_another_master_key_is_no_key)
{
    static const uint8_t key[32] = "key";
    struct secret_master ours = master;
    struct roster_entry entry;
    struct roster_keys keys;

    master.key[0] = 99;
    enrol(owner, "e1", "", key);
    master = ours;
    loader_start(database_conninfo_for(NULL, NULL));
    ck_assert(wait_for(loaded, "", WAIT_MS));
    struct identity identity = {1, TEXT("e1"), TEXT("")};
    ck_assert(roster_find(roster, &identity, &entry));
    ck_assert(roster_keys(roster, &identity, entry.generation, &keys));
    ck_assert_uint_eq(keys.primary_count, 0);
    ck_assert_uint_eq(keys.secondary_count, 0);
}
END_TEST

static const char *hex_of(struct arena *arena, const uint8_t *bytes, size_t count)
{
    char *hex = arena_alloc(arena, 1, 2 * count + 3);

    memcpy(hex, "\\x", 2);
    text_hex_encode(bytes, count, hex + 2);
    return hex;
}

START_TEST(credentials_of_every_kind_arrive_and_follow_each_other)
{
    struct roster_entry before, after;
    struct roster_keys found;
    static const uint8_t key[32] = "key";
    struct identity identity = {1, TEXT("k1"), TEXT("")};

    enrol(owner, "k1", "", key);
    sql(owner, "INSERT INTO picket.device (workspace_id, device_id) VALUES (1, 'k2'), (1, 'k3')");
    sql(owner, "INSERT INTO picket.credential (workspace_id, device_id, kind, thumbprint_primary, thumbprint_secondary)"
               " VALUES (1, 'k2', 'thumbprint', decode(repeat('ab', 20), 'hex'), decode(repeat('cd', 32), 'hex'))");
    sql(owner, "INSERT INTO picket.credential (workspace_id, device_id, kind) VALUES (1, 'k3', 'authority')");
    loader_start(database_conninfo_for(NULL, NULL));
    ck_assert(wait_for(loaded, "", WAIT_MS));
    ck_assert(find("k1", &before));
    ck_assert_int_eq(before.credential, ROSTER_SAS);
    ck_assert(find("k3", &after));
    ck_assert_int_eq(after.credential, ROSTER_AUTHORITY);
    identity.device = TEXT("k2");
    ck_assert(find("k2", &after));
    ck_assert_int_eq(after.credential, ROSTER_THUMBPRINT);
    ck_assert(roster_keys(roster, &identity, after.generation, &found));
    ck_assert_uint_eq(found.primary_count, 20);
    ck_assert_uint_eq(found.secondary_count, 32);
    ck_assert_int_eq(found.primary[19], 0xab);
    ck_assert_int_eq(found.secondary[31], 0xcd);

    sql(owner, "UPDATE picket.credential SET kind = 'thumbprint', sealed_primary = NULL, sealed_secondary = NULL,"
               " thumbprint_primary = decode(repeat('ef', 20), 'hex') WHERE device_id = 'k1'");
    int64_t until_ms = clock_monotonic_ms() + SOON_MS;
    do
        ck_assert(find("k1", &after) && clock_monotonic_ms() < until_ms);
    while (after.credential != ROSTER_THUMBPRINT);
    ck_assert_uint_ne(after.generation, before.generation);
}
END_TEST

static struct issued *vouching, *vouched;

/* Whether an authority of the roster vouches for the leaf. */
static bool vouches(const char *unused)
{
    const struct text der = certificate_authority_der(vouched);
    struct x509_chain *chain = NULL;
    struct authority_match match;
    struct problem reason;

    (void)unused;
    ck_assert_int_eq(x509_chain_read(&der, 1, &chain, &reason), STATUS_OK);
    enum status status = authorities_verify(roster_authorities(roster), chain, clock_utc_us() / 1000000, &match, &reason);
    x509_chain_free(chain);
    return !status && match.workspace == 1;
}

static bool vouches_not(const char *unused)
{
    return !vouches(unused);
}

START_TEST(authorities_and_what_they_revoke_arrive_within_seconds)
{
    const struct certificate_wish ca = {.common_name = "ca", .authority = true}, leaf = {.common_name = "d"};
    const struct issued *gone[1];
    struct arena arena;

    arena_init(&arena);
    vouching = certificate_authority_issue(&ca, NULL);
    vouched = certificate_authority_issue(&leaf, vouching);
    gone[0] = vouched;
    struct text list = certificate_authority_revoke(vouching, gone, 1, 1000, 2000), der = certificate_authority_der(vouching);
    const char *parameters[] = {hex_of(&arena, (const uint8_t *)der.bytes, der.count),
                                hex_of(&arena, (const uint8_t *)list.bytes, list.count)};
    loader_start(database_conninfo_for(NULL, NULL));
    ck_assert(wait_for(loaded, "", WAIT_MS));
    /* Before it more than are read at a time, which are no certificates at all. */
    sql(owner, "INSERT INTO picket.certificate_authority (workspace_id, name, certificate, sha256, subject, not_before, not_after,"
               " verification_code, status, verified_at) SELECT 1, 'broken-' || n, 'x', sha256(n::text::bytea), '', now(), now(), '',"
               " 'verified', now() FROM generate_series(1, 45) n");
    ck_assert_msg(db_query(owner, "INSERT INTO picket.certificate_authority (workspace_id, name, certificate, sha256, subject,"
                                  " not_before, not_after, verification_code)"
                                  " VALUES (1, 'ca', $1::bytea, sha256($1::bytea), '', now(), now(), '')",
                           parameters, 1, QUERY_MS, NULL, &why) == STATUS_OK, "%s", why.text);
    ck_assert(vouches_not(""));
    sql(owner, "UPDATE picket.certificate_authority SET status = 'verified', verified_at = now() WHERE name = 'ca'");
    ck_assert(wait_for(vouches, "", SOON_MS));
    ck_assert_int_eq(db_query(owner, "UPDATE picket.certificate_authority SET crl = $2::bytea, crl_this_update = now(), crl_count = 1"
                                     " WHERE name = 'ca' AND $1::text IS NOT NULL", parameters, 2, QUERY_MS, NULL, &why), STATUS_OK);
    ck_assert(wait_for(vouches_not, "", SOON_MS));
    sql(owner, "UPDATE picket.certificate_authority SET crl = NULL, crl_this_update = NULL, crl_count = NULL");
    ck_assert(wait_for(vouches, "", SOON_MS));
    sql(owner, "UPDATE picket.certificate_authority SET status = 'disabled' WHERE name = 'ca'");
    ck_assert(wait_for(vouches_not, "", SOON_MS));
    sql(owner, "UPDATE picket.certificate_authority SET status = 'verified' WHERE name = 'ca'");
    ck_assert(wait_for(vouches, "", SOON_MS));
    sql(owner, "DELETE FROM picket.certificate_authority");
    ck_assert(wait_for(vouches_not, "", SOON_MS));
    free((void *)(uintptr_t)list.bytes);
    certificate_authority_free(vouched);
    certificate_authority_free(vouching);
    arena_done(&arena);
}
END_TEST

static bool counted_one(const char *unused)
{
    (void)unused;
    return roster_count(roster) == 1;
}

START_TEST(roster_that_is_full_says_so_and_takes_the_rest_when_there_is_room)
{
    static const uint8_t key[32] = "key";

    sql(owner, "UPDATE picket.device SET status = 'deleted'");
    enrol(owner, "g1", "", key);
    enrol(owner, "g2", "", key);
    roster_max = 1;
    loader_start(database_conninfo_for(NULL, NULL));
    ck_assert(wait_for(ready_note, "roster_max has to be raised", WAIT_MS));
    ck_assert(counted_one(""));
    bool first = enabled("g1");
    sql(owner, first ? "UPDATE picket.device SET status = 'deleted' WHERE device_id = 'g1'"
                     : "UPDATE picket.device SET status = 'deleted' WHERE device_id = 'g2'");
    const char *other = first ? "g2" : "g1";
    ck_assert(wait_for(enabled, other, SOON_MS));
    ck_assert(wait_for(counted_one, "", SOON_MS));
    ck_assert(wait_for(ready_note, "\"ready\":true", SOON_MS));
}
END_TEST

START_TEST(more_identities_than_one_fetch_are_read)
{
    sql(owner, "INSERT INTO picket.device (workspace_id, device_id) SELECT 1, 'f' || n FROM generate_series(1, 45000) n");
    loader_start(database_conninfo_for(NULL, NULL));
    ck_assert(wait_for(loaded, "", WAIT_MS));
    ck_assert(enabled("f1") && enabled("f20000") && enabled("f20001") && enabled("f45000"));
    sql(owner, "UPDATE picket.device SET status = 'disabled' WHERE device_id LIKE 'f%'");
    ck_assert(wait_for(disabled, "f1", SOON_MS));
    ck_assert(wait_for(disabled, "f45000", SOON_MS));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        enrolled_identities_are_there_with_their_keys_and_limits,
        changes_arrive_within_seconds,
        changes_arrive_also_when_transaction_numbers_gain_a_digit,
        workspaces_and_their_hosts_arrive_within_seconds,
        long_transaction_delays_no_revocation_and_loses_no_device,
        lost_database_leaves_the_roster_and_is_caught_up_with,
        database_that_is_away_at_first_is_waited_for,
        database_without_schema_is_told_of,
        schema_older_than_this_build_is_told_of,
        key_under_another_master_key_is_no_key,
        credentials_of_every_kind_arrive_and_follow_each_other,
        authorities_and_what_they_revoke_arrive_within_seconds,
        roster_that_is_full_says_so_and_takes_the_rest_when_there_is_room,
        more_identities_than_one_fetch_are_read,
    };
    const struct check_suite suite = {.name = "ingest/roster_loader", .tests = tests,
                                     .count = sizeof tests / sizeof *tests, .setup = setup, .teardown = teardown,
                                     .timeout_seconds = 60};

    database_start(DATABASE_FAST);
    if (migrate_all(database_conninfo(), &why) || secret_init(&why)) {
        fprintf(stderr, "%s\n", why.text);
        return EXIT_FAILURE;
    }
    return check_main(&suite);
}
