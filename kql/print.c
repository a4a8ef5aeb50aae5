#include "kql/print.h"

static void print_expression(const struct kql_expression *expression, struct buf *out);
static void print_pipeline(const struct kql_pipeline *pipeline, struct buf *out);
static void print_columns(const struct kql_column *columns, struct buf *out);

static const char *const signs[] = {
    [KQL_OR] = "or",        [KQL_AND] = "and",          [KQL_EQUAL] = "==",        [KQL_NOT_EQUAL] = "!=",
    [KQL_EQUAL_NOCASE] = "=~", [KQL_NOT_EQUAL_NOCASE] = "!~", [KQL_LESS] = "<",     [KQL_LESS_EQUAL] = "<=",
    [KQL_GREATER] = ">",    [KQL_GREATER_EQUAL] = ">=", [KQL_ADD] = "+",           [KQL_SUBTRACT] = "-",
    [KQL_MULTIPLY] = "*",   [KQL_DIVIDE] = "/",         [KQL_MODULO] = "%",
};

static void print_list(const struct kql_expression *list, struct buf *out)
{
    for (; list; list = list->next) {
        buf_byte(out, ' ');
        print_expression(list, out);
    }
}

/* " <word> (…)" where there is something. */
static void print_part(const char *word, const struct kql_expression *list, struct buf *out)
{
    if (!list)
        return;
    buf_format(out, " %s (", word);
    print_expression(list, out);
    print_list(list->next, out);
    buf_byte(out, ')');
}

static void print_literal(const struct kql_expression *literal, struct buf *out)
{
    if (literal->token == KQL_STRING)
        buf_json_string(out, literal->text);
    else
        buf_text(out, literal->text);
}

static void print_ordered(const struct kql_expression *ordered, struct buf *out)
{
    static const char *const orders[] = {"", " asc", " desc", " granny-asc", " granny-desc"};
    static const char *const nulls[] = {"", " nulls-first", " nulls-last"};

    print_expression(ordered->left, out);
    buf_format(out, "%s%s", orders[ordered->order], nulls[ordered->nulls]);
}

static void print_named(const struct kql_expression *named, struct buf *out)
{
    if (named->names) {
        buf_string(out, "(=");
        print_list(named->names, out);
        buf_byte(out, ' ');
    }
    print_expression(named->left, out);
    if (named->right) {
        buf_string(out, " to ");
        print_expression(named->right, out);
    }
    if (named->names)
        buf_byte(out, ')');
}

static void print_dynamic(const struct kql_expression *dynamic, struct buf *out)
{
    buf_string(out, dynamic->is_bag ? "(bag" : dynamic->is_list ? "(list" : "(dynamic");
    print_list(dynamic->left ? dynamic->left : dynamic->items, out);
    buf_byte(out, ')');
}

static void print_binary(const struct kql_expression *binary, struct buf *out)
{
    buf_byte(out, '(');
    buf_text(out, binary->sign == KQL_TEXT_OPERATOR ? binary->word : text_of(signs[binary->sign]));
    buf_byte(out, ' ');
    print_expression(binary->left, out);
    buf_byte(out, ' ');
    print_expression(binary->right, out);
    buf_byte(out, ')');
}

static void print_call(const struct kql_expression *call, struct buf *out)
{
    if (call->left) {
        print_expression(call->left, out);
        buf_byte(out, '.');
    }
    buf_text(out, call->name.text);
    buf_byte(out, '(');
    if (call->items)
        print_expression(call->items, out);
    print_list(call->items ? call->items->next : NULL, out);
    buf_byte(out, ')');
}

static void print_among(const struct kql_expression *among, struct buf *out)
{
    buf_byte(out, '(');
    if (among->kind == KQL_IN)
        buf_text(out, among->word);
    else
        buf_string(out, among->negated ? "!between" : "between");
    buf_byte(out, ' ');
    print_expression(among->left, out);
    print_list(among->items, out);
    buf_byte(out, ')');
}

static void print_expression(const struct kql_expression *expression, struct buf *out)
{
    switch (expression->kind) {
    case KQL_LITERAL:
        print_literal(expression, out);
        break;
    case KQL_DYNAMIC:
        print_dynamic(expression, out);
        break;
    case KQL_REFERENCE:
        buf_text(out, expression->name.text);
        break;
    case KQL_ALL:
        buf_byte(out, '*');
        break;
    case KQL_SIGNED:
        buf_string(out, expression->negated ? "(- " : "(+ ");
        print_expression(expression->left, out);
        buf_byte(out, ')');
        break;
    case KQL_BINARY:
        print_binary(expression, out);
        break;
    case KQL_BETWEEN:
    case KQL_IN:
        print_among(expression, out);
        break;
    case KQL_CALL:
        print_call(expression, out);
        break;
    case KQL_MEMBER:
        print_expression(expression->left, out);
        buf_byte(out, '.');
        buf_text(out, expression->name.text);
        break;
    case KQL_ELEMENT:
        print_expression(expression->left, out);
        buf_byte(out, '[');
        print_expression(expression->right, out);
        buf_byte(out, ']');
        break;
    case KQL_NAMED:
        print_named(expression, out);
        break;
    case KQL_ORDERED:
        print_ordered(expression, out);
        break;
    case KQL_SUBQUERY:
        buf_byte(out, '{');
        print_pipeline(expression->pipeline, out);
        buf_byte(out, '}');
        break;
    case KQL_TYPE:
        print_columns(expression->schema, out);
        break;
    case KQL_LAMBDA:
        buf_string(out, expression->function->is_view ? "view" : "function");
        print_columns(expression->function->parameters, out);
        buf_byte(out, '{');
        kql_print(expression->function->body, out);
        buf_byte(out, '}');
        break;
    case KQL_BAG_MEMBER:
        buf_json_string(out, expression->text);
        buf_byte(out, ':');
        print_expression(expression->left, out);
        break;
    }
}

static void print_columns(const struct kql_column *columns, struct buf *out)
{
    buf_byte(out, '(');
    for (const struct kql_column *column = columns; column; column = column->next) {
        if (column != columns)
            buf_byte(out, ' ');
        buf_text(out, column->name.text);
        buf_byte(out, ':');
        if (column->is_table)
            print_columns(column->columns, out);
        else
            buf_text(out, column->type.text);
        if (column->otherwise) {
            buf_byte(out, '=');
            print_expression(column->otherwise, out);
        }
    }
    buf_byte(out, ')');
}

static void print_operator(const struct kql_operator *operator, struct buf *out)
{
    buf_text(out, operator->name.text);
    for (const struct kql_parameter *parameter = operator->parameters; parameter; parameter = parameter->next) {
        buf_byte(out, ' ');
        buf_text(out, parameter->name.text);
        buf_byte(out, '=');
        print_expression(parameter->value, out);
    }
    if (operator->limit)
        print_part("limit", operator->limit, out);
    print_list(operator->items, out);
    for (const struct kql_pattern *pattern = operator->pattern; pattern; pattern = pattern->next) {
        buf_byte(out, ' ');
        if (pattern->literal)
            print_expression(pattern->literal, out);
        else
            buf_text(out, pattern->name.text.bytes ? pattern->name.text : TEXT("*"));
        if (pattern->type.text.bytes) {
            buf_byte(out, ':');
            buf_text(out, pattern->type.text);
        }
    }
    if (operator->schema)
        print_columns(operator->schema, out);
    for (const struct kql_operator *level = operator->levels; level; level = level->next) {
        print_part("limit", level->limit, out);
        print_part("of", level->items, out);
        print_part("by", level->by, out);
    }
    if (operator->pipeline) {
        buf_string(out, " {");
        print_pipeline(operator->pipeline, out);
        buf_byte(out, '}');
    }
    print_part("by", operator->by, out);
    print_part("on", operator->on, out);
    print_part("from", operator->from, out);
    print_part("to", operator->to, out);
    print_part("step", operator->step, out);
}

static void print_pipeline(const struct kql_pipeline *pipeline, struct buf *out)
{
    if (pipeline->source)
        print_expression(pipeline->source, out);
    for (const struct kql_operator *operator = pipeline->operators; operator; operator = operator->next) {
        if (pipeline->source || operator != pipeline->operators)
            buf_string(out, " | ");
        print_operator(operator, out);
    }
}

void kql_print(const struct kql_statement *statements, struct buf *out)
{
    static const char *const words[] = {[KQL_LET] = "let ", [KQL_QUERY] = "", [KQL_SET] = "set ", [KQL_DECLARE] = "declare ",
                                        [KQL_ALIAS] = "alias ", [KQL_RESTRICT] = "restrict "};

    for (const struct kql_statement *statement = statements; statement; statement = statement->next) {
        if (statement != statements)
            buf_string(out, "; ");
        buf_string(out, words[statement->kind]);
        if (statement->name.text.bytes) {
            buf_text(out, statement->name.text);
            buf_string(out, statement->value ? " = " : "");
        }
        if (statement->value && statement->value->kind == KQL_SUBQUERY)
            print_pipeline(statement->value->pipeline, out);
        else if (statement->value)
            print_expression(statement->value, out);
        if (statement->schema)
            print_columns(statement->schema, out);
    }
}
