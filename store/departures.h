#ifndef PICKET_STORE_DEPARTURES_H
#define PICKET_STORE_DEPARTURES_H

#include "store/json_tree.h"

/* Where a message departs from the published schema of the classic envelope, as short stable codes that a query finds:
 * "enum:Category=Aggregated", "type:Payload.RemotePort". The vocabulary is docs/departures.md. A departure never costs
 * an event: it is noted, and that is all. */
#define DEPARTURES_MAX 32      /* per row; the last one is then "more", since a stranger chooses how many there are */
#define DEPARTURES_EVENT_MAX 24 /* of these, for what all rows of an event share: see departures_share() */
#define DEPARTURE_VALUE_MAX 48 /* bytes of a value or a member name that a code repeats */

struct departure {
    struct text code;
    struct departure *next;
};

struct departures {
    struct departure *first, *last;
    size_t count, count_max;
    struct arena *arena;
};

void departures_init(struct departures *list, size_t count_max, struct arena *arena);
/* Adds a code that lives as long as the arena, or a literal. */
void departures_add(struct departures *list, struct text code);
/* Adds `kind`:`path`, then .`member` and =`value` where they are given (TEXT_NONE: not). */
void departures_note(struct departures *list, const char *kind, struct text path, struct text member, struct text value);
void departures_append(struct departures *list, const struct departures *more);
/* As departures_append(), as the last thing done to either: `list` then ends in the links of `more` where they fit. An
 * event of a hundred thousand elements notes its own departures once in memory and not once an element. */
void departures_share(struct departures *list, const struct departures *more);

/* One of the fourteen event types, NULL when the name is none of theirs. */
struct event_schema;
const struct event_schema *departures_schema(struct text event_name);
/* The EventType that the schema asks of this event: "Security" … */
const char *departures_event_type(const struct event_schema *schema);

/* The envelope's own members, its events apart. Clocks are not judged here. */
void departures_of_envelope(const struct json_node *envelope, struct departures *out);
/* An event's members, its payload's elements apart; `schema` may be NULL. */
void departures_of_event(const struct event_schema *schema, const struct json_node *event, struct departures *out);
/* One payload element. */
void departures_of_element(const struct event_schema *schema, const struct json_node *element, struct departures *out);
/* True for an IPv4 or IPv6 address as the schema and PostgreSQL both read it. */
bool departures_is_address(struct text value);
/* What json_tree_read() had to replace in a value at `path`, names included. */
void departures_of_replacing(const struct json_node *value, struct text path, struct departures *out);

#endif
