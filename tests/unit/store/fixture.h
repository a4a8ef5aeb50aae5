#ifndef PICKET_TESTS_UNIT_STORE_FIXTURE_H
#define PICKET_TESTS_UNIT_STORE_FIXTURE_H

#include <unistd.h>

#include "runtime/clock.h"
#include "store/batch.h"
#include "tests/support/check_main.h"
#include "tests/support/database.h"
#include "tests/support/database_template.h"
#include "tests/unit/store/message.h"

/* store's write path as picket_store on a database of its own: a copy of one that was migrated once. Workspaces 1
 * "default" and 2 "bravo", one bus topic, partitions around now. */
#define SQL_MS 30000
#define DAY_US INT64_C(86400000000)
#define CLUSTER TEXT("cluster-a")
#define TOPIC TEXT("picket.messages")

static struct {
    char database[64];
    struct db *owner, *store; /* a superuser; picket_store */
    int bus_topic_id;
    int64_t now_us;
    int64_t offset; /* of the next record_make() */
    struct classic_decoder decoder;
    struct arena arena;
    struct arena batch; /* of batch_of() */
    struct judge *judge; /* NULL but where a test wants judging */
} fixture;

static struct problem why;

#define must(status) ck_assert_msg((status) == STATUS_OK, "%s", why.text)

static inline void sql_in(struct db *db, const char *statement)
{
    ck_assert_msg(db_query(db, statement, NULL, 0, SQL_MS, NULL, &why) == STATUS_OK, "%s: %s", statement, why.text);
}

static inline void sql(const char *statement)
{
    sql_in(fixture.owner, statement);
}

/* The one value that a statement gives, as text; "NULL" for NULL, "" without a row. */
static inline const char *sql_text(const char *statement)
{
    struct db_rows *rows = NULL;

    ck_assert_msg(db_query(fixture.owner, statement, NULL, 0, SQL_MS, &rows, &why) == STATUS_OK, "%s: %s", statement,
                  why.text);
    ck_assert_msg(db_rows_count(rows) <= 1, "%s: %zu rows", statement, db_rows_count(rows));
    struct text value = db_rows_count(rows) ? db_text(rows, 0, 0) : TEXT("");
    const char *copy = arena_string(&fixture.arena, value.bytes ? value : TEXT("NULL"));
    db_rows_free(rows);
    return copy;
}

static inline int64_t sql_number(const char *statement)
{
    int64_t number = 0;
    const char *value = sql_text(statement);

    ck_assert_msg(text_to_i64(text_of(value), &number), "%s: %s", statement, value);
    return number;
}

/* Records with the headers of a real one, one after the other on partition 0. */
struct record_wish {
    const char *device, *module, *content_type; /* NULL: pump-1, none, none */
    uint32_t workspace;                         /* 0: 1 */
    int64_t received_at_us;                     /* 0: now */
    const char *identity;                       /* makes the message's key; NULL: the message bears none */
    const char *properties;                     /* JSON text; NULL: none */
    bool unchecked;                             /* ingest has not seen that it is JSON */
    bool door;
};

static inline struct picket_span span_of(const char *terminated)
{
    return message_span(terminated ? text_of(terminated) : TEXT(""));
}

static inline struct bus_record record_make(const struct record_wish *wish, struct text body)
{
    struct picket_record record = {
        .kind = wish->door ? PICKET_RECORD_DOOR : PICKET_RECORD_MESSAGE,
        .workspace = wish->workspace ? wish->workspace : 1,
        .device = span_of(wish->device ? wish->device : "pump-1"),
        .module = span_of(wish->module),
        .received_at_us = wish->received_at_us ? wish->received_at_us : fixture.now_us,
        .transport = {"https", 5},
        .content_type = span_of(wish->content_type),
        .properties = span_of(wish->properties),
        .claims_json = !wish->unchecked,
        .has_identity = wish->identity,
    };
    struct picket_record_header written[PICKET_RECORD_HEADERS_MAX];
    char *scratch = arena_alloc(&fixture.arena, 1, PICKET_RECORD_SCRATCH);
    struct bus_header *headers = ARENA_ARRAY(&fixture.arena, struct bus_header, PICKET_RECORD_HEADERS_MAX);

    if (wish->identity) {
        const struct text parts[] = {text_of(wish->identity)};
        secret_digest(parts, 1, NULL, record.message_key);
    }
    size_t count = picket_record_headers(&record, scratch, written);
    for (size_t i = 0; i < count; i++) /* copied: the key points into our frame */
        headers[i] = (struct bus_header){
            arena_text(&fixture.arena, (struct text){written[i].name.bytes, written[i].name.count}),
            arena_text(&fixture.arena, (struct text){written[i].value.bytes, written[i].value.count})};
    return (struct bus_record){
        .value = body, .headers = headers, .header_count = count, .partition = 0, .offset = fixture.offset++};
}

static inline struct bus_record record_of(const char *body)
{
    return record_make(&(struct record_wish){0}, text_of(body));
}

static inline struct batch_source batch_source(void)
{
    return (struct batch_source){.cluster = CLUSTER,
                                 .topic = TOPIC,
                                 .bus_topic_id = fixture.bus_topic_id,
                                 .decoder = &fixture.decoder,
                                 .arena = &fixture.batch,
                                 .judge = fixture.judge};
}

/* Reads and writes the records in one transaction, which has to succeed. */
static inline struct batch batch_store(const struct bus_record *records, size_t count)
{
    const struct batch_source source = batch_source();
    struct batch batch;

    arena_clear(&fixture.batch);
    must(db_begin(fixture.store, SQL_MS, &why));
    ck_assert_uint_eq(batch_read(&source, records, count, &batch), count);
    must(batch_write(fixture.store, &source, &batch, SQL_MS, &why));
    must(db_commit(fixture.store, SQL_MS, &why));
    return batch;
}

static inline struct batch store_one(const struct record_wish *wish, const char *body)
{
    const struct bus_record record = record_make(wish, text_of(body));
    return batch_store(&record, 1);
}

static inline void template_make(void)
{
    static const char *const fill[] = {
        "INSERT INTO picket.workspace (name) VALUES ('bravo')",
        "INSERT INTO picket.bus_topic (cluster, topic) VALUES ('other', 'other'), ('cluster-a', 'picket.messages')",
        "SELECT picket.partitions_make(now() - interval '9 days', now() + interval '2 days')",
    };

    database_template_make(fill, sizeof fill / sizeof *fill);
}

static inline void store_connect(struct db **out)
{
    must(db_open(database_conninfo_for(NULL, fixture.database), "picket_store", "test", out, &why));
}

static inline void fixture_setup(void)
{
    struct db *db = NULL;

    arena_init(&fixture.arena);
    arena_init(&fixture.batch);
    classic_decoder_init(&fixture.decoder, PICKET_JSON_DEPTH_MAX);
    must(secret_init(&why));
    snprintf(fixture.database, sizeof fixture.database, "test_%d", (int)getpid());
    must(db_open(database_conninfo(), NULL, "test", &db, &why));
    sql_in(db, arena_format(&fixture.arena, "CREATE DATABASE %s TEMPLATE picket_template", fixture.database));
    db_close(db);
    must(db_open(database_conninfo_for("postgres", fixture.database), NULL, "test", &fixture.owner, &why));
    store_connect(&fixture.store);
    fixture.bus_topic_id = (int)sql_number("SELECT bus_topic_id FROM picket.bus_topic WHERE cluster = 'cluster-a'");
    fixture.now_us = clock_utc_us();
}

static inline void fixture_teardown(void)
{
    struct db *db = NULL;

    db_close(fixture.owner);
    db_close(fixture.store);
    must(db_open(database_conninfo(), NULL, "test", &db, &why));
    sql_in(db, arena_format(&fixture.arena, "DROP DATABASE IF EXISTS %s WITH (FORCE)", fixture.database));
    db_close(db);
    classic_decoder_done(&fixture.decoder);
    arena_done(&fixture.batch);
    arena_done(&fixture.arena);
}

/* The whole of main(). */
#define FIXTURE_MAIN(suite_name, test_array)                                                 \
    (template_make(), check_main(&(const struct check_suite){                                \
                          .name = (suite_name),                                              \
                          .tests = (test_array),                                             \
                          .count = sizeof(test_array) / sizeof(test_array)[0],               \
                          .setup = fixture_setup,                                            \
                          .teardown = fixture_teardown,                                      \
                          .timeout_seconds = 120}))

#endif
