#include "query/timespan.h"

#include "kql/types.h"
#include "runtime/clock.h"

#define TICKS_PER_US 10
#define SIZE 64

/* Python sends PT86400.0S: the clock reads whole seconds, the fraction is added here. */
static bool duration_read(struct text text, int64_t *ticks)
{
    size_t dot = text_find(text, '.');
    char whole[SIZE];
    int64_t us, fraction = 0, unit = KQL_TICKS_PER_SECOND;

    if (!text_starts(text, TEXT("P")) || text.count >= SIZE)
        return false;
    if (dot < text.count) {
        for (size_t i = dot + 1; i + 1 < text.count; i++) {
            if (text.bytes[i] < '0' || text.bytes[i] > '9')
                return false;
            unit /= 10;
            fraction += unit * (text.bytes[i] - '0');
        }
        if (text.bytes[text.count - 1] != 'S')
            return false;
    }
    memcpy(whole, text.bytes, dot < text.count ? dot : text.count);
    size_t count = dot < text.count ? dot : text.count;
    if (dot < text.count)
        whole[count++] = 'S';
    if (!clock_parse_duration((struct text){whole, count}, &us) || us > INT64_MAX / TICKS_PER_US - 1)
        return false;
    *ticks = us * TICKS_PER_US + fraction;
    return true;
}

static bool time_read(struct text text, int64_t *ticks)
{
    int64_t us;

    if (kql_datetime_read(text, ticks))
        return true;
    if (!clock_parse(text, &us))
        return false;
    *ticks = KQL_TICKS_OF_EPOCH + us * TICKS_PER_US;
    return true;
}

static int64_t within(int64_t ticks)
{
    return ticks < 1 ? 1 : ticks > KQL_TICKS_MAX ? KQL_TICKS_MAX : ticks;
}

enum status timespan_read(struct text timespan, int64_t now_ticks, int64_t *from_ticks, int64_t *to_ticks,
                          struct problem *why)
{
    struct text first, second = text_cut(text_trim(timespan), '/', &first);
    int64_t from = 0, to = now_ticks, duration;
    bool fine;

    if (!second.bytes) {
        fine = duration_read(first, &duration);
        from = fine ? to - duration : 0;
    } else if (duration_read(first, &duration)) {
        fine = time_read(second, &to);
        from = to - duration;
    } else {
        fine = time_read(first, &from);
        if (fine && duration_read(second, &duration))
            fine = !__builtin_add_overflow(from, duration, &to);
        else
            fine = fine && time_read(second, &to);
    }
    if (!fine)
        return problem_set(why, STATUS_REJECT,
                           "timespan is \"%.*s\": expected an ISO 8601 duration such as PT12H, or start/end, start/duration, duration/end",
                           (int)(timespan.count < 80 ? timespan.count : 80), timespan.bytes);
    *from_ticks = within(from);
    *to_ticks = within(to);
    return STATUS_OK;
}
