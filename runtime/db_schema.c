#include "runtime/db_schema.h"

static bool table_missing(const struct db *db)
{
    return strcmp(db_sqlstate(db), "42P01") == 0 || strcmp(db_sqlstate(db), "3F000") == 0;
}

enum status db_schema_check(struct db *db, int needed, uint32_t timeout_ms, struct problem *why)
{
    static const char select_number[] = "SELECT coalesce(max(number), 0) FROM picket.migration";
    struct db_rows *rows = NULL;

    enum status status = db_query(db, select_number, NULL, 0, timeout_ms, &rows, why);
    if (status == STATUS_FAULT && table_missing(db))
        return problem_set(why, STATUS_RETRY, "the database has no Picket in it; run picket migrate");
    if (status)
        return status;
    int64_t number = db_i64(rows, 0, 0);
    db_rows_free(rows);
    if (number < needed)
        return problem_set(why, STATUS_RETRY, "the database is at migration %lld, this build needs %d; run picket migrate",
                           (long long)number, needed);
    return STATUS_OK;
}
