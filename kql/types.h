#ifndef PICKET_KQL_TYPES_H
#define PICKET_KQL_TYPES_H

#include "kql/lexer.h"

/* The scalar types, and how their literals read and values print. A datetime is ticks of 100 ns since 0001-01-01, a
 * timespan a number of ticks; both fit 64 bits. */
enum kql_type {
    TYPE_BOOL,
    TYPE_INT,
    TYPE_LONG,
    TYPE_REAL,
    TYPE_DECIMAL,
    TYPE_STRING,
    TYPE_DATETIME,
    TYPE_TIMESPAN,
    TYPE_GUID,
    TYPE_DYNAMIC,
};
#define KQL_TYPES 10

#define KQL_TICKS_PER_SECOND INT64_C(10000000)
#define KQL_TICKS_PER_DAY (INT64_C(86400) * KQL_TICKS_PER_SECOND)
#define KQL_TICKS_OF_EPOCH (INT64_C(719162) * KQL_TICKS_PER_DAY) /* 1970-01-01 */
#define KQL_TICKS_MAX (INT64_C(3652059) * KQL_TICKS_PER_DAY - 1) /* 9999-12-31T23:59:59.9999999 */

/* "long", "int64" … ; false: there is no such type. */
bool kql_type_of(struct text name, enum kql_type *out);
const char *kql_type_name(enum kql_type type);
bool kql_type_is_number(enum kql_type type); /* int, long, real, decimal */

/* "2020-01-31T10:20:30.1234567Z", "2020-01-31", "2020-01-31 10:20", "Jan 31 2020" is not read. False: it is none. */
bool kql_datetime_read(struct text text, int64_t *ticks);
/* "1.02:03:04.5", "02:03", "3d", "1.5h"; a number alone counts days. */
bool kql_timespan_read(struct text text, int64_t *ticks);
/* Into a buffer of KQL_TIME_SIZE: "2020-01-31T10:20:30.1234567Z"; "[-][d.]hh:mm:ss[.fffffff]". */
#define KQL_TIME_SIZE 80
void kql_datetime_write(int64_t ticks, char *out);
void kql_timespan_write(int64_t ticks, char *out);

#endif
