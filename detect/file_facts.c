#include "detect/file_facts.h"

#include "detect/command_facts.h"

bool file_mask_says(struct text mask, const char *word, const char *other, unsigned bits)
{
    uint64_t number;

    if (text_to_u64(mask, &number))
        return number & bits;
    return text_contains_nocase(mask, word) || text_contains_nocase(mask, other);
}

void file_judge_change(struct judging *judging, bool says, const char *clause)
{
    struct text path = judging->event->path;

    if (!says || !path.count)
        return;
    struct finding *finding = finding_add(judging, path);
    finding_reason(finding, "Mask", text_of(clause), judging->event->action);
    finding_reason(finding, "Path", TEXT("it is watched"), path);
}
