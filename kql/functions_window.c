#include "kql/functions.h"

/* Of the rows before and behind, in their order. */
static const struct kql_signature rows[] = {
    {"row_number", "", "l", "!row_number() OVER (%o)", NULL},
    {"row_number", "l", "l", "!(row_number() OVER (%o) - 1 + %1)", NULL},
    {"row_number", "lb", "l", "!@number_since(%1, %2) OVER (%o ROWS UNBOUNDED PRECEDING)", NULL},
    {"row_cumsum", "l", "l", "sum(coalesce(%1, 0)) OVER (%o ROWS UNBOUNDED PRECEDING)::bigint", NULL},
    {"row_cumsum", "r", "r", "sum(coalesce(%1, 0)) OVER (%o ROWS UNBOUNDED PRECEDING)", NULL},
    {"row_cumsum", "lb", "l", "@sum_since(%1, %2) OVER (%o ROWS UNBOUNDED PRECEDING)", NULL},
    {"row_cumsum", "rb", "r", "@sum_since(%1, %2) OVER (%o ROWS UNBOUNDED PRECEDING)", NULL},
    {"row_rank_dense", "S", "l", "!@rank_dense(%1, false) OVER (%o ROWS UNBOUNDED PRECEDING)", NULL},
    {"row_rank_dense", "Sb", "l", "!@rank_dense(%1, %2) OVER (%o ROWS UNBOUNDED PRECEDING)", NULL},
    {"row_rank_min", "S", "l", "!@rank_min(%1, false) OVER (%o ROWS UNBOUNDED PRECEDING)", NULL},
    {"row_rank_min", "Sb", "l", "!@rank_min(%1, %2) OVER (%o ROWS UNBOUNDED PRECEDING)", NULL},
    {"row_window_session", "tppb?", "t", "@session(%1, %2, %3, %4) OVER (%o ROWS UNBOUNDED PRECEDING)", NULL},
    {"prev", "sls", "s", "!lag(%1, (%2)::int, %3) OVER (%o)", NULL},
    {"prev", "sl", "s", "!lag(%1, (%2)::int, ''::text) OVER (%o)", NULL},
    {"prev", "s", "s", "!lag(%1, 1, ''::text) OVER (%o)", NULL},
    {"prev", "clc", "w", "lag(%1, (%2)::int, %3) OVER (%o)", NULL},
    {"prev", "xl", "1", "lag(%1, (%2)::int) OVER (%o)", NULL},
    {"prev", "x", "1", "lag(%1) OVER (%o)", NULL},
    {"next", "sls", "s", "!lead(%1, (%2)::int, %3) OVER (%o)", NULL},
    {"next", "sl", "s", "!lead(%1, (%2)::int, ''::text) OVER (%o)", NULL},
    {"next", "s", "s", "!lead(%1, 1, ''::text) OVER (%o)", NULL},
    {"next", "clc", "w", "lead(%1, (%2)::int, %3) OVER (%o)", NULL},
    {"next", "xl", "1", "lead(%1, (%2)::int) OVER (%o)", NULL},
    {"next", "x", "1", "lead(%1) OVER (%o)", NULL},
};

const struct kql_signatures window_signatures = {rows, sizeof rows / sizeof *rows, FUNCTION_WINDOW, "window"};
