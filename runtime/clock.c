#include "runtime/clock.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_MINUTE (60 * US_PER_SECOND)
#define US_PER_HOUR (60 * US_PER_MINUTE)
#define US_PER_DAY (24 * US_PER_HOUR)
#define US_PER_WEEK (7 * US_PER_DAY)
#define DAYS_PER_ERA 146097 /* 400 years of the Gregorian calendar */
#define DAYS_TO_1970 719468 /* from 0000-03-01 */
#define FRACTION_DIGITS_MAX 18
#define DURATION_DIGITS_MAX 12

/* What is left to read; each reader takes its part off the front and says whether it was there. */
struct reader {
    struct text rest;
};

static bool take_byte(struct reader *reader, char byte);
static bool take_number(struct reader *reader, size_t digits, int64_t min, int64_t max, int64_t *out);
static bool take_date(struct reader *reader, int64_t *us);
static bool take_time(struct reader *reader, int64_t *us);
static bool take_fraction(struct reader *reader, int64_t *us);
static bool take_zone(struct reader *reader, int64_t *us);
static bool take_offset(struct reader *reader, int64_t *us);
static bool take_amount(struct reader *reader, uint64_t *amount, char *unit);
static bool add_amount(int64_t *us, uint64_t amount, int64_t unit_us);
static bool parse_iso_duration(struct reader *reader, int64_t *us);
static int64_t days_from_date(int64_t year, int64_t month, int64_t day);
static int64_t days_in_month(int64_t year, int64_t month);
static int64_t floor_divide(int64_t value, int64_t by);

int64_t clock_utc_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

int64_t clock_monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool clock_parse(struct text text, int64_t *utc_us)
{
    struct reader reader = {text_trim(text)};
    int64_t date_us, time_us = 0, zone_us = 0;

    assert(utc_us);

    if (!take_date(&reader, &date_us))
        return false;
    if (reader.rest.count) {
        if (!take_byte(&reader, 'T') && !take_byte(&reader, 't') && !take_byte(&reader, ' '))
            return false;
        if (!take_time(&reader, &time_us) || !take_zone(&reader, &zone_us) || reader.rest.count)
            return false;
    }
    int64_t us = date_us + time_us - zone_us;
    if (us < days_from_date(1, 1, 1) * US_PER_DAY || us >= days_from_date(10000, 1, 1) * US_PER_DAY)
        return false; /* its zone took it out of the years we can write */
    *utc_us = us;
    return true;
}

/* Days to a date by eras of 400 years that begin in March, so that the leap day is the last of its year. gmtime_r() has
 * the same result, at several times the cost and with a struct of its own. */
void clock_format(int64_t utc_us, char out[CLOCK_TEXT_SIZE])
{
    int64_t days = floor_divide(utc_us, US_PER_DAY), us = utc_us % US_PER_DAY;
    int64_t shifted = days + DAYS_TO_1970, era = floor_divide(shifted, DAYS_PER_ERA);
    int64_t day_of_era = shifted - era * DAYS_PER_ERA;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    int64_t day = day_of_year - (153 * march_month + 2) / 5 + 1;
    int64_t year = year_of_era + era * 400 + (month <= 2);

    if (us < 0)
        us += US_PER_DAY; /* before 1970 the remainder counts backwards */
    snprintf(out, CLOCK_TEXT_SIZE, "%04d-%02u-%02uT%02u:%02u:%02u.%06uZ", (int)year, (unsigned)month,
             (unsigned)day, (unsigned)(us / US_PER_HOUR), (unsigned)(us / US_PER_MINUTE % 60),
             (unsigned)(us / US_PER_SECOND % 60), (unsigned)(us % US_PER_SECOND));
}

bool clock_parse_duration(struct text text, int64_t *us)
{
    static const struct {
        char letter;
        int64_t us;
    } units[] = {{'s', US_PER_SECOND},
                 {'m', US_PER_MINUTE},
                 {'h', US_PER_HOUR},
                 {'d', US_PER_DAY},
                 {'w', US_PER_WEEK}};
    struct reader reader = {text};
    uint64_t amount;
    int64_t total = 0;
    char letter;

    assert(us);

    if (take_byte(&reader, 'P')) {
        if (!parse_iso_duration(&reader, &total))
            return false;
        *us = total;
        return true;
    }
    if (!take_amount(&reader, &amount, &letter) || reader.rest.count)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (units[i].letter != letter)
            continue;
        if (!add_amount(&total, amount, units[i].us))
            return false;
        *us = total;
        return true;
    }
    return false;
}

static bool take_byte(struct reader *reader, char byte)
{
    if (reader->rest.count == 0 || reader->rest.bytes[0] != byte)
        return false;
    reader->rest.bytes++;
    reader->rest.count--;
    return true;
}

static bool take_number(struct reader *reader, size_t digits, int64_t min, int64_t max, int64_t *out)
{
    int64_t value;

    if (reader->rest.count < digits || reader->rest.bytes[0] == '-' ||
        !text_to_i64((struct text){reader->rest.bytes, digits}, &value) || value < min || value > max)
        return false;
    reader->rest.bytes += digits;
    reader->rest.count -= digits;
    *out = value;
    return true;
}

static bool take_date(struct reader *reader, int64_t *us)
{
    int64_t year, month, day;

    if (!take_number(reader, 4, 1, 9999, &year) || !take_byte(reader, '-') ||
        !take_number(reader, 2, 1, 12, &month) || !take_byte(reader, '-') ||
        !take_number(reader, 2, 1, days_in_month(year, month), &day))
        return false;
    *us = days_from_date(year, month, day) * US_PER_DAY;
    return true;
}

/* Seconds may be missing; 60 is a leap second, and lands on the second after it. */
static bool take_time(struct reader *reader, int64_t *us)
{
    int64_t hour, minute, second = 0, fraction_us = 0;

    if (!take_number(reader, 2, 0, 23, &hour) || !take_byte(reader, ':') ||
        !take_number(reader, 2, 0, 59, &minute))
        return false;
    if (take_byte(reader, ':')) {
        if (!take_number(reader, 2, 0, 60, &second))
            return false;
        if ((take_byte(reader, '.') || take_byte(reader, ',')) && !take_fraction(reader, &fraction_us))
            return false;
    }
    *us = hour * US_PER_HOUR + minute * US_PER_MINUTE + second * US_PER_SECOND + fraction_us;
    return true;
}

/* Digits past the sixth are dropped: .NET writes seven, Go nine. */
static bool take_fraction(struct reader *reader, int64_t *us)
{
    int64_t value = 0, digit;
    size_t digits = 0;

    while (digits <= FRACTION_DIGITS_MAX && take_number(reader, 1, 0, 9, &digit)) {
        if (digits < 6)
            value = value * 10 + digit;
        digits++;
    }
    if (digits == 0 || digits > FRACTION_DIGITS_MAX)
        return false;
    for (size_t i = digits; i < 6; i++)
        value *= 10;
    *us = value;
    return true;
}

static bool take_zone(struct reader *reader, int64_t *us)
{
    *us = 0;
    if (reader->rest.count == 0)
        return true;
    (void)take_byte(reader, ' ');
    if (text_equal_nocase(reader->rest, TEXT("Z")) || text_equal_nocase(reader->rest, TEXT("UTC")) ||
        text_equal_nocase(reader->rest, TEXT("GMT"))) {
        reader->rest.count = 0;
        return true;
    }
    return take_offset(reader, us);
}

/* +01:00, +0100 and +01. */
static bool take_offset(struct reader *reader, int64_t *us)
{
    bool west = take_byte(reader, '-');
    int64_t hour, minute = 0;

    if (!west && !take_byte(reader, '+'))
        return false;
    if (!take_number(reader, 2, 0, 23, &hour))
        return false;
    if ((take_byte(reader, ':') || reader->rest.count) && !take_number(reader, 2, 0, 59, &minute))
        return false;
    *us = (hour * US_PER_HOUR + minute * US_PER_MINUTE) * (west ? -1 : 1);
    return true;
}

static bool take_amount(struct reader *reader, uint64_t *amount, char *unit)
{
    size_t digits = 0;

    while (digits < reader->rest.count && reader->rest.bytes[digits] >= '0' &&
           reader->rest.bytes[digits] <= '9')
        digits++;
    if (digits == reader->rest.count || digits > DURATION_DIGITS_MAX ||
        !text_to_u64((struct text){reader->rest.bytes, digits}, amount))
        return false;
    *unit = reader->rest.bytes[digits];
    reader->rest.bytes += digits + 1;
    reader->rest.count -= digits + 1;
    return true;
}

static bool add_amount(int64_t *us, uint64_t amount, int64_t unit_us)
{
    int64_t more;

    return !__builtin_mul_overflow((int64_t)amount, unit_us, &more) && !__builtin_add_overflow(*us, more, us);
}

/* Weeks, days, T, hours, minutes, seconds, each at most once and in this order. Years and months are refused: they have
 * no length of their own. */
static bool parse_iso_duration(struct reader *reader, int64_t *us)
{
    static const char dates[] = "WD", times[] = "HMS";
    static const int64_t date_us[] = {US_PER_WEEK, US_PER_DAY};
    static const int64_t time_us[] = {US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND};
    const char *letters = dates;
    const int64_t *lengths = date_us;
    bool any = false;

    for (size_t from = 0; reader->rest.count;) {
        uint64_t amount;
        char letter;
        if (letters == dates && take_byte(reader, 'T')) {
            letters = times;
            lengths = time_us;
            from = 0;
            any = false; /* something must follow the T */
        }
        if (!take_amount(reader, &amount, &letter))
            return false;
        const char *found = letter ? strchr(letters + from, letter) : NULL;
        if (!found || !add_amount(us, amount, lengths[found - letters]))
            return false;
        from = (size_t)(found - letters) + 1;
        any = true;
    }
    return any;
}

static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
    int64_t march_year = year - (month <= 2), era = floor_divide(march_year, 400);
    int64_t year_of_era = march_year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    assert(month >= 1 && month <= 12);

    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static int64_t floor_divide(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}
