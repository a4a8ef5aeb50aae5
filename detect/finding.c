#include "detect/finding.h"

#include "detect/rule.h"

#define CAUSE_BYTES_MAX 300

struct finding *finding_add(struct judging *judging, struct text cause)
{
    struct finding *finding = ARENA_NEW(judging->arena, struct finding);

    finding->about = judging->about;
    finding->cause = (struct text){cause.bytes ? cause.bytes : "", cause.count < CAUSE_BYTES_MAX ? cause.count : CAUSE_BYTES_MAX};
    while (finding->cause.count && !text_utf8_valid(finding->cause))
        finding->cause.count--; /* cut within a character */
    finding->event = judging->event;
    if (judging->findings->last)
        judging->findings->last->next = finding;
    else
        judging->findings->first = finding;
    judging->findings->last = finding;
    judging->findings->count++;
    return finding;
}

void finding_reason(struct finding *finding, const char *field, struct text clause, struct text value)
{
    if (finding->reason_count < FINDING_REASONS_MAX)
        finding->reasons[finding->reason_count++] = (struct finding_reason){text_of(field), clause, value};
}

void finding_entity(struct finding *finding, enum finding_entity_kind kind, struct text value)
{
    if (value.count && finding->entity_count < FINDING_ENTITIES_MAX)
        finding->entities[finding->entity_count++] = (struct finding_entity){kind, value};
}

struct finding *finding_command(struct judging *judging, const struct command *command, const char *clause)
{
    struct finding *finding = finding_add(judging, command->name.count ? command->name : judging->event->executable);

    finding_reason(finding, "CommandLine", text_of(clause), judging->line->text);
    return finding;
}
