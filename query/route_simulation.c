#include "query/routes.h"

/* All that is simulated, of the workspaces in question: see picket.simulation_remove(). */
ROUTE_HANDLER(simulation_remove)
{
    const char *const parameters[] = {request->scope};
    struct db_rows *rows = NULL, *workspaces = NULL;

    (void)query;
    enum status status = request_query(request, "SELECT devices, alerts, events FROM picket.simulation_remove($1::int[])", parameters, 1, &rows, why);
    if (!status)
        status = request_query(request, "SELECT unnest($1::int[])", parameters, 1, &workspaces, why);
    for (size_t i = 0; !status && i < db_rows_count(workspaces); i++)
        status = request_audit(request, db_i64(workspaces, i, 0), "simulation.remove", "", NULL, why);
    if (!status) {
        reply_open_object(reply, NULL);
        reply_column_number(reply, "devices", rows, 0, 0);
        reply_column_number(reply, "alerts", rows, 0, 1);
        reply_column_number(reply, "events", rows, 0, 2);
        reply_close_object(reply);
    }
    db_rows_free(workspaces);
    db_rows_free(rows);
    return status;
}
