#ifndef PICKET_DETECT_FINDING_H
#define PICKET_DETECT_FINDING_H

#include "detect/event.h"
#include "detect/sigma_correlation.h"

/* What a detection found in an event: enough to open an alert, or to repeat one. It lives in the arena of the judging. */
#define FINDING_REASONS_MAX 16 /* beyond that no more are listed */
#define FINDING_ENTITIES_MAX 8

struct finding_reason {
    struct text field;  /* of the event; "" where several together tell */
    struct text clause; /* what held of it */
    struct text value;  /* what it was; TEXT_NONE */
};

enum finding_entity_kind { FINDING_ADDRESS, FINDING_USER, FINDING_FILE, FINDING_HASH, FINDING_DOMAIN, FINDING_URL, FINDING_PROCESS };
struct finding_entity {
    enum finding_entity_kind kind;
    struct text value;
};

/* What an alert says of the rule that raised it, whatever kind of rule that is. */
struct finding_about {
    struct text id, title, severity, description, tactics, techniques;
    const char *const *remediation; /* NULL at the end, or for none */
};

struct finding {
    struct finding *next;
    const struct finding_about *about; /* lives as long as the engine */
    struct text cause;         /* the same cause on the same device is one alert */
    const struct event *event; /* the evidence */
    struct finding_reason reasons[FINDING_REASONS_MAX];
    size_t reason_count;
    struct finding_entity entities[FINDING_ENTITIES_MAX]; /* beside those that the event itself names */
    size_t entity_count;
};

/* What counts towards a correlation over all devices: one rule's match in an event, by the correlation's group. */
struct finding_hit {
    struct finding_hit *next;
    const struct finding_about *about; /* the correlation; lives as long as the engine */
    struct sigma_hit hit;
    int64_t timespan_us; /* as long as it counts */
    const struct event *event;
};

struct findings {
    struct finding *first, *last;
    size_t count;
    struct finding_hit *first_hit, *last_hit;
};

struct judging;
struct command;

/* Says that the rule that is asked fires. The texts are borrowed and must live as long as the judging's arena. */
struct finding *finding_add(struct judging *judging, struct text cause);
void finding_reason(struct finding *finding, const char *field, struct text clause, struct text value);
void finding_entity(struct finding *finding, enum finding_entity_kind kind, struct text value);
/* For a process: the cause is the command's name; `clause` says what is wrong with it. */
struct finding *finding_command(struct judging *judging, const struct command *command, const char *clause);

#endif
