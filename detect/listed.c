#include "detect/listed.h"

void listed_add(void *context, struct text feed, struct text value)
{
    struct listed *listed = context;
    struct arena *arena = listed->judging->arena;

    if (!listed->finding)
        listed->finding = finding_add(listed->judging, listed->cause);
    finding_reason(listed->finding, listed->field, text_of(arena_format(arena, "%s as %.*s, by %.*s", listed->clause, TEXT_ARGS(value), TEXT_ARGS(feed))), listed->seen);
}
