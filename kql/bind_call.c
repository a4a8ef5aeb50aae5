#include "kql/binder.h"

#define TIME_BINNED "(%1 / %2 * %2)"

/* Which row of the signatures a call means. Two passes: at first types have to fit as they are, or widen; then a dynamic
 * fits whatever is wanted, and is converted. */

static bool letter_fits(char letter, const struct bound_value *value, bool loosely)
{
    enum kql_type type = value->type;

    if (strchr("bilrdstpg", letter) && type == TYPE_DYNAMIC)
        return loosely;
    switch (letter) {
    case 'b':
        return type == TYPE_BOOL;
    case 'i':
        return type == TYPE_INT;
    case 'l':
        return type == TYPE_INT || type == TYPE_LONG;
    case 'r':
        return type == TYPE_INT || type == TYPE_LONG || type == TYPE_REAL ||
               (loosely && type == TYPE_DECIMAL);
    case 'd':
    case 'n':
    case 'm':
        return kql_type_is_number(type);
    case 's':
        return type == TYPE_STRING;
    case 't':
        return type == TYPE_DATETIME;
    case 'p':
        return type == TYPE_TIMESPAN;
    case 'g':
        return type == TYPE_GUID;
    case 'y':
        return type == TYPE_DYNAMIC;
    case 'o':
        return type != TYPE_DYNAMIC;
    case 'z':
        return type != TYPE_DYNAMIC || loosely;
    default:
        return true;
    }
}

/* The letter for the i-th of `count` arguments; 0: there is no room for it. `*enough`: no more are wanted behind it. */
static char letter_at(const char *parameters, unsigned i, unsigned count)
{
    const char *letter = parameters;

    for (unsigned k = 0; *letter; k++) {
        if (letter[1] == '*')
            return *letter;
        if (letter[1] && letter[2] == '+')
            return (count - k) % 2 ? 0 : letter[(i - k) % 2];
        if (k == i)
            return *letter;
        letter += letter[1] == '?' ? 2 : 1;
    }
    return 0;
}

/* Whether that many arguments are enough. */
static bool count_fits(const char *parameters, unsigned count)
{
    unsigned least = 0;

    for (const char *letter = parameters; *letter; letter++) {
        if (letter[1] == '?' || *letter == '?')
            break;
        if (*letter != '*' && *letter != '+')
            least++;
    }
    return count >= least;
}

static bool signature_fits(const struct kql_signature *row, struct bound_value *const *arguments,
                           unsigned count, bool loosely)
{
    enum kql_type common = TYPE_DYNAMIC;
    bool any = false;

    if (!count_fits(row->parameters, count))
        return false;
    for (unsigned i = 0; i < count; i++) {
        char letter = letter_at(row->parameters, i, count);
        if (!letter || !letter_fits(letter, arguments[i], loosely))
            return false;
        if (letter != 'm' && letter != 'c')
            continue;
        if (!any)
            common = arguments[i]->type;
        else if (!value_common_type(common, arguments[i]->type, &common))
            return false;
        any = true;
    }
    return true;
}

static struct bound_value *regex_argument(struct binder *binder, struct bound_value *value,
                                          enum regex_wanted wanted)
{
    const struct bound_value *said = value_made_of(value);

    if (value_is_text(said))
        return value_regex(binder, said->text, wanted, value->place);
    return binder_wrong(binder, "unsupported.regex", value->place,
                        "a regular expression has to stand in the query itself");
}

/* In what replaces, \0 is the whole match; PostgreSQL says \& to that. */
static struct bound_value *rewrite_argument(struct binder *binder, struct bound_value *value)
{
    struct buf out;

    value = value_convert(binder, value, TYPE_STRING);
    if (!value)
        return NULL;
    if (!value_is_text(value))
        return value_call1(binder, "replace(%1, '\\0', '\\&')", TYPE_STRING, value);
    buf_init(&out, SIZE_MAX / 2);
    for (size_t i = 0; i < value->text.count; i++) {
        char byte = value->text.bytes[i], next = i + 1 < value->text.count ? value->text.bytes[i + 1] : 0;
        if (byte == '\\' && next) {
            buf_byte(&out, byte);
            buf_byte(&out, next == '0' ? '&' : next);
            i++;
        } else if (byte == '\\') {
            buf_string(&out, "\\\\");
        } else {
            buf_byte(&out, byte);
        }
    }
    struct bound_value *rewritten =
        value_text(binder, arena_text(binder->arena, buf_as_text(&out)), value->place);
    buf_done(&out);
    return rewritten;
}

static struct bound_value *argument_as(struct binder *binder, char letter, struct bound_value *value,
                                       enum kql_type common)
{
    static const struct {
        char letter;
        enum kql_type type;
    } types[] = {{'b', TYPE_BOOL},    {'i', TYPE_INT},    {'l', TYPE_LONG},     {'r', TYPE_REAL},
                 {'d', TYPE_DECIMAL}, {'s', TYPE_STRING}, {'t', TYPE_DATETIME}, {'p', TYPE_TIMESPAN},
                 {'g', TYPE_GUID},    {'S', TYPE_STRING}, {'Y', TYPE_DYNAMIC}, {'N', TYPE_DYNAMIC}};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].letter == letter)
            return value_convert(binder, value, types[i].type);
    switch (letter) {
    case 'm':
    case 'c':
        return value_convert(binder, value, common);
    case 'z':
        return value->type == TYPE_DYNAMIC ? value_convert(binder, value, TYPE_STRING) : value;
    case 'M':
        return regex_argument(binder, value, REGEX_MATCH);
    case 'G':
        return regex_argument(binder, value, REGEX_GROUPS);
    case 'R':
        return regex_argument(binder, value, REGEX_WHOLE);
    case 'T':
        return rewrite_argument(binder, value);
    case 'K':
        return value_is_text(value) ? value
                                    : binder_wrong(binder, "semantic.type", value->place,
                                                   "a text is wanted here that the query says itself");
    default:
        return value;
    }
}

static enum kql_type result_type(char letter, struct bound_value *const *arguments, enum kql_type common)
{
    static const char letters[] = "bilrdstpgy"; /* in the order of the types */
    const char *found = strchr(letters, letter);

    if (letter == 'w')
        return common;
    return found ? (enum kql_type)(found - letters) : arguments[letter - '1']->type;
}

static struct text label_of(struct binder *binder, const char *label, struct bound_value *const *arguments,
                            unsigned count)
{
    struct text first = count ? arguments[0]->label : TEXT_NONE;

    if (!label)
        return TEXT_NONE;
    if (!*label)
        return first;
    return text_of(arena_format(binder->arena, "%s%.*s", label, TEXT_ARGS(first.bytes ? first : TEXT(""))));
}

/* extract() by an expression that is only to be had step by step; NULL: it is another case, and what was wrong stays so. */
static struct bound_value *extracted_stepwise(struct binder *binder, const struct kql_signature *row, struct kql_place place,
                                              struct bound_value **given, unsigned count)
{
    struct kql_diagnostic before = *binder->wrong;
    struct bound_value *value;

    if (row->parameters[0] != 'G' || count != 3 || !value_is_text(given[0]) || given[1]->kind != BOUND_CONSTANT ||
        !before.code || strcmp(before.code, "unsupported.regex") != 0)
        return NULL;
    *binder->wrong = (struct kql_diagnostic){0};
    value = value_convert(binder, given[2], TYPE_STRING);
    value = value ? value_extract_stepwise(binder, given[0]->text, given[1]->integer, value, place) : NULL;
    if (!value || binder_failed(binder)) {
        *binder->wrong = before;
        return NULL;
    }
    return value;
}

/* The number of the group that a regular expression calls so; 0: none. */
static unsigned group_number(struct text pattern, struct text name)
{
    unsigned number = 0;
    bool in_class = false;

    for (size_t i = 0; i < pattern.count; i++) {
        char byte = pattern.bytes[i];
        if (byte == '\\') {
            i++;
        } else if (in_class) {
            in_class = byte != ']';
        } else if (byte == '[') {
            in_class = true;
            i += i + 1 < pattern.count && pattern.bytes[i + 1] == ']';
        } else if (byte == '(') {
            struct text rest = {pattern.bytes + i + 1, pattern.count - i - 1};
            size_t lead = text_starts(rest, TEXT("?P<")) ? 3 : text_starts(rest, TEXT("?<")) ? 2 : 0;
            number += lead > 0 || !text_starts(rest, TEXT("?"));
            rest = (struct text){rest.bytes + lead, rest.count - lead};
            if (lead && text_starts(rest, name) && rest.count > name.count && rest.bytes[name.count] == '>')
                return number;
        }
    }
    return 0;
}

/* Groups of the regular expression, which may be called by name, as numbers. */
static struct bound_value *groups_numbered(struct binder *binder, const struct bound_value *pattern, struct bound_value *wanted)
{
    unsigned count = 0;
    struct bound_value **elements = wanted->type == TYPE_DYNAMIC ? dynamic_elements(binder, wanted, &count) : NULL;
    const char *numbers = "[";

    for (unsigned i = 0; i < count; i++) {
        struct text number = elements[i]->text;
        if (elements[i]->type == TYPE_STRING) {
            unsigned found = value_is_text(pattern) ? group_number(pattern->text, number) : 0;
            if (!found)
                return binder_wrong(binder, "semantic.arguments", wanted->place, "the regular expression has no group %.*s", TEXT_ARGS(number));
            number = text_of(arena_format(binder->arena, "%u", found));
        }
        numbers = arena_format(binder->arena, "%s%s%.*s", numbers, i ? "," : "", TEXT_ARGS(number));
    }
    if (!elements)
        return wanted;
    struct bound_value *list = value_new(binder, BOUND_CONSTANT, TYPE_DYNAMIC, wanted->place);
    list->text = text_of(arena_format(binder->arena, "%s]", numbers));
    return list;
}

static struct bound_value *signature_value(struct binder *binder, const struct kql_signature *row,
                                           struct kql_place place, struct bound_value **given, unsigned count)
{
    struct bound_value **arguments = ARENA_ARRAY(binder->arena, struct bound_value *, count), *call;
    enum kql_type common = TYPE_DYNAMIC;
    bool any = false;

    for (unsigned i = 0; i < count; i++) {
        char letter = letter_at(row->parameters, i, count);
        if (letter != 'm' && letter != 'c')
            continue;
        if (!any)
            common = given[i]->type;
        else
            (void)value_common_type(common, given[i]->type, &common);
        any = true;
    }
    for (unsigned i = 0; i < count; i++) {
        char letter = letter_at(row->parameters, i, count);
        if (letter == 'N' && !(given[i] = groups_numbered(binder, given[i - 1], given[i])))
            return NULL;
        bool whole = letter == 'G' && (given[i + 1]->kind != BOUND_CONSTANT || !given[i + 1]->integer);
        if (!(arguments[i] = argument_as(binder, whole ? 'R' : letter, given[i], common)))
            return extracted_stepwise(binder, row, place, given, count);
    }
    /* A time is never below zero, and a span that the query says is no question: nothing has to be called. */
    bool binned = strcmp(row->sql, "@bin(%1, %2)") == 0 && arguments[0]->type == TYPE_DATETIME &&
                  arguments[1]->kind == BOUND_CONSTANT && arguments[1]->integer > 0;
    call =
        value_call(binder, binned ? TIME_BINNED : row->sql, result_type(row->result[0], arguments, common), place, arguments, count);
    call->label = label_of(binder, row->label, given, count);
    call->variadic = 0;
    for (const char *letter = row->parameters; *letter; letter++) {
        if (*letter == '*')
            call->variadic--;
        else if (*letter == '+')
            call->variadic -= 2;
        if (*letter == '*' || *letter == '+')
            break;
        call->variadic += *letter != '?';
    }
    return call;
}

static void *no_signature(struct binder *binder, struct text name, struct kql_place place, struct bound_value *const *arguments, unsigned count)
{
    struct buf types;

    if (!count)
        return binder_wrong(binder, "semantic.arguments", place, "%.*s() wants arguments", TEXT_ARGS(name));
    buf_init(&types, 200);
    for (unsigned i = 0; i < count; i++)
        buf_format(&types, "%s%s", i ? ", " : "", kql_type_name(arguments[i]->type));
    bool is_word = (name.bytes[0] | 0x20) >= 'a' && (name.bytes[0] | 0x20) <= 'z';
    binder_wrong(binder, "semantic.arguments", place,
                 is_word ? "%.*s does not take (%.*s)" : "%.*s does not go between (%.*s)", TEXT_ARGS(name),
                 TEXT_ARGS(buf_as_text(&types)));
    buf_done(&types);
    return NULL;
}

struct bound_value *bind_signature(struct binder *binder, enum function_kind kind, struct text name,
                                   struct kql_place place, struct bound_value **arguments, unsigned count)
{
    const struct kql_signature *end, *rows = signatures_find(kind, name, &end);

    for (int loosely = 0; loosely < 2; loosely++)
        for (const struct kql_signature *row = rows; row && row < end; row++)
            if (signature_fits(row, arguments, count, loosely))
                return signature_value(binder, row, place, arguments, count);
    return no_signature(binder, name, place, arguments, count);
}

/* Sums of what the query says itself: ago(1d) - 1h is a constant. */
static struct bound_value *folded(struct binder *binder, const char *name, struct kql_place place,
                                  struct bound_value **values, unsigned count)
{
    struct bound_value *left = values[0], *right = count > 1 ? values[1] : NULL;
    bool whole = left->kind == BOUND_CONSTANT && left->text.bytes &&
                 (left->type == TYPE_LONG || left->type == TYPE_TIMESPAN || left->type == TYPE_DATETIME);
    int64_t sum;

    if (!whole)
        return NULL;
    if (!right && strcmp(name, "negative") == 0 && left->type != TYPE_DATETIME && left->integer != INT64_MIN)
        return value_integer(binder, left->type, -left->integer, place);
    if (!right || right->kind != BOUND_CONSTANT || !right->text.bytes)
        return NULL;
    if (left->type == TYPE_LONG ? right->type != TYPE_LONG : right->type != TYPE_TIMESPAN)
        return NULL;
    bool fine = *name == '+'   ? !__builtin_add_overflow(left->integer, right->integer, &sum)
                : *name == '-' ? !__builtin_sub_overflow(left->integer, right->integer, &sum)
                               : false;
    if (name[1] || !fine || (left->type == TYPE_DATETIME && (sum < 0 || sum > KQL_TICKS_MAX)))
        return NULL;
    return value_integer(binder, left->type, sum, place);
}

static bool is_stored_time(const struct bound_value *value)
{
    return value->kind == BOUND_COLUMN && value->column->storage == KQL_TIMESTAMPTZ;
}

/* A stored time is compared as it lies, so that partitions and indexes are of use: what it is compared with becomes a
 * timestamp, which has microseconds where ticks are finer, rounded so that the answer is the same. */
static const struct {
    const char *name, *sql, *mirrored;
} comparisons[] = {
    {"<", "(%1 < @moment_above(%2))", "(@moment_below(%1) < %2)"},
    {"<=", "(%1 <= @moment_below(%2))", "(@moment_above(%1) <= %2)"},
    {">", "(%1 > @moment_below(%2))", "(@moment_above(%1) > %2)"},
    {">=", "(%1 >= @moment_above(%2))", "(@moment_below(%1) >= %2)"},
    {"between", "(%1 BETWEEN @moment_above(%2) AND @moment_below(%3))", NULL},
};
#define COMPARISON_COUNT (sizeof comparisons / sizeof *comparisons)

static struct bound_value *compared_as_stored(struct binder *binder, const char *name, struct kql_place place,
                                              struct bound_value **arguments, unsigned count)
{
    bool mirrored = count == 2 && !is_stored_time(arguments[0]);

    if (!is_stored_time(arguments[mirrored]))
        return NULL;
    for (unsigned i = 0; i < count; i++)
        if (arguments[i]->type != TYPE_DATETIME)
            return NULL;
    for (size_t i = 0; i < COMPARISON_COUNT; i++) {
        if (strcmp(comparisons[i].name, name) != 0)
            continue;
        struct bound_value **operands = ARENA_ARRAY(binder->arena, struct bound_value *, count);
        struct bound_value *stored = value_of_column(binder, arguments[mirrored]->column, place);
        memcpy(operands, arguments, count * sizeof *operands);
        stored->stored = true;
        operands[mirrored] = stored;
        return value_call(binder, mirrored ? comparisons[i].mirrored : comparisons[i].sql, TYPE_BOOL, place, operands,
                          count);
    }
    return NULL;
}

const struct bound_value *value_bounds_time(const struct bound_value *value, int64_t *from, int64_t *to)
{
    bool mirrored = false;
    size_t i = 0;

    for (; value->kind == BOUND_CALL && i < COMPARISON_COUNT; i++) {
        mirrored = comparisons[i].mirrored && strcmp(comparisons[i].mirrored, value->sql) == 0;
        if (mirrored || strcmp(comparisons[i].sql, value->sql) == 0)
            break;
    }
    if (value->kind != BOUND_CALL || i == COMPARISON_COUNT)
        return NULL;
    const struct bound_value *first = value->arguments[!mirrored], *last = value->arguments[value->count == 3 ? 2 : !mirrored];
    if (first->kind != BOUND_CONSTANT || !first->text.bytes || last->kind != BOUND_CONSTANT || !last->text.bytes)
        return NULL;
    bool below = (comparisons[i].name[0] == '<') != mirrored, equal = comparisons[i].name[1] != '\0', between = value->count == 3;
    if ((!below || between) && first->integer + !equal > *from)
        *from = first->integer + !equal;
    if ((below || between) && last->integer + equal < *to)
        *to = last->integer + equal;
    return value->arguments[mirrored];
}

bool value_bins_time(const struct bound_value *value, int64_t *span)
{
    if (value->kind != BOUND_CALL || strcmp(value->sql, TIME_BINNED) != 0)
        return false;
    *span = value->arguments[1]->integer;
    return true;
}

struct bound_value *bind_operator(struct binder *binder, const char *name, struct kql_place place,
                                  struct bound_value **arguments, unsigned count)
{
    struct bound_value *constant = folded(binder, name, place, arguments, count);
    bool arithmetic = count == 2 && !name[1] && strchr("+-*/%", *name);

    if (constant)
        return constant;
    if (arithmetic && arguments[0]->type == TYPE_DYNAMIC && arguments[1]->type == TYPE_DYNAMIC)
        return binder_wrong(binder, "semantic.type", place,
                            "neither side of %s says what it is: use tolong(), toreal() or another", name);
    if (count == 1 && arguments[0]->kind == BOUND_CONSTANT && arguments[0]->type == TYPE_REAL &&
        strcmp(name, "negative") == 0 && arguments[0]->text.bytes) {
        struct bound_value *negative = value_new(binder, BOUND_CONSTANT, TYPE_REAL, place);
        negative->text = arguments[0]->text.bytes[0] == '-'
                             ? (struct text){arguments[0]->text.bytes + 1, arguments[0]->text.count - 1}
                             : text_of(arena_format(binder->arena, "-%.*s", TEXT_ARGS(arguments[0]->text)));
        return negative;
    }
    if (name[0] == 'b' && count == 3 && arguments[0]->type == TYPE_DATETIME && arguments[2]->type == TYPE_TIMESPAN) {
        struct bound_value *sum[] = {arguments[1], arguments[2]}, *until[] = {arguments[0], arguments[1], NULL};
        until[2] = bind_operator(binder, "+", place, sum, 2);
        return until[2] ? bind_operator(binder, name, place, until, 3) : NULL;
    }
    if (count > 1 && (constant = compared_as_stored(binder, name, place, arguments, count)))
        return constant;
    return bind_signature(binder, FUNCTION_SCALAR, text_of(name), place, arguments, count);
}

/* ---- calls ---- */

static struct bound_value **bind_arguments(struct binder *binder, const struct scope *scope,
                                           const struct kql_expression *items, unsigned *count)
{
    struct bound_value **arguments;
    unsigned i = 0;

    for (const struct kql_expression *item = items; item; item = item->next)
        i++;
    arguments = ARENA_ARRAY(binder->arena, struct bound_value *, i);
    i = 0;
    for (const struct kql_expression *item = items; item; item = item->next)
        if (item->kind != KQL_TYPE &&
            !(arguments[i++] = bind_value(binder, scope, item->kind == KQL_NAMED ? item->left : item)))
            return NULL;
    *count = i;
    return arguments;
}

/* extract(…, typeof(long)) */
static struct bound_value *as_last_type(struct binder *binder, const struct kql_expression *items,
                                        struct bound_value *value)
{
    enum kql_type type;

    for (; value && items; items = items->next) {
        if (items->kind != KQL_TYPE || items->next)
            continue;
        if (!items->schema || !kql_type_of(items->schema->type.text, &type))
            return binder_wrong(binder, "semantic.type", items->place, "this is no type");
        struct text label = value->label;
        value = value_convert(binder, value, type);
        if (value)
            value->label = label;
    }
    return value;
}

static struct bound_value *bind_aggregate(struct binder *binder, const struct scope *scope,
                                          const struct kql_expression *call)
{
    struct scope inside = {.outer = scope};
    struct bound_value **arguments, *value;
    unsigned count;

    if (!scope->aggregates)
        return binder_wrong(binder, "semantic.aggregate", call->place,
                            "%.*s() is of many rows; it goes with summarize", TEXT_ARGS(call->name.text));
    arguments = bind_arguments(binder, &inside, call->items, &count);
    value = arguments
                ? bind_signature(binder, FUNCTION_AGGREGATE, call->name.text, call->place, arguments, count)
                : NULL;
    if (!value)
        return NULL;
    value->aggregates = true;
    value->windows = false;
    if (strstr(value->sql, "%o")) {
        value->kind = BOUND_ORDERED;
        value->order = scope->rows->order;
    }
    return value;
}

static struct bound_value *bind_window(struct binder *binder, const struct scope *scope,
                                       const struct kql_expression *call)
{
    struct bound_value **arguments, *value;
    unsigned count;

    if (!scope->windows)
        return binder_wrong(binder, "semantic.serialize", call->place,
                            "%.*s() is of rows in an order: sort or serialize them before",
                            TEXT_ARGS(call->name.text));
    arguments = bind_arguments(binder, scope, call->items, &count);
    for (unsigned i = 0; arguments && i < count; i++)
        if (arguments[i]->windows)
            arguments[i] = rows_compute(binder, scope->rows, arguments[i]);
    value = arguments
                ? bind_signature(binder, FUNCTION_WINDOW, call->name.text, call->place, arguments, count)
                : NULL;
    if (!value)
        return NULL;
    for (unsigned i = 1; i < count; i++)
        if (arguments[i]->kind != BOUND_CONSTANT && !text_starts(call->name.text, TEXT("row_")))
            return binder_wrong(binder, "semantic.arguments", arguments[i]->place,
                                "%.*s() takes a constant here", TEXT_ARGS(call->name.text));
    value->windows = true;
    value->kind = BOUND_ORDERED;
    value->order = scope->rows->order;
    return value;
}

struct bound_value *bind_call(struct binder *binder, const struct scope *scope,
                              const struct kql_expression *call)
{
    const struct binding *function = function_named(binder, scope, call->name.text);
    const struct kql_signature *end;
    struct text name = call->name.text;
    struct bound_value **arguments, *value;
    bool handled = false;
    unsigned count;

    if (call->left)
        return binder_wrong(binder, "unsupported.member_call", call->place,
                            "%.*s() of something is not supported here", TEXT_ARGS(name));
    if (function)
        return bind_user_value(binder, scope, call, function);
    value = bind_special(binder, scope, call, &handled);
    if (handled)
        return value;
    if (signatures_find(FUNCTION_SCALAR, name, &end)) {
        arguments = bind_arguments(binder, scope, call->items, &count);
        return arguments ? as_last_type(
                               binder, call->items,
                               bind_signature(binder, FUNCTION_SCALAR, name, call->place, arguments, count))
                         : NULL;
    }
    if (signatures_find(FUNCTION_AGGREGATE, name, &end))
        return bind_aggregate(binder, scope, call);
    if (signatures_find(FUNCTION_WINDOW, name, &end))
        return bind_window(binder, scope, call);
    if (function_is_known(name))
        return binder_wrong(binder, "unsupported.function", call->place, "%.*s() is not supported",
                            TEXT_ARGS(name));
    return binder_wrong(binder, "semantic.unknown_function", call->place, "there is no function %.*s()",
                        TEXT_ARGS(name));
}
