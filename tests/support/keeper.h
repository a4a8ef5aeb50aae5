#ifndef PICKET_TESTS_SUPPORT_KEEPER_H
#define PICKET_TESTS_SUPPORT_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

/* Holds a server program and its folder for a test program.
 *
 * Check runs each test in a child process, and a test may kill the server and start it again: then the server must not
 * be a child of that test. So a keeper process is forked before the tests, starts and kills at command, and when every
 * process that could command it is gone (also by SIGKILL) it ends the server and removes the folder. Open it from the
 * test program itself or an unchecked fixture. Everything here aborts the test with a sentence when it fails. */
struct keeper;

#define KEEPER_WAIT_MS 60000

struct keeper_server {
    const char *folder;      /* removed at the end */
    const char *log_file;    /* stdout and stderr are appended here */
    const char *const *argv; /* argv[0] with its path */
    const char *user;        /* run as this one when we are root; NULL: as we are */
    int stop_signal;
};

/* What `server` points to must stay as it is. Nothing is started yet. */
struct keeper *keeper_open(const struct keeper_server *server);
void keeper_start(struct keeper *keeper);
bool keeper_running(struct keeper *keeper);
void keeper_stop(struct keeper *keeper);  /* stop_signal, then waits for the end */
void keeper_kill9(struct keeper *keeper); /* with all its children, as when the machine goes */
void keeper_freeze(struct keeper *keeper); /* SIGSTOP to all of it: connections stay, answers do not come */
void keeper_thaw(struct keeper *keeper);
void keeper_close(struct keeper *take_keeper); /* NULL is fine; only the process that opened it ends the server */

/* Makes /tmp/pk-XXXXXX, which is short enough for socket paths, owned by `user` when we are root. Static string. */
const char *keeper_folder(const char *user);
/* Runs a program to its end as `user`; aborts with its output when it fails. */
void keeper_run(const char *const *argv, const char *user, const char *log_file);
/* Prints the end of a log and a sentence, and aborts. */
_Noreturn void keeper_abort(const char *log_file, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
