#include "kql/types.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *name;
    enum kql_type type;
} names[] = {
    {"bool", TYPE_BOOL},         {"int", TYPE_INT},           {"long", TYPE_LONG},
    {"real", TYPE_REAL},         {"decimal", TYPE_DECIMAL},   {"string", TYPE_STRING},
    {"datetime", TYPE_DATETIME}, {"timespan", TYPE_TIMESPAN}, {"guid", TYPE_GUID},
    {"dynamic", TYPE_DYNAMIC}, /* those above in the order of the types */
    {"boolean", TYPE_BOOL},      {"int32", TYPE_INT},         {"int8", TYPE_INT},
    {"int16", TYPE_INT},         {"int64", TYPE_LONG},        {"double", TYPE_REAL},
    {"float", TYPE_REAL},        {"date", TYPE_DATETIME},     {"time", TYPE_TIMESPAN},
    {"uuid", TYPE_GUID},         {"uniqueid", TYPE_GUID},     {"ulong", TYPE_LONG},
    {"uint", TYPE_LONG},         {"uint8", TYPE_INT},         {"uint16", TYPE_INT},
    {"uint32", TYPE_LONG},       {"uint64", TYPE_LONG},
};

static const struct {
    const char *unit;
    double ticks;
} units[] = {
    {"d", 864e9},         {"day", 864e9},        {"days", 864e9}, {"h", 36e9},     {"hr", 36e9},
    {"hrs", 36e9},        {"hour", 36e9},        {"hours", 36e9}, {"m", 6e8},      {"min", 6e8},
    {"minute", 6e8},      {"minutes", 6e8},      {"s", 1e7},      {"sec", 1e7},    {"second", 1e7},
    {"seconds", 1e7},     {"ms", 1e4},           {"milli", 1e4},  {"millis", 1e4}, {"millisec", 1e4},
    {"millisecond", 1e4}, {"milliseconds", 1e4}, {"micro", 10},   {"micros", 10},  {"microsec", 10},
    {"microsecond", 10},  {"microseconds", 10},  {"nano", 0.01},  {"nanos", 0.01}, {"nanosec", 0.01},
    {"nanosecond", 0.01}, {"nanoseconds", 0.01}, {"tick", 1},     {"ticks", 1},
};

bool kql_type_of(struct text name, enum kql_type *out)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!text_equal(name, text_of(names[i].name)))
            continue;
        *out = names[i].type;
        return true;
    }
    return false;
}

const char *kql_type_name(enum kql_type type)
{
    return names[type].name;
}

bool kql_type_is_number(enum kql_type type)
{
    return type == TYPE_INT || type == TYPE_LONG || type == TYPE_REAL || type == TYPE_DECIMAL;
}

/* A run of digits: how many there are, at most `digits_max`; false when there is none. */
static bool digits(struct text *rest, size_t digits_max, int64_t *out, size_t *count)
{
    *out = 0;
    for (*count = 0; *count < rest->count && *count < digits_max; ++*count) {
        char digit = rest->bytes[*count];
        if (digit < '0' || digit > '9')
            break;
        *out = *out * 10 + (digit - '0');
    }
    *rest = (struct text){rest->bytes + *count, rest->count - *count};
    return *count > 0;
}

static bool take(struct text *rest, char byte)
{
    if (!rest->count || rest->bytes[0] != byte)
        return false;
    *rest = (struct text){rest->bytes + 1, rest->count - 1};
    return true;
}

/* ".5" and what follows, as ticks: seven digits count. */
static int64_t fraction(struct text *rest)
{
    int64_t ticks = 0, scale = KQL_TICKS_PER_SECOND / 10;

    while (rest->count && rest->bytes[0] >= '0' && rest->bytes[0] <= '9') {
        ticks += (rest->bytes[0] - '0') * scale;
        scale /= 10;
        *rest = (struct text){rest->bytes + 1, rest->count - 1};
    }
    return ticks;
}

/* Days from 0001-01-01, in the Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 306;
}

static int64_t month_days(int64_t year, int64_t month)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

/* hh:mm[:ss[.f]] */
static bool clock_read(struct text *rest, int64_t *ticks)
{
    int64_t hour, minute, second = 0, part = 0;
    size_t count;

    if (!digits(rest, 2, &hour, &count) || !take(rest, ':') || !digits(rest, 2, &minute, &count))
        return false;
    if (take(rest, ':')) {
        if (!digits(rest, 2, &second, &count))
            return false;
        if (take(rest, '.'))
            part = fraction(rest);
    }
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    *ticks = ((hour * 60 + minute) * 60 + second) * KQL_TICKS_PER_SECOND + part;
    return true;
}

/* Z, +02:00, -0530 */
static bool zone_read(struct text *rest, int64_t *ticks)
{
    bool west = rest->count && rest->bytes[0] == '-';
    int64_t hours, minutes = 0;
    size_t count;

    *ticks = 0;
    if (take(rest, 'Z') || take(rest, 'z'))
        return true;
    if (!take(rest, '+') && !take(rest, '-'))
        return true;
    if (!digits(rest, 2, &hours, &count))
        return false;
    (void)take(rest, ':');
    if (rest->count && !digits(rest, 2, &minutes, &count))
        return false;
    *ticks = (hours * 60 + minutes) * 60 * KQL_TICKS_PER_SECOND * (west ? -1 : 1);
    return true;
}

/* 2020-01-31, 2020-01, 2020, 1/31/2020 */
static bool date_read(struct text *rest, int64_t *year, int64_t *month, int64_t *day)
{
    size_t count;

    *month = *day = 1;
    if (!digits(rest, 4, year, &count))
        return false;
    if (count < 3 && take(rest, '/')) {
        *month = *year;
        return digits(rest, 2, day, &count) && take(rest, '/') && digits(rest, 4, year, &count) && count == 4;
    }
    if (count != 4)
        return false;
    if (!take(rest, '-') && !take(rest, '/'))
        return true;
    if (!digits(rest, 2, month, &count))
        return false;
    return (!take(rest, '-') && !take(rest, '/')) || digits(rest, 2, day, &count);
}

bool kql_datetime_read(struct text text, int64_t *ticks)
{
    struct text rest = text_trim(text);
    int64_t year, month, day, clock = 0, zone = 0;

    if (!date_read(&rest, &year, &month, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > month_days(year, month))
        return false;
    if (take(&rest, 'T') || take(&rest, 't') || take(&rest, ' ')) {
        while (take(&rest, ' '))
            continue;
        if (!clock_read(&rest, &clock))
            return false;
        while (take(&rest, ' '))
            continue;
    }
    if (!zone_read(&rest, &zone) || rest.count)
        return false;
    clock += days_of(year, month, day) * KQL_TICKS_PER_DAY - zone;
    if (clock < 0 || clock > KQL_TICKS_MAX)
        return false;
    *ticks = clock;
    return true;
}

static bool with_unit(struct text text, double *ticks)
{
    char number[64], *end;
    size_t count = 0;

    while (count < text.count && count < sizeof number - 1 && strchr("0123456789.-+eE", text.bytes[count])) {
        number[count] = text.bytes[count];
        count++;
    }
    number[count] = 0;
    double value = strtod(number, &end);
    struct text unit =
        text_trim((struct text){text.bytes + (end - number), text.count - (size_t)(end - number)});
    if (end == number)
        return false;
    if (!unit.count) {
        *ticks = value * 864e9;
        return true;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (text_equal_nocase(unit, text_of(units[i].unit))) {
            *ticks = value * units[i].ticks;
            return true;
        }
    return false;
}

bool kql_timespan_read(struct text text, int64_t *ticks)
{
    struct text rest = text_trim(text), before;
    int64_t days = 0, clock = 0;
    bool negative;
    size_t count;
    double value;

    if (rest.count && text_find(rest, ':') == rest.count) {
        if (!with_unit(rest, &value) || !(fabs(value) < 9.2e18))
            return false;
        *ticks = (int64_t)(value < 0 ? value - 0.5 : value + 0.5);
        return true;
    }
    negative = take(&rest, '-');
    if (!negative)
        (void)take(&rest, '+');
    before = rest;
    if (!digits(&rest, 8, &days, &count))
        return false;
    if (!take(&rest, '.')) {
        rest = before;
        days = 0;
    }
    if (!clock_read(&rest, &clock) || rest.count)
        return false;
    *ticks = (days * KQL_TICKS_PER_DAY + clock) * (negative ? -1 : 1);
    return true;
}

void kql_datetime_write(int64_t ticks, char *out)
{
    int64_t days = ticks / KQL_TICKS_PER_DAY, clock = ticks % KQL_TICKS_PER_DAY,
            seconds = clock / KQL_TICKS_PER_SECOND;
    int64_t shifted = days + 306, era = shifted / 146097, of_era = shifted % 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t mp = (5 * of_year + 2) / 153, day = of_year - (153 * mp + 2) / 5 + 1,
            month = mp < 10 ? mp + 3 : mp - 9;

    snprintf(out, KQL_TIME_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%07dZ",
             (int)(year_of_era + era * 400 + (month <= 2)), (int)month, (int)day, (int)(seconds / 3600),
             (int)(seconds / 60 % 60), (int)(seconds % 60), (int)(clock % KQL_TICKS_PER_SECOND));
}

void kql_timespan_write(int64_t ticks, char *out)
{
    uint64_t all = ticks < 0 ? 0 - (uint64_t)ticks : (uint64_t)ticks,
             days = all / (uint64_t)KQL_TICKS_PER_DAY;
    unsigned seconds = (unsigned)(all / (uint64_t)KQL_TICKS_PER_SECOND % 86400),
             part = (unsigned)(all % (uint64_t)KQL_TICKS_PER_SECOND);
    char day_text[24] = "", part_text[12] = "";

    if (days)
        snprintf(day_text, sizeof day_text, "%llu.", (unsigned long long)days);
    if (part)
        snprintf(part_text, sizeof part_text, ".%07u", part);
    snprintf(out, KQL_TIME_SIZE, "%s%s%02u:%02u:%02u%s", ticks < 0 ? "-" : "", day_text, seconds / 3600,
             seconds / 60 % 60, seconds % 60, part_text);
}
