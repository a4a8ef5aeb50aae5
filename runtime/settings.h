#ifndef PICKET_RUNTIME_SETTINGS_H
#define PICKET_RUNTIME_SETTINGS_H

#include "runtime/arena.h"
#include "runtime/buf.h"
#include "runtime/status.h"

/* Typed settings tables: one row gives parsing, range, default, environment name and documentation.
 *
 * A setting `name` is the key in the YAML file (flat: `name: value`), PICKET_<NAME> in the environment
 * (which wins), and a row of docs/configuration.md. Unknown keys in the file and unknown PICKET_ variables
 * stop the start, with the nearest known name in the sentence. */
enum setting_kind {
    SETTING_KIND_INT,    /* int64_t; min..max; the unit is the name's last word */
    SETTING_KIND_BOOL,   /* bool; true, false, yes, no, on, off, 1, 0 */
    SETTING_KIND_STRING, /* const char *; "" means not set */
    SETTING_KIND_FILE,   /* const char *; as string, and must be readable when not "" */
    SETTING_KIND_SECRET, /* const char *; as string; --print-settings shows "(set)" only */
};

#define SETTING_NEEDED NULL /* as the default of a string, file or secret: the start stops without it */

struct setting {
    const char *name;
    enum setting_kind kind;
    size_t offset; /* of the member in the settings struct */
    int64_t int_default, int_min, int_max;
    const char *string_default;
    const char *sentence; /* what it does; ends with a full stop */
};

#define SETTING_INT(type, member, default_, min, max, sentence) \
    {#member, SETTING_KIND_INT, offsetof(type, member), default_, min, max, "", sentence}
#define SETTING_PORT(type, member, default_, sentence) \
    {#member, SETTING_KIND_INT, offsetof(type, member), default_, 0, 65535, "", sentence}
#define SETTING_BOOL(type, member, default_, sentence) \
    {#member, SETTING_KIND_BOOL, offsetof(type, member), default_, 0, 1, "", sentence}
#define SETTING_STRING(type, member, default_, sentence) \
    {#member, SETTING_KIND_STRING, offsetof(type, member), 0, 0, 0, default_, sentence}
#define SETTING_FILE(type, member, default_, sentence) \
    {#member, SETTING_KIND_FILE, offsetof(type, member), 0, 0, 0, default_, sentence}
#define SETTING_SECRET(type, member, default_, sentence) \
    {#member, SETTING_KIND_SECRET, offsetof(type, member), 0, 0, 0, default_, sentence}

/* One table and the struct that it fills. A program loads all its groups in one call, so that names
 * unknown to every group can be told. Two groups may share a name (`database`): both get the value. */
struct settings_group {
    const char *title; /* heading in --print-settings and the docs: "ingest" */
    const struct setting *table;
    size_t count;
    void *values;
};

/* Fills every group from defaults, then `file` (NULL: none), then the environment. Strings live in
 * `arena`. Names that start with `passed_through` ("kafka_") are collected, not refused: see below.
 * STATUS_REJECT: what, where (file:line or variable) and how to mend it. */
MUST_CHECK enum status settings_load(const struct settings_group *groups, size_t group_count, const char *file,
                                     const char *const *environment, struct arena *arena, struct problem *why);

/* Settings handed to a library unchanged: `kafka_security_protocol` or PICKET_KAFKA_SECURITY_PROTOCOL becomes
 * librdkafka's `security.protocol`. settings_load() keeps every `kafka_…` name that no table claims; these are
 * valid until the arena of the load goes. */
struct settings_pair {
    const char *name; /* as the library writes it: underscores became dots */
    const char *value;
};
size_t settings_passed_through(const struct settings_pair **out);

/* One line each: "name = value   # sentence (default, range)"; secrets hidden. */
void settings_print(const struct settings_group *groups, size_t group_count, struct buf *out);
/* The same tables as a Markdown page: docs/configuration.md is this output. */
void settings_print_markdown(const struct settings_group *groups, size_t group_count, struct buf *out);

#endif
