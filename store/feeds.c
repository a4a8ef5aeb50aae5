#include "store/feeds.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "detect/command_facts.h"
#include "detect/false_friends.h"
#include "detect/rule.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "store/alerts.h"
#include "store/columns.h"
#include "store/drain.h"
#include "store/feed_fetch.h"
#include "store/threats.h"

#define ROUND_MS 2000
#define SEARCH_MS 300000      /* of one feed in the past */
#define MATCHES_MAX 10000     /* of one feed in the past; what is beyond is told in the log */
#define PIECE_ROWS 5000       /* indicators written by one statement */

struct feeds {
    const struct store_settings *settings;
    struct db *db;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic bool stopping;
};

static void *feeds_run(void *context);

enum status feeds_open(const struct store_settings *settings, struct feeds **out, struct problem *why)
{
    struct feeds *feeds = calloc(1, sizeof *feeds);
    pthread_condattr_t attributes;

    if (!feeds)
        abort();
    feeds->settings = settings;
    pthread_mutex_init(&feeds->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&feeds->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    enum status status = db_open(settings->database, "picket_store", "picket store (feeds)", &feeds->db, why);
    if (!status && pthread_create(&feeds->thread, NULL, feeds_run, feeds))
        status = problem_set(why, STATUS_FAULT, "no thread for feeds");
    feeds->started = !status;
    if (status) {
        feeds_close(feeds);
        return status;
    }
    pthread_setname_np(feeds->thread, "store-feeds");
    *out = feeds;
    return STATUS_OK;
}

void feeds_close(struct feeds *feeds)
{
    if (!feeds)
        return;
    pthread_mutex_lock(&feeds->lock);
    feeds->stopping = true;
    pthread_cond_signal(&feeds->changed);
    pthread_mutex_unlock(&feeds->lock);
    if (feeds->started) {
        db_interrupt(feeds->db);
        pthread_join(feeds->thread, NULL);
    }
    db_close(feeds->db);
    pthread_cond_destroy(&feeds->changed);
    pthread_mutex_destroy(&feeds->lock);
    free(feeds);
}

/* ---- the past ---- */

/* An observable that is listed now. */
struct match {
    const struct rule *rule;
    struct text cause, seen, feed, listed, device, module, event;
    int64_t at_us;
};

struct searching {
    const struct indicators *set;
    struct arena arena;
    struct match *matches;
    size_t count;
    bool more;
    /* The observable that is looked at: */
    struct text feed, listed;
    bool found;
};

static void indicator_note(void *context, struct text feed, struct text value)
{
    struct searching *searching = context;

    if (searching->found)
        return; /* a second one says the same */
    searching->found = true;
    searching->feed = feed;
    searching->listed = value;
}

/* kind, value, port, device, module, event, time */
static enum status observable_look(void *context, const struct db_rows *row, struct problem *why)
{
    struct searching *searching = context;
    struct text kind = db_text(row, 0, 0), value = db_text(row, 0, 1), cause = value;
    const char *rule = "IoT_PossibleMalware";

    (void)why;
    searching->found = false;
    if (text_equal(kind, TEXT("ip"))) {
        rule = "IoT_TiConnection";
        (void)indicators_find_ip(searching->set, value, (uint32_t)db_i64(row, 0, 2), indicator_note, searching);
    } else if (text_equal(kind, TEXT("domain"))) {
        rule = "IoT_MaliciousNameQueriesDetection";
        (void)indicators_find_domain(searching->set, value, indicator_note, searching);
    } else if (text_equal(kind, TEXT("hash"))) {
        (void)indicators_find_hash(searching->set, value, indicator_note, searching);
    } else {
        cause = url_host(value);
        if (!indicators_find_url(searching->set, value, indicator_note, searching) && !indicators_find_ip(searching->set, cause, 0, indicator_note, searching))
            (void)indicators_find_domain(searching->set, cause, indicator_note, searching);
    }
    if (!searching->found)
        return STATUS_OK;
    if (searching->count == MATCHES_MAX) {
        searching->more = true;
        return STATUS_OK;
    }
    struct arena *arena = &searching->arena;
    searching->matches[searching->count++] = (struct match){
        .rule = builtin_rule_find(text_of(rule)),
        .cause = arena_text(arena, cause),
        .seen = arena_text(arena, value),
        .feed = arena_text(arena, searching->feed),
        .listed = arena_text(arena, searching->listed),
        .device = arena_text(arena, db_text(row, 0, 3)),
        .module = arena_text(arena, db_text(row, 0, 4)),
        .event = arena_text(arena, db_text(row, 0, 5)),
        .at_us = db_i64(row, 0, 6),
    };
    return STATUS_OK;
}

static enum status match_raise(struct feeds *feeds, int workspace, const struct match *match, struct arena *arena, struct problem *why)
{
    struct buf reasons, steps, details;

    buf_init(&reasons, 65536);
    buf_init(&steps, 65536);
    buf_init(&details, 65536);
    buf_string(&reasons, "[{\"field\":\"\",\"clause\":");
    buf_json_string(&reasons, text_of(arena_format(arena, "it is listed as %.*s, by %.*s, since after it was seen", TEXT_ARGS(match->listed), TEXT_ARGS(match->feed))));
    buf_string(&reasons, ",\"value\":");
    buf_json_string(&reasons, match->seen);
    buf_string(&reasons, ",\"event\":");
    buf_json_string(&reasons, match->event);
    buf_string(&reasons, "}]");
    buf_byte(&steps, '[');
    for (size_t i = 0; match->rule->remediation[i]; i++) {
        buf_string(&steps, i ? "," : "");
        buf_json_string(&steps, text_of(match->rule->remediation[i]));
    }
    buf_byte(&steps, ']');
    buf_string(&details, "{\"Feed\":");
    buf_json_string(&details, match->feed);
    buf_string(&details, ",\"Indicator\":");
    buf_json_string(&details, match->listed);
    buf_byte(&details, '}');
    const struct alert_note note = {
        .workspace = workspace,
        .device = match->device,
        .module = match->module,
        .rule = match->rule->id,
        .cause = arena_string(arena, match->cause),
        .severity = match->rule->severity,
        .title = match->rule->title,
        .details = buf_as_text(&details),
        .at_us = match->at_us,
        .reasons = buf_as_text(&reasons),
        .remediation = buf_as_text(&steps),
        .description = text_of(match->rule->fires),
        .tactics = text_of(match->rule->tactics),
        .techniques = text_of(match->rule->techniques),
        .found_later = true,
        .event_id = match->event,
        .event_received_us = match->at_us,
    };
    enum status status = alerts_raise(feeds->db, &note, STORE_STATEMENT_MS, why);
    buf_done(&reasons);
    buf_done(&steps);
    buf_done(&details);
    return status;
}

static enum status past_search(struct feeds *feeds, int workspace, const char *feed, struct searching *searching, struct problem *why)
{
    static const char select[] = "SELECT kind, value, port, device_id, module_id, event_id, (extract(epoch FROM time_generated) * 1000000)::bigint FROM picket.observable"
                                 " WHERE workspace_id = $1::int ORDER BY day";
    const char *const parameters[] = {arena_format(&searching->arena, "%d", workspace)};
    int64_t from_ms = clock_monotonic_ms();

    enum status status = db_each(feeds->db, select, parameters, 1, SEARCH_MS, observable_look, searching, why);
    for (size_t i = 0; !status && i < searching->count; i++)
        status = match_raise(feeds, workspace, &searching->matches[i], &searching->arena, why);
    if (!status)
        log_info("store.feed_searched", "workspace=%d feed=\"%s\" matches=%zu%s ms=%lld", workspace, feed, searching->count, searching->more ? " and more" : "",
                 (long long)(clock_monotonic_ms() - from_ms));
    return status;
}

static enum status generation_settle(struct feeds *feeds, const char *workspace, const char *feed, const char *generation, struct problem *why)
{
    static const char settle[] = "UPDATE picket.feed SET retro_done = $3::bigint WHERE workspace_id = $1::int AND name = $2";
    static const char clear[] = "DELETE FROM picket.indicator i USING picket.feed f WHERE f.workspace_id = $1::int AND f.name = $2 AND i.workspace_id = f.workspace_id"
                                " AND i.feed = f.name AND i.generation < f.generation";
    const char *const parameters[] = {workspace, feed, generation};
    enum status status = db_query(feeds->db, settle, parameters, 3, STORE_STATEMENT_MS, NULL, why);

    return status ? status : db_query(feeds->db, clear, parameters, 2, SEARCH_MS, NULL, why);
}

/* One feed that was loaded anew. Two stores may do it at once: alerts of one cause are one. */
static enum status past_next(struct feeds *feeds, bool *found, struct problem *why)
{
    static const char select[] = "SELECT workspace_id, name, generation, kind FROM picket.feed WHERE generation > retro_done AND enabled ORDER BY loaded_at LIMIT 1";
    struct db_rows *rows = NULL;
    struct threats *threats = NULL;
    struct searching searching = {.count = 0};

    enum status status = db_query(feeds->db, select, NULL, 0, STORE_STATEMENT_MS, &rows, why);
    *found = !status && db_rows_count(rows) > 0;
    if (*found) {
        int workspace = (int)db_i64(rows, 0, 0);
        const char *feed = db_text(rows, 0, 1).bytes;
        arena_init(&searching.arena);
        searching.matches = ARENA_ARRAY(&searching.arena, struct match, MATCHES_MAX);
        bool threat = text_equal(db_text(rows, 0, 3), TEXT("threat"));
        if (threat)
            status = threats_load_new(feeds->db, workspace, feed, SEARCH_MS, &threats, why);
        if (!status && threat) {
            searching.set = threats_indicators(threats);
            status = past_search(feeds, workspace, feed, &searching, why);
        }
        if (!status)
            status = generation_settle(feeds, db_text(rows, 0, 0).bytes, feed, db_text(rows, 0, 2).bytes, why);
        threats_drop(threats);
        arena_done(&searching.arena);
    }
    db_rows_free(rows);
    return status;
}

/* ---- pulling ---- */

struct pulling {
    struct feeds *feeds;
    const char *workspace, *feed, *generation;
    bool warns;
    struct columns columns;
    size_t held;
    enum status status;
    struct problem *why;
};

static void pieces_write(struct pulling *pulling)
{
    static const char insert[] = "INSERT INTO picket.indicator (workspace_id, feed, generation, value, kind, confidence, valid_until)"
                                 " SELECT v.* FROM unnest($1::int[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::smallint[], $7::timestamptz[]) v";

    if (pulling->held && !pulling->status)
        pulling->status = columns_query(&pulling->columns, pulling->feeds->db, insert, STORE_STATEMENT_MS, NULL, pulling->why);
    else
        columns_done(&pulling->columns);
    pulling->held = 0;
    columns_open(&pulling->columns, 7);
}

static bool entry_take(void *context, const struct feed_entry *entry)
{
    struct pulling *pulling = context;
    const char *kind = false_friends_kind(pulling->warns, entry->reach, entry->value);

    if (!kind || memchr(entry->value.bytes, '\0', entry->value.count) || !text_utf8_valid(entry->value))
        return false;
    columns_text(&pulling->columns, 0, text_of(pulling->workspace));
    columns_text(&pulling->columns, 1, text_of(pulling->feed));
    columns_text(&pulling->columns, 2, text_of(pulling->generation));
    columns_text(&pulling->columns, 3, text_trim(entry->value));
    columns_text(&pulling->columns, 4, text_of(kind));
    if (entry->confidence < 0)
        columns_text(&pulling->columns, 5, TEXT_NONE);
    else
        columns_i64(&pulling->columns, 5, entry->confidence);
    columns_time(&pulling->columns, 6, entry->valid_until_us);
    if (++pulling->held == PIECE_ROWS)
        pieces_write(pulling);
    return true;
}

static enum status outcome_write(struct feeds *feeds, const struct pulling *pulling, const char *problem, struct problem *why)
{
    static const char failed[] = "UPDATE picket.feed SET problem = $3 WHERE workspace_id = $1::int AND name = $2";
    static const char done[] = "UPDATE picket.feed f SET generation = $3::bigint, loaded_at = now(), problem = NULL, indicator_count = (SELECT count(*) FROM picket.indicator i"
                               " WHERE i.workspace_id = $1::int AND i.feed = $2 AND i.generation = $3::bigint) WHERE f.workspace_id = $1::int AND f.name = $2 AND f.making = $3::bigint";
    const char *const parameters[] = {pulling->workspace, pulling->feed, problem ? problem : pulling->generation};

    return db_query(feeds->db, problem ? failed : done, parameters, 3, SEARCH_MS, NULL, why);
}

/* A feed that fails keeps what it had, and says why. An empty answer is taken for a failure: feeds do not end from one day to the other. */
static enum status feed_pull(struct feeds *feeds, const struct db_rows *rows, struct problem *why)
{
    struct pulling pulling = {.feeds = feeds, .workspace = db_text(rows, 0, 0).bytes, .feed = db_text(rows, 0, 1).bytes, .generation = db_text(rows, 0, 4).bytes, .why = why};
    pulling.warns = text_equal(db_text(rows, 0, 5), TEXT("warning"));
    struct feed_facts facts;
    struct problem refused;

    columns_open(&pulling.columns, 7);
    enum status fetched = feed_fetch(db_text(rows, 0, 2).bytes, db_text(rows, 0, 3).bytes, entry_take, &pulling, &facts, &feeds->stopping, &refused);
    pieces_write(&pulling);
    columns_done(&pulling.columns);
    if (pulling.status)
        return pulling.status;
    if (!fetched && !facts.added)
        fetched = problem_set(&refused, STATUS_REJECT, "there are no indicators in what was sent");
    else if (!fetched && facts.format == FEED_WARNING && !pulling.warns)
        fetched = problem_set(&refused, STATUS_REJECT, "this is a warning list, which names what is no threat: picket feed add … --kind warning");
    if (fetched)
        log_warn("store.feed_failed", "workspace=%s feed=\"%s\" reason=\"%s\"", pulling.workspace, pulling.feed, refused.text);
    else
        log_info("store.feed_pulled", "workspace=%s feed=\"%s\" indicators=%zu ignored=%zu", pulling.workspace, pulling.feed, facts.added, facts.ignored);
    return outcome_write(feeds, &pulling, fetched ? refused.text : NULL, why);
}

/* Whoever sets the time of the last try has the feed. */
static enum status pull_next(struct feeds *feeds, bool *found, struct problem *why)
{
    static const char take[] =
        "UPDATE picket.feed f SET pulled_at = now(), making = f.making + 1 FROM (SELECT workspace_id, name FROM picket.feed WHERE enabled AND url IS NOT NULL"
        " AND (pulled_at IS NULL OR pulled_at + pull_every <= now()) ORDER BY pulled_at NULLS FIRST LIMIT 1 FOR UPDATE SKIP LOCKED) d"
        " WHERE f.workspace_id = d.workspace_id AND f.name = d.name RETURNING f.workspace_id, f.name, f.url, f.format, f.making, f.kind";
    struct db_rows *rows = NULL;
    enum status status = db_query(feeds->db, take, NULL, 0, STORE_STATEMENT_MS, &rows, why);

    *found = !status && db_rows_count(rows) > 0;
    if (*found)
        status = feed_pull(feeds, rows, why);
    db_rows_free(rows);
    return status;
}

/* ---- the thread ---- */

static void round_run(struct feeds *feeds)
{
    static struct log_rate rate;
    enum status status = STATUS_OK;
    struct problem why;
    bool found = true;

    while (!status && found && !feeds->stopping)
        status = pull_next(feeds, &found, &why);
    for (found = true; !status && found && !feeds->stopping;)
        status = past_next(feeds, &found, &why);
    if (status && !feeds->stopping)
        log_rated(&rate, status == STATUS_RETRY ? LOG_WARN : LOG_ERROR, "store.feeds", "reason=\"%s\"", why.text);
}

static void *feeds_run(void *context)
{
    struct feeds *feeds = context;

    pthread_mutex_lock(&feeds->lock);
    while (!feeds->stopping) {
        int64_t until_ms = clock_monotonic_ms() + ROUND_MS;
        struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000};
        pthread_mutex_unlock(&feeds->lock);
        round_run(feeds);
        pthread_mutex_lock(&feeds->lock);
        if (!feeds->stopping)
            (void)pthread_cond_timedwait(&feeds->changed, &feeds->lock, &until);
    }
    pthread_mutex_unlock(&feeds->lock);
    return NULL;
}
