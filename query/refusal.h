#ifndef PICKET_QUERY_REFUSAL_H
#define PICKET_QUERY_REFUSAL_H

#include "query/question.h"

/* Errors as the three APIs on this port write them: Picket's own, Log Analytics', Kusto's. Each gives a whole JSON object. */
enum refusal_dialect { REFUSAL_PICKET, REFUSAL_LOG_ANALYTICS, REFUSAL_KUSTO };

/* The HTTP code that goes with what became of a question; 200 where nothing went wrong, or rows stand. */
unsigned refusal_code(const struct question_trouble *trouble);

/* {"error":{…}} for a question that was not answered. */
void refusal_of_question(struct buf *out, enum refusal_dialect dialect, const struct question_trouble *trouble);
/* {"error":{…}} for a request that was refused before there was a question: `code` is HTTP's, `name` of our own. */
void refusal_of_request(struct buf *out, enum refusal_dialect dialect, unsigned code, const char *name, const char *message);
/* {"code":"PartialError",…}: rows stand, and more were to come. */
void refusal_partial(struct buf *out, const struct question_trouble *trouble);
/* Kusto's {"error":{…}} within a result. */
void refusal_one_api(struct buf *out, const struct question_trouble *trouble);

#endif
