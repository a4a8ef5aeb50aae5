#include "kql/emit.h"

static void emit_from(struct emitter *emitter, const struct bound_rows *rows)
{
    buf_string(&emitter->out, " FROM (");
    emit_rows(emitter, rows);
    buf_format(&emitter->out, ") t%u", ++emitter->tables);
}

static void emit_definition(struct emitter *emitter, const struct bound_definition *definition)
{
    /* What is only handed on keeps the form that it lies in. */
    if (definition->value->kind == BOUND_COLUMN &&
        definition->value->column->storage == definition->column->storage)
        buf_format(&emitter->out, "c%u", definition->value->column->id);
    else
        emit_value(emitter, definition->value, false);
    buf_format(&emitter->out, " AS c%u", definition->column->id);
}

static void emit_definitions(struct emitter *emitter, const struct bound_definition *definition,
                             const char *before)
{
    for (; definition; definition = definition->next) {
        if (!emit_is_used(emitter, definition->column))
            continue;
        buf_string(&emitter->out, before);
        emit_definition(emitter, definition);
        before = ", ";
    }
}

/* As the catalog says it, or quoted where it says nothing. */
static void emit_name(struct emitter *emitter, struct text sql, struct text name)
{
    if (sql.bytes) {
        buf_text(&emitter->out, sql);
        return;
    }
    buf_byte(&emitter->out, '"');
    for (size_t i = 0; i < name.count; i++) {
        if (name.bytes[i] == '"')
            buf_byte(&emitter->out, '"');
        buf_byte(&emitter->out, name.bytes[i]);
    }
    buf_byte(&emitter->out, '"');
}

static void emit_table(struct emitter *emitter, const struct bound_rows *rows)
{
    const struct catalog_table *table = rows->table;

    const char *before = "SELECT ";

    for (unsigned i = 0; i < rows->count; i++) {
        const struct bound_column *column = rows->columns[i], *parsed = column->parsed, *words = column->words;
        if (emit_is_used(emitter, column)) {
            buf_string(&emitter->out, before);
            emit_name(emitter, table->columns[i].sql, table->columns[i].name);
            buf_format(&emitter->out, " AS c%u", column->id);
            before = ", ";
        }
        if (parsed && emit_is_used(emitter, parsed)) {
            buf_format(&emitter->out, "%s%.*s AS c%u", before, TEXT_ARGS(table->columns[i].parsed_sql), parsed->id);
            before = ", ";
        }
        if (words && emit_is_used(emitter, words)) {
            buf_format(&emitter->out, "%s%.*s AS c%u", before, TEXT_ARGS(table->columns[i].words_sql), words->id);
            before = ", ";
        }
    }
    buf_format(&emitter->out, "%s FROM ", before[0] == 'S' ? "SELECT 0 AS c0" : "");
    emit_name(emitter, table->sql, table->name);
    buf_format(&emitter->out, " t%u", ++emitter->tables);
}

static bool all_constant(const struct bound_rows *rows)
{
    for (unsigned i = 0; i < rows->value_count; i++)
        if (rows->values[i]->kind != BOUND_CONSTANT)
            return false;
    return true;
}

static void emit_column_list(struct emitter *emitter, const struct bound_rows *rows)
{
    buf_format(&emitter->out, " t%u(", ++emitter->tables);
    for (unsigned i = 0; i < rows->count; i++)
        buf_format(&emitter->out, "c%u, ", rows->columns[i]->id);
    buf_format(&emitter->out, "c%u)", rows->ordinal->id);
}

static void emit_values(struct emitter *emitter, const struct bound_rows *rows)
{
    if (all_constant(rows)) {
        buf_string(&emitter->out, "SELECT * FROM unnest(");
        for (unsigned i = 0; i < rows->count; i++) {
            buf_string(&emitter->out, i ? ", " : "");
            emit_constants(emitter, rows->columns[i]->type, rows->values, i, rows->value_count, rows->count);
        }
        buf_string(&emitter->out, ") WITH ORDINALITY");
    } else {
        buf_string(&emitter->out, "SELECT * FROM (VALUES ");
        for (unsigned i = 0; i < rows->value_count; i++) {
            buf_string(&emitter->out, i % rows->count ? ", " : i ? "), (" : "(");
            emit_value(emitter, rows->values[i], false);
            if (i % rows->count == rows->count - 1)
                buf_format(&emitter->out, ", %u::bigint", i / rows->count + 1);
        }
        buf_string(&emitter->out, "))");
    }
    emit_column_list(emitter, rows);
}

static void emit_range(struct emitter *emitter, const struct bound_rows *rows)
{
    buf_format(&emitter->out, "SELECT * FROM %s.range_rows(", emitter->helpers);
    for (unsigned i = 0; i < 3; i++) {
        buf_string(&emitter->out, i ? ", " : "");
        emit_value(emitter, rows->values[i], false);
    }
    buf_string(&emitter->out, ") WITH ORDINALITY");
    emit_column_list(emitter, rows);
}

static void emit_group(struct emitter *emitter, const struct bound_rows *rows)
{
    unsigned groups = 0;

    buf_string(&emitter->out, "SELECT ");
    emit_definitions(emitter, rows->definitions, "");
    emit_definitions(emitter, rows->aggregates, rows->definitions ? ", " : "");
    emit_from(emitter, rows->input);
    for (const struct bound_definition *by = rows->definitions; by; by = by->next, groups++)
        buf_format(&emitter->out, "%s%u", groups ? ", " : " GROUP BY ", groups + 1);
}

static void emit_newest(struct emitter *emitter, const struct bound_rows *rows)
{
    buf_string(&emitter->out, "SELECT DISTINCT ON (");
    for (const struct bound_definition *by = rows->definitions; by; by = by->next)
        buf_format(&emitter->out, "%sc%u", by == rows->definitions ? "" : ", ", by->column->id);
    buf_string(&emitter->out, ") ");
    emit_definitions(emitter, rows->definitions, "");
    emit_definitions(emitter, rows->aggregates, ", ");
    emit_from(emitter, rows->input);
    for (const struct bound_definition *by = rows->definitions; by; by = by->next)
        buf_format(&emitter->out, "%sc%u", by == rows->definitions ? " ORDER BY " : ", ", by->column->id);
    for (const struct bound_order *order = rows->order; order; order = order->next)
        buf_format(&emitter->out, ", c%u%s%s NULLS %s", order->column->id,
                   order->column->type == TYPE_STRING ? " COLLATE \"C\"" : "",
                   order->descending ? " DESC" : "", order->nulls_last ? "LAST" : "FIRST");
}

/* A null is the same as another null: as texts, where no value is "". */
static void emit_key(struct emitter *emitter, const struct bound_value *key)
{
    bool nullable = key->nullable && key->type != TYPE_STRING;

    buf_string(&emitter->out, nullable ? "coalesce((" : "");
    emit_value(emitter, key, false);
    buf_string(&emitter->out, nullable ? ")::text, '')" : "");
}

static void emit_keys(struct emitter *emitter, const struct bound_join *join, const char *before)
{
    for (unsigned i = 0; i < join->count; i++) {
        bool nullable = join->left[i]->nullable || join->right[i]->nullable;
        struct bound_value left = *join->left[i], right = *join->right[i];
        left.nullable = right.nullable = nullable;
        buf_string(&emitter->out, i ? " AND " : before);
        emit_key(emitter, &left);
        buf_string(&emitter->out, " = ");
        emit_key(emitter, &right);
    }
}

static void emit_exists(struct emitter *emitter, const struct bound_rows *of, const struct bound_rows *in,
                        const struct bound_join *join, bool anti)
{
    buf_string(&emitter->out, "SELECT *");
    emit_from(emitter, of);
    buf_string(&emitter->out, anti ? " WHERE NOT EXISTS (SELECT 1" : " WHERE EXISTS (SELECT 1");
    emit_from(emitter, in);
    emit_keys(emitter, join, " WHERE ");
    buf_byte(&emitter->out, ')');
}

static void emit_join(struct emitter *emitter, const struct bound_rows *rows)
{
    static const char *const words[] = {[JOIN_INNER] = " JOIN (",
                                        [JOIN_INNER_UNIQUE] = " JOIN (",
                                        [JOIN_LEFT] = " LEFT JOIN (",
                                        [JOIN_RIGHT] = " RIGHT JOIN (",
                                        [JOIN_FULL] = " FULL JOIN ("};
    const struct bound_join *join = &rows->join;
    enum join_kind kind = join->kind;

    if (kind == JOIN_LEFT_SEMI || kind == JOIN_LEFT_ANTI) {
        emit_exists(emitter, rows->input, rows->right, join, kind == JOIN_LEFT_ANTI);
        return;
    }
    if (kind == JOIN_RIGHT_SEMI || kind == JOIN_RIGHT_ANTI) {
        emit_exists(emitter, rows->right, rows->input, join, kind == JOIN_RIGHT_ANTI);
        return;
    }
    buf_string(&emitter->out, "SELECT * FROM (");
    if (kind == JOIN_INNER_UNIQUE) { /* one row of the left side for each key */
        buf_string(&emitter->out, "SELECT DISTINCT ON (");
        for (unsigned i = 0; i < join->count; i++) {
            buf_string(&emitter->out, i ? ", " : "");
            emit_value(emitter, join->left[i], false);
        }
        buf_string(&emitter->out, ") *");
        emit_from(emitter, rows->input);
    } else {
        emit_rows(emitter, rows->input);
    }
    buf_format(&emitter->out, ") t%u%s", ++emitter->tables, words[kind]);
    emit_rows(emitter, rows->right);
    buf_format(&emitter->out, ") t%u", ++emitter->tables);
    emit_keys(emitter, join, " ON ");
}

static void emit_union(struct emitter *emitter, const struct bound_rows *rows)
{
    for (const struct bound_leg *leg = rows->legs; leg; leg = leg->next) {
        buf_string(&emitter->out, leg == rows->legs ? "SELECT 0 AS c0" : " UNION ALL SELECT 0");
        for (unsigned i = 0; i < rows->count; i++) {
            if (!emit_is_used(emitter, rows->columns[i]))
                continue;
            buf_string(&emitter->out, ", ");
            if (leg->values[i])
                emit_value(emitter, leg->values[i], false);
            else if (rows->columns[i]->storage == KQL_TIMESTAMPTZ)
                buf_string(&emitter->out, "NULL::timestamptz");
            else
                emit_null(emitter, rows->columns[i]->type);
            buf_format(&emitter->out, " AS c%u", rows->columns[i]->id);
        }
        emit_from(emitter, leg->rows);
    }
}

static void emit_elements(struct emitter *emitter, const struct bound_rows *rows)
{
    unsigned table = ++emitter->tables;

    buf_string(&emitter->out, "SELECT ");
    for (unsigned i = 0; i < rows->count; i++)
        buf_format(&emitter->out, "t%u.value[%u] AS c%u, ", table, i + 1, rows->columns[i]->id);
    buf_format(&emitter->out, "t%u.number - 1 AS c%u FROM %s.expand(ARRAY[", table, rows->ordinal->id,
               emitter->helpers);
    for (unsigned i = 0; i < rows->value_count; i++) {
        buf_string(&emitter->out, i ? ", " : "");
        emit_value(emitter, rows->values[i], false);
    }
    buf_format(&emitter->out, "], %s, ", rows->bags_as_arrays ? "true" : "false");
    if (rows->limit)
        emit_value(emitter, rows->limit, false);
    else
        buf_string(&emitter->out, "NULL");
    buf_format(&emitter->out, ") WITH ORDINALITY t%u(value, number)", table);
}

static void emit_shared(struct emitter *emitter, const struct bound_rows *rows)
{
    buf_string(&emitter->out, "SELECT 0 AS c0");
    emit_definitions(emitter, rows->definitions, ", ");
    if (rows->shared->once)
        buf_format(&emitter->out, " FROM s%u t%u", rows->shared->number, ++emitter->tables);
    else
        emit_from(emitter, rows->shared->rows);
}

void emit_rows(struct emitter *emitter, const struct bound_rows *rows)
{
    switch (rows->kind) {
    case ROWS_TABLE:
        emit_table(emitter, rows);
        break;
    case ROWS_VALUES:
        emit_values(emitter, rows);
        break;
    case ROWS_RANGE:
        emit_range(emitter, rows);
        break;
    case ROWS_NOTHING:
        buf_string(&emitter->out, "SELECT 0 AS c0");
        break;
    case ROWS_EXTEND:
        if (!rows->definitions) {
            emit_rows(emitter, rows->input);
            break;
        }
        buf_string(&emitter->out, "SELECT *");
        emit_definitions(emitter, rows->definitions, ", ");
        emit_from(emitter, rows->input);
        break;
    case ROWS_FILTER:
        buf_string(&emitter->out, "SELECT *");
        emit_from(emitter, rows->input);
        buf_string(&emitter->out, " WHERE ");
        emit_value(emitter, rows->predicate, true);
        break;
    case ROWS_GROUP:
        emit_group(emitter, rows);
        break;
    case ROWS_NEWEST:
        emit_newest(emitter, rows);
        break;
    case ROWS_LIMIT:
        buf_string(&emitter->out, "SELECT *");
        emit_from(emitter, rows->input);
        buf_byte(&emitter->out, ' ');
        emit_order(emitter, rows->input->order);
        buf_string(&emitter->out, " LIMIT ");
        emit_value(emitter, rows->values[0], false);
        break;
    case ROWS_JOIN:
        emit_join(emitter, rows);
        break;
    case ROWS_UNION:
        emit_union(emitter, rows);
        break;
    case ROWS_LATERAL:
        buf_string(&emitter->out, "SELECT *");
        emit_from(emitter, rows->input);
        buf_string(&emitter->out, " CROSS JOIN LATERAL (");
        emit_rows(emitter, rows->right);
        buf_format(&emitter->out, ") t%u", ++emitter->tables);
        break;
    case ROWS_ELEMENTS:
        emit_elements(emitter, rows);
        break;
    case ROWS_SHARED:
        emit_shared(emitter, rows);
        break;
    }
}
