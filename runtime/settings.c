#include "runtime/settings.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "runtime/settings_file.h"

#define NAME_MAX_COMPARED 64 /* no name of ours is longer */
#define PAIRS_MAX 128

static const char variable_prefix[] = "PICKET_";
static const char passed_prefix[] = "kafka_";

/* Variables of ours that are read elsewhere, and so are no settings. */
static const char *const other_variables[] = {
    "PICKET_SHARE",           "PICKET_SERVER",         "PICKET_TOKEN",          "PICKET_CA",
    "PICKET_SETTINGS",        "PICKET_SAMPLES",        "PICKET_TEST_LOGS",      "PICKET_ADMIN_PASSWORD",
    "PICKET_INGEST_PASSWORD", "PICKET_STORE_PASSWORD", "PICKET_QUERY_PASSWORD",
};

static struct settings_pair passed[PAIRS_MAX];
static size_t passed_count;

/* One load on its way. `where` is the file and line, or the variable, that the value in hand comes from. */
struct load {
    const struct settings_group *groups;
    size_t group_count;
    struct arena *arena;
    const char *where;
};

static void defaults_set(const struct load *load);
static enum status file_apply(struct load *load, const char *file, struct problem *why);
static enum status environment_apply(struct load *load, const char *const *environment, struct problem *why);
static enum status variable_apply(struct load *load, const char *variable, struct problem *why);
static bool variable_is_other(struct text name);
static enum status value_apply(const struct load *load, const char *name, const char *value,
                               struct problem *why);
static enum status value_set(const struct load *load, const struct setting *row, void *member,
                             const char *value, struct problem *why);
static bool bool_read(const char *word, bool *out);
static enum status passed_add(const struct load *load, const char *name, const char *value,
                              struct problem *why);
static enum status unknown_refuse(const struct load *load, const char *name, struct problem *why);
static size_t edit_distance(const char *a, const char *b);
static enum status result_check(const struct load *load, struct problem *why);
static enum status string_check(const struct setting *row, const char *value, struct arena *arena,
                                struct problem *why);
static void *member_of(const struct settings_group *group, const struct setting *row);
static const char *variable_of(const char *name, struct arena *arena);
static void value_print(const struct settings_group *group, const struct setting *row, struct buf *out);
static void default_print(const struct setting *row, const char *label, struct buf *out);
static void range_print(const struct setting *row, const char *dash, struct buf *out);
static void row_print_markdown(const struct setting *row, struct buf *out);
static void cell_print(const char *sentence, struct buf *out);

enum status settings_load(const struct settings_group *groups, size_t group_count, const char *file,
                          const char *const *environment, struct arena *arena, struct problem *why)
{
    struct load load = {groups, group_count, arena, NULL};
    enum status status = STATUS_OK;

    assert((groups || group_count == 0) && arena && why);

    passed_count = 0;
    defaults_set(&load);
    if (file)
        status = file_apply(&load, file, why);
    if (!status && environment)
        status = environment_apply(&load, environment, why);
    if (!status)
        status = result_check(&load, why);
    return status;
}

size_t settings_passed_through(const struct settings_pair **out)
{
    *out = passed;
    return passed_count;
}

void settings_print(const struct settings_group *groups, size_t group_count, struct buf *out)
{
    for (size_t i = 0; i < group_count; i++) {
        buf_format(out, "%s# %s\n", i ? "\n" : "", groups[i].title);
        for (size_t k = 0; k < groups[i].count; k++) {
            const struct setting *row = &groups[i].table[k];
            buf_format(out, "%s = ", row->name);
            value_print(&groups[i], row, out);
            buf_format(out, "   # %s (", row->sentence);
            default_print(row, "default ", out);
            range_print(row, ", ", out);
            buf_string(out, ")\n");
        }
    }
    if (passed_count)
        buf_string(out, "\n# passed on to librdkafka\n");
    for (size_t i = 0; i < passed_count; i++) /* one of them may be a password */
        buf_format(out, "%s = (set)\n", passed[i].name);
}

void settings_print_markdown(const struct settings_group *groups, size_t group_count, struct buf *out)
{
    buf_string(
        out,
        "# Settings\n\n"
        "Every setting is a line `name: value` of the settings file, or the variable next to it, which wins. "
        "Unknown names stop the start. `kafka_` names that are not listed here go to librdkafka, with dots "
        "for underscores: `kafka_security_protocol` is its `security.protocol`.\n");
    for (size_t i = 0; i < group_count; i++) {
        buf_format(out,
                   "\n## %s\n\n| Name | Variable | Default | Range | What it does |\n|---|---|---|---|---|\n",
                   groups[i].title);
        for (size_t k = 0; k < groups[i].count; k++)
            row_print_markdown(&groups[i].table[k], out);
    }
}

static void defaults_set(const struct load *load)
{
    for (size_t i = 0; i < load->group_count; i++)
        for (size_t k = 0; k < load->groups[i].count; k++) {
            const struct setting *row = &load->groups[i].table[k];
            void *member = member_of(&load->groups[i], row);
            switch (row->kind) {
            case SETTING_KIND_INT:
                assert(row->int_default >= row->int_min && row->int_default <= row->int_max);
                *(int64_t *)member = row->int_default;
                break;
            case SETTING_KIND_BOOL:
                *(bool *)member = row->int_default != 0;
                break;
            case SETTING_KIND_STRING:
            case SETTING_KIND_FILE:
            case SETTING_KIND_SECRET:
                *(const char **)member = row->string_default ? row->string_default : "";
                break;
            }
        }
}

static enum status file_apply(struct load *load, const char *file, struct problem *why)
{
    struct settings_line *lines = NULL;
    size_t count = 0;

    enum status status = settings_file_read(file, load->arena, &lines, &count, why);
    for (size_t i = 0; !status && i < count; i++) {
        load->where = arena_format(load->arena, "%s:%zu", file, lines[i].number);
        status = value_apply(load, lines[i].name, lines[i].value, why);
    }
    return status;
}

static enum status environment_apply(struct load *load, const char *const *environment, struct problem *why)
{
    enum status status = STATUS_OK;

    for (; !status && *environment; environment++)
        if (text_starts(text_of(*environment), text_of(variable_prefix)))
            status = variable_apply(load, *environment, why);
    return status;
}

static enum status variable_apply(struct load *load, const char *variable, struct problem *why)
{
    struct text name, value = text_cut(text_of(variable), '=', &name);

    if (variable_is_other(name))
        return STATUS_OK;
    load->where = arena_string(load->arena, name);
    char *lower = arena_string(load->arena, (struct text){name.bytes + sizeof variable_prefix - 1,
                                                          name.count - (sizeof variable_prefix - 1)});
    for (char *at = lower; *at; at++) {
        if (*at >= 'a' && *at <= 'z')
            return unknown_refuse(load, lower, why); /* one spelling, or two could be set at once */
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
    }
    return value_apply(load, lower, arena_string(load->arena, value), why);
}

static bool variable_is_other(struct text name)
{
    for (size_t i = 0; i < sizeof other_variables / sizeof *other_variables; i++)
        if (text_equal(name, text_of(other_variables[i])))
            return true;
    return false;
}

/* To every group that has the name. */
static enum status value_apply(const struct load *load, const char *name, const char *value,
                               struct problem *why)
{
    enum status status = STATUS_OK;
    bool known = false;

    for (size_t i = 0; i < load->group_count; i++)
        for (size_t k = 0; !status && k < load->groups[i].count; k++) {
            const struct setting *row = &load->groups[i].table[k];
            if (strcmp(row->name, name) != 0)
                continue;
            known = true;
            status = value_set(load, row, member_of(&load->groups[i], row), value, why);
        }
    if (known)
        return status;
    if (text_starts(text_of(name), text_of(passed_prefix)) && name[sizeof passed_prefix - 1])
        return passed_add(load, name, value, why);
    return unknown_refuse(load, name, why);
}

static enum status value_set(const struct load *load, const struct setting *row, void *member,
                             const char *value, struct problem *why)
{
    int64_t number;

    switch (row->kind) {
    case SETTING_KIND_INT:
        if (!text_to_i64(text_of(value), &number) || number < row->int_min || number > row->int_max)
            return problem_set(why, STATUS_REJECT,
                               "%s: %s is \"%.80s\", but must be a whole number from %" PRId64 " to %" PRId64,
                               load->where, row->name, value, row->int_min, row->int_max);
        *(int64_t *)member = number;
        return STATUS_OK;
    case SETTING_KIND_BOOL:
        if (!bool_read(value, member))
            return problem_set(why, STATUS_REJECT, "%s: %s is \"%.80s\", but must be true or false",
                               load->where, row->name, value);
        return STATUS_OK;
    case SETTING_KIND_STRING:
    case SETTING_KIND_FILE:
    case SETTING_KIND_SECRET:
        *(const char **)member = value;
        return STATUS_OK;
    }
    assert(0 && "a kind that is none of the five");
    return STATUS_FAULT;
}

static bool bool_read(const char *word, bool *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (text_equal_nocase(text_of(word), text_of(words[i]))) {
            *out = i % 2;
            return true;
        }
    return false;
}

/* The environment comes second, and replaces what the file said. */
static enum status passed_add(const struct load *load, const char *name, const char *value,
                              struct problem *why)
{
    char *dotted = arena_string(load->arena, text_of(name + sizeof passed_prefix - 1));
    size_t at = 0;

    for (char *byte = dotted; *byte; byte++)
        if (*byte == '_')
            *byte = '.';
    while (at < passed_count && strcmp(passed[at].name, dotted) != 0)
        at++;
    if (at == PAIRS_MAX)
        return problem_set(why, STATUS_REJECT, "%s: at most %d names can be passed on to librdkafka",
                           load->where, PAIRS_MAX);
    passed[at] = (struct settings_pair){dotted, value};
    if (at == passed_count)
        passed_count++;
    return STATUS_OK;
}

static enum status unknown_refuse(const struct load *load, const char *name, struct problem *why)
{
    const char *nearest = NULL;
    size_t least = SIZE_MAX;

    for (size_t i = 0; i < load->group_count; i++)
        for (size_t k = 0; k < load->groups[i].count; k++) {
            const char *known = load->groups[i].table[k].name;
            size_t distance = edit_distance(name, known);
            if (distance < least) {
                least = distance;
                nearest = known;
            }
        }
    if (!nearest)
        return problem_set(why, STATUS_REJECT, "%s: there is no setting \"%.80s\"", load->where, name);
    return problem_set(why, STATUS_REJECT, "%s: there is no setting \"%.80s\"; did you mean %s?", load->where,
                       name,
                       strncmp(load->where, variable_prefix, sizeof variable_prefix - 1) == 0
                           ? variable_of(nearest, load->arena)
                           : nearest);
}

/* Levenshtein's, over the first bytes of both, one row at a time. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_COMPARED + 1];
    size_t a_count = strnlen(a, NAME_MAX_COMPARED), b_count = strnlen(b, NAME_MAX_COMPARED);

    for (size_t k = 0; k <= b_count; k++)
        row[k] = k;
    for (size_t i = 1; i <= a_count; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b_count; k++) {
            size_t replaced = diagonal + (a[i - 1] != b[k - 1]);
            size_t moved = (row[k] < row[k - 1] ? row[k] : row[k - 1]) + 1;
            diagonal = row[k];
            row[k] = replaced < moved ? replaced : moved;
        }
    }
    return row[b_count];
}

/* What can only be told when all sources have had their say. */
static enum status result_check(const struct load *load, struct problem *why)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < load->group_count; i++)
        for (size_t k = 0; !status && k < load->groups[i].count; k++) {
            const struct setting *row = &load->groups[i].table[k];
            if (row->kind == SETTING_KIND_INT || row->kind == SETTING_KIND_BOOL)
                continue;
            const char *value = *(const char **)member_of(&load->groups[i], row);
            status = string_check(row, value, load->arena, why);
        }
    return status;
}

static enum status string_check(const struct setting *row, const char *value, struct arena *arena,
                                struct problem *why)
{
    if (!*value && row->string_default == SETTING_NEEDED)
        return problem_set(why, STATUS_REJECT, "%s is needed: give it in the settings file or as %s",
                           row->name, variable_of(row->name, arena));
    if (row->kind != SETTING_KIND_FILE || !*value)
        return STATUS_OK;
    /* Opened and not asked with access(), which answers for the real user. */
    int fd = open(value, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return problem_set(why, STATUS_REJECT, "%s (%s) names \"%.200s\", which cannot be read: %s",
                           row->name, variable_of(row->name, arena), value, strerror(errno));
    close(fd);
    return STATUS_OK;
}

static void *member_of(const struct settings_group *group, const struct setting *row)
{
    assert(group->values && row->name && row->sentence);

    return (char *)group->values + row->offset;
}

static const char *variable_of(const char *name, struct arena *arena)
{
    char *variable = arena_format(arena, "%s%s", variable_prefix, name);

    for (char *at = variable; *at; at++)
        if (*at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
    return variable;
}

static void value_print(const struct settings_group *group, const struct setting *row, struct buf *out)
{
    const void *member = member_of(group, row);

    switch (row->kind) {
    case SETTING_KIND_INT:
        buf_i64(out, *(const int64_t *)member);
        return;
    case SETTING_KIND_BOOL:
        buf_string(out, *(const bool *)member ? "true" : "false");
        return;
    case SETTING_KIND_STRING:
    case SETTING_KIND_FILE:
        buf_string(out, *(const char *const *)member);
        return;
    case SETTING_KIND_SECRET:
        buf_string(out, **(const char *const *)member ? "(set)" : "");
        return;
    }
}

/* `label` stands before a value, and not before "needed". */
static void default_print(const struct setting *row, const char *label, struct buf *out)
{
    switch (row->kind) {
    case SETTING_KIND_INT:
        buf_string(out, label);
        buf_i64(out, row->int_default);
        return;
    case SETTING_KIND_BOOL:
        buf_format(out, "%s%s", label, row->int_default ? "true" : "false");
        return;
    case SETTING_KIND_STRING:
    case SETTING_KIND_FILE:
    case SETTING_KIND_SECRET:
        if (row->string_default == SETTING_NEEDED)
            buf_string(out, "needed");
        else if (!*row->string_default)
            buf_format(out, "%snone", label);
        else
            buf_format(out, "%s%s", label, row->string_default);
        return;
    }
}

static void range_print(const struct setting *row, const char *dash, struct buf *out)
{
    if (row->kind == SETTING_KIND_INT)
        buf_format(out, "%s%" PRId64 " to %" PRId64, dash, row->int_min, row->int_max);
}

static void row_print_markdown(const struct setting *row, struct buf *out)
{
    static const char *const kinds[] = {
        [SETTING_KIND_BOOL] = "true or false",
        [SETTING_KIND_STRING] = "text",
        [SETTING_KIND_FILE] = "path of a file",
        [SETTING_KIND_SECRET] = "secret",
    };
    struct arena arena;

    arena_init(&arena);
    buf_format(out, "| `%s` | `%s` | ", row->name, variable_of(row->name, &arena));
    default_print(row, "", out);
    buf_string(out, " | ");
    if (row->kind == SETTING_KIND_INT)
        range_print(row, "", out);
    else
        buf_string(out, kinds[row->kind]);
    buf_string(out, " | ");
    cell_print(row->sentence, out);
    buf_string(out, " |\n");
    arena_done(&arena);
}

static void cell_print(const char *sentence, struct buf *out)
{
    for (; *sentence; sentence++) {
        if (*sentence == '|')
            buf_byte(out, '\\');
        buf_byte(out, *sentence);
    }
}
