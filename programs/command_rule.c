#include "programs/commands.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <jansson.h>

#include "detect/sigma_parse.h"
#include "detect/sigma_set.h"
#include "programs/json_lines.h"
#include "runtime/buf.h"
#include "runtime/process.h"

#define FILES_MAX 100000
#define RULE_BYTES_MAX (4 * 1024 * 1024)
#define FIELDS_MAX 2000 /* of one event */
#define DEPTH_MAX 20
#define FOLDERS_OPEN 20

/* Rules that were read, and the one event that they are looking at. */
struct rules {
    struct arena arena;
    const struct sigma_rule **list;
    struct text *ids;
    const char **files;
    size_t count, room, refused;
    const char *file;
    bool lint, json; /* refusals are the answer, and not beside it */
};

struct testing {
    const struct rules *rules;
    struct sigma_set *set;
    struct sigma_scratch *scratch;
    bool json;
    const json_t *event; /* the one that is looked at, and its line */
    size_t number;
    struct arena arena;
    struct sigma_field fields[FIELDS_MAX];
    size_t field_count;
};

static enum cli_exit run_test(const struct cli *cli);
static enum cli_exit run_lint(const struct cli *cli);

static const struct cli_flag test_flags[] = {
    {"rules", "PATH", "A file of rules, or a folder of them with all that lies within; may be said several times."},
    {"events", "FILE", "Events, a JSON object a line."},
    {"events-as", "NAMES", "Whose names the events' fields bear: sigma."},
};

const struct cli_verb rule_verbs[] = {
    {"rule test", "[PATH...]", "Say which rules match which events, and by which field: a line a match.",
     "PATHs are more of --rules. A rule's logsource is not compared with the events. A rule that cannot be understood\n"
     "wholly is refused on stderr, with its file, its id and the reason; the others are tested.",
     CLI_FLAGS(test_flags), CLI_JSON, 0, FILES_MAX, run_test},
    {"rule lint", "PATH...", "Say of each rule whether it is understood, and what about it is costly: a line each.",
     "A PATH is a file of rules, or a folder of them with all that lies within. Exit 1 when a rule was refused.", CLI_NO_FLAGS, CLI_JSON, 1,
     FILES_MAX, run_lint},
};
const size_t rule_verb_count = sizeof rule_verbs / sizeof rule_verbs[0];

/* ---- rules ---- */

static void lint_print(const struct rules *rules, const char *file, struct text id, const char *reason, bool always)
{
    const char *warning = "no text of three letters is demanded: it is tried on every event";

    if (!rules->json) {
        printf("%s: %.*s: %s\n", file, TEXT_ARGS(id.bytes ? id : TEXT("no id")), reason ? reason : always ? warning : "ok");
        return;
    }
    json_t *line = json_pack("{s:s,s:o,s:b}", "file", file, "rule", id.bytes ? json_stringn(id.bytes, id.count) : json_null(), "ok", !reason);
    if (reason)
        json_object_set_new(line, "reason", json_string(reason));
    if (!reason && always)
        json_object_set_new(line, "warnings", json_pack("[s]", warning));
    json_dumpf(line, stdout, JSON_COMPACT);
    json_decref(line);
    putchar('\n');
}

static void rule_take(void *context, const struct sigma_rule *rule, struct text id, const char *reason)
{
    struct rules *rules = context;

    if (!rule) {
        if (rules->lint)
            lint_print(rules, rules->file, id, reason, false);
        else
            fprintf(stderr, "%s: %.*s: %s\n", rules->file, TEXT_ARGS(id.bytes ? id : TEXT("no id")), reason);
        rules->refused++;
        return;
    }
    if (rules->count == rules->room) {
        rules->room = 2 * rules->room + 64;
        rules->list = realloc(rules->list, rules->room * sizeof *rules->list);
        rules->ids = realloc(rules->ids, rules->room * sizeof *rules->ids);
        rules->files = realloc(rules->files, rules->room * sizeof *rules->files);
        if (!rules->list || !rules->ids || !rules->files)
            abort();
    }
    rules->list[rules->count] = rule;
    rules->files[rules->count] = rules->file;
    rules->ids[rules->count++] = id;
}

static enum status file_load(struct rules *rules, const char *path, struct problem *why)
{
    struct problem broken;
    struct buf content;

    buf_init(&content, RULE_BYTES_MAX);
    enum status status = process_read_file(path, RULE_BYTES_MAX, &content, why);
    rules->file = arena_string(&rules->arena, text_of(path));
    if (!status && sigma_parse(buf_as_text(&content), &rules->arena, rule_take, rules, &broken))
        rule_take(rules, NULL, TEXT_NONE, broken.text);
    buf_done(&content);
    return status;
}

static struct {
    char **paths;
    size_t count, room;
} found_files; /* nftw() hands no context on */

static int file_found(const char *path, const struct stat *facts, int kind, struct FTW *walk)
{
    struct text name = text_of(path);

    (void)facts;
    (void)walk;
    if (kind != FTW_F || !(text_ends(name, TEXT(".yml")) || text_ends(name, TEXT(".yaml"))))
        return 0;
    if (found_files.count == found_files.room) {
        found_files.room = 2 * found_files.room + 256;
        found_files.paths = realloc(found_files.paths, found_files.room * sizeof *found_files.paths);
        if (!found_files.paths)
            abort();
    }
    found_files.paths[found_files.count] = strdup(path);
    return found_files.paths[found_files.count++] ? 0 : -1;
}

static int path_compare(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static enum status path_load(struct rules *rules, const char *path, struct problem *why)
{
    enum status status = STATUS_OK;
    struct stat facts;

    if (stat(path, &facts))
        return problem_set(why, STATUS_REJECT, "there is no %s", path);
    if (!S_ISDIR(facts.st_mode))
        return file_load(rules, path, why);
    if (nftw(path, file_found, FOLDERS_OPEN, FTW_PHYS))
        return problem_set(why, STATUS_REJECT, "%s cannot be read", path);
    qsort(found_files.paths, found_files.count, sizeof *found_files.paths, path_compare);
    for (size_t i = 0; i < found_files.count; i++) {
        if (!status)
            status = file_load(rules, found_files.paths[i], why);
        free(found_files.paths[i]);
    }
    free(found_files.paths);
    memset(&found_files, 0, sizeof found_files);
    return status;
}

static void rules_done(struct rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        sigma_rule_done(rules->list[i]);
    free(rules->list);
    free(rules->ids);
    free(rules->files);
    arena_done(&rules->arena);
}

static enum status rules_load(const struct cli *cli, struct rules *rules, struct problem *why)
{
    enum status status = STATUS_OK;
    const char *path;

    for (int i = 0; !status && !rules->lint && (path = cli_value_at(cli, "rules", i)); i++)
        status = path_load(rules, path, why);
    for (int i = 0; !status && (path = cli_argument(cli, i)); i++)
        status = path_load(rules, path, why);
    if (!status && !rules->count && !rules->refused)
        return problem_set(why, STATUS_REJECT, "there are no rules: name a file or a folder of .yml files with --rules");
    return status;
}

/* ---- events ---- */

static void field_add(struct testing *testing, struct text name, struct text value)
{
    if (testing->field_count < FIELDS_MAX)
        testing->fields[testing->field_count++] = (struct sigma_field){name, value};
}

/* Members within members go by names with dots between. */
static void value_flatten(struct testing *testing, struct text name, json_t *value, int depth)
{
    const char *key;
    json_t *part;
    size_t i;

    if (json_is_object(value) && depth < DEPTH_MAX) {
        json_object_foreach (value, key, part)
            value_flatten(testing, name.count ? text_of(arena_format(&testing->arena, "%.*s.%s", TEXT_ARGS(name), key)) : text_of(key),
                          part, depth + 1);
    } else if (json_is_array(value) && depth < DEPTH_MAX) {
        json_array_foreach (value, i, part)
            value_flatten(testing, name, part, depth + 1);
    } else if (json_is_string(value)) {
        field_add(testing, name, (struct text){json_string_value(value), json_string_length(value)});
    } else if (json_is_integer(value)) {
        field_add(testing, name, text_of(arena_format(&testing->arena, "%lld", (long long)json_integer_value(value))));
    } else if (json_is_real(value)) {
        field_add(testing, name, text_of(arena_format(&testing->arena, "%.17g", json_real_value(value))));
    } else if (json_is_boolean(value)) {
        field_add(testing, name, json_is_true(value) ? TEXT("true") : TEXT("false"));
    } else {
        field_add(testing, name, TEXT_NONE);
    }
}

static void match_print_json(const json_t *event, size_t number, struct text rule, const struct sigma_found *found, size_t count)
{
    json_t *id = json_object_get(event, "event_id"), *matched = json_array();

    for (size_t i = 0; i < count; i++) {
        struct text name = found[i].field ? found[i].field->name : found[i].clause->field.bytes ? found[i].clause->field : TEXT("");
        json_array_append_new(matched, json_pack("{s:s%,s:s%}", "field", name.bytes, name.count, "clause", found[i].clause->printed.bytes,
                                                 found[i].clause->printed.count));
    }
    json_t *line = json_pack("{s:o,s:s%,s:o}", "event", id ? json_incref(id) : json_integer((json_int_t)number), "rule", rule.bytes,
                             rule.count, "matched", matched);
    json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(line);
}

static void match_print(const json_t *event, size_t number, const struct sigma_rule *rule, struct text id,
                        const struct sigma_found *found, size_t count)
{
    json_t *event_id = json_object_get(event, "event_id");

    if (json_is_string(event_id))
        printf("%s", json_string_value(event_id));
    else
        printf("%zu", number);
    printf("  %.*s  %.*s:", TEXT_ARGS(id), TEXT_ARGS(rule->title));
    for (size_t i = 0; i < count; i++)
        printf("%s %.*s", i ? ";" : "", TEXT_ARGS(found[i].clause->printed));
    putchar('\n');
}

static void matched(void *context, size_t rule, const struct sigma_found *found, size_t count)
{
    const struct testing *testing = context;
    const struct rules *rules = testing->rules;

    if (testing->json)
        match_print_json(testing->event, testing->number, rules->ids[rule], found, count);
    else
        match_print(testing->event, testing->number, rules->list[rule], rules->ids[rule], found, count);
}

static enum status event_test(void *context, json_t *event, size_t number, struct problem *why)
{
    struct testing *testing = context;

    (void)why;
    arena_clear(&testing->arena);
    testing->field_count = 0;
    testing->event = event;
    testing->number = number;
    value_flatten(testing, TEXT(""), event, 0);
    const struct sigma_event seen = {testing->fields, testing->field_count};
    sigma_set_match(testing->set, testing->scratch, &seen, matched, testing);
    return STATUS_OK;
}

static enum cli_exit run_test(const struct cli *cli)
{
    const char *events = cli_value(cli, "events"), *names = cli_value(cli, "events-as");
    struct rules rules = {.count = 0};
    struct testing testing = {.rules = &rules, .json = cli_given(cli, "json")};
    enum status status = STATUS_OK;
    struct problem why;

    arena_init(&rules.arena);
    arena_init(&testing.arena);
    if (!events)
        status = problem_set(&why, STATUS_REJECT, "which events? --events FILE says it");
    else if (!names || strcmp(names, "sigma") != 0)
        status = problem_set(&why, STATUS_REJECT, "only events with Sigma's names can be tested yet: --events-as sigma");
    if (!status)
        status = rules_load(cli, &rules, &why);
    if (!status) {
        testing.set = sigma_set_new(rules.list, rules.count);
        testing.scratch = sigma_scratch_new(testing.set);
        status = json_lines_each(events, "an event", event_test, &testing, &why);
        sigma_scratch_free(testing.scratch);
        sigma_set_free(testing.set);
    }
    rules_done(&rules);
    arena_done(&testing.arena);
    return cli_end(status, &why);
}

/* ---- lint ---- */

static enum cli_exit run_lint(const struct cli *cli)
{
    struct rules rules = {.lint = true, .json = cli_given(cli, "json")};
    enum status status;
    struct problem why;

    arena_init(&rules.arena);
    status = rules_load(cli, &rules, &why);
    struct sigma_set *set = sigma_set_new(rules.list, rules.count);
    for (size_t i = 0; i < rules.count; i++)
        lint_print(&rules, rules.files[i], rules.ids[i], NULL, sigma_set_tries(set, i));
    sigma_set_free(set);
    bool refused = rules.refused > 0;
    rules_done(&rules);
    return status ? cli_end(status, &why) : refused ? CLI_NO : CLI_DONE;
}
