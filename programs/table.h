#ifndef PICKET_PROGRAMS_TABLE_H
#define PICKET_PROGRAMS_TABLE_H

#include <jansson.h>

#include "runtime/text.h"

/* Lists for people: columns as wide as what stands in them. Rows are kept until table_print(), so lists that never
 * end are printed in pieces. */
struct table_column {
    const char *title;
    const char *key; /* of the JSON object that a row comes from; "a.b" reaches into an object */
};

struct table;

/* `columns` is borrowed. */
struct table *table_new(const struct table_column *columns, size_t count);
/* Reads the columns' members from `object`: strings as they are, other values as JSON, null as "-". */
void table_add(struct table *table, const json_t *object);
/* On stdout, with titles when `titled`; forgets the rows and keeps the widths. */
enum table_titles { TABLE_TITLED, TABLE_UNTITLED };
void table_print(struct table *table, enum table_titles titles);
void table_free(struct table *take_table);

/* One JSON document as one line on stdout. */
void table_json_line(const json_t *value);

/* An object for people: a member a line, arrays and objects as JSON. */
void table_print_members(const json_t *object);

#endif
