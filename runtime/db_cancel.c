#include "runtime/db_cancel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define SEND_WAIT_SECONDS 1
#define SENDS_MAX 32 /* threads that may hang on a frozen server; past this a cancel is not even tried */

struct db_canceller {
    PGcancel *cancel;
    atomic_int references;
};

static atomic_int sends_hanging;

static void *send_run(void *context);

struct db_canceller *db_canceller_new(PGconn *connection)
{
    struct db_canceller *canceller = calloc(1, sizeof *canceller);

    if (!canceller)
        abort();
    atomic_init(&canceller->references, 1);
    canceller->cancel = PQgetCancel(connection);
    return canceller;
}

void db_canceller_unref(struct db_canceller *canceller)
{
    if (!canceller || atomic_fetch_sub(&canceller->references, 1) > 1)
        return;
    PQfreeCancel(canceller->cancel);
    free(canceller);
}

/* PQcancel() blocks until the server closes the extra connection, which a frozen one never does: so it runs in a thread
 * that is left behind when it takes too long. */
bool db_canceller_send(struct db_canceller *canceller)
{
    pthread_t thread;
    struct timespec until;

    if (atomic_fetch_add(&sends_hanging, 1) >= SENDS_MAX) {
        atomic_fetch_sub(&sends_hanging, 1);
        return false;
    }
    atomic_fetch_add(&canceller->references, 1);
    if (pthread_create(&thread, NULL, send_run, canceller)) {
        db_canceller_unref(canceller);
        atomic_fetch_sub(&sends_hanging, 1);
        return false;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += SEND_WAIT_SECONDS;
    if (pthread_timedjoin_np(thread, NULL, &until) == 0)
        return true;
    pthread_detach(thread);
    return false;
}

static void *send_run(void *context)
{
    struct db_canceller *canceller = context;
    char message[256];

    (void)PQcancel(canceller->cancel, message, sizeof message); /* a refusal shows in the statement not ending */
    db_canceller_unref(canceller);
    atomic_fetch_sub(&sends_hanging, 1);
    return NULL;
}
