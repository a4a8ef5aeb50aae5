#ifndef PICKET_QUERY_KUSTO_FRAMES_H
#define PICKET_QUERY_KUSTO_FRAMES_H

#include "query/question.h"

/* Kusto's two response shapes, written while rows come: version 1 a list of tables, the last of which says what the others
 * are; version 2 a list of frames, whole tables or, where a client asks for it, tables in pieces, a frame a line. */
struct kusto_options {
    bool version2, fragmented, lines; /* the last two: of version 2 */
    const char *client_request_id, *activity_id;
};

struct kusto_frames {
    struct reply *reply;
    struct kusto_options options;
    const struct kql_sql *first, *result;
    unsigned tables, results; /* written so far */
    int64_t rows;             /* of this result */
};

void kusto_frames_init(struct kusto_frames *frames, struct reply *reply, const struct kusto_options *options);
/* Its functions are those of the sink; the context is the frames. */
extern const struct question_sink kusto_frames_sink;
/* Ends what was begun. `trouble` of kind TROUBLE_NONE: all went well. */
void kusto_frames_end(struct kusto_frames *frames, const struct question_trouble *trouble);

/* Version 1's answer to a command: one table, row by row. */
struct kusto_column {
    const char *name, *type; /* "string", "long", "datetime", "bool", "timespan", "guid", "int" */
};
void kusto_table_begin(struct reply *reply, const struct kusto_column *columns, size_t count);
void kusto_row_begin(struct reply *reply);
void kusto_row_end(struct reply *reply);
void kusto_table_end(struct reply *reply);

/* "System.Int64" of "long"; "Int64" is version 1's DataType of it. */
const char *kusto_type(enum kql_type type);

#endif
