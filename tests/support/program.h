#ifndef PICKET_TESTS_SUPPORT_PROGRAM_H
#define PICKET_TESTS_SUPPORT_PROGRAM_H

#include "runtime/buf.h"

/* One of our programs as a child of the test, with an environment of its own and its output kept. It is killed when the
 * test ends, however the test ends. What cannot be done aborts the test with a sentence. */
struct program;

#define PROGRAM_WAIT_MS 60000
#define PROGRAM_RUN_MS 300000 /* scripts that compare thousands of cases, on a busy machine */

/* `name` is looked up in the build folder of the running test ("picketd"), unless it has a slash. `arguments` without
 * the name, and `environment` ("PICKET_BUS=kafka"), both end with NULL and may be NULL. Of our own environment it gets
 * PATH, HOME and what sanitizers read. */
struct program *program_start(const char *name, const char *const *arguments, const char *const *environment);
int program_pid(const struct program *program);
bool program_running(struct program *program);
void program_kill(struct program *program, int signal_number);
/* Exit code, 128 + signal, or -1 when it still runs after `timeout_ms`. */
int program_wait(struct program *program, uint32_t timeout_ms);
/* SIGTERM, then waits PROGRAM_WAIT_MS; the exit code. */
int program_stop(struct program *program);
/* Everything it wrote so far, stdout and stderr; appended to `out`. */
void program_log(const struct program *program, struct buf *out);
/* Waits until it has written `text`; false when it ended or time is up without it. */
bool program_log_wait(struct program *program, const char *text, uint32_t timeout_ms);
/* Kills it if need be. With `PICKET_TEST_LOGS` set its output goes to our stderr. */
void program_close(struct program *take_program);

/* Runs to the end, PROGRAM_RUN_MS at most, and returns the exit code; output is appended to `out` (may be NULL). */
int program_run(const char *name, const char *const *arguments, const char *const *environment, struct buf *out);

/* A port on loopback that nobody listened on a moment ago, another one each time. */
uint16_t program_free_port(void);
const char *program_build_path(void); /* build/plain, absolute: where the programs are. Static string. */
const char *program_build_root(void); /* build, absolute. Static string. */

/* HTTP by libcurl. `headers` ("Content-Type: application/json") ends with NULL and may be NULL; with `body` TEXT_NONE
 * none is sent. Certificates are not checked unless `ca_file` of program_http_trust() is set. */
struct program_reply {
    long code;         /* 0: no connection, or no reply in time */
    struct buf body;
    struct buf head;   /* status line and headers */
    char reason[256];  /* why the code is 0 */
};
void program_http(const char *method, const char *url, const char *const *headers, struct text body,
                  struct program_reply *out);
/* Repeats the call until it answers with `code`; false when time is up. `out` holds the last reply. */
bool program_http_until(const char *method, const char *url, const char *const *headers, struct text body, long code,
                        uint32_t timeout_ms, struct program_reply *out);
/* Value of a header, TEXT_NONE when it is not there. */
struct text program_reply_header(const struct program_reply *reply, const char *name);
void program_reply_done(struct program_reply *reply);
void program_http_trust(const char *ca_file);

#endif
