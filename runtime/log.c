#include "runtime/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/clock.h"

#define FIELDS_SIZE 2048                  /* formatted; longer ones are cut */
#define LINE_SIZE (FIELDS_SIZE * 4 + 256) /* every byte may become \xNN */
#define MILLISECONDS_END 23               /* "2026-01-02T03:04:05.678" */

static _Atomic int level_least = LOG_INFO;

static void write_line(enum log_level level, const char *event, const char *fields, va_list arguments,
                       unsigned left_out) __attribute__((format(printf, 3, 0)));
static size_t escape_fields(char *out, const char *fields);
static void write_all(const char *bytes, size_t count);
static const char *level_name(enum log_level level);

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_least, (int)level, memory_order_relaxed);
}

void log_line(enum log_level level, const char *event, const char *fields, ...)
{
    va_list arguments;

    if ((int)level < atomic_load_explicit(&level_least, memory_order_relaxed))
        return;
    va_start(arguments, fields);
    write_line(level, event, fields, arguments, 0);
    va_end(arguments);
}

/* Threads may meet at the turn of a second and let a few lines too many or too few through; no count of those left out
 * is lost, since it only ever moves by exchange. */
void log_rated(struct log_rate *rate, enum log_level level, const char *event, const char *fields, ...)
{
    long long now = clock_monotonic_ms() / 1000 + 1; /* never the zero that `rate` starts with */
    va_list arguments;

    if ((int)level < atomic_load_explicit(&level_least, memory_order_relaxed))
        return;
    long long before = atomic_load(&rate->second);
    if (before != now && atomic_compare_exchange_strong(&rate->second, &before, now))
        atomic_store(&rate->lines, 0);
    if (atomic_fetch_add(&rate->lines, 1) >= LOG_RATE_PER_SECOND) {
        atomic_fetch_add(&rate->left_out, 1);
        return;
    }
    va_start(arguments, fields);
    write_line(level, event, fields, arguments, atomic_exchange(&rate->left_out, 0));
    va_end(arguments);
}

/* One write() for the whole line, so that lines of several threads and processes do not mix. */
static void write_line(enum log_level level, const char *event, const char *fields, va_list arguments,
                       unsigned left_out)
{
    char formatted[FIELDS_SIZE], line[LINE_SIZE], time[CLOCK_TEXT_SIZE];
    int saved_errno = errno;

    clock_format(clock_utc_us(), time);
    size_t count =
        (size_t)snprintf(line, 200, "%.*sZ %s %.120s", MILLISECONDS_END, time, level_name(level), event);
    if (vsnprintf(formatted, sizeof formatted, fields, arguments) > 0) {
        line[count++] = ' ';
        count += escape_fields(line + count, formatted);
    }
    if (left_out)
        count += (size_t)snprintf(line + count, 32, " left_out=%u", left_out);
    line[count++] = '\n';
    write_all(line, count);
    errno = saved_errno;
}

/* Control bytes become \xNN. So do bytes that are not UTF-8, which keeps every
 * line readable for what collects them. */
static size_t escape_fields(char *out, const char *fields)
{
    static const char digits[] = "0123456789abcdef";
    struct text rest = text_of(fields);
    size_t count = 0;

    while (rest.count) {
        unsigned char byte = (unsigned char)rest.bytes[0];
        size_t sequence = text_utf8_sequence(rest);
        /* U+0080 to U+009F are control characters as well: terminals obey them. */
        bool control = byte < 0x20 || byte == 0x7f ||
                       (sequence == 2 && byte == 0xc2 && (unsigned char)rest.bytes[1] < 0xa0);
        size_t step = sequence ? sequence : 1;
        for (size_t i = 0; i < step; i++) {
            byte = (unsigned char)rest.bytes[i];
            if (control || !sequence) {
                memcpy(out + count, "\\x", 2);
                out[count + 2] = digits[byte >> 4];
                out[count + 3] = digits[byte & 15];
                count += 4;
            } else {
                out[count++] = (char)byte;
            }
        }
        rest = (struct text){rest.bytes + step, rest.count - step};
    }
    return count;
}

/* A log that cannot be written is no reason to stop. */
static void write_all(const char *bytes, size_t count)
{
    while (count) {
        ssize_t written = write(STDERR_FILENO, bytes, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        bytes += written;
        count -= (size_t)written;
    }
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return "debug";
    case LOG_INFO:
        return "info";
    case LOG_WARN:
        return "warn";
    case LOG_ERROR:
        return "error";
    }
    return "error";
}
