#ifndef PICKET_STORE_JSON_TREE_H
#define PICKET_STORE_JSON_TREE_H

#include "runtime/arena.h"
#include "runtime/status.h"
#include "wire/json_reader.h"

/* A device's JSON as nodes in the batch's arena, made in one pass by wire's pull reader. Strings that bear no escape
 * point into the source, which must live as long.
 *
 * What PostgreSQL cannot hold is replaced here, once, and marked, so that every later reader sees storable values:
 * \u0000 and lone surrogates are U+FFFD, of members with one name the last stays, numbers beyond what `numeric` should
 * be asked to hold are strings.
 *
 * Functions of a node begin with node_, since json_ is jansson's and one program links both. */
enum {
    JSON_NODE_NUL = 1,
    JSON_NODE_SURROGATE = 2,
    JSON_NODE_DUPLICATE = 4,  /* earlier members of this name were left out */
    JSON_NODE_BIG_NUMBER = 8, /* a number kept as a string */
    JSON_NODE_BELOW = 16,     /* one of these stands on a node further down */
};

#define JSON_NUMBER_TEXT_MAX 100    /* bytes of a number as written: beyond it is text, not arithmetic */
#define JSON_NUMBER_EXPONENT_MAX 300 /* about where doubles end, far below where `numeric` does */

struct json_node {
    enum picket_json_kind kind; /* OBJECT_OPEN, ARRAY_OPEN, STRING, NUMBER, TRUE, FALSE or NULL */
    unsigned replaced;          /* JSON_NODE_ flags */
    struct text name;           /* of a member, unescaped; TEXT_NONE in arrays and at the root */
    struct text text;           /* strings unescaped, numbers as written */
    struct json_node *first, *next; /* children in the sender's order */
    uint32_t count;             /* of children */
    uint32_t rank;              /* where jsonb sorts this member among its siblings, from 0 */
    bool sorted;                /* the members already stand in jsonb's order */
};

/* STATUS_REJECT: not JSON, or deeper than `depth_max`; `why` has line and column. */
MUST_CHECK enum status json_tree_read(struct text source, unsigned depth_max, struct arena *arena,
                                      struct json_node **out, struct problem *why);

/* The member of that name, or NULL; also when `object` is NULL or no object. */
const struct json_node *node_member(const struct json_node *object, const char *name);

static inline bool node_is(const struct json_node *node, enum picket_json_kind kind)
{
    return node && node->kind == kind;
}
static inline struct text node_string(const struct json_node *node) /* TEXT_NONE when it is no string */
{
    return node_is(node, PICKET_JSON_STRING) ? node->text : TEXT_NONE;
}
/* An integer, or a string that holds one; false otherwise. */
bool node_integer(const struct json_node *node, int64_t *out);

#endif
