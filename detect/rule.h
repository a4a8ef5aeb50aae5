#ifndef PICKET_DETECT_RULE_H
#define PICKET_DETECT_RULE_H

#include "detect/command_line.h"
#include "detect/event.h"
#include "detect/finding.h"
#include "detect/indicators.h"
#include "detect/memory.h"

/* A built-in detection: one row of the table in rules.c, one file. All texts are for people, in Markdown; the page docs/detections.md
 * is written from them. */
struct judging;

/* What the rule must say, or must not, of events that are judged one after the other by a memory that was empty. `events` holds
 * one a line: "$ command line" for a process, else the event's name, a blank, and its details as JSON. Before that may stand "+30 "
 * for seconds since the line before (1 otherwise), and "x20 " for so many of them, a second apart, in which '#' stands for the number of
 * each. */
struct rule_sample {
    bool fires;
    const char *events;
};

struct rule {
    const char *id, *title, *severity; /* High, Medium, Low, Informational */
    const char *tactics;               /* "Execution, Persistence": MITRE ATT&CK's; also the alert's intent */
    const char *techniques;            /* "T1059.004, T0807": of ATT&CK for enterprises and for industry */
    const char *fires, *spares, *needs, *tuning; /* a sentence each */
    const char *const *remediation;    /* steps; NULL at the end */
    unsigned kinds;                    /* EVENT_BIT() of what it looks at */
    const char *const *words;          /* of a process: it is asked only where one of these is in the command line or the executable, in any case; NULL: always */
    bool remembers;                    /* it asks judging->memory */
    bool asks_indicators;              /* it asks judging->indicators, which may be NULL */
    /* One of the two: what is wrong with a command of the line, NULL where nothing is; or any judgement. */
    const char *(*command)(const struct judging *judging, const struct command *command);
    void (*judge)(struct judging *judging);
    const struct rule_sample *samples;
    size_t sample_count;
};
#define RULE_SAMPLES(array) .samples = (array), .sample_count = sizeof(array) / sizeof *(array)

/* What a rule is asked about, and where it answers: with finding_add(). */
struct judging {
    const struct rule *rule;
    const struct finding_about *about; /* the same, for who is told */
    const struct event *event;
    const struct event *group; /* all elements of the sender's event that this one belongs to, in order */
    size_t group_count;
    const struct command_line *line; /* of a process; empty otherwise */
    struct memory *memory;
    const struct indicators *indicators;
    struct arena *arena;
    struct findings *findings;
};

/* Every built-in detection. */
extern const struct rule *const builtin_rules[];
extern const size_t builtin_rules_count;
const struct rule *builtin_rule_find(struct text id); /* NULL: there is none */

/* Steps that many detections share. */
extern const char *const rule_ask_user[];   /* was it meant by who ran it? */
extern const char *const rule_ask_urgent[];
extern const char *const rule_confirm[];    /* is it expected on this device? */
extern const char *const rule_block_address[];

#define MINUTES_US(n) ((n) * INT64_C(60000000))
#define HOURS_US(n) MINUTES_US((n) * 60)

#endif
