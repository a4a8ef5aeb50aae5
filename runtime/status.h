#ifndef PICKET_RUNTIME_STATUS_H
#define PICKET_RUNTIME_STATUS_H

/* The four outcomes of everything that can fail, and the sentence that explains one. */
enum status {
    STATUS_OK,     /* done */
    STATUS_REJECT, /* the input is wrong: the same call again is pointless */
    STATUS_RETRY,  /* the world is busy: the same call may work later */
    STATUS_FAULT,  /* we are wrong or broken */
};

#define MUST_CHECK __attribute__((warn_unused_result))

#define PROBLEM_TEXT_MAX 512 /* one sentence; a longer one is cut with an ellipsis */

struct problem {
    char text[PROBLEM_TEXT_MAX];
};

/* Writes one sentence to `why` and returns `status`, so that a failing path is one line. Any thread. */
enum status problem_set(struct problem *why, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "`prefix`: " in front of the sentence that a callee left in `why`. */
void problem_prefix(struct problem *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "ok", "reject", "retry" or "fault": for logs and metric labels. */
const char *status_name(enum status status);

#endif
