#include "runtime/status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ELLIPSIS "\xe2\x80\xa6"

static void mark_cut(struct problem *why);

enum status problem_set(struct problem *why, enum status status, const char *format, ...)
{
    struct problem made; /* apart, since a %s may be the old sentence */
    va_list arguments;

    assert(why && format);

    va_start(arguments, format);
    int count = vsnprintf(made.text, sizeof made.text, format, arguments);
    va_end(arguments);
    if (count < 0)
        made.text[0] = '\0';
    if (count >= (int)sizeof made.text)
        mark_cut(&made);
    memcpy(why->text, made.text, strlen(made.text) + 1);
    return status;
}

void problem_prefix(struct problem *why, const char *format, ...)
{
    char prefix[PROBLEM_TEXT_MAX];
    va_list arguments;

    assert(why && format);

    va_start(arguments, format);
    int count = vsnprintf(prefix, sizeof prefix, format, arguments);
    va_end(arguments);
    if (count < 0)
        return;
    (void)problem_set(why, STATUS_OK, "%s: %s", prefix, why->text);
}

const char *status_name(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return "ok";
    case STATUS_REJECT:
        return "reject";
    case STATUS_RETRY:
        return "retry";
    case STATUS_FAULT:
        return "fault";
    }
    assert(0 && "a status that is none of the four");
    return "fault";
}

/* Ends a full sentence with an ellipsis. The cut must not leave half a UTF-8 sequence in front of it, or the sentence
 * could no longer be put into JSON. */
static void mark_cut(struct problem *why)
{
    size_t at = sizeof why->text - sizeof ELLIPSIS;

    while (at > 0 && ((unsigned char)why->text[at] & 0xc0) == 0x80)
        at--;
    memcpy(why->text + at, ELLIPSIS, sizeof ELLIPSIS);
}
