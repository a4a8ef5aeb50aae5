#include "kql/emit.h"

static const char *const sql_types[] = {
    [TYPE_BOOL] = "bool",       [TYPE_INT] = "bigint",      [TYPE_LONG] = "bigint",
    [TYPE_REAL] = "float8",     [TYPE_DECIMAL] = "numeric", [TYPE_STRING] = "text",
    [TYPE_DATETIME] = "bigint", [TYPE_TIMESPAN] = "bigint", [TYPE_GUID] = "uuid",
    [TYPE_DYNAMIC] = "json",
};

void emit_null(struct emitter *emitter, enum kql_type type)
{
    buf_format(&emitter->out, type == TYPE_STRING ? "''::%s" : "NULL::%s", sql_types[type]);
}

void emit_parameter(struct emitter *emitter, struct kql_parameter_value parameter)
{
    unsigned i = 0;

    for (; i < emitter->parameter_count; i++) {
        const struct kql_parameter_value *known = &emitter->parameters[i];
        if (known->type == parameter.type && known->is_array == parameter.is_array &&
            text_equal(known->text, parameter.text))
            break;
    }
    if (i == emitter->parameter_room) {
        struct kql_parameter_value *grown =
            ARENA_ARRAY(emitter->arena, struct kql_parameter_value, 2 * i + 16);
        if (i)
            memcpy(grown, emitter->parameters, i * sizeof *grown);
        emitter->parameters = grown;
        emitter->parameter_room = 2 * i + 16;
    }
    if (i == emitter->parameter_count)
        emitter->parameters[emitter->parameter_count++] = parameter;
    buf_format(&emitter->out, "$%u::%s%s", i + 1, sql_types[parameter.type], parameter.is_array ? "[]" : "");
}

static void emit_constant(struct emitter *emitter, const struct bound_value *value)
{
    if (!value->text.bytes || (value->type == TYPE_STRING && !value->text.count))
        emit_null(emitter, value->type);
    else if (value->type == TYPE_BOOL)
        buf_text(&emitter->out, value->text);
    else
        emit_parameter(emitter, (struct kql_parameter_value){value->type, false, value->text});
}

static void emit_column(struct emitter *emitter, const struct bound_column *column)
{
    if (column->storage == KQL_TIMESTAMPTZ)
        buf_format(&emitter->out, "%s.ticks(c%u)", emitter->helpers, column->id);
    else
        buf_format(&emitter->out, column->storage == KQL_JSONB ? "c%u::json" : "c%u", column->id);
}

void emit_order(struct emitter *emitter, const struct bound_order *order)
{
    for (bool first = true; order; order = order->next, first = false)
        buf_format(&emitter->out, "%sc%u%s%s NULLS %s", first ? "ORDER BY " : ", ", order->column->id,
                   order->column->type == TYPE_STRING ? " COLLATE \"C\"" : "",
                   order->descending ? " DESC" : "", order->nulls_last ? "LAST" : "FIRST");
}

static void emit_call(struct emitter *emitter, const struct bound_value *call)
{
    for (const char *at = call->sql; *at; at++) {
        if (*at == '@') {
            buf_format(&emitter->out, "%s.", emitter->helpers);
        } else if (*at != '%') {
            buf_byte(&emitter->out, *at);
        } else if (*++at == '*') {
            for (unsigned i = call->variadic; i < call->count; i++) {
                buf_string(&emitter->out, i > call->variadic ? ", " : "");
                emit_value(emitter, call->arguments[i], false);
            }
        } else if (*at == 'o') {
            emit_order(emitter, call->order);
        } else if ((unsigned)(*at - '1') < call->count) {
            emit_value(emitter, call->arguments[*at - '1'], false);
        } else {
            buf_string(&emitter->out, "NULL"); /* it was left out */
        }
    }
}

static void emit_both(struct emitter *emitter, const struct bound_value *both, const char *between,
                      bool filters)
{
    buf_byte(&emitter->out, '(');
    emit_value(emitter, both->arguments[0], filters);
    buf_string(&emitter->out, between);
    emit_value(emitter, both->arguments[1], filters);
    buf_byte(&emitter->out, ')');
}

/* Null is equal to nothing and unequal to everything, but for another null, where neither is known. */
static void emit_equal(struct emitter *emitter, const struct bound_value *equal, bool filters)
{
    bool negated = equal->kind == BOUND_NOT_EQUAL, left = equal->arguments[0]->nullable,
         right = equal->arguments[1]->nullable;

    if (!negated && (filters || (!left && !right))) {
        emit_both(emitter, equal, " = ", false);
    } else if (!left && !right) {
        emit_both(emitter, equal, " <> ", false);
    } else if (!left || !right) {
        emit_both(emitter, equal, negated ? " IS DISTINCT FROM " : " IS NOT DISTINCT FROM ", false);
    } else {
        buf_byte(&emitter->out, '(');
        emit_both(emitter, equal, negated ? " IS DISTINCT FROM " : " IS NOT DISTINCT FROM ", false);
        buf_string(&emitter->out, negated ? " OR NOT " : " AND ");
        emit_both(emitter, equal, " = ", false);
        buf_byte(&emitter->out, ')');
    }
}

static void emit_case(struct emitter *emitter, const struct bound_value *value)
{
    buf_string(&emitter->out, "CASE");
    for (unsigned i = 0; i + 1 < value->count; i += 2) {
        buf_string(&emitter->out, " WHEN ");
        emit_value(emitter, value->arguments[i], true);
        buf_string(&emitter->out, " THEN ");
        emit_value(emitter, value->arguments[i + 1], false);
    }
    buf_string(&emitter->out, " ELSE ");
    emit_value(emitter, value->arguments[value->count - 1], false);
    buf_string(&emitter->out, " END");
}

static void array_add(struct buf *out, const struct bound_value *value)
{
    buf_byte(out, out->count > 1 ? ',' : ' ');
    if (!value->text.bytes) {
        buf_string(out, "NULL");
        return;
    }
    buf_byte(out, '"');
    for (size_t i = 0; i < value->text.count; i++) {
        if (value->text.bytes[i] == '"' || value->text.bytes[i] == '\\')
            buf_byte(out, '\\');
        buf_byte(out, value->text.bytes[i]);
    }
    buf_byte(out, '"');
}

void emit_constants(struct emitter *emitter, enum kql_type type, struct bound_value *const *values,
                    unsigned from, unsigned count, unsigned step)
{
    struct buf array;

    buf_init(&array, SIZE_MAX / 2);
    buf_byte(&array, '{');
    for (unsigned i = from; i < count; i += step)
        array_add(&array, values[i]);
    buf_byte(&array, '}');
    emit_parameter(emitter,
                   (struct kql_parameter_value){type, true, arena_text(emitter->arena, buf_as_text(&array))});
    buf_done(&array);
}

static void emit_of_rows(struct emitter *emitter, const struct bound_value *value)
{
    bool scalar = value->kind == BOUND_SCALAR, text = value->type == TYPE_STRING;

    buf_string(&emitter->out, scalar && text ? "coalesce((SELECT " : "(SELECT ");
    emit_column(emitter, value->column);
    buf_string(&emitter->out, " FROM (");
    emit_rows(emitter, value->rows);
    buf_format(&emitter->out, ") t%u ", ++emitter->tables);
    if (scalar) {
        emit_order(emitter, value->rows->order);
        buf_string(&emitter->out, text ? " LIMIT 1), '')" : " LIMIT 1)");
    } else {
        buf_format(&emitter->out, "WHERE c%u IS NOT NULL)", value->column->id);
    }
}

void emit_value(struct emitter *emitter, const struct bound_value *value, bool filters)
{
    switch (value->kind) {
    case BOUND_CONSTANT:
        emit_constant(emitter, value);
        break;
    case BOUND_COLUMN:
        if (value->stored)
            buf_format(&emitter->out, "c%u", value->column->id);
        else
            emit_column(emitter, value->column);
        break;
    case BOUND_CALL:
    case BOUND_ORDERED:
        emit_call(emitter, value);
        break;
    case BOUND_AND:
        emit_both(emitter, value, " AND ", filters);
        break;
    case BOUND_OR:
        emit_both(emitter, value, " OR ", filters);
        break;
    case BOUND_NOT:
        buf_string(&emitter->out, "(NOT ");
        emit_value(emitter, value->arguments[0], false);
        buf_byte(&emitter->out, ')');
        break;
    case BOUND_EQUAL:
    case BOUND_NOT_EQUAL:
        emit_equal(emitter, value, filters);
        break;
    case BOUND_CASE:
        emit_case(emitter, value);
        break;
    case BOUND_LIST:
        emit_constants(emitter, value->type, value->arguments, 0, value->count, 1);
        break;
    case BOUND_SCALAR:
    case BOUND_ARRAY:
        emit_of_rows(emitter, value);
        break;
    }
}
