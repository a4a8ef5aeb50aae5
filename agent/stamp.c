#include "agent/stamp.h"

#include <string.h>

#define DAY_MS 86400000
#define LAST_MS INT64_C(253402300799999) /* the end of year 9999 */

static void put_digits(char *out, unsigned value, int width);
static void put_moment(int64_t ms, char out[PICKET_TIME_SIZE]);
static void civil_date(int64_t days, unsigned *year, unsigned *month, unsigned *day);

void picket_guid_make(const struct picket_port *port, char out[PICKET_GUID_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t bytes[16];
    size_t count = 0;

    port->random(port->context, bytes, sizeof bytes);
    bytes[6] = (uint8_t)(0x40 | (bytes[6] & 0x0f));
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f));
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[count++] = '-';
        out[count++] = hex[bytes[i] >> 4];
        out[count++] = hex[bytes[i] & 15];
    }
    out[count] = '\0';
}

bool picket_guid_valid(const char *text, size_t count)
{
    if (count != PICKET_GUID_SIZE - 1)
        return false;
    for (size_t i = 0; i < count; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        char c = text[i];
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (hyphen ? c != '-' : !digit)
            return false;
    }
    return true;
}

void picket_time_print_utc(int64_t utc_ms, char out[PICKET_TIME_SIZE])
{
    put_moment(utc_ms, out);
    memcpy(out + 23, "Z", 2);
}

void picket_time_print_local(int64_t utc_ms, int32_t offset_s, char out[PICKET_TIME_SIZE])
{
    unsigned minutes = (unsigned)(offset_s < 0 ? -offset_s : offset_s) / 60;

    utc_ms = utc_ms < 0 ? 0 : utc_ms > LAST_MS ? LAST_MS : utc_ms;
    put_moment(utc_ms + (int64_t)offset_s * 1000, out);
    out[23] = offset_s < 0 ? '-' : '+';
    put_digits(out + 24, minutes / 60 % 24, 2);
    out[26] = ':';
    put_digits(out + 27, minutes % 60, 2);
    out[29] = '\0';
}

size_t picket_number_print(uint64_t number, char out[PICKET_NUMBER_SIZE])
{
    size_t count = 1;

    for (uint64_t left = number; left >= 10; left /= 10)
        count++;
    out[count] = '\0';
    for (size_t i = count; i > 0; i--) {
        out[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
    return count;
}

bool picket_number_read(const char *digits, size_t count, uint64_t *out)
{
    uint64_t number = 0;

    if (count == 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(digits[i] - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

static void put_digits(char *out, unsigned value, int width)
{
    while (width-- > 0) {
        out[width] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* The 23 characters from the year to the milliseconds. A clock outside the years it can show is shown at their end. */
static void put_moment(int64_t ms, char out[PICKET_TIME_SIZE])
{
    unsigned year, month, day;

    ms = ms < 0 ? 0 : ms > LAST_MS ? LAST_MS : ms;
    unsigned in_day = (unsigned)(ms % DAY_MS);
    civil_date(ms / DAY_MS, &year, &month, &day);
    memcpy(out, "0000-00-00T00:00:00.000", 23);
    put_digits(out, year, 4);
    put_digits(out + 5, month, 2);
    put_digits(out + 8, day, 2);
    put_digits(out + 11, in_day / 3600000, 2);
    put_digits(out + 14, in_day / 60000 % 60, 2);
    put_digits(out + 17, in_day / 1000 % 60, 2);
    put_digits(out + 20, in_day % 1000, 3);
}

/* Days since 1970 to a date, by counting in years that begin in March, so that the leap day comes last. */
static void civil_date(int64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    unsigned since = (unsigned)(days + 719468); /* since 0000-03-01 */
    unsigned era = since / 146097, in_era = since % 146097;
    unsigned year_in_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned in_year = in_era - (365 * year_in_era + year_in_era / 4 - year_in_era / 100);
    unsigned from_march = (5 * in_year + 2) / 153;

    *day = in_year - (153 * from_march + 2) / 5 + 1;
    *month = from_march < 10 ? from_march + 3 : from_march - 9;
    *year = era * 400 + year_in_era + (*month <= 2);
}
