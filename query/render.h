#ifndef PICKET_QUERY_RENDER_H
#define PICKET_QUERY_RENDER_H

#include "kql/kql.h"

/* How a result wants to be shown, for clients that draw: what `render` said, NULL for nothing. As Log Analytics has it:
 * {"visualization":"piechart",…}; as Kusto has it: {"Visualization":"piechart",…}. */
void render_write(struct buf *out, const struct kql_operator *render);
void render_write_kusto(struct buf *out, const struct kql_operator *render);

#endif
