#include "query/routes.h"

#define LIST "audit"

ROUTE_HANDLER(audit_list)
{
    static const char list[] =
        "SELECT a.audit_id, w.name, (extract(epoch FROM a.at) * 1000000)::bigint, a.actor, a.action, a.target, a.details,"
        " encode(a.hash, 'hex') FROM picket.audit a JOIN picket.workspace w ON w.workspace_id = a.workspace_id"
        " WHERE a.workspace_id = ANY($1::int[]) AND ($2::text IS NULL OR a.action = $2)"
        " AND ($3::bigint IS NULL OR a.audit_id < $3::bigint) ORDER BY a.audit_id DESC LIMIT $4::int + 1";
    struct db_rows *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, LIST, 1, &page, why);
    if (status)
        return status;
    const char *const parameters[] = {request->scope, request_argument(request, "action"), page.fields[0],
                                      request_decimal(request, page.limit)};
    status = request_query(request, list, parameters, 4, &rows, why);
    if (status)
        return status;
    reply_open_object(reply, NULL);
    reply_open_array(reply, LIST);
    for (size_t i = 0; i < request_page_rows(&page, rows); i++) {
        reply_open_object(reply, NULL);
        reply_column_number(reply, "id", rows, i, 0);
        reply_column_text(reply, "workspace", rows, i, 1);
        reply_column_time(reply, "at", rows, i, 2);
        reply_column_text(reply, "actor", rows, i, 3);
        reply_column_text(reply, "action", rows, i, 4);
        reply_column_text(reply, "target", rows, i, 5);
        reply_column_raw(reply, "details", rows, i, 6);
        reply_column_text(reply, "hash", rows, i, 7);
        reply_close_object(reply);
    }
    request_page_end(request, reply, LIST, &page, rows, (const int[]){0}, 1);
    db_rows_free(rows);
    return STATUS_OK;
}
