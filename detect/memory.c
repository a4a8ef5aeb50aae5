#include "detect/memory.h"

#include <stdio.h>
#include <string.h>

#include "wire/json_reader.h"

#define FORMAT 1
#define DEPTH 5
#define SUM_DIGITS 16

struct mark {
    int64_t at_us;
    uint64_t times;
    struct text value;
};

struct trace {
    struct trace *next; /* the one that was touched before it */
    struct text rule, key;
    struct mark *marks; /* in the order of their notes */
    size_t count, room;
};

struct memory {
    struct arena *arena;
    struct trace *newest;
    bool changed;
};

/* What is longer is cut, and keeps a sum of all its bytes, so that two long ones of one beginning are not taken for the same. */
static struct text shortened(struct text value, char room[MEMORY_VALUE_MAX + 1])
{
    uint64_t sum = UINT64_C(0xCBF29CE484222325); /* FNV-1a */
    size_t kept = MEMORY_VALUE_MAX - SUM_DIGITS;

    if (value.count <= MEMORY_VALUE_MAX)
        return value.bytes ? value : TEXT("");
    for (size_t i = 0; i < value.count; i++)
        sum = (sum ^ (unsigned char)value.bytes[i]) * UINT64_C(0x100000001B3);
    while (kept && !text_utf8_valid((struct text){value.bytes, kept}))
        kept--; /* within a character */
    memcpy(room, value.bytes, kept);
    snprintf(room + kept, SUM_DIGITS + 1, "%016llx", (unsigned long long)sum);
    return (struct text){room, kept + SUM_DIGITS};
}

struct memory *memory_new(struct arena *arena)
{
    struct memory *memory = ARENA_NEW(arena, struct memory);

    memory->arena = arena;
    return memory;
}

bool memory_changed(const struct memory *memory)
{
    return memory->changed;
}

static struct trace *trace_find(const struct memory *memory, struct text rule, struct text key)
{
    char room[MEMORY_VALUE_MAX + 1];

    key = shortened(key, room);
    for (struct trace *trace = memory->newest; trace; trace = trace->next)
        if (text_equal(trace->key, key) && text_equal(trace->rule, rule))
            return trace;
    return NULL;
}

static void trace_unlink(struct memory *memory, const struct trace *gone)
{
    for (struct trace **link = &memory->newest; *link; link = &(*link)->next)
        if (*link == gone) {
            *link = gone->next;
            return;
        }
}

/* Makes room among the rule's own: never for the trace that was just touched, which is the newest. */
static void traces_evict(struct memory *memory, struct text rule)
{
    for (;;) {
        struct trace *oldest = NULL;
        size_t traces = 0, marks = 0;
        for (struct trace *trace = memory->newest; trace; trace = trace->next)
            if (text_equal(trace->rule, rule)) {
                traces++;
                marks += trace->count;
                oldest = trace;
            }
        if (traces <= 1 || (traces <= MEMORY_TRACES_MAX && marks <= MEMORY_RULE_MARKS_MAX))
            return;
        trace_unlink(memory, oldest);
    }
}

/* The trace, touched. */
static struct trace *trace_touch(struct memory *memory, struct text rule, struct text key)
{
    struct trace *trace = trace_find(memory, rule, key);

    if (trace) {
        trace_unlink(memory, trace);
    } else {
        trace = ARENA_NEW(memory->arena, struct trace);
        trace->rule = arena_text(memory->arena, rule);
        trace->key = arena_text(memory->arena, key);
    }
    trace->next = memory->newest;
    memory->newest = trace;
    return trace;
}

static void mark_add(struct memory *memory, struct trace *trace, const struct mark *mark)
{
    if (trace->count == MEMORY_MARKS_MAX) {
        if (text_equal(trace->marks[0].value, trace->marks[1].value))
            trace->marks[1].times += trace->marks[0].times;
        memmove(trace->marks, trace->marks + 1, (trace->count - 1) * sizeof *trace->marks);
        trace->count--;
    }
    if (trace->count == trace->room) {
        struct mark *grown = ARENA_ARRAY(memory->arena, struct mark, 2 * trace->room + 4);
        if (trace->count)
            memcpy(grown, trace->marks, trace->count * sizeof *grown);
        trace->marks = grown;
        trace->room = 2 * trace->room + 4;
    }
    trace->marks[trace->count++] = *mark;
}

void memory_note(struct memory *memory, const char *rule, struct text key, struct text value, uint64_t times, int64_t at_us, int64_t keep_us)
{
    char key_room[MEMORY_VALUE_MAX + 1], value_room[MEMORY_VALUE_MAX + 1];
    struct trace *trace = trace_touch(memory, text_of(rule), shortened(key, key_room));
    int64_t newest_us = at_us;
    size_t kept = 0;

    memory->changed = true;
    value = shortened(value, value_room);
    for (size_t i = 0; i < trace->count; i++)
        newest_us = trace->marks[i].at_us > newest_us ? trace->marks[i].at_us : newest_us;
    for (size_t i = 0; i < trace->count; i++)
        if (trace->marks[i].at_us > newest_us - keep_us)
            trace->marks[kept++] = trace->marks[i];
    trace->count = kept;
    if (at_us <= newest_us - keep_us)
        return;
    if (kept && trace->marks[kept - 1].at_us == at_us && text_equal(trace->marks[kept - 1].value, value)) {
        trace->marks[kept - 1].times += times;
        return;
    }
    mark_add(memory, trace, &(struct mark){at_us, times, arena_text(memory->arena, value)});
    traces_evict(memory, trace->rule);
}

void memory_forget(struct memory *memory, const char *rule, struct text key)
{
    struct trace *trace = trace_find(memory, text_of(rule), key);

    if (!trace)
        return;
    trace_unlink(memory, trace);
    memory->changed = true;
}

static bool mark_within(const struct mark *mark, int64_t at_us, int64_t within_us)
{
    return mark->at_us <= at_us && mark->at_us > at_us - within_us;
}

struct memory_sum memory_sum(const struct memory *memory, const char *rule, struct text key, int64_t at_us, int64_t within_us)
{
    const struct trace *trace = trace_find(memory, text_of(rule), key);
    struct memory_sum sum = {.times = 0};

    for (size_t i = 0; trace && i < trace->count; i++) {
        const struct mark *mark = &trace->marks[i];
        bool again = false;
        if (!mark_within(mark, at_us, within_us))
            continue;
        for (size_t k = 0; k < i && !again; k++)
            again = mark_within(&trace->marks[k], at_us, within_us) && text_equal(trace->marks[k].value, mark->value);
        sum.values += !again;
        sum.times += mark->times;
        sum.first_us = !sum.first_us || mark->at_us < sum.first_us ? mark->at_us : sum.first_us;
    }
    return sum;
}

bool memory_has(const struct memory *memory, const char *rule, struct text key, struct text value, int64_t at_us, int64_t within_us)
{
    const struct trace *trace = trace_find(memory, text_of(rule), key);
    char room[MEMORY_VALUE_MAX + 1];

    value = shortened(value, room);
    for (size_t i = 0; trace && i < trace->count; i++)
        if (mark_within(&trace->marks[i], at_us, within_us) && text_equal(trace->marks[i].value, value))
            return true;
    return false;
}

bool memory_knows(const struct memory *memory, const char *rule, struct text key)
{
    const struct trace *trace = trace_find(memory, text_of(rule), key);
    return trace && trace->count;
}

void memory_walk(const struct memory *memory, const char *rule, struct text key, memory_each *each, void *context)
{
    const struct trace *trace = trace_find(memory, text_of(rule), key);

    for (size_t i = 0; trace && i < trace->count; i++)
        each(context, trace->marks[i].value, trace->marks[i].at_us, trace->marks[i].times);
}

/* ---- as text: [1,["rule","key",[at,times,"value"],…],…], the trace that was touched last first ---- */

static void trace_write(const struct trace *trace, struct buf *out)
{
    buf_byte(out, '[');
    buf_json_string(out, trace->rule);
    buf_byte(out, ',');
    buf_json_string(out, trace->key);
    for (size_t i = 0; i < trace->count; i++) {
        buf_string(out, ",[");
        buf_i64(out, trace->marks[i].at_us);
        buf_byte(out, ',');
        buf_i64(out, (int64_t)trace->marks[i].times);
        buf_byte(out, ',');
        buf_json_string(out, trace->marks[i].value);
        buf_byte(out, ']');
    }
    buf_byte(out, ']');
}

void memory_write(const struct memory *memory, struct buf *out)
{
    buf_byte(out, '[');
    buf_i64(out, FORMAT);
    for (const struct trace *trace = memory->newest; trace; trace = trace->next) {
        buf_byte(out, ',');
        trace_write(trace, out);
    }
    buf_byte(out, ']');
}

static struct text string_read(struct picket_json_reader *reader, struct arena *arena)
{
    struct picket_json_token token;

    if (picket_json_next(reader, &token) != PICKET_JSON_STRING)
        return TEXT_NONE;
    char *copy = arena_alloc(arena, 1, token.count + 1);
    return (struct text){copy, picket_json_unescape(&token, copy)};
}

static bool number_read(struct picket_json_reader *reader, int64_t *out)
{
    struct picket_json_token token;

    return picket_json_next(reader, &token) == PICKET_JSON_NUMBER && text_to_i64((struct text){token.text, token.count}, out);
}

static bool trace_read(struct picket_json_reader *reader, struct memory *memory, struct trace *trace)
{
    struct picket_json_token token;
    enum picket_json_kind kind;
    int64_t times;

    trace->rule = string_read(reader, memory->arena);
    trace->key = string_read(reader, memory->arena);
    if (!trace->rule.bytes || !trace->key.bytes)
        return false;
    while ((kind = picket_json_next(reader, &token)) == PICKET_JSON_ARRAY_OPEN) {
        struct mark mark;
        if (!number_read(reader, &mark.at_us) || !number_read(reader, &times) || times < 0)
            return false;
        mark.times = (uint64_t)times;
        mark.value = string_read(reader, memory->arena);
        if (!mark.value.bytes || picket_json_next(reader, &token) != PICKET_JSON_ARRAY_CLOSE)
            return false;
        mark_add(memory, trace, &mark);
    }
    return kind == PICKET_JSON_ARRAY_CLOSE;
}

struct memory *memory_read(struct text written, struct arena *arena)
{
    struct memory *memory = memory_new(arena);
    struct trace **end = &memory->newest;
    struct picket_json_reader reader;
    struct picket_json_token token;
    int64_t format;

    picket_json_init(&reader, written.bytes, written.count, DEPTH);
    if (!written.bytes || picket_json_next(&reader, &token) != PICKET_JSON_ARRAY_OPEN || !number_read(&reader, &format) || format != FORMAT)
        return memory;
    while (picket_json_next(&reader, &token) == PICKET_JSON_ARRAY_OPEN) {
        struct trace *trace = ARENA_NEW(arena, struct trace);
        if (!trace_read(&reader, memory, trace))
            return memory_new(arena);
        *end = trace;
        end = &trace->next;
    }
    return memory;
}
