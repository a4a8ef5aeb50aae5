#include "detect/door_facts.h"

uint64_t door_counted(const struct judging *judging, const char *name)
{
    uint64_t count = 0;

    return text_to_u64(event_field(judging->event, text_of(name)), &count) ? count : 0;
}

void door_judge_reason(struct judging *judging, const char *field, const char *clause)
{
    uint64_t count = door_counted(judging, field);

    if (count)
        finding_reason(finding_add(judging, TEXT("")), field, text_of(clause), text_of(arena_format(judging->arena, "%llu", (unsigned long long)count)));
}

void door_judge_count(struct judging *judging, uint64_t count, uint64_t min, int64_t within_us, const char *clause)
{
    if (!count)
        return;
    memory_note(judging->memory, judging->rule->id, TEXT(""), TEXT(""), count, judging->event->at_us, within_us);
    uint64_t sum = memory_sum(judging->memory, judging->rule->id, TEXT(""), judging->event->at_us, within_us).times;
    if (sum >= min)
        finding_reason(finding_add(judging, TEXT("")), "Refused", text_of(clause), text_of(arena_format(judging->arena, "%llu", (unsigned long long)sum)));
}

const char *const door_check_key[] = {"See whether the device still has the key that is enrolled.", "If it has, someone else tries its identity: look for the addresses in the front door's log.", NULL};
