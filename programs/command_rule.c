#include "programs/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "detect/engine.h"
#include "detect/sigma_correlation.h"
#include "detect/sigma_parse.h"
#include "detect/sigma_set.h"
#include "programs/json_lines.h"
#include "programs/rule_files.h"
#include "runtime/buf.h"
#include "runtime/clock.h"
#include "runtime/process.h"

#define FILES_MAX 100000
#define FIELDS_MAX 2000 /* of one event */
#define DEPTH_MAX 20
#define MAPPING_BYTES_MAX (1 << 20)
#define DETAILS_BYTES_MAX (16 << 20)

/* Rules that were read, and the one event that they are looking at. */
struct rules {
    struct arena arena;
    const struct sigma_rule **list;
    struct text *ids;
    const char **files;
    size_t count, room, refused;
    const char *file;
    bool lint, json; /* refusals are the answer, and not beside it */
    bool optional;   /* there may be none */
};

/* What a device of the events is remembered by. */
struct device_memory {
    struct device_memory *next;
    struct text device;
    struct memory *memory;
};

struct testing {
    const struct rules *rules;
    struct sigma_set *set;
    struct sigma_scratch *scratch;
    struct sigma_correlations *correlations;
    const struct sigma_found *found; /* of the match that is looked at */
    size_t found_count;
    /* Where the events are Picket's: */
    struct engine *engine;
    struct engine_scratch *engine_scratch;
    struct arena memories;
    struct device_memory *devices;
    struct memory *fleet; /* of all of them */
    bool json;
    const json_t *event; /* the one that is looked at, and its line */
    size_t number;
    struct arena arena;
    struct sigma_field fields[FIELDS_MAX];
    size_t field_count;
};

static enum cli_exit run_test(const struct cli *cli);
static enum cli_exit run_lint(const struct cli *cli);
static enum cli_exit run_catalogue(const struct cli *cli);

static const struct cli_flag test_flags[] = {
    {"rules", "PATH", "A file of rules, or a folder of them with all that lies within; may be said several times."},
    {"events", "FILE", "Events, a JSON object a line."},
    {"events-as", "NAMES", "Whose names the events' fields bear: picket (default; as GET /v1/events answers) or sigma."},
    {"built-in", NULL, "Ask the built-in detections as well; of Picket's events."},
    {"mapping", "FILE", "What Sigma's log sources are among Picket's events, instead of the mapping that is built in."},
};
static const struct cli_flag lint_flags[] = {
    {"mapping", "FILE", "What Sigma's log sources are among Picket's events, instead of the mapping that is built in."},
};

const struct cli_verb rule_verbs[] = {
    {"rule test", "[PATH...]", "Say which rules match which events, and by which field: a line a match.",
     "PATHs are more of --rules. Of Picket's events each rule sees those that its logsource is mapped to, with Sigma's names; of events with\n"
     "Sigma's names it sees all. A rule that cannot be understood wholly is refused on stderr, with its file, its id and the reason; the\n"
     "others are tested. Of events with Sigma's names the time is read from @timestamp, timestamp, time_stamp, UtcTime, TimeCreated, TimeGenerated, EventTime\n"
     "or time; without one, correlations take all events for simultaneous.",
     CLI_FLAGS(test_flags), CLI_JSON, 0, FILES_MAX, run_test},
    {"rule lint", "PATH...", "Say of each rule whether it is understood, what about it is costly, and whether it can match: a line each.",
     "A PATH is a file of rules, or a folder of them with all that lies within. Exit 1 when a rule was refused.", CLI_FLAGS(lint_flags), CLI_JSON, 1,
     FILES_MAX, run_lint},
    {"rule catalogue", "", "Print the built-in detections as a page in Markdown: docs/detections.md.", NULL, CLI_NO_FLAGS, 0, 0, 0, run_catalogue},
};
const size_t rule_verb_count = sizeof rule_verbs / sizeof rule_verbs[0];

/* ---- rules ---- */

static void lint_print(const struct rules *rules, const char *file, struct text id, const char *reason, const char *const *warnings)
{
    if (!rules->json) {
        printf("%s: %.*s: %s", file, TEXT_ARGS(id.bytes ? id : TEXT("no id")), reason ? reason : *warnings ? "" : "ok");
        for (; !reason && *warnings; warnings++)
            printf("%s%s", *warnings, warnings[1] ? "; " : "");
        putchar('\n');
        return;
    }
    json_t *line = json_pack("{s:s,s:o,s:b}", "file", file, "rule", id.bytes ? json_stringn(id.bytes, id.count) : json_null(), "ok", !reason);
    if (reason)
        json_object_set_new(line, "reason", json_string(reason));
    if (!reason && *warnings) {
        json_t *list = json_array();
        for (; *warnings; warnings++)
            json_array_append_new(list, json_string(*warnings));
        json_object_set_new(line, "warnings", list);
    }
    json_dumpf(line, stdout, JSON_COMPACT);
    json_decref(line);
    putchar('\n');
}

static void rule_take(void *context, const struct sigma_rule *rule, struct text id, const char *reason)
{
    struct rules *rules = context;

    if (!rule) {
        if (rules->lint)
            lint_print(rules, rules->file, id, reason, NULL);
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

static enum status file_load(void *context, const char *path, struct text content, struct problem *why)
{
    struct rules *rules = context;
    struct problem broken;

    (void)why;
    rules->file = arena_string(&rules->arena, text_of(path));
    if (sigma_parse(content, &rules->arena, rule_take, rules, &broken))
        rule_take(rules, NULL, TEXT_NONE, broken.text);
    return STATUS_OK;
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
        status = rule_files_each(path, file_load, rules, why);
    for (int i = 0; !status && (path = cli_argument(cli, i)); i++)
        status = rule_files_each(path, file_load, rules, why);
    if (!status && !rules->count && !rules->refused && !rules->optional)
        return problem_set(why, STATUS_REJECT, "there are no rules: name a file or a folder of .yml files with --rules");
    return status;
}

static enum status mapping_load(const struct cli *cli, struct arena *arena, struct sigma_mapping **out, struct problem *why)
{
    const char *path = cli_value(cli, "mapping");
    struct buf content;

    if (!path)
        return sigma_mapping_read(sigma_mapping_builtin(), arena, out, why);
    buf_init(&content, MAPPING_BYTES_MAX);
    enum status status = process_read_file(path, MAPPING_BYTES_MAX, &content, why);
    if (!status)
        status = sigma_mapping_read(arena_text(arena, buf_as_text(&content)), arena, out, why);
    if (status == STATUS_REJECT)
        problem_prefix(why, "%s", path);
    buf_done(&content);
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

static struct memory *memory_of(struct testing *testing, struct text device)
{
    struct device_memory *found = testing->devices;

    while (found && !text_equal(found->device, device))
        found = found->next;
    if (found)
        return found->memory;
    found = ARENA_NEW(&testing->memories, struct device_memory);
    *found = (struct device_memory){testing->devices, arena_text(&testing->memories, device), memory_new(&testing->memories)};
    testing->devices = found;
    return found->memory;
}

static void rule_told(void *context, size_t rule)
{
    const struct testing *testing = context;
    const struct rules *rules = testing->rules;
    size_t count = rules->list[rule]->correlation ? 0 : testing->found_count; /* a correlation has no clauses of its own */

    if (testing->json)
        match_print_json(testing->event, testing->number, rules->ids[rule], testing->found, count);
    else
        match_print(testing->event, testing->number, rules->list[rule], rules->ids[rule], testing->found, count);
}

/* When it happened, by the names that events with Sigma's names have for it; 0: none of them is there. */
static int64_t event_time(const struct testing *testing)
{
    static const char *const names[] = {"@timestamp", "timestamp", "UtcTime", "TimeCreated", "time", "EventTime", "time_stamp", "TimeGenerated", NULL};
    int64_t at_us = 0;

    for (size_t i = 0; i < testing->field_count; i++)
        if (text_among(testing->fields[i].name, names) && testing->fields[i].value.bytes && clock_parse(testing->fields[i].value, &at_us))
            return at_us;
    return 0;
}

static void matched(void *context, size_t rule, const struct sigma_found *found, size_t count)
{
    struct testing *testing = context;
    const struct sigma_event seen = {testing->fields, testing->field_count};

    testing->found = found;
    testing->found_count = count;
    sigma_correlations_match(testing->correlations, rule, &seen, event_time(testing), 1, memory_of(testing, TEXT("")), &testing->arena,
                             &(struct sigma_hearer){rule_told, NULL, testing});
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

/* ---- Picket's events ---- */

static struct text string_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? (struct text){json_string_value(value), json_string_length(value)} : TEXT("");
}

static void finding_print(const struct testing *testing, const struct finding *finding)
{
    json_t *id = json_object_get(testing->event, "event_id");

    if (testing->json) {
        json_t *matched = json_array();
        for (size_t i = 0; i < finding->reason_count; i++)
            json_array_append_new(matched, json_pack("{s:s%,s:s%}", "field", finding->reasons[i].field.bytes, finding->reasons[i].field.count, "clause",
                                                     finding->reasons[i].clause.bytes, finding->reasons[i].clause.count));
        json_t *line = json_pack("{s:o,s:s%,s:o}", "event", id ? json_incref(id) : json_integer((json_int_t)testing->number), "rule", finding->about->id.bytes,
                                 finding->about->id.count, "matched", matched);
        json_dumpf(line, stdout, JSON_COMPACT);
        json_decref(line);
        putchar('\n');
        return;
    }
    if (json_is_string(id))
        printf("%s", json_string_value(id));
    else
        printf("%zu", testing->number);
    printf("  %.*s  %.*s:", TEXT_ARGS(finding->about->id), TEXT_ARGS(finding->about->title));
    for (size_t i = 0; i < finding->reason_count; i++)
        printf("%s %.*s", i ? ";" : "", TEXT_ARGS(finding->reasons[i].clause));
    putchar('\n');
}

/* As GET /v1/events answers: a name, and details as an object. */
static enum status picket_event_test(void *context, json_t *object, size_t number, struct problem *why)
{
    struct testing *testing = context;
    struct findings findings = {.count = 0};
    struct text time = string_of(object, "time_stamp");
    json_t *details = json_object_get(object, "details");
    struct event event;

    if (!string_of(object, "name").count || !json_is_object(details))
        return problem_set(why, STATUS_REJECT, "an event has a name, and details as an object (with Sigma's names it is --events-as sigma)");
    arena_clear(&testing->arena);
    testing->event = object;
    testing->number = number;
    char *text = json_dumps(details, JSON_COMPACT);
    struct event_source source = {.id = string_of(object, "event_id"), .name = string_of(object, "name"), .details = arena_text(&testing->arena, text_of(text))};
    free(text);
    if (time.count && !clock_parse(time, &source.at_us))
        return problem_set(why, STATUS_REJECT, "\"time_stamp\" is a time: 2026-01-31T10:20:30Z");
    if (json_is_integer(json_object_get(object, "hit_count")) && json_integer_value(json_object_get(object, "hit_count")) > 0)
        source.hits = (uint64_t)json_integer_value(json_object_get(object, "hit_count"));
    if (!event_read(&source, &testing->arena, &event))
        return STATUS_OK;
    engine_judge(testing->engine, testing->engine_scratch, &event, 1, memory_of(testing, string_of(object, "device")), &testing->arena, &findings);
    for (const struct finding *finding = findings.first; finding; finding = finding->next)
        finding_print(testing, finding);
    for (const struct finding_hit *hit = findings.first_hit; hit; hit = hit->next) {
        struct finding finding = {.about = hit->about, .event = hit->event};
        if (!engine_hit_completes(testing->engine, &hit->hit, testing->fleet, &testing->arena))
            continue;
        finding_reason(&finding, "", TEXT("the last of the matches that the correlation counts, on any device"), TEXT_NONE);
        finding_print(testing, &finding);
    }
    return STATUS_OK;
}

/* A correlation of a rule that is not there never fires. */
static void references_check(const struct testing *testing)
{
    for (size_t i = 0; i < testing->rules->count; i++) {
        struct text lacking = sigma_correlations_lacking(testing->correlations, i);
        if (lacking.bytes)
            fprintf(stderr, "%s: %.*s: it names the rule %.*s, which is not there\n", testing->rules->files[i], TEXT_ARGS(testing->rules->ids[i]), TEXT_ARGS(lacking));
    }
}

static enum status picket_events_test(const struct cli *cli, struct testing *testing, const char *events, struct problem *why)
{
    struct engine_content content = {.sigma = testing->rules->list, .sigma_count = testing->rules->count};
    bool *off = calloc(builtin_rules_count, sizeof *off);
    struct sigma_mapping *mapping = NULL;

    if (!off)
        abort();
    for (size_t i = 0; i < builtin_rules_count; i++)
        off[i] = !cli_given(cli, "built-in");
    content.off = off;
    arena_init(&testing->memories);
    testing->fleet = memory_new(&testing->memories);
    enum status status = mapping_load(cli, &testing->memories, &mapping, why);
    content.mapping = mapping;
    for (size_t i = 0; !status && i < testing->rules->count; i++) {
        const char *never = sigma_mapping_never(mapping, testing->rules->list[i], &testing->memories);
        if (never)
            fprintf(stderr, "%s: %.*s: %s\n", testing->rules->files[i], TEXT_ARGS(testing->rules->ids[i]), never);
    }
    testing->correlations = sigma_correlations_new(testing->rules->list, testing->rules->count);
    references_check(testing);
    sigma_correlations_free(testing->correlations);
    if (!status) {
        testing->engine = engine_new(&content);
        testing->engine_scratch = engine_scratch_new(testing->engine);
        status = json_lines_each(events, "an event", picket_event_test, testing, why);
    }
    engine_scratch_free(testing->engine_scratch);
    engine_free(testing->engine);
    arena_done(&testing->memories);
    free(off);
    return status;
}

static enum status sigma_events_test(struct testing *testing, const char *events, struct problem *why)
{
    testing->set = sigma_set_new(testing->rules->list, testing->rules->count);
    testing->scratch = sigma_scratch_new(testing->set);
    testing->correlations = sigma_correlations_new(testing->rules->list, testing->rules->count);
    arena_init(&testing->memories);
    references_check(testing);
    enum status status = json_lines_each(events, "an event", event_test, testing, why);
    sigma_correlations_free(testing->correlations);
    arena_done(&testing->memories);
    sigma_scratch_free(testing->scratch);
    sigma_set_free(testing->set);
    return status;
}

static enum cli_exit run_test(const struct cli *cli)
{
    const char *events = cli_value(cli, "events"), *names = cli_value(cli, "events-as");
    struct rules rules = {.optional = cli_given(cli, "built-in")};
    bool sigma = names && strcmp(names, "sigma") == 0;
    struct testing testing = {.rules = &rules, .json = cli_given(cli, "json")};
    enum status status = STATUS_OK;
    struct problem why;

    arena_init(&rules.arena);
    arena_init(&testing.arena);
    if (!events)
        status = problem_set(&why, STATUS_REJECT, "which events? --events FILE says it");
    else if (names && strcmp(names, "sigma") != 0 && strcmp(names, "picket") != 0)
        status = problem_set(&why, STATUS_REJECT, "--events-as is picket or sigma, and not %s", names);
    else if (sigma && cli_given(cli, "built-in"))
        status = problem_set(&why, STATUS_REJECT, "the built-in detections look at Picket's events, and not at those with Sigma's names");
    if (!status)
        status = rules_load(cli, &rules, &why);
    if (!status)
        status = sigma ? sigma_events_test(&testing, events, &why) : picket_events_test(cli, &testing, events, &why);
    rules_done(&rules);
    arena_done(&testing.arena);
    return cli_end(status, &why);
}

/* ---- lint ---- */

static enum cli_exit run_lint(const struct cli *cli)
{
    struct rules rules = {.lint = true, .json = cli_given(cli, "json")};
    struct sigma_mapping *mapping = NULL;
    struct problem why;

    arena_init(&rules.arena);
    enum status status = mapping_load(cli, &rules.arena, &mapping, &why);
    if (!status)
        status = rules_load(cli, &rules, &why);
    struct sigma_set *set = sigma_set_new(rules.list, rules.count);
    for (size_t i = 0; !status && i < rules.count; i++) {
        const char *warnings[3] = {NULL}, *never = sigma_mapping_never(mapping, rules.list[i], &rules.arena);
        size_t count = 0;
        if (never)
            warnings[count++] = never;
        if (sigma_set_tries(set, i))
            warnings[count++] = "no text of three letters is demanded: it is tried on every event";
        lint_print(&rules, rules.files[i], rules.ids[i], NULL, warnings);
    }
    sigma_set_free(set);
    bool refused = rules.refused > 0;
    rules_done(&rules);
    return status ? cli_end(status, &why) : refused ? CLI_NO : CLI_DONE;
}

/* ---- catalogue ---- */

static void samples_print(const struct rule *rule, bool fires)
{
    printf("\n%s\n\n```\n", fires ? "Fires:" : "Does not:");
    for (size_t i = 0; i < rule->sample_count; i++)
        if (rule->samples[i].fires == fires)
            printf("%s\n", rule->samples[i].events);
    printf("```\n");
}

static enum cli_exit run_catalogue(const struct cli *cli)
{
    (void)cli;
    printf("# Built-in detections\n\n"
           "Written by `make docs` from the detections themselves. How they are run, tuned and switched: [detection.md](detection.md).\n\n"
           "Each has samples that must fire and near misses that must not, which the tests run: `$ ` is a command line of a process; another line is an event's name and\n"
           "details; `+30` is seconds since the line before, `x5` that many of them, in which `#` is the number of each.\n\n"
           "| severity | id | |\n|---|---|---|\n");
    for (size_t i = 0; i < builtin_rules_count; i++)
        printf("| %s | [`%s`](#%s) | %s |\n", builtin_rules[i]->severity, builtin_rules[i]->id, builtin_rules[i]->id, builtin_rules[i]->title);
    for (size_t i = 0; i < builtin_rules_count; i++) {
        const struct rule *rule = builtin_rules[i];
        printf("\n## %s\n\n**%s** (%s). %s; %s.\n\n| | |\n|---|---|\n", rule->id, rule->title, rule->severity, rule->tactics, rule->techniques);
        printf("| fires on | %s |\n| does not fire on | %s |\n| needs | %s |\n| tuning | %s |\n", rule->fires, rule->spares, rule->needs, rule->tuning);
        for (size_t k = 0; rule->remediation[k]; k++)
            printf("| %s | %s |\n", k ? "" : "what to do", rule->remediation[k]);
        samples_print(rule, true);
        samples_print(rule, false);
    }
    return CLI_DONE;
}
