#include <stdlib.h>

#include "detect/engine.h"
#include "detect/finding_json.h"
#include "wire/json_reader.h"

/* Whatever a device sends as events: a name and details on a line, judged one after the other by all that is built in. What is found is
 * JSON, what is remembered is bounded, and reads back as it was written. */
#define EVENTS_MAX 200
#define DEPTH 30

static struct engine *engine;
static struct engine_scratch *scratch;

static void is_json(const struct buf *text)
{
    struct picket_json_reader reader;
    struct picket_json_token token;
    enum picket_json_kind kind;

    if (buf_failed(text))
        __builtin_trap();
    picket_json_init(&reader, text->bytes, text->count, DEPTH);
    while ((kind = picket_json_next(&reader, &token)) != PICKET_JSON_END)
        if (kind == PICKET_JSON_ERROR)
            __builtin_trap();
}

static void findings_look(const struct findings *findings)
{
    struct buf out;

    buf_init(&out, 8 << 20);
    for (const struct finding *finding = findings->first; finding; finding = finding->next) {
        if (!finding->reason_count || !text_utf8_valid(finding->cause))
            __builtin_trap();
        buf_clear(&out);
        finding_write_reasons(finding, &out);
        is_json(&out);
        buf_clear(&out);
        finding_write_entities(finding, &out);
        is_json(&out);
        buf_clear(&out);
        finding_write_properties(finding, &out);
        is_json(&out);
    }
    buf_done(&out);
}

static void memory_look(const struct memory *memory, struct arena *arena)
{
    struct buf once, twice;

    buf_init(&once, MEMORY_BYTES_MAX);
    buf_init(&twice, MEMORY_BYTES_MAX);
    memory_write(memory, &once);
    is_json(&once);
    memory_write(memory_read(buf_as_text(&once), arena), &twice);
    if (!text_equal(buf_as_text(&once), buf_as_text(&twice)))
        __builtin_trap();
    buf_done(&twice);
    buf_done(&once);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct text rest = {(const char *)bytes, count}, line, name;
    struct indicators *indicators = NULL;
    struct arena arena;

    if (!engine) {
        indicators = indicators_new();
        (void)indicators_add(indicators, indicators_feed(indicators, TEXT("f")), TEXT("203.0.113.66"));
        (void)indicators_add(indicators, indicators_feed(indicators, TEXT("f")), TEXT("c2.example"));
        engine = engine_new(&(struct engine_content){.indicators = indicators});
        scratch = engine_scratch_new(engine);
    }
    arena_init(&arena);
    struct memory *memory = memory_new(&arena);
    for (int i = 0; rest.bytes && i < EVENTS_MAX; i++) {
        struct findings findings = {.count = 0};
        struct event event;
        rest = text_cut(rest, '\n', &line);
        struct text details = text_cut(line, ' ', &name);
        const struct event_source source = {.id = TEXT("e"), .name = name, .details = details.bytes ? details : TEXT("{}"), .at_us = INT64_C(1790000000000000) + i * INT64_C(1000000)};
        if (!event_read(&source, &arena, &event))
            continue;
        engine_judge(engine, scratch, &event, 1, memory, &arena, &findings);
        findings_look(&findings);
    }
    memory_look(memory, &arena);
    arena_done(&arena);
    return 0;
}
