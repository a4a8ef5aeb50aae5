#ifndef PICKET_TESTS_SUPPORT_PIPELINE_H
#define PICKET_TESTS_SUPPORT_PIPELINE_H

#include "runtime/bus.h"
#include "tests/support/program.h"

/* Picket's own programs as in production, with a database and a topic of the test's own: one process per role on a real
 * Kafka, or all roles in one process. One pipeline at a time. What cannot be done aborts the test with a sentence.
 *
 *   main():   database_start(…); broker_start(); pipeline_prepare(devices); check_main(…)
 *   test:     pipeline_open(BUS_KAFKA); pipeline_start("ingest", NULL); pipeline_start("store", NULL); …
 */
#define PIPELINE_WAIT_MS 60000
#define PIPELINE_KEY "the key of every device in tests" /* 32 bytes */

/* Migrates a template with `picket migrate` and enrols the devices "device-0", "device-1", … in workspace 1. Once, in
 * main(), after database_start(). */
void pipeline_prepare(unsigned devices);
/* A copy of the template, and for Kafka a topic that does not exist yet. In each test, or its setup. */
void pipeline_open(enum bus_driver bus);
/* Kills what still runs. */
void pipeline_close(void);

/* Starts `picketd ROLE`, NULL for all roles in one, with a settings file; returns once /readyz holds. `settings` are
 * lines "name: value" that win over the fixture's own; ends with NULL, may be NULL. The device port (plain HTTP) and
 * the query port (plain HTTP) are the same in every start. */
struct program *pipeline_start(const char *role, const char *const *settings);
/* The same without waiting, and the wait. */
struct program *pipeline_launch(const char *role, const char *const *settings);
void pipeline_wait_ready(struct program *program);
/* SIGKILL, and gone. */
void pipeline_kill9(struct program *take_program);
/* SIGTERM; aborts when it does not end with exit code 0. */
void pipeline_stop(struct program *take_program);
/* Prints what each running program said last, and a sentence, and aborts the test. */
_Noreturn void pipeline_abort(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Sum of a metric over its labels, as /metrics of this process tells it. */
int64_t pipeline_metric(const struct program *program, const char *name);

uint16_t pipeline_device_port(void);
uint16_t pipeline_mqtt_port(void); /* plain as well */
const char *pipeline_query_url(void);   /* http://127.0.0.1:… */
const char *pipeline_database(void);    /* conninfo without a user */
const char *pipeline_topic(void);
const char *pipeline_master_key(void);  /* the file */
/* "SharedAccessSignature …" for "device-N", valid for a day. Static string until the next call. */
const char *pipeline_authorization(unsigned device);
/* POSTs a message of "device-N"; `headers` as program_http(); without a content type none is sent. */
void pipeline_post(unsigned device, const char *const *headers, struct text body, struct program_reply *out);

/* As superuser; repeated while the database is away. One value: text ("NULL", "" without a row; until eight further
 * calls) or number. `sql` is a format. */
void pipeline_sql(const char *sql, ...) __attribute__((format(printf, 1, 2)));
const char *pipeline_text(const char *sql, ...) __attribute__((format(printf, 1, 2)));
int64_t pipeline_number(const char *sql, ...) __attribute__((format(printf, 1, 2)));
/* All rows; the caller's to db_rows_free(). */
struct db_rows *pipeline_rows(const char *sql);
/* Asks until the number is the expected one; aborts after `timeout_ms` with what it was. */
void pipeline_wait_number(int64_t expected, uint32_t timeout_ms, const char *sql);
/* Kafka: waits until store has committed everything that is on the topic, up to its ends exactly. */
void pipeline_wait_drained(uint32_t timeout_ms);

#endif
