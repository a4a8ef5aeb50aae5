#include "detect/engine.h"

#include <assert.h>
#include <stdlib.h>

#include "detect/needles.h"

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

struct engine {
    struct engine_content content;
    struct kind_rules kinds[EVENT_KINDS];
    struct needles *needles;
    struct word_rules *words; /* by needle */
    size_t word_room;
};

struct engine_scratch {
    const struct engine *engine;
    bool wanted[RULES_MAX]; /* of rules with words: one of them was seen */
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

struct engine *engine_new(const struct engine_content *content)
{
    struct engine *engine = calloc(1, sizeof *engine);

    if (!engine)
        abort();
    assert(rules_count <= RULES_MAX);
    engine->content = *content;
    engine->needles = needles_new();
    for (size_t i = 0; i < rules_count; i++) {
        if (content->off && content->off[i])
            continue;
        for (size_t kind = 0; kind < EVENT_KINDS; kind++)
            if (rules[i]->kinds & EVENT_BIT(kind)) {
                engine->kinds[kind].numbers[engine->kinds[kind].count++] = (uint16_t)i;
                engine->kinds[kind].remembers |= rules[i]->remembers;
            }
        for (const char *const *word = rules[i]->words; word && *word; word++)
            word_add(engine, *word, (uint16_t)i);
    }
    needles_build(engine->needles);
    return engine;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    needles_free(engine->needles);
    free(engine->words);
    free(engine);
}

struct engine_scratch *engine_scratch_new(const struct engine *engine)
{
    struct engine_scratch *scratch = calloc(1, sizeof *scratch);

    if (!scratch)
        abort();
    scratch->engine = engine;
    return scratch;
}

void engine_scratch_free(struct engine_scratch *scratch)
{
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

static void event_judge(const struct engine *engine, struct engine_scratch *scratch, struct judging *judging)
{
    const struct event *event = judging->event;
    const struct kind_rules *asked = &engine->kinds[event->kind];
    struct command_line *line = ARENA_NEW(judging->arena, struct command_line);

    judging->line = line;
    if (event->kind == EVENT_PROCESS) {
        struct text text = event->command_line.count ? event->command_line : event->executable;
        command_line_read(text, judging->arena, line);
        memset(scratch->wanted, 0, rules_count * sizeof *scratch->wanted);
        if (text.bytes)
            needles_scan(engine->needles, text, word_seen, scratch);
        if (event->executable.bytes)
            needles_scan(engine->needles, event->executable, word_seen, scratch);
    }
    for (size_t i = 0; i < asked->count; i++) {
        const struct rule *rule = rules[asked->numbers[i]];
        if (event->kind == EVENT_PROCESS && rule->words && !scratch->wanted[asked->numbers[i]])
            continue;
        judging->rule = rule;
        if (rule->command)
            commands_judge(judging);
        else
            rule->judge(judging);
    }
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
