#ifndef PICKET_AGENT_COLLECTOR_H
#define PICKET_AGENT_COLLECTOR_H

#include <poll.h>
#include <stdarg.h>

#include "agent/aggregate.h"
#include "agent/reason.h"
#include "agent/settings.h"
#include "wire/json_writer.h"

/* What a collector is: it looks at one subject of the host now and then, and observes events. One file and one row in
 * collector_table.c each. They are for Linux and may use the heap, unlike the core they report to. */
#define COLLECTOR_TEXT_SIZE 98304 /* one payload: the longest element, and before it what makes sharing an event worth it */

struct collector_scope {
    struct picket_agent *agent;
    const char *root;         /* in front of /proc, /etc and /var: "" on a host, a folder of fixtures in tests */
    const char *state_folder; /* where a collector may remember how far it got; NULL: nowhere */
    int64_t utc_ms;           /* when this round began */
    const struct picket_settings *settings; /* NULL: as they are by default, and looked at in intervals alone */
    enum picket_priority priority;
    struct picket_aggregate *aggregate; /* what happens is counted there; NULL: each is told */
    char text[COLLECTOR_TEXT_SIZE];
};

enum collector_pace { COLLECT_PROCESSES, COLLECT_CONNECTIONS, COLLECT_LOGINS, COLLECT_SNAPSHOT }; /* whose interval it has */

/* Whether a collector can see here what it looks for. */
enum self_check_result { SELF_CHECK_OK, SELF_CHECK_LIMITED, SELF_CHECK_FAILED };
#define CHECK_BYTES 65536 /* of sockets that are opened to try */

struct collector {
    const char *name;
    enum picket_subject subject;
    enum collector_pace pace;
    void *(*open)(void);    /* what it remembers between rounds; NULL when it remembers nothing */
    void (*collect)(void *memory, struct collector_scope *scope);
    void (*close)(void *take_memory);
    int (*socket)(const void *memory); /* readable when it has something before its time; -1: none. May be NULL */
    /* How that is on this host, in a sentence, also when all is well. NULL: nothing can stand in its way. */
    enum self_check_result (*check)(const char *root, const struct picket_settings *settings, struct reason *out);
};

extern const struct collector collector_processes, collector_listening_ports, collector_connections, collector_dns, collector_hardware, collector_logins,
    collector_login_lines, collector_users, collector_system, collector_peripherals, collector_files, collector_packages,
    collector_firewall, collector_baseline, collector_heartbeat, collector_statistics;
/* Those of this build, in the order in which they run; NULL ends them. */
extern const struct collector *const collector_table[];
extern const size_t collector_count;
#define COLLECTORS_MAX 32

/* A line of the agent's own log: on stderr, and as a Diagnostic event unless those are off. Longer ones are cut at 512 bytes. */
enum severity { SEVERITY_ERROR, SEVERITY_WARNING, SEVERITY_INFORMATION };
void scope_say(struct collector_scope *scope, enum severity severity, const char *format, ...) __attribute__((format(printf, 3, 4)));
void scope_say_with(struct collector_scope *scope, enum severity severity, const char *format, va_list values) __attribute__((format(printf, 3, 0)));

/* The collectors of this build, each with its memory and the time of its next round. */
struct collectors;
struct collectors *collectors_open(struct picket_agent *agent, const struct picket_settings *settings, const char *root,
                                   const char *state_folder);
/* Those that `list` names ("files, hardware") are off from now on, whatever the settings say. */
void collectors_switch_off(struct collectors *collectors, const char *list);
/* False: `list` names one that this build has not; the reason says which, and what there is. */
bool collectors_known(const char *list, struct reason *why);
/* Other settings from now on; what was counted under the old ones is told first. */
void collectors_configure(struct collectors *collectors, const struct picket_settings *settings);
/* Runs those that are due; returns in how many milliseconds the next one is. */
uint32_t collectors_run(struct collectors *collectors);
/* What a poll may wait for beside the time: the collectors that have something before theirs. Returns how many. */
#define COLLECTOR_SOCKETS_MAX 8
size_t collectors_sockets(const struct collectors *collectors, struct pollfd out[COLLECTOR_SOCKETS_MAX]);
/* Runs one now, by its name, also one that is off; "all": all that are on. False: there is none of that name. */
bool collectors_collect(struct collectors *collectors, const char *name);
/* As scope_say, for the program around them. */
void collectors_say(struct collectors *collectors, enum severity severity, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* "processes, connections, …" */
#define COLLECTOR_NAMES_SIZE 512
void collectors_names(char out[COLLECTOR_NAMES_SIZE]);
void collectors_close(struct collectors *take_collectors); /* tells what was counted; NULL is fine */

#define COLLECTOR_KEY_MAX 8192 /* of what is counted: longer ones are told each */

/* A payload under way: elements go into one event until it is full, then into another. */
struct payload {
    struct collector_scope *scope;
    const char *name;
    enum picket_event_category category;
    int64_t utc_ms; /* of the event; 0: now */
    struct picket_json_writer writer;
    struct picket_json_writer begun; /* the writer as it was before the element under way */
    size_t elements;
    uint64_t times; /* of the next one */
    bool reported; /* at least one event */
};

/* Lists: elements share events, and an empty list is an event too. */
void payload_open_list(struct payload *payload, struct collector_scope *scope, const char *name);
/* Happenings: each element is an event of its own. */
void payload_open_each(struct payload *payload, struct collector_scope *scope, const char *name);
/* How often the next element happened; 1 unless it is said. */
void payload_times(struct payload *payload, uint64_t times);
/* Opens an element; write its members, then end it. One that is longer than an event can be is left out. */
struct picket_json_writer *payload_begin(struct payload *payload);
void payload_end(struct payload *payload);
void payload_close(struct payload *payload);

/* Members of the element under way. Text that is longer than `MEMBER_TEXT_MAX` is cut. */
#define MEMBER_TEXT_MAX 8192
void member_text(struct picket_json_writer *writer, const char *name, const char *text);
void member_number(struct picket_json_writer *writer, const char *name, int64_t number);
void member_number_text(struct picket_json_writer *writer, const char *name, uint64_t number); /* "22" */
void member_snapshot(struct picket_json_writer *writer); /* it was so already at the first look: ExtraDetails, so the last member */

#endif
