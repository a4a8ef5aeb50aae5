/* Any bytes: our reader and jansson agree, skipping ends where reading does, and positions stay inside. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/json_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void skip_agrees(const char *source, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *wrong = json_oracle_disagreement((const char *)data, size);

    if (wrong) {
        fprintf(stderr, "%s\n", wrong);
        abort();
    }
    skip_agrees((const char *)data, size);
    return 0;
}

/* Skipping the root reads exactly what one call after the other reads. */
static void skip_agrees(const char *source, size_t count)
{
    struct picket_json_reader read, skipped;
    struct picket_json_token token;
    const char *from, *to;
    unsigned line, column;

    picket_json_init(&skipped, source, count, JSON_ORACLE_DEPTH);
    picket_json_next(&skipped, &token);
    if (token.kind != PICKET_JSON_OBJECT_OPEN && token.kind != PICKET_JSON_ARRAY_OPEN)
        return;
    read = skipped;
    while (read.depth && !read.error)
        picket_json_next(&read, &token);
    struct picket_json_token opened = {.kind = PICKET_JSON_ARRAY_OPEN, .text = skipped.at - 1, .count = 1};
    bool whole = picket_json_skip(&skipped, &opened, &from, &to);
    if (whole != !read.error || skipped.at != read.at || (whole && (from < source || to != skipped.at || from >= to)))
        abort();
    picket_json_position(&read, read.error ? read.error_at : read.at, &line, &column);
    if (!line || !column || column > count + 1)
        abort();
}
