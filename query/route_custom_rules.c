#include "query/routes.h"

#include <arpa/inet.h>
#include <string.h>

#include "runtime/clock.h"

#define LIST "custom_rules"
#define VALUES_MAX 10000
#define VALUE_BYTES_MAX 256
#define GROUP_BYTES_MAX 128
#define COUNT_MAX INT64_C(1000000000)
#define WINDOW_US_MIN INT64_C(60000000)
#define WINDOW_US_MAX (24 * 3600 * INT64_C(1000000))

/* What store/custom.c gathers of events, and picket.custom_happened() of commands. */
enum kind { KIND_NONE, KIND_ADDRESSES, KIND_NAMES, KIND_WINDOW };
static const struct {
    const char *type;
    enum kind kind;
} types[] = {
    {"ConnectionToIpNotAllowed", KIND_ADDRESSES},          {"LocalUserNotAllowed", KIND_NAMES},
    {"ProcessNotAllowed", KIND_NAMES},                     {"ActiveConnectionsNotInAllowedRange", KIND_WINDOW},
    {"FailedLocalLoginsNotInAllowedRange", KIND_WINDOW},   {"UnauthorizedOperationsNotInAllowedRange", KIND_WINDOW},
    {"HttpD2CMessagesNotInAllowedRange", KIND_WINDOW},     {"MqttD2CMessagesNotInAllowedRange", KIND_WINDOW},
    {"HttpC2DMessagesNotInAllowedRange", KIND_WINDOW},     {"MqttC2DMessagesNotInAllowedRange", KIND_WINDOW},
    {"HttpC2DRejectedMessagesNotInAllowedRange", KIND_WINDOW}, {"MqttC2DRejectedMessagesNotInAllowedRange", KIND_WINDOW},
    {"DirectMethodInvokesNotInAllowedRange", KIND_WINDOW}, {"TwinUpdatesNotInAllowedRange", KIND_WINDOW},
    {"QueuePurgesNotInAllowedRange", KIND_WINDOW},
};

static const char select_rules[] =
    "SELECT r.workspace_id, w.name, r.security_group, r.rule_type, r.enabled, to_json(CASE WHEN NOT r.denies THEN r.list_values END),"
    " to_json(CASE WHEN r.denies THEN r.list_values END), r.min_count, r.max_count, r.window_s, (extract(epoch FROM r.changed_at) * 1000000)::bigint"
    " FROM picket.custom_rule r JOIN picket.workspace w USING (workspace_id) WHERE r.workspace_id = ANY($1::int[])"
    " AND ($2::int IS NULL OR (r.workspace_id, r.security_group, r.rule_type) > ($2::int, $3, $4)) AND ($5::text IS NULL OR (r.security_group = $5 AND r.rule_type = $6))"
    " ORDER BY r.workspace_id, r.security_group, r.rule_type LIMIT $7::int + 1";

static void rule_write(const struct db_rows *rows, size_t i, struct reply *reply)
{
    reply_column_text(reply, "workspace", rows, i, 1);
    reply_column_text(reply, "group", rows, i, 2);
    reply_column_text(reply, "type", rows, i, 3);
    reply_flag(reply, "enabled", db_bool(rows, i, 4));
    reply_column_raw(reply, "allow", rows, i, 5);
    reply_column_raw(reply, "deny", rows, i, 6);
    reply_column_number(reply, "min", rows, i, 7);
    reply_column_number(reply, "max", rows, i, 8);
    reply_column_number(reply, "window_s", rows, i, 9);
    reply_column_time(reply, "changed_at", rows, i, 10);
}

ROUTE_HANDLER(custom_rules_list)
{
    struct db_rows *rows = NULL;
    struct page page;

    (void)query;
    enum status status = request_page(request, LIST, 3, &page, why);
    if (status)
        return status;
    const char *const parameters[] = {request->scope, page.fields[0], page.fields[1], page.fields[2], NULL, NULL, request_decimal(request, page.limit)};
    status = request_query(request, select_rules, parameters, 7, &rows, why);
    if (status)
        return status;
    request_page_write(request, reply, LIST, &page, rows, rule_write, (const int[]){0, 2, 3}, 3);
    db_rows_free(rows);
    return STATUS_OK;
}

/* ---- setting one ---- */

static enum status type_kind(const char *type, enum kind *out, struct problem *why)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].type, type) == 0) {
            *out = types[i].kind;
            return STATUS_OK;
        }
    return problem_set(why, STATUS_REJECT,
                       "there is no type %.100s: there are ConnectionToIpNotAllowed, LocalUserNotAllowed, ProcessNotAllowed, and ActiveConnections-, FailedLocalLogins-,"
                       " UnauthorizedOperations-, HttpD2CMessages-, MqttD2CMessages-, HttpC2DMessages-, MqttC2DMessages-, HttpC2DRejectedMessages-,"
                       " MqttC2DRejectedMessages-, DirectMethodInvokes-, TwinUpdates- and QueuePurgesNotInAllowedRange (no AMQP and no file upload is served here)",
                       type);
}

/* "192.0.2.0/24", "2001:db8::1". */
static bool is_network(const char *value)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    size_t count = strcspn(value, "/");
    uint64_t bits = 0;

    if (count >= sizeof address)
        return false;
    memcpy(address, value, count);
    address[count] = '\0';
    bool v4 = inet_pton(AF_INET, address, &parsed) == 1;
    if (!v4 && inet_pton(AF_INET6, address, &parsed) != 1)
        return false;
    return !value[count] || (text_to_u64(text_of(value + count + 1), &bits) && bits <= (v4 ? 32 : 128));
}

static enum status list_read(const json_t *list, const char *name, enum kind kind, struct buf *out, struct problem *why)
{
    const json_t *element;
    size_t i;

    if (!json_is_array(list) || json_array_size(list) > VALUES_MAX)
        return problem_set(why, STATUS_REJECT, "\"%s\" is a list of at most %d values", name, VALUES_MAX);
    db_array_open(out);
    json_array_foreach (list, i, element) {
        const char *value = json_string_value(element);
        if (!value || !*value || strlen(value) > VALUE_BYTES_MAX)
            return problem_set(why, STATUS_REJECT, "\"%s\" has texts of 1 to %d bytes", name, VALUE_BYTES_MAX);
        if (kind == KIND_ADDRESSES && !is_network(value))
            return problem_set(why, STATUS_REJECT, "\"%s\": %.100s is no address and no network: 192.0.2.7, 192.0.2.0/24, 2001:db8::/32", name, value);
        db_array_text(out, text_of(value));
    }
    db_array_close(out);
    return STATUS_OK;
}

struct wish {
    const char *enabled, *denies, *list, *min, *max, *window; /* of the statement */
};

static enum status range_read(const struct request *request, struct wish *out, struct problem *why)
{
    const json_t *min = json_object_get(request->body, "min"), *max = json_object_get(request->body, "max");
    const char *window = NULL;
    int64_t window_us = 0;

    enum status status = request_string(request, "window", &window, why);
    if (status)
        return status;
    if (!json_is_integer(min) || !json_is_integer(max) || json_integer_value(min) < 0 || json_integer_value(max) < json_integer_value(min) || json_integer_value(max) > COUNT_MAX)
        return problem_set(why, STATUS_REJECT, "\"min\" and \"max\" are whole numbers, min from 0, max not below it: fewer or more within the window is an alert");
    if (!clock_parse_duration(text_of(window ? window : "PT15M"), &window_us) || window_us < WINDOW_US_MIN || window_us > WINDOW_US_MAX)
        return problem_set(why, STATUS_REJECT, "\"window\" is a duration from one minute to a day: PT15M, 15m");
    out->min = request_decimal(request, json_integer_value(min));
    out->max = request_decimal(request, json_integer_value(max));
    out->window = request_decimal(request, window_us / 1000000);
    return STATUS_OK;
}

static enum status wish_read(const struct request *request, enum kind kind, struct buf *list, struct wish *out, struct problem *why)
{
    static const char *const lists[] = {"enabled", "allow", "deny", "workspace", NULL};
    static const char *const ranges[] = {"enabled", "min", "max", "window", "workspace", NULL};
    const json_t *allow = json_object_get(request->body, "allow"), *deny = json_object_get(request->body, "deny"), *enabled = json_object_get(request->body, "enabled");

    *out = (struct wish){.enabled = json_is_false(enabled) ? "false" : "true"};
    enum status status = request_members(request, kind == KIND_WINDOW ? ranges : lists, why);
    if (!status && enabled && !json_is_boolean(enabled))
        status = problem_set(why, STATUS_REJECT, "\"enabled\" is true or false");
    if (status || kind == KIND_WINDOW)
        return status ? status : range_read(request, out, why);
    if (!allow == !deny)
        return problem_set(why, STATUS_REJECT, "one of \"allow\" and \"deny\" is needed: what is not in the one, or is in the other, is an alert");
    status = list_read(allow ? allow : deny, allow ? "allow" : "deny", kind, list, why);
    out->denies = deny ? "true" : "false";
    out->list = list->bytes;
    return status;
}

static enum status rule_find(const struct request *request, struct reply *reply, struct db_rows **rows, struct problem *why)
{
    const char *const parameters[] = {request->scope, NULL, NULL, NULL, request_parameter(request, "group"), request_parameter(request, "type"), "1"};
    enum status status = request_query(request, select_rules, parameters, 7, rows, why);

    if (!status && !db_rows_count(*rows))
        return reply_refuse(reply, why, 404, "not_found", "the group %s has no rule %s", parameters[4], parameters[5]);
    if (!status && db_rows_count(*rows) > 1)
        return problem_set(why, STATUS_REJECT, "more than one workspace has that rule: name one with ?workspace=");
    return status;
}

ROUTE_HANDLER(custom_rules_put)
{
    static const char put[] = "INSERT INTO picket.custom_rule AS r (workspace_id, security_group, rule_type, enabled, denies, list_values, min_count, max_count, window_s)"
                              " VALUES ($1::int, $2, $3, $4::boolean, $5::boolean, $6::text[], $7::bigint, $8::bigint, $9::int) ON CONFLICT (workspace_id, security_group, rule_type)"
                              " DO UPDATE SET enabled = excluded.enabled, denies = excluded.denies, list_values = excluded.list_values, min_count = excluded.min_count,"
                              " max_count = excluded.max_count, window_s = excluded.window_s, changed_at = now()";
    const char *group = request_parameter(request, "group"), *type = request_parameter(request, "type"), *workspace_name;
    struct db_rows *rows = NULL;
    enum kind kind = KIND_NONE;
    struct buf list;
    struct wish wish;
    int64_t workspace = 0;

    (void)query;
    if (!*group || strlen(group) > GROUP_BYTES_MAX)
        return problem_set(why, STATUS_REJECT, "a group's name has 1 to %d bytes", GROUP_BYTES_MAX);
    buf_init(&list, 8 * 1024 * 1024);
    enum status status = type_kind(type, &kind, why);
    if (!status)
        status = wish_read(request, kind, &list, &wish, why);
    if (!status)
        status = request_workspace(request, &workspace, &workspace_name, why);
    if (!status) {
        const char *const parameters[] = {request_decimal(request, workspace), group, type, wish.enabled, wish.denies, wish.list, wish.min, wish.max, wish.window};
        status = request_query(request, put, parameters, 9, NULL, why);
    }
    if (!status)
        status = request_audit(request, workspace, "custom_rule.put", arena_format(request->arena, "%s/%s", group, type), NULL, why);
    if (!status)
        status = rule_find(request, reply, &rows, why);
    if (!status) {
        reply_open_object(reply, NULL);
        rule_write(rows, 0, reply);
        reply_close_object(reply);
    }
    buf_done(&list);
    db_rows_free(rows);
    return status;
}

ROUTE_HANDLER(custom_rules_remove)
{
    static const char remove[] = "DELETE FROM picket.custom_rule WHERE workspace_id = $1::int AND security_group = $2 AND rule_type = $3";
    const char *group = request_parameter(request, "group"), *type = request_parameter(request, "type");
    struct db_rows *rows = NULL;

    (void)query;
    enum status status = rule_find(request, reply, &rows, why);
    if (!status) {
        const char *const parameters[] = {db_text(rows, 0, 0).bytes, group, type};
        status = request_query(request, remove, parameters, 3, NULL, why);
        if (!status)
            status = request_audit(request, db_i64(rows, 0, 0), "custom_rule.remove", arena_format(request->arena, "%s/%s", group, type), NULL, why);
    }
    if (!status)
        reply_code(reply, 204);
    db_rows_free(rows);
    return status;
}
