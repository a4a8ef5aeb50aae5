#ifndef PICKET_RUNTIME_LOG_H
#define PICKET_RUNTIME_LOG_H

/* One line per event on stderr: time, level, an event name that never changes, then fields.
 *   log_warn("device.refused", "device=%.*s reason=\"%s\"", TEXT_ARGS(id), why.text);
 * No secrets and no bodies. Control bytes in the fields are escaped, so a stranger cannot forge a line.
 * Any thread. `fields` may be "". */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level); /* LOG_INFO until then */
void log_line(enum log_level level, const char *event, const char *fields, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

/* For lines that a stranger can cause: at most `LOG_RATE_PER_SECOND` lines a second per `struct
 * log_rate`; the count of those left out goes with the next one. Zero-initialise, one per call site. */
#define LOG_RATE_PER_SECOND 10
struct log_rate {
    _Atomic long long second;
    _Atomic unsigned lines, left_out;
};
void log_rated(struct log_rate *rate, enum log_level level, const char *event, const char *fields, ...)
    __attribute__((format(printf, 4, 5)));

#endif
