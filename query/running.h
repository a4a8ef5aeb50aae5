#ifndef PICKET_QUERY_RUNNING_H
#define PICKET_QUERY_RUNNING_H

#include "runtime/db.h"
#include "runtime/http.h"

/* The questions that this process answers right now: to list them, to stop one, and to stop those whose client has left. */
#define RUNNING_ID_SIZE 37
#define RUNNING_TEXT_SIZE 1024 /* of the question, for the list */

struct running;

struct running *running_new(void); /* with a thread that looks for clients that left */
void running_free(struct running *take_running);

/* One question from its begin to its end, on its worker's thread. `token_id` says whose it is. */
struct running_question;
struct running_question *running_begin(struct running *running, struct db *db, const struct http_exchange *exchange,
                                       int64_t token_id, const char *workspace, struct text kql);
/* True: somebody stopped it. */
bool running_end(struct running *running, struct running_question *take_question);

struct running_fact {
    char id[RUNNING_ID_SIZE], workspace[64], text[RUNNING_TEXT_SIZE];
    int64_t token_id, started_us;
};
/* Calls `each` for every one, under a lock: it must not ask anything of this module. */
void running_each(struct running *running, void (*each)(void *context, const struct running_fact *fact), void *context);
/* False: none of that id, or another token's where `token_id` is not 0. Any thread. */
bool running_cancel(struct running *running, struct text id, int64_t token_id);

/* A random GUID, in the arena. */
const char *running_id_new(struct arena *arena);

#endif
