#ifndef PICKET_KQL_DIAGNOSTIC_H
#define PICKET_KQL_DIAGNOSTIC_H

#include "runtime/buf.h"

/* Where something stands in the source: bytes from its start. */
struct kql_place {
    uint32_t at, count;
};

/* What is wrong with a query, and where. `code` is what scripts count by: "syntax.*", "semantic.*", "unsupported.*". */
struct kql_diagnostic {
    const char *code; /* a literal; NULL: nothing is wrong */
    struct kql_place place;
    char message[256];
};

/* Sets it, unless something was wrong before: the first one counts. */
void kql_wrong(struct kql_diagnostic *out, const char *code, struct kql_place place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Line and column of a place, both from 1; a column counts characters, not bytes. */
void kql_position(struct text source, uint32_t at, unsigned *line, unsigned *column);

/* "line 2, column 9: message", the line of the source and marks under the place. */
void kql_diagnostic_print(const struct kql_diagnostic *diagnostic, struct text source, struct buf *out);

#endif
