#include "query/device_path.h"

#include "wire/limits.h"

enum status device_path_find(const struct request *request, struct device_path *out, struct reply *reply,
                             struct problem *why)
{
    static const char find[] =
        "SELECT d.workspace_id, w.name, d.status FROM picket.device d JOIN picket.workspace w ON"
        " w.workspace_id = d.workspace_id WHERE d.workspace_id = ANY($1::int[]) AND d.device_id = $2 AND d.module_id = $3"
        " AND d.status <> 'deleted' LIMIT 2";
    struct device_path path = {.device = request_parameter(request, "id"), .module = request_parameter(request, "module")};
    const char *const parameters[] = {request->scope, path.device, path.module};
    struct db_rows *rows = NULL;

    path.name = *path.module ? arena_format(request->arena, "%s/%s", path.device, path.module) : path.device;
    enum status status = request_query(request, find, parameters, 3, &rows, why);
    if (status)
        return status;
    if (db_rows_count(rows) == 0) {
        status = reply_refuse(reply, why, 404, "NotFound", "There is no device %.300s.", path.name);
    } else if (db_rows_count(rows) > 1) {
        status = problem_set(why, STATUS_REJECT, "several workspaces have a device %.200s: name one with ?workspace=", path.name);
    } else {
        path.workspace_id = db_i64(rows, 0, 0);
        path.workspace = request_decimal(request, path.workspace_id);
        path.workspace_name = arena_string(request->arena, db_text(rows, 0, 1));
        path.status = arena_string(request->arena, db_text(rows, 0, 2));
        *out = path;
    }
    db_rows_free(rows);
    return status;
}

bool device_id_valid(struct text id)
{
    static const char marks[] = "-:.+%_#*?!(),=@;$'";

    if (id.count < 1 || id.count > PICKET_ID_MAX)
        return false;
    for (size_t i = 0; i < id.count; i++) {
        char c = id.bytes[i];
        bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alphanumeric && !memchr(marks, c, sizeof marks - 1))
            return false;
    }
    return true;
}
