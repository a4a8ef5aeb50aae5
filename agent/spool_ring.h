#ifndef PICKET_AGENT_SPOOL_RING_H
#define PICKET_AGENT_SPOOL_RING_H

#include "agent/port.h"

/* Messages that wait for the server, in a ring of the caller's storage: RAM, flash, a file. Oldest first; a power cut leaves each message
 * whole or not there at all. What functions of the port this is for: keep, oldest, newest, forget.
 *
 * A record is its body and its head, whose mark, written last, makes it count; forgotten, the mark is overwritten by zeros. So flash that
 * can only clear bits serves too, erased ahead by the storage. No text of ours has a byte of the mark, so none is mistaken for a head.
 * C99, no heap. */
struct picket_storage {
    void *context;
    size_t size;
    bool (*read)(void *context, size_t at, void *out, size_t count);
    bool (*write)(void *context, size_t at, const void *bytes, size_t count);
    bool (*sync)(void *context); /* NULL: what is written is there */
};

#define PICKET_SPOOL_ALIGN 64
#define PICKET_SPOOL_HEAD 128 /* what a message takes beside its body */

struct picket_spool_ring {
    const struct picket_storage *storage;
    size_t oldest, newest, end; /* offsets; `end` is where the next one goes */
    size_t count;
    uint64_t next_order;
};

/* Takes up what lies in the storage, whatever that is. */
void picket_spool_ring_open(struct picket_spool_ring *ring, const struct picket_storage *storage);

/* FULL: it fits when older messages go. FAILED: it never fits, or the storage fails. */
enum picket_keep_status picket_spool_ring_keep(struct picket_spool_ring *ring, const struct picket_message *message);
/* As the port's: id and count, and with a buffer also the body, which then lies there. DAMAGED: the body is not as it was written. */
enum picket_kept_status picket_spool_ring_oldest(const struct picket_spool_ring *ring, char *buffer, size_t size, struct picket_message *out);
enum picket_kept_status picket_spool_ring_newest(const struct picket_spool_ring *ring, struct picket_message *out);
void picket_spool_ring_forget(struct picket_spool_ring *ring);

/* A storage in RAM: `memory` is the context. */
bool picket_storage_ram_read(void *memory, size_t at, void *out, size_t count);
bool picket_storage_ram_write(void *memory, size_t at, const void *bytes, size_t count);

#endif
