#ifndef PICKET_INGEST_MQTT_NOTE_H
#define PICKET_INGEST_MQTT_NOTE_H

#include "ingest/deliveries.h"
#include "ingest/mqtt/session.h"

/* What other threads tell a session: made by whoever has something to say, handed over by presence_tell(), and gone when
 * the session's own thread has heard it. */
enum note_kind {
    NOTE_TURNED_OUT,     /* a newer connection of the identity is here, or on another server */
    NOTE_CLOUD_MESSAGES, /* some wait in the database */
    NOTE_METHOD,         /* `number` is the call, texts its name and payload */
    NOTE_DESIRED,        /* `number` the version, `from` what it needs to know; texts the patch and the whole */
};

struct note {
    struct loop_post post;
    struct session *session;
    enum note_kind kind;
    int64_t number, from;
    struct text first, second; /* they lie behind */
    char bytes[];
};

struct note *note_new(enum note_kind kind);
/* The texts are copied. */
struct note *note_new_of(enum note_kind kind, struct text first, struct text second);
void note_free(struct note *take_note); /* one that nobody was told */

/* presence_member's `hear`. */
void note_hear(struct presence_member *member, void *note);

#endif
