#ifndef PICKET_DETECT_EVENT_H
#define PICKET_DETECT_EVENT_H

#include "detect/sigma_match.h"
#include "runtime/arena.h"

/* What an event is about, whichever agent sent it and however it spells the names. */
enum event_kind {
    EVENT_OTHER,
    EVENT_PROCESS,    /* ProcessCreate, Process (but its EXIT) */
    EVENT_CONNECTION, /* ConnectionCreate, NetworkActivity */
    EVENT_NAME_QUERY, /* a question to DNS */
    EVENT_LOGIN,
    EVENT_LISTENER, /* ListeningPorts */
    EVENT_USER,     /* LocalUsers */
    EVENT_FILE,     /* FileSystem */
    EVENT_USB,
    EVENT_ETHERNET,
    EVENT_LOG, /* Log, Diagnostic: what programs wrote */
    EVENT_CONFIGURATION, /* ConfigurationError */
    EVENT_DOOR,          /* FrontDoor: what our own front door refused */
    EVENT_CLONE,         /* ClonedIdentity */
};
#define EVENT_KINDS (EVENT_CLONE + 1)
#define EVENT_BIT(kind) (1u << (kind))

enum event_outcome { EVENT_OUTCOME_NONE, EVENT_SUCCEEDED, EVENT_FAILED };
enum event_direction { EVENT_DIRECTION_NONE, EVENT_IN, EVENT_OUT };

#define EVENT_FIELDS_MAX 200 /* members of one event that rules see; what is beyond is left out */
#define EVENT_NO_PORT 0

/* One event as detection sees it: one row of the raw events. Text is borrowed from its source or from the arena. */
struct event {
    enum event_kind kind;
    int64_t at_us;     /* its own time: what windows go by */
    uint64_t hits;     /* how often it happened, at least 1 */
    struct text id;    /* who refers to it says this */
    struct text group; /* the sender's event, of which this may be one element of several */
    struct text name;
    /* TEXT_NONE where the event does not say. */
    struct text executable, command_line, user, user_id, process_id, parent_process_id, hash;
    struct text remote_address, local_address, protocol, domain;
    struct text path, action, interface, groups, operation, message;
    uint32_t remote_port, local_port; /* EVENT_NO_PORT: none */
    enum event_outcome outcome;
    enum event_direction direction;
    const struct sigma_field *fields; /* all members, names of inner ones with dots between; lists as several values of one name */
    size_t field_count;
};

/* What is known of an event beside its details. `details` is a JSON object. */
struct event_source {
    struct text id, group, name, details;
    int64_t at_us;
    uint64_t hits; /* 0: as the details say */
};

/* False: the details are no JSON object, and there is nothing to judge. */
bool event_read(const struct event_source *source, struct arena *arena, struct event *out);

/* The names of events of these kinds (EVENT_BIT()s), in lower case and without '_' and ' ': for a search that the reading then settles.
 * How many there are; `out` has room for EVENT_NAMES_MAX. */
#define EVENT_NAMES_MAX 40
size_t event_names(unsigned kinds, const char *out[EVENT_NAMES_MAX]);

/* The value of a member by its whole name; TEXT_NONE. */
struct text event_field(const struct event *event, struct text name);
/* The last part of a path. */
struct text event_base_name(struct text path);
/* An address of a private, loopback, link-local or documentation-free local range: none that the Internet routes. */
bool event_address_is_private(struct text address);

#endif
