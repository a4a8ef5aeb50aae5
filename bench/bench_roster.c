#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ingest/roster_loader.h"
#include "runtime/clock.h"
#include "runtime/db.h"
#include "tests/support/database.h"
#include "tests/support/migrate.h"

/* How long the front door needs to know a million devices after a start, what they take in memory, how soon it hears of
 * a change then, and what a lookup costs. The first two are promises: a minute, and 400 MB for the process.
 *
 *   bench_roster [devices] */

#define LOAD_MS_MAX 60000
#define RSS_MB_MAX 400
#define QUERY_MS 600000
#define LOOKUPS 2000000

static struct problem why;

static void check(enum status status, const char *what)
{
    if (!status)
        return;
    fprintf(stderr, "bench_roster: %s: %s\n", what, why.text);
    exit(1);
}

static long rss_mb(const char *field)
{
    char line[256];
    long kb = 0;
    FILE *file = fopen("/proc/self/status", "re");

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, field, strlen(field)) == 0)
            kb = strtol(line + strlen(field), NULL, 10);
    if (file)
        fclose(file);
    return kb / 1024;
}

/* Triggers are left out: they are not what is measured, and would touch every row once more. */
static void devices_make(struct db *owner, const struct secret_master *master, const char *devices)
{
    static const char insert_devices[] =
        "INSERT INTO picket.device (workspace_id, device_id) "
        "SELECT 1, 'device-' || lpad(n::text, 12, '0') FROM generate_series(1, $1::int) n";
    static const char insert_credentials[] =
        "INSERT INTO picket.credential (workspace_id, device_id, sealed_primary, sealed_secondary) "
        "SELECT 1, 'device-' || lpad(n::text, 12, '0'), $2::bytea, $2::bytea FROM generate_series(1, $1::int) n";
    static const uint8_t key[32] = "the key of all of them";
    uint8_t sealed[SECRET_SEALED_BYTES(sizeof key)];
    char hex[2 * sizeof sealed + 3] = "\\x";
    const char *parameters[] = {devices, hex};

    secret_seal(master, key, sizeof key, sealed);
    text_hex_encode(sealed, sizeof sealed, hex + 2);
    check(db_begin(owner, QUERY_MS, &why), "begin");
    check(db_query(owner, "SET LOCAL session_replication_role = replica", NULL, 0, QUERY_MS, NULL, &why), "role");
    check(db_query(owner, insert_devices, parameters, 1, QUERY_MS, NULL, &why), "devices");
    check(db_query(owner, insert_credentials, parameters, 2, QUERY_MS, NULL, &why), "credentials");
    check(db_query(owner, "INSERT INTO picket.migration (number, name, digest) VALUES (4, 'people', '') "
                          "ON CONFLICT DO NOTHING", NULL, 0, QUERY_MS, NULL, &why), "migration");
    check(db_commit(owner, QUERY_MS, &why), "commit");
    check(db_query(owner, "ANALYZE picket.device, picket.credential", NULL, 0, QUERY_MS, NULL, &why), "analyze");
}

static void pause_briefly(void)
{
    const struct timespec pause = {0, 1000000};
    nanosleep(&pause, NULL);
}

static int64_t change_ms(struct db *owner, struct roster *roster)
{
    struct identity identity = {1, TEXT("device-000000000001"), TEXT("")};
    struct roster_entry entry;
    int64_t started_ms = clock_monotonic_ms();

    check(db_query(owner, "UPDATE picket.device SET status = 'disabled' WHERE device_id = 'device-000000000001'", NULL, 0,
                   QUERY_MS, NULL, &why), "change");
    while (!roster_find(roster, &identity, &entry) || entry.enabled)
        pause_briefly();
    return clock_monotonic_ms() - started_ms;
}

static double lookup_ns(struct roster *roster, uint64_t devices)
{
    int64_t started_us = clock_utc_us();
    struct roster_entry entry;
    uint64_t found = 0;
    char id[32];

    for (uint64_t i = 0; i < LOOKUPS; i++) {
        int count = snprintf(id, sizeof id, "device-%012" PRIu64, 1 + i * 7919 % devices);
        struct identity identity = {1, {id, (size_t)count}, TEXT("")};
        found += roster_find(roster, &identity, &entry);
    }
    if (found != LOOKUPS)
        fprintf(stderr, "bench_roster: %" PRIu64 " of %d were found\n", found, LOOKUPS);
    return (double)(clock_utc_us() - started_us) * 1000 / LOOKUPS;
}

int main(int count, char **arguments)
{
    const char *devices = count > 1 ? arguments[1] : "1000000";
    struct secret_master master = {{1}};
    struct roster_loader *loader = NULL;
    struct db *owner = NULL;

    check(secret_init(&why), "secret");
    database_start(DATABASE_FAST);
    check(migrate_all(database_conninfo(), &why), "migrate");
    check(db_open(database_conninfo(), NULL, "bench", &owner, &why), "open");
    devices_make(owner, &master, devices);
    long before_mb = rss_mb("VmRSS:");
    struct roster *roster = roster_new(2000000);
    int64_t started_ms = clock_monotonic_ms();
    check(roster_loader_open(database_conninfo_for(NULL, NULL), &master, roster, &loader, &why), "loader");
    while (!roster_loaded(roster))
        pause_briefly();
    int64_t load_ms = clock_monotonic_ms() - started_ms;
    long peak_mb = rss_mb("VmHWM:");
    printf("roster     identities=%zu load_ms=%" PRId64 " rss_mb=%ld before_mb=%ld peak_mb=%ld\n", roster_count(roster),
           load_ms, rss_mb("VmRSS:"), before_mb, peak_mb);
    printf("change     seen_after_ms=%" PRId64 "\n", change_ms(owner, roster));
    printf("lookup     ns=%.0f\n", lookup_ns(roster, strtoull(devices, NULL, 10)));
    bool met = load_ms <= LOAD_MS_MAX && peak_mb <= RSS_MB_MAX;
    printf("limits     load_ms=%d rss_mb=%d %s\n", LOAD_MS_MAX, RSS_MB_MAX, met ? "met" : "MISSED");
    roster_loader_close(loader);
    roster_free(roster);
    db_close(owner);
    return met ? 0 : 1;
}
