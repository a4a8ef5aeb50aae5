#include <stdlib.h>

#include "detect/engine.h"
#include "runtime/buf.h"

/* Command lines as devices tell them, one after the other with a zero byte between, judged by all that is built in. */
#define LINES_MAX 50

static struct engine *engine;
static struct engine_scratch *scratch;

static void details_write(struct text line, struct buf *out)
{
    buf_clear(out);
    buf_string(out, "{\"CommandLine\":\"");
    for (size_t i = 0; i < line.count; i++) {
        unsigned char byte = (unsigned char)line.bytes[i];
        if (byte < 0x20 || byte > 0x7E || byte == '"' || byte == '\\')
            buf_format(out, "\\u%04x", byte);
        else
            buf_byte(out, (char)byte);
    }
    buf_string(out, "\",\"UserName\":\"www-data\"}");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct text rest = {(const char *)bytes, count}, line;
    struct arena arena;
    struct buf details;

    if (!engine) {
        engine = engine_new(&(struct engine_content){.indicators = NULL});
        scratch = engine_scratch_new(engine);
    }
    arena_init(&arena);
    buf_init(&details, 8 << 20);
    struct memory *memory = memory_new(&arena);
    for (int i = 0; rest.bytes && i < LINES_MAX; i++) {
        struct findings findings = {.count = 0};
        struct event event;
        rest = text_cut(rest, '\0', &line);
        details_write(line, &details);
        const struct event_source source = {.id = TEXT("e"), .name = TEXT("ProcessCreate"), .details = arena_text(&arena, buf_as_text(&details)),
                                            .at_us = INT64_C(1790000000000000) + i * INT64_C(1000000)};
        if (event_read(&source, &arena, &event))
            engine_judge(engine, scratch, &event, 1, memory, &arena, &findings);
    }
    buf_done(&details);
    arena_done(&arena);
    return 0;
}
