#ifndef PICKET_AGENT_SEQUENCE_H
#define PICKET_AGENT_SEQUENCE_H

#include "agent/port.h"
#include "wire/json_writer.h"

/* The numbering by which the server's ledger sees what is missing: every event gets the next number when it enters the
 * queue, and what is dropped on the device is told with its reason.
 *
 * The numbering survives restarts through its state text. It must be saved before a message with new numbers leaves
 * memory: then no number is ever given twice, and after a power cut the numbers that were given and not settled are
 * known to be lost. */
#define PICKET_SEQUENCE_REASON_SIZE 24
#define PICKET_SEQUENCE_DROPPED_MAX 16 /* ranges told with one message; past it a gap is told without its reason */
#define PICKET_SEQUENCE_STATE_MAX 2048
#define PICKET_SEQUENCE_MEMBER_MAX (192 + PICKET_SEQUENCE_DROPPED_MAX * 104) /* its longest JSON in a message */

struct picket_dropped {
    uint64_t from, to;
    char reason[PICKET_SEQUENCE_REASON_SIZE];
};

struct picket_sequence {
    char agent_id[PICKET_GUID_SIZE];
    char epoch[PICKET_GUID_SIZE];
    uint8_t stream;   /* which of the device's numberings this is */
    uint64_t next;    /* the number of the next event, from 1 */
    uint64_t settled; /* the last number that no longer depends on memory: sent, kept or dropped */
    struct picket_dropped dropped[PICKET_SEQUENCE_DROPPED_MAX];
    size_t dropped_count;
    size_t carried; /* the first so many go with the message on its way, and must stay as they are */
    bool changed;   /* since the state was last written */
};

/* A new agent with a new epoch, for stream 0 to PICKET_STREAM_LAST. */
#define PICKET_STREAM_LAST 3
void picket_sequence_begin(struct picket_sequence *sequence, const struct picket_port *port, uint8_t stream);

/* Takes the numbering up again. False, with `sequence` untouched, when the text is not a state. Numbers given and not
 * settled when the state was written are for picket_sequence_restart(). */
bool picket_sequence_read(struct picket_sequence *sequence, const char *state, size_t count);
size_t picket_sequence_write(struct picket_sequence *sequence, char *out, size_t size); /* 0 when it does not fit */
/* Drops what was in memory when the agent last ended, with the reason "restart". */
void picket_sequence_restart(struct picket_sequence *sequence);

/* Remembers numbers `from`..`to` as dropped, until picket_sequence_told(). */
void picket_sequence_drop(struct picket_sequence *sequence, uint64_t from, uint64_t to, const char *reason);
void picket_sequence_settle(struct picket_sequence *sequence, uint64_t last);
/* The server has the ranges that were carried. */
void picket_sequence_told(struct picket_sequence *sequence);

/* Writes the member `Sequence` of a message, with the carried ranges. */
void picket_sequence_write_member(const struct picket_sequence *sequence, uint64_t first, uint32_t count,
                                  struct picket_json_writer *writer);

#endif
