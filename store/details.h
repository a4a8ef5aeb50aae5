#ifndef PICKET_STORE_DETAILS_H
#define PICKET_STORE_DETAILS_H

#include "runtime/buf.h"
#include "store/json_tree.h"

/* A value as raw_event keeps it: JSON text for the jsonb column, without blanks and in the sender's order, and beside it
 * the order of the keys, which jsonb forgets. picket.json_text() in the database puts the two together again.
 *
 * `key_order`: objects are visited in the sender's order, depth first; each object of more than one member contributes
 * its members' ranks in jsonb's order, one byte each up to 256 members, two (big endian) beyond. */
struct details {
    struct text text;
    struct text key_order; /* TEXT_NONE: the sender's order is jsonb's own everywhere, or it could not be kept */
    bool order_lost;       /* an object with more members than two bytes can rank: jsonb's order stands */
};

#define DETAILS_MEMBERS_MAX 65536 /* ranks that fit two bytes */

struct details_writer {
    struct buf text, order;
    bool sorted, order_lost;
};

void details_writer_init(struct details_writer *writer);
void details_writer_done(struct details_writer *writer);
/* The results live in `arena`; `writer` is only scratch room. */
void details_write(struct details_writer *writer, const struct json_node *value, struct arena *arena,
                   struct details *out);
/* An object of the given members of another, each with its name: for what no column holds. */
struct text details_write_members(struct details_writer *writer, const struct json_node *const *members, size_t count,
                                  struct arena *arena);

#endif
