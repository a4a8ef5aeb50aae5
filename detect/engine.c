#include "detect/engine.h"

#include <assert.h>
#include <stdlib.h>

#include "detect/needles.h"
#include "detect/sigma_set.h"

#define RULES_MAX 256

/* Built-in rules by the kind of event that they look at, so that of the others nothing is asked. */
struct kind_rules {
    uint16_t numbers[RULES_MAX];
    size_t count;
    bool remembers;
};

/* Which rules name a word. */
struct word_rules {
    uint16_t numbers[RULES_MAX];
    size_t count;
};

/* The Sigma rules of one log source. */
struct source_rules {
    const struct sigma_source *source;
    const struct sigma_rule **rules;
    size_t *numbers; /* of each in the engine's list */
    size_t count;
    struct sigma_set *set;
};

struct engine {
    struct engine_content content;
    struct finding_about *about; /* of the built-in rules, then of Sigma's */
    struct source_rules *sources;
    size_t source_count;
    struct sigma_correlations *correlations;
    struct kind_rules kinds[EVENT_KINDS];
    struct needles *needles;
    struct word_rules *words; /* by needle */
    size_t word_room;
};

struct engine_scratch {
    const struct engine *engine;
    bool wanted[RULES_MAX]; /* of rules with words: one of them was seen */
    struct sigma_scratch **sources;
};

static void word_add(struct engine *engine, const char *word, uint16_t number)
{
    uint32_t needle = needles_add(engine->needles, text_of(word));

    if (needle >= engine->word_room) {
        size_t grown = 2 * engine->word_room + needle + 64;
        engine->words = realloc(engine->words, grown * sizeof *engine->words);
        if (!engine->words)
            abort();
        memset(engine->words + engine->word_room, 0, (grown - engine->word_room) * sizeof *engine->words);
        engine->word_room = grown;
    }
    struct word_rules *asking = &engine->words[needle];
    if (!asking->count || asking->numbers[asking->count - 1] != number)
        asking->numbers[asking->count++] = number;
}

static void builtin_about(const struct rule *rule, struct finding_about *out)
{
    *out = (struct finding_about){
        .id = text_of(rule->id),
        .title = text_of(rule->title),
        .severity = text_of(rule->severity),
        .description = text_of(rule->fires),
        .tactics = text_of(rule->tactics),
        .techniques = text_of(rule->techniques),
        .remediation = rule->remediation,
    };
}

struct text engine_severity(struct text level)
{
    if (text_equal_nocase(level, TEXT("critical")) || text_equal_nocase(level, TEXT("high")))
        return TEXT("High");
    if (text_equal_nocase(level, TEXT("medium")))
        return TEXT("Medium");
    return text_equal_nocase(level, TEXT("low")) ? TEXT("Low") : TEXT("Informational");
}

static void sigma_about(const struct sigma_rule *rule, struct finding_about *out)
{
    *out = (struct finding_about){
        .id = rule->id.bytes ? rule->id : rule->title,
        .title = rule->title,
        .severity = engine_severity(rule->level),
        .description = rule->description.bytes ? rule->description : TEXT(""),
        .tactics = rule->tactics,
        .techniques = rule->techniques,
    };
}

static void source_fill(struct engine *engine, const struct sigma_source *source)
{
    const struct engine_content *content = &engine->content;
    struct source_rules *of = &engine->sources[engine->source_count];

    of->source = source;
    of->rules = calloc(content->sigma_count, sizeof *of->rules);
    of->numbers = calloc(content->sigma_count, sizeof *of->numbers);
    if (!of->rules || !of->numbers)
        abort();
    for (size_t i = 0; i < content->sigma_count; i++)
        if (content->sigma[i]->condition && !content->sigma[i]->filtered_count && sigma_source_covers(source, content->sigma[i])) {
            of->numbers[of->count] = i;
            of->rules[of->count++] = content->sigma[i];
            for (size_t kind = 0; kind < EVENT_KINDS; kind++)
                engine->kinds[kind].remembers |= sigma_source_kinds(source) & EVENT_BIT(kind) && sigma_correlations_count(engine->correlations, i);
        }
    if (!of->count) {
        free(of->rules);
        free(of->numbers);
        *of = (struct source_rules){.source = NULL};
        return;
    }
    of->set = sigma_set_new(of->rules, of->count);
    engine->source_count++;
}

static void sigma_fill(struct engine *engine)
{
    const struct engine_content *content = &engine->content;

    for (size_t i = 0; i < content->sigma_count; i++)
        sigma_about(content->sigma[i], &engine->about[builtin_rules_count + i]);
    if (!content->sigma_count || !content->mapping)
        return;
    engine->correlations = sigma_correlations_new(content->sigma, content->sigma_count);
    engine->sources = calloc(sigma_mapping_count(content->mapping), sizeof *engine->sources);
    if (!engine->sources)
        abort();
    for (size_t i = 0; i < sigma_mapping_count(content->mapping); i++)
        source_fill(engine, sigma_mapping_source(content->mapping, i));
}

struct engine *engine_new(const struct engine_content *content)
{
    struct engine *engine = calloc(1, sizeof *engine);

    if (!engine)
        abort();
    assert(builtin_rules_count <= RULES_MAX);
    engine->content = *content;
    engine->about = calloc(builtin_rules_count + content->sigma_count, sizeof *engine->about);
    if (!engine->about)
        abort();
    engine->needles = needles_new();
    for (size_t i = 0; i < builtin_rules_count; i++) {
        builtin_about(builtin_rules[i], &engine->about[i]);
        if (content->off && content->off[i])
            continue;
        for (size_t kind = 0; kind < EVENT_KINDS; kind++)
            if (builtin_rules[i]->kinds & EVENT_BIT(kind)) {
                engine->kinds[kind].numbers[engine->kinds[kind].count++] = (uint16_t)i;
                engine->kinds[kind].remembers |= builtin_rules[i]->remembers;
            }
        for (const char *const *word = builtin_rules[i]->words; word && *word; word++)
            word_add(engine, *word, (uint16_t)i);
    }
    needles_build(engine->needles);
    sigma_fill(engine);
    return engine;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    for (size_t i = 0; i < engine->source_count; i++) {
        sigma_set_free(engine->sources[i].set);
        free(engine->sources[i].rules);
        free(engine->sources[i].numbers);
    }
    free(engine->sources);
    sigma_correlations_free(engine->correlations);
    needles_free(engine->needles);
    free(engine->about);
    free(engine->words);
    free(engine);
}

struct engine_scratch *engine_scratch_new(const struct engine *engine)
{
    struct engine_scratch *scratch = calloc(1, sizeof *scratch);

    if (!scratch)
        abort();
    scratch->engine = engine;
    scratch->sources = calloc(engine->source_count + 1, sizeof(struct sigma_scratch *));
    if (!scratch->sources)
        abort();
    for (size_t i = 0; i < engine->source_count; i++)
        scratch->sources[i] = sigma_scratch_new(engine->sources[i].set);
    return scratch;
}

void engine_scratch_free(struct engine_scratch *scratch)
{
    if (!scratch)
        return;
    for (size_t i = 0; i < scratch->engine->source_count; i++)
        sigma_scratch_free(scratch->sources[i]);
    free(scratch->sources);
    free(scratch);
}

bool engine_remembers(const struct engine *engine, const struct event *event)
{
    return engine->kinds[event->kind].remembers;
}

static void word_seen(void *context, uint32_t needle)
{
    struct engine_scratch *scratch = context;
    const struct word_rules *asking = &scratch->engine->words[needle];

    for (size_t i = 0; i < asking->count; i++)
        scratch->wanted[asking->numbers[i]] = true;
}

static void commands_judge(struct judging *judging)
{
    for (size_t i = 0; i < judging->line->count; i++) {
        const struct command *command = &judging->line->commands[i];
        const char *wrong = judging->rule->command(judging, command);
        if (wrong) {
            finding_command(judging, command, wrong);
            return;
        }
    }
}

/* ---- Sigma ---- */

struct sigma_judging {
    const struct engine *engine;
    const struct source_rules *of;
    struct judging *judging;
    const struct sigma_event *event; /* with the source's names */
    const struct sigma_found *found; /* of the match that is looked at */
    size_t found_count;
};

/* Sigma has no word for it: what an analyst would name first. */
static struct text sigma_cause(const struct judging *judging)
{
    const struct event *event = judging->event;
    struct text program = event_base_name(event->executable);

    if (event->kind == EVENT_PROCESS)
        return program.count || !judging->line->count ? program : judging->line->commands[0].name;
    if (event->path.count)
        return event->path;
    if (event->domain.count)
        return event->domain;
    return event->remote_address.count ? event->remote_address : event->user;
}

static void sigma_tell(void *context, size_t rule)
{
    struct sigma_judging *sigma = context;
    struct judging *judging = sigma->judging;
    const struct sigma_rule *told = sigma->engine->content.sigma[rule];

    judging->about = &sigma->engine->about[builtin_rules_count + rule];
    for (const struct finding *said = judging->findings->first; said; said = said->next)
        if (said->about == judging->about && said->event == judging->event)
            return; /* another source of the same event has said so */
    struct finding *finding = finding_add(judging, sigma_cause(judging));
    if (told->correlation)
        finding_reason(finding, "", TEXT("the last of the matches that the correlation counts"), TEXT_NONE);
    for (size_t i = 0; i < sigma->found_count && finding->reason_count < FINDING_REASONS_MAX; i++) {
        const struct sigma_found *found = &sigma->found[i];
        struct text name = found->field ? found->field->name : found->clause->field.bytes ? found->clause->field : TEXT("");
        finding->reasons[finding->reason_count++] = (struct finding_reason){name, found->clause->printed, found->field ? found->field->value : TEXT_NONE};
    }
}

static void sigma_count(void *context, const struct sigma_hit *hit)
{
    struct sigma_judging *sigma = context;
    struct findings *findings = sigma->judging->findings;
    struct finding_hit *out = ARENA_NEW(sigma->judging->arena, struct finding_hit);

    *out = (struct finding_hit){
        .about = &sigma->engine->about[builtin_rules_count + hit->by],
        .hit = *hit,
        .timespan_us = sigma->engine->content.sigma[hit->by]->correlation->timespan_us,
        .event = sigma->judging->event,
    };
    *(findings->last_hit ? &findings->last_hit->next : &findings->first_hit) = out;
    findings->last_hit = out;
}

static void sigma_matched_one(void *context, size_t rule, const struct sigma_found *found, size_t found_count)
{
    struct sigma_judging *sigma = context;
    const struct event *event = sigma->judging->event;

    sigma->found = found;
    sigma->found_count = found_count;
    sigma_correlations_match(sigma->engine->correlations, sigma->of->numbers[rule], sigma->event, event->at_us, event->hits, sigma->judging->memory, sigma->judging->arena,
                             &(struct sigma_hearer){sigma_tell, sigma_count, sigma});
}

static void sigma_judge(const struct engine *engine, struct engine_scratch *scratch, struct judging *judging)
{
    for (size_t i = 0; i < engine->source_count; i++) {
        struct sigma_event fields;
        struct sigma_judging sigma = {.engine = engine, .of = &engine->sources[i], .judging = judging, .event = &fields};
        if (!(sigma_source_kinds(sigma.of->source) & EVENT_BIT(judging->event->kind)))
            continue;
        sigma_source_fields(sigma.of->source, judging->event, judging->line, judging->arena, &fields);
        sigma_set_match(sigma.of->set, scratch->sources[i], &fields, sigma_matched_one, &sigma);
    }
}

static void event_judge(const struct engine *engine, struct engine_scratch *scratch, struct judging *judging)
{
    const struct event *event = judging->event;
    const struct kind_rules *asked = &engine->kinds[event->kind];
    struct command_line *line = ARENA_NEW(judging->arena, struct command_line);

    judging->line = line;
    if (event->kind == EVENT_PROCESS) {
        struct text text = event->command_line.count ? event->command_line : event->executable;
        command_line_read(text, judging->arena, line);
        memset(scratch->wanted, 0, builtin_rules_count * sizeof *scratch->wanted);
        if (text.bytes)
            needles_scan(engine->needles, text, word_seen, scratch);
        if (event->executable.bytes)
            needles_scan(engine->needles, event->executable, word_seen, scratch);
    }
    for (size_t i = 0; i < asked->count; i++) {
        const struct rule *rule = builtin_rules[asked->numbers[i]];
        if (event->kind == EVENT_PROCESS && rule->words && !scratch->wanted[asked->numbers[i]])
            continue;
        judging->rule = rule;
        judging->about = &engine->about[asked->numbers[i]];
        if (rule->command)
            commands_judge(judging);
        else
            rule->judge(judging);
    }
    judging->rule = NULL;
    sigma_judge(engine, scratch, judging);
}

void engine_judge(const struct engine *engine, struct engine_scratch *scratch, const struct event *events, size_t count, struct memory *memory, struct arena *arena,
                  struct findings *findings)
{
    struct judging judging = {.memory = memory, .indicators = engine->content.indicators, .arena = arena, .findings = findings};

    for (size_t i = 0, size; i < count; i += size) {
        size = 1;
        while (i + size < count && events[i].group.bytes && text_equal(events[i].group, events[i + size].group) && text_equal(events[i].name, events[i + size].name))
            size++;
        judging.group = events + i;
        judging.group_count = size;
        for (size_t k = 0; k < size; k++) {
            judging.event = &events[i + k];
            event_judge(engine, scratch, &judging);
        }
    }
}

bool engine_spanning(const struct engine *engine, struct text id, struct engine_spanning *out)
{
    const struct finding_about *about = engine->about + builtin_rules_count;

    for (size_t i = 0; i < engine->content.sigma_count; i++)
        if (text_equal(about[i].id, id) && sigma_correlation_spans(engine->content.sigma[i])) {
            *out = (struct engine_spanning){i, &about[i], engine->content.sigma[i]->correlation};
            return true;
        }
    return false;
}

bool engine_hit_completes(const struct engine *engine, const struct sigma_hit *hit, struct memory *memory, struct arena *arena)
{
    return sigma_hit_completes(engine->content.sigma[hit->by], hit, memory, arena);
}
