#include "kql/binder.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define DYNAMIC_BYTES_MAX (1024 * 1024)

/* type(inside), its blanks trimmed, and the quotes that a date may wear. */
static bool typed_parts(struct binder *binder, struct text source, struct text *type, struct text *inside)
{
    size_t open = text_find(source, '(');

    if (open >= source.count)
        return false;
    *type = text_trim((struct text){source.bytes, open});
    *inside = text_trim((struct text){source.bytes + open + 1, source.count - open - 2});
    if (inside->count && (inside->bytes[0] == '"' || inside->bytes[0] == '\''))
        return kql_string_value(*inside, binder->arena, inside);
    return true;
}

static bool integer_read(struct text text, int64_t *out)
{
    bool negative = text.count && text.bytes[0] == '-';
    struct text rest = {text.bytes + negative, text.count - negative};
    uint64_t value = 0;

    if (text_starts(rest, TEXT("0x")) || text_starts(rest, TEXT("0X"))) {
        if (rest.count < 3 || rest.count > 18)
            return false;
        for (size_t i = 2; i < rest.count; i++) {
            char digit = (char)(rest.bytes[i] | 0x20);
            if ((digit < '0' || digit > '9') && (digit < 'a' || digit > 'f'))
                return false;
            value = value << 4 | (uint64_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
        }
        *out = (int64_t)(negative ? -value : value);
        return true;
    }
    return text_to_i64(text, out);
}

static bool real_read(struct binder *binder, struct text text, struct text *out)
{
    const char *copy = arena_string(binder->arena, text);
    char *end;
    double value;

    if (text_equal_nocase(text, TEXT("nan")))
        *out = TEXT("NaN");
    else if (text_equal_nocase(text, TEXT("+inf")) || text_equal_nocase(text, TEXT("inf")))
        *out = TEXT("Infinity");
    else if (text_equal_nocase(text, TEXT("-inf")))
        *out = TEXT("-Infinity");
    else {
        value = strtod(copy, &end);
        if (!text.count || *end)
            return false;
        *out = isinf(value) ? text_of(value > 0 ? "Infinity" : "-Infinity")
                            : text_of(arena_format(binder->arena, "%.17g", value));
    }
    return true;
}

static bool decimal_read(struct text text)
{
    bool digits = false, dot = false;

    for (size_t i = 0; i < text.count; i++) {
        char byte = text.bytes[i];
        if (byte >= '0' && byte <= '9')
            digits = true;
        else if (byte == '.' && !dot)
            dot = true;
        else if ((byte == 'e' || byte == 'E') && digits && i + 1 < text.count) {
            int64_t exponent;
            return text_to_i64((struct text){text.bytes + i + 1, text.count - i - 1}, &exponent) &&
                   exponent > -30 && exponent < 30;
        } else if ((byte != '-' && byte != '+') || i)
            return false;
    }
    return digits;
}

static bool guid_read(struct binder *binder, struct text text, struct text *out)
{
    uint8_t bytes[16];
    char *hex = arena_alloc(binder->arena, 1, 33);
    size_t count = 0;

    for (size_t i = 0; i < text.count; i++)
        if (text.bytes[i] != '-' && text.bytes[i] != '{' && text.bytes[i] != '}') {
            if (count == 32)
                return false;
            hex[count++] = text.bytes[i];
        }
    *out = (struct text){hex, count};
    return count == 32 && text_hex_decode(*out, bytes, sizeof bytes);
}

/* What stands in the parentheses of a typed literal. */
static struct bound_value *typed_value(struct binder *binder, struct text type_name, struct text inside,
                                       struct kql_place place)
{
    struct bound_value *value;
    enum kql_type type;
    int64_t integer = 0;
    struct text text = inside;
    bool fine;

    if (!kql_type_of(type_name, &type))
        return binder_wrong(binder, "semantic.type", place, "%.*s is no type", TEXT_ARGS(type_name));
    if (type == TYPE_DATETIME && text_equal(inside, TEXT("now")))
        return value_integer(binder, type, binder->options->now_ticks, place);
    if (text_equal(inside, TEXT("null")) || (!inside.count && type != TYPE_DATETIME))
        return value_null(binder, type, place);
    switch (type) {
    case TYPE_BOOL:
        if (text_equal_nocase(inside, TEXT("true")) || text_equal_nocase(inside, TEXT("false")))
            return value_bool(binder, text_equal_nocase(inside, TEXT("true")), place);
        fine = text_to_i64(inside, &integer);
        if (fine)
            return value_bool(binder, integer != 0, place);
        break;
    case TYPE_INT:
        fine = integer_read(inside, &integer) && integer >= INT32_MIN && integer <= INT32_MAX;
        break;
    case TYPE_LONG:
        fine = integer_read(inside, &integer);
        break;
    case TYPE_DATETIME:
        fine = kql_datetime_read(inside, &integer);
        break;
    case TYPE_TIMESPAN:
        fine = kql_timespan_read(inside, &integer);
        break;
    case TYPE_REAL:
        fine = real_read(binder, inside, &text);
        break;
    case TYPE_DECIMAL:
        fine = decimal_read(inside);
        break;
    case TYPE_GUID:
        fine = guid_read(binder, inside, &text);
        break;
    default:
        fine = true;
    }
    if (!fine)
        return binder_wrong(binder, "semantic.literal", place, "%.*s is no %s",
                            (int)(inside.count < 60 ? inside.count : 60), inside.bytes, kql_type_name(type));
    if (type == TYPE_INT || type == TYPE_LONG || type == TYPE_DATETIME || type == TYPE_TIMESPAN)
        return value_integer(binder, type, integer, place);
    value = value_new(binder, BOUND_CONSTANT, type, place);
    value->text = text;
    return value;
}

struct bound_value *bind_literal(struct binder *binder, const struct kql_expression *literal)
{
    struct text type, inside;
    int64_t integer;
    struct bound_value *value;

    switch (literal->token) {
    case KQL_STRING:
        return value_text(binder, literal->text, literal->place);
    case KQL_INTEGER:
        if (integer_read(literal->text, &integer))
            return value_integer(binder, TYPE_LONG, integer, literal->place);
        return binder_wrong(binder, "semantic.literal", literal->place, "%.*s is beyond 64 bits",
                            TEXT_ARGS(literal->text));
    case KQL_REAL:
        value = value_new(binder, BOUND_CONSTANT, TYPE_REAL, literal->place);
        if (real_read(binder, literal->text, &value->text))
            return value;
        break;
    case KQL_TIMESPAN:
        if (kql_timespan_read(literal->text, &integer))
            return value_integer(binder, TYPE_TIMESPAN, integer, literal->place);
        break;
    case KQL_NAME:
        if (text_equal(literal->text, TEXT("null")))
            return value_null(binder, TYPE_DYNAMIC, literal->place);
        return value_bool(binder, text_equal_nocase(literal->text, TEXT("true")), literal->place);
    case KQL_TYPED:
        if (typed_parts(binder, literal->text, &type, &inside))
            return typed_value(binder, type, inside, literal->place);
        break;
    default:
        break;
    }
    return binder_wrong(binder, "semantic.literal", literal->place, "%.*s is no value",
                        TEXT_ARGS(literal->text));
}

/* ---- dynamic(…) ---- */

static bool dynamic_scalar(struct binder *binder, const struct kql_expression *literal, struct buf *out)
{
    struct bound_value *value = bind_literal(binder, literal);
    char time[KQL_TIME_SIZE];

    if (!value)
        return false;
    if (!value->text.bytes) {
        buf_string(out, "null");
        return true;
    }
    switch (value->type) {
    case TYPE_BOOL:
    case TYPE_INT:
    case TYPE_LONG:
        buf_text(out, value->text);
        break;
    case TYPE_REAL:
        if (value->text.bytes[0] == 'N' || value->text.bytes[0] == 'I' ||
            text_starts(value->text, TEXT("-I")))
            buf_json_string(out, value->text);
        else
            buf_text(out, literal->token == KQL_REAL ? literal->text : value->text);
        break;
    case TYPE_DATETIME:
        kql_datetime_write(value->integer, time);
        buf_json_string(out, text_of(time));
        break;
    case TYPE_TIMESPAN:
        kql_timespan_write(value->integer, time);
        buf_json_string(out, text_of(time));
        break;
    default:
        buf_json_string(out, value->text);
    }
    return true;
}

bool dynamic_text(struct binder *binder, const struct kql_expression *value, struct buf *out)
{
    bool fine = true, first = true;

    if (value->kind == KQL_SIGNED) {
        buf_byte(out, '-');
        return dynamic_text(binder, value->left, out);
    }
    if (value->kind == KQL_LITERAL)
        return dynamic_scalar(binder, value, out);
    if (value->kind != KQL_DYNAMIC) {
        binder_wrong(binder, "semantic.literal", value->place, "within dynamic() stands JSON alone");
        return false;
    }
    if (!value->is_list && !value->is_bag)
        return dynamic_text(binder, value->left, out);
    buf_byte(out, value->is_bag ? '{' : '[');
    for (const struct kql_expression *item = value->items; item && fine; item = item->next) {
        if (!first)
            buf_byte(out, ',');
        first = false;
        if (value->is_bag) {
            buf_json_string(out, item->text);
            buf_byte(out, ':');
        }
        fine = dynamic_text(binder, value->is_bag ? item->left : item, out);
    }
    buf_byte(out, value->is_bag ? '}' : ']');
    return fine;
}

struct bound_value *bind_dynamic(struct binder *binder, const struct kql_expression *dynamic)
{
    struct bound_value *value = value_new(binder, BOUND_CONSTANT, TYPE_DYNAMIC, dynamic->place);
    struct buf out;
    bool fine;

    buf_init(&out, DYNAMIC_BYTES_MAX);
    fine = dynamic_text(binder, dynamic, &out);
    if (fine && buf_failed(&out))
        binder_wrong(binder, "semantic.too_large", dynamic->place, "a dynamic literal is at most %d bytes",
                     DYNAMIC_BYTES_MAX);
    value->text = arena_text(binder->arena, buf_as_text(&out));
    value->literal = dynamic;
    buf_done(&out);
    if (text_equal(value->text, TEXT("null")))
        value->text = TEXT_NONE;
    return fine && !binder_failed(binder) ? value : NULL;
}

struct bound_value **dynamic_elements(struct binder *binder, const struct bound_value *value, unsigned *count)
{
    const struct kql_expression *list = value->kind == BOUND_CONSTANT ? value->literal : NULL;
    struct bound_value **elements;
    unsigned i = 0;

    while (list && list->kind == KQL_DYNAMIC && !list->is_list && !list->is_bag)
        list = list->left;
    if (!list || !list->is_list)
        return NULL;
    *count = 0;
    for (const struct kql_expression *item = list->items; item; item = item->next, ++*count)
        if (item->kind != KQL_LITERAL)
            return NULL;
    elements = ARENA_ARRAY(binder->arena, struct bound_value *, *count);
    for (const struct kql_expression *item = list->items; item; item = item->next)
        if (!(elements[i++] = bind_literal(binder, item)))
            return NULL;
    return elements;
}
