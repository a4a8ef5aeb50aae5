#include "kql/binder.h"

/* Operators that look into texts. What they look for mostly stands in the query, so that it becomes a pattern at once;
 * where it does not, helper functions do the same row by row. */

#define REGEX_BYTES_MAX 10000

/* A term begins and ends where no letter or digit goes on. */
#define BORDER_BEFORE "(?<![[:alnum:]])"
#define BORDER_BEHIND "(?![[:alnum:]])"

enum folding { FOLDED, EXACT };

static struct bound_value *joined_texts(struct binder *binder, struct bound_value **texts, unsigned count,
                                        struct kql_place place);

static const struct text_word {
    const char *word, *exact; /* the same operator where case counts */
    bool before, behind;      /* is a border wanted there */
} term_words[] = {
    {"has", "has_cs", true, true},
    {"hasprefix", "hasprefix_cs", true, false},
    {"hassuffix", "hassuffix_cs", false, true},
};

static struct text constant_folded(struct binder *binder, struct text text)
{
    char *folded = arena_string(binder->arena, text);

    for (size_t i = 0; i < text.count; i++) {
        if ((unsigned char)folded[i] >= 0x80)
            return TEXT_NONE; /* beyond ASCII the database folds */
        folded[i] = (char)(folded[i] >= 'A' && folded[i] <= 'Z' ? folded[i] | 0x20 : folded[i]);
    }
    return (struct text){folded, text.count};
}

static bool continues_term(char byte)
{
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') ||
           (unsigned char)byte >= 0x80;
}

static void pattern_add(struct buf *out, struct text term, bool before, bool behind)
{
    if (before && term.count && continues_term(term.bytes[0]))
        buf_string(out, BORDER_BEFORE);
    for (size_t i = 0; i < term.count; i++) {
        if (!continues_term(term.bytes[i]) && term.bytes[i] != '_' && (unsigned char)term.bytes[i] > ' ')
            buf_byte(out, '\\');
        buf_byte(out, term.bytes[i]);
    }
    if (behind && term.count && continues_term(term.bytes[term.count - 1]))
        buf_string(out, BORDER_BEHIND);
}

static struct bound_value *pattern_value(struct binder *binder, struct buf *pattern, struct kql_place place)
{
    struct bound_value *value = NULL;

    if (buf_failed(pattern))
        binder_wrong(binder, "semantic.too_large", place,
                     "what is looked for is more than can be looked for at once");
    else
        value = value_call1(binder, "(%1 COLLATE \"und-x-icu\")", TYPE_STRING,
                            value_text(binder, arena_text(binder->arena, buf_as_text(pattern)), place));
    buf_done(pattern);
    return value;
}

/* It has a letter that no whole number and no time is written with. */
static bool text_is_no_number(struct text term)
{
    for (size_t i = 0; i < term.count; i++) {
        unsigned char byte = (unsigned char)term.bytes[i], letter = byte | 0x20;
        if (byte >= 0x80 || (letter >= 'a' && letter <= 'z' && letter != 't' && letter != 'z')) /* 2026-01-02T03:04:05Z */
            return true;
    }
    return false;
}

/* ---- a look before ---- */

struct bound_value *value_words(struct binder *binder, const struct bound_value *value)
{
    struct bound_value **arguments, *words = NULL;

    if (value->kind == BOUND_COLUMN)
        return value->column->words ? value_of_column(binder, value->column->words, value->place) : NULL;
    bool lies_parsed = value->kind == BOUND_CALL && value->count == 1 && strcmp(value->sql, "@text_of(%1)") == 0 &&
                       value->arguments[0]->kind == BOUND_COLUMN && value->arguments[0]->column->storage == KQL_JSONB;
    if (lies_parsed) {
        struct bound_value *stored = value_of_column(binder, value->arguments[0]->column, value->place);
        stored->stored = true;
        return value_call1(binder, "!coalesce(%1::text, '')", TYPE_STRING, stored);
    }
    if (value->kind != BOUND_CALL || strncmp(value->sql, "concat_ws(", 10) != 0)
        return NULL;
    arguments = ARENA_ARRAY(binder->arena, struct bound_value *, value->count);
    for (unsigned i = 0; i < value->count; i++) {
        struct bound_value *cheaper = value_words(binder, value->arguments[i]);
        arguments[i] = cheaper ? cheaper : value->arguments[i];
        words = cheaper ? cheaper : words;
    }
    return words ? joined_texts(binder, arguments, value->count, value->place) : NULL;
}

/* Letters and digits that stand within one string of JSON however it is written, and not in what a view adds to it. */
static bool is_plain_word(struct text folded)
{
    static const char *const added[] = {"messagesource", "linux", "originaleventid", "timestamputc"};

    for (size_t i = 0; i < folded.count; i++)
        if (!continues_term(folded.bytes[i]) || (unsigned char)folded.bytes[i] >= 0x80)
            return false;
    for (size_t i = 0; i < sizeof added / sizeof *added; i++)
        if (memmem(added[i], strlen(added[i]), folded.bytes, folded.count))
            return false;
    return folded.count > 2 && text_is_no_number(folded);
}

/* Whether `words`, such as value_words() gives, leave it open that the value has the term; NULL where they cannot tell. */
static struct bound_value *value_may_have(struct binder *binder, struct bound_value *words, struct text term, bool exact)
{
    struct text folded = constant_folded(binder, term);

    if (!words || !folded.bytes || !is_plain_word(folded))
        return NULL;
    /* Two letters beyond ASCII have an ASCII letter as their small one: the sign for Kelvin, and the I with a dot. */
    if (!exact && memchr(folded.bytes, 'k', folded.count))
        words = value_call1(binder, "!replace(%1, U&'\\212A', 'k')", TYPE_STRING, words);
    if (!exact && memchr(folded.bytes, 'i', folded.count))
        words = value_call1(binder, "!replace(%1, U&'\\0130', 'i')", TYPE_STRING, words);
    return value_call2(binder, exact ? "!(strpos(%1, %2) > 0)" : "!(strpos(lower(%1 COLLATE \"C\"), %2) > 0)", TYPE_BOOL, words,
                       value_text(binder, exact ? term : folded, words->place));
}

/* Whether the value has the term, which the query says itself. `words` of the value, or NULL. */
static struct bound_value *value_has_term(struct binder *binder, const struct text_word *word,
                                          struct bound_value *value, struct bound_value *words, struct text term, enum folding folding)
{
    struct bound_value **arguments = ARENA_ARRAY(binder->arena, struct bound_value *, 3);
    struct text sought = folding == FOLDED ? constant_folded(binder, term) : term;
    struct buf pattern;

    if (!sought.bytes)
        return NULL;
    buf_init(&pattern, REGEX_BYTES_MAX);
    pattern_add(&pattern, sought, word->before, word->behind);
    arguments[0] = value;
    arguments[1] = value_text(binder, sought, value->place);
    arguments[2] = pattern_value(binder, &pattern, value->place);
    if (!arguments[2])
        return NULL;
    struct bound_value *may = value_may_have(binder, words, term, folding == EXACT);
    if (!may)
        return value_call(binder,
                          folding == FOLDED ? "!(strpos(@fold(%1), %2) > 0 AND @fold(%1) ~ %3)"
                                            : "!(strpos(%1, %2) > 0 AND %1 ~ %3)",
                          TYPE_BOOL, value->place, arguments, 3);
    arguments[1] = words;
    return value_both(binder, BOUND_AND, may,
                      value_call(binder,
                                 folding == FOLDED ? "!(CASE WHEN strpos(%2, 'null') = 0 THEN @fold(%2) ~ %3 ELSE @fold(%1) ~ %3 END)"
                                                   : "!(CASE WHEN strpos(%2, 'null') = 0 THEN %2 ~ %3 ELSE %1 ~ %3 END)",
                                 TYPE_BOOL, value->place, arguments, 3));
}

static struct bound_value *value_has_word(struct binder *binder, struct text name, struct kql_place place,
                                          struct bound_value **sides, struct bound_value *words)
{
    for (size_t i = 0; i < sizeof term_words / sizeof *term_words; i++) {
        bool exact = text_equal(name, text_of(term_words[i].exact));
        struct bound_value *found;
        if ((!exact && !text_equal(name, text_of(term_words[i].word))) || !value_is_text(sides[1]))
            continue;
        found = value_has_term(binder, &term_words[i], sides[0], words, sides[1]->text, exact ? EXACT : FOLDED);
        if (found || binder_failed(binder))
            return found;
    }
    return bind_signature(binder, FUNCTION_SCALAR, name, place, sides, 2);
}

static struct bound_value *value_has(struct binder *binder, struct bound_value *value, const char *word,
                                     struct text term)
{
    struct bound_value *sides[2] = {value, value_text(binder, term, value->place)};

    return value_has_word(binder, text_of(word), value->place, sides, value_words(binder, value));
}

#define TEXTS_MAX 90 /* PostgreSQL's functions take a hundred arguments */

static struct bound_value *joined_texts(struct binder *binder, struct bound_value **texts, unsigned count,
                                        struct kql_place place)
{
    return value_call(binder, "!concat_ws(E'\\x01', %*)", TYPE_STRING, place, texts, count);
}

static bool is_written_in_digits(enum kql_type type)
{
    return type == TYPE_LONG || type == TYPE_INT || type == TYPE_DATETIME || type == TYPE_TIMESPAN;
}

static bool is_within(struct text whole, struct text part)
{
    for (size_t i = 0; i + part.count <= whole.count; i++)
        if (text_equal_nocase((struct text){whole.bytes + i, part.count}, part))
            return true;
    return false;
}

/* Whether the text may be part of what the column has; of some the few values are known. */
static bool column_may_have(const struct binder *binder, const struct bound_rows *rows, const struct bound_column *column, struct text term)
{
    const struct kql_options *options = binder->options;
    const struct bound_rows *table = NULL;
    const struct bound_column *own = rows_table_column(rows, column, &table);
    bool found = false;

    if (is_written_in_digits(column->type))
        return !text_is_no_number(term);
    if (column->type == TYPE_BOOL)
        return is_within(TEXT("true"), term) || is_within(TEXT("false"), term);
    if (!own)
        return true;
    if (text_equal(own->name, TEXT("Type")))
        return is_within(table->table->name, term);
    if (!text_equal(own->name, TEXT("TenantId")) || !options->workspace_count)
        return !own->empty;
    for (unsigned i = 0; i < options->workspace_count; i++)
        found |= is_within(options->workspaces[i].text, term);
    return found;
}

static bool column_may_have_any(const struct binder *binder, const struct bound_rows *rows, const struct bound_column *column,
                                const struct sought *sought)
{
    bool found = !sought || !sought->count;

    for (unsigned i = 0; sought && i < sought->count; i++)
        found |= !sought->terms[i].count || column_may_have(binder, rows, column, sought->terms[i]);
    return found;
}

/* All columns as one text, with what is no letter or digit between them. */
struct bound_value *value_all_columns(struct binder *binder, const struct bound_rows *rows, const struct sought *sought,
                                      struct kql_place place)
{
    struct bound_value **texts = ARENA_ARRAY(binder->arena, struct bound_value *, rows->count + 1);
    unsigned count = 0, first = 0;

    for (unsigned i = 0; i < rows->count; i++) {
        if (!column_may_have_any(binder, rows, rows->columns[i], sought))
            continue;
        if (!(texts[count++] =
                  value_convert(binder, value_of_column(binder, rows->columns[i], place), TYPE_STRING)))
            return NULL;
        if (count - first < TEXTS_MAX)
            continue;
        texts[first] = joined_texts(binder, memcpy(ARENA_ARRAY(binder->arena, struct bound_value *, TEXTS_MAX),
                                                   texts + first, TEXTS_MAX * sizeof *texts),
                                    TEXTS_MAX, place);
        count = ++first;
    }
    return count ? joined_texts(binder, texts, count, place) : value_text(binder, TEXT(""), place);
}

struct bound_value *value_has_somewhere(struct binder *binder, struct bound_value *text, struct bound_value *words, const char *word,
                                        struct text term, bool exact)
{
    struct bound_value *sides[2] = {text, value_text(binder, term, text->place)};

    return value_has_word(binder, text_of(exact ? arena_format(binder->arena, "%s_cs", word) : word), text->place, sides, words);
}

static const struct bound_rows *rows_here(const struct scope *scope)
{
    while (scope && !scope->rows)
        scope = scope->outer;
    return scope ? scope->rows : NULL;
}

/* * == "x": of any column. */
static struct bound_value *any_column_is(struct binder *binder, const struct scope *scope,
                                         const struct kql_expression *expression, bool negated)
{
    const struct bound_rows *rows = rows_here(scope);
    struct bound_value *right = bind_value(binder, scope, expression->right), *any = NULL;

    for (unsigned i = 0; right && rows && i < rows->count; i++) {
        struct bound_value *one = value_of_column(binder, rows->columns[i], expression->place);
        if (one->type != right->type && (one->type != TYPE_DYNAMIC || right->type != TYPE_STRING))
            continue;
        one = value_equal(binder, one, right, false, expression->place);
        any = any && one ? value_both(binder, BOUND_OR, any, one) : one;
    }
    if (binder_failed(binder))
        return NULL;
    return value_negated_if(binder, negated, any ? any : value_bool(binder, false, expression->place));
}

struct bound_value *bind_text_operator(struct binder *binder, const struct scope *scope,
                                       const struct kql_expression *expression)
{
    bool of_all = expression->left->kind == KQL_ALL,
         negated = expression->word.count && expression->word.bytes[0] == '!';
    struct text name =
        negated ? (struct text){expression->word.bytes + 1, expression->word.count - 1} : expression->word;
    struct bound_value *sides[2];

    if (text_equal(name, TEXT("notcontains"))) { /* as !contains was written once */
        name = TEXT("contains");
        negated = true;
    }

    if (of_all && !rows_here(scope))
        return binder_wrong(binder, "semantic.rows", expression->left->place, "* where there are no columns");
    if (of_all && expression->sign != KQL_TEXT_OPERATOR)
        return any_column_is(binder, scope, expression, expression->sign == KQL_NOT_EQUAL);
    sides[0] = of_all ? NULL : bind_value(binder, scope, expression->left);
    sides[1] = of_all || sides[0] ? bind_value(binder, scope, expression->right) : NULL;
    if (!sides[1])
        return NULL;
    if (of_all) {
        bool plain = text_starts(name, TEXT("has")) || text_starts(name, TEXT("contains"));
        struct sought sought = {&sides[1]->text, 1};
        sides[0] = value_all_columns(binder, rows_here(scope), plain && value_is_text(sides[1]) ? &sought : NULL, expression->left->place);
    }
    if (!sides[0])
        return NULL;
    if (sides[0]->type == TYPE_DYNAMIC)
        sides[0] = value_convert(binder, sides[0], TYPE_STRING);
    if (text_equal(name, TEXT("matches regex")) && sides[1]->type == TYPE_DYNAMIC)
        sides[1] = value_convert(binder, sides[1], TYPE_STRING);
    if (sides[0]->type != TYPE_STRING || (sides[1]->type != TYPE_STRING && sides[1]->type != TYPE_DYNAMIC))
        return binder_wrong(binder, "semantic.type", expression->place,
                            "%.*s looks into texts, and this is a %s; tostring() makes it one",
                            TEXT_ARGS(name),
                            kql_type_name(sides[0]->type != TYPE_STRING ? sides[0]->type : sides[1]->type));
    return value_negated_if(binder, negated, value_has_word(binder, name, expression->place, sides, value_words(binder, sides[0])));
}

/* ---- lists ---- */

struct values {
    struct bound_value **list;
    unsigned count;
    bool constant;
};

/* The items of a list, what is an array of scalars in the query spread out. */
static bool bind_items(struct binder *binder, const struct scope *scope, const struct kql_expression *items,
                       struct values *out)
{
    unsigned room = 0;

    *out = (struct values){.constant = true};
    for (const struct kql_expression *item = items; item; item = item->next) {
        struct bound_value *value = bind_value(binder, scope, item), **elements;
        unsigned count = 1;
        if (!value)
            return false;
        elements = value->type == TYPE_DYNAMIC ? dynamic_elements(binder, value, &count) : NULL;
        if (binder_failed(binder))
            return false;
        struct bound_value **grown = ARENA_ARRAY(binder->arena, struct bound_value *, room + count);
        if (out->count)
            memcpy(grown, out->list, out->count * sizeof *grown);
        for (unsigned i = 0; i < count; i++)
            grown[out->count + i] = elements ? elements[i] : value;
        out->list = grown;
        out->count += count;
        room = out->count;
        out->constant &= elements != NULL || (value->kind == BOUND_CONSTANT && value->type != TYPE_DYNAMIC);
    }
    return true;
}

static struct bound_value *value_list(struct binder *binder, enum kql_type type, struct bound_value **values,
                                      unsigned count, struct kql_place place)
{
    struct bound_value *list = value_new(binder, BOUND_LIST, type, place);

    list->arguments = values;
    list->count = count;
    return list;
}

static struct bound_value *array_of_rows(struct binder *binder, const struct scope *scope,
                                         const struct kql_expression *item)
{
    struct bound_rows *rows;
    struct bound_value *array;

    while (scope && scope->rows)
        scope = scope->outer;
    rows = bind_rows(binder, scope, item);
    if (!rows)
        return NULL;
    if (!rows->count)
        return binder_wrong(binder, "semantic.rows", item->place, "rows without columns");
    array = value_new(binder, BOUND_ARRAY, rows->columns[0]->type, item->place);
    array->rows = rows;
    array->column = rows->columns[0];
    return array;
}

/* Whether the value is one of those that rows or a list of constants have. */
static struct bound_value *value_among(struct binder *binder, struct bound_value *value,
                                       struct bound_value *many, bool folded)
{
    bool texts = value->type == TYPE_STRING;
    const char *sql;

    if (many->kind == BOUND_ARRAY)
        sql = !texts   ? "!coalesce(%1 IN %2, false)"
              : folded ? "!(@fold(%1) IN (SELECT @fold(x) FROM unnest(ARRAY%2) x))"
                       : "!(%1 IN %2)";
    else
        sql = !texts   ? "!coalesce(%1 = ANY (%2), false)"
              : folded ? "!(@fold(%1) = ANY (@fold_all(%2)))"
                       : "!(%1 = ANY (%2))";
    return value_call2(binder, sql, TYPE_BOOL, value, many);
}

/* Each as the type that it and the value come to. */
static bool items_as(struct binder *binder, struct bound_value **value, struct values *items,
                     struct kql_place place)
{
    enum kql_type type = (*value)->type;

    for (unsigned i = 0; i < items->count; i++) {
        enum kql_type item = items->list[i]->type;
        bool of_text = value_is_text(items->list[i]) && type != TYPE_STRING && type != TYPE_DYNAMIC;
        bool as_text = type == TYPE_STRING && item != TYPE_DYNAMIC; /* 0 is "0" */
        if (!of_text && !as_text && !value_common_type(type, item, &type)) {
            binder_wrong(binder, "semantic.type", place, "a %s is never one of a list with a %s",
                         kql_type_name(type), kql_type_name(item));
            return false;
        }
    }
    *value = value_convert(binder, *value, type);
    for (unsigned i = 0; i < items->count; i++)
        if (!(items->list[i] = value_convert(binder, items->list[i], type)))
            return false;
    return *value != NULL;
}

static struct bound_value *in_items(struct binder *binder, struct bound_value *value, struct values *items,
                                    bool folded, struct kql_place place)
{
    struct bound_value *any = NULL;

    if (items->count == 1 && !items->constant && items->list[0]->type == TYPE_DYNAMIC) {
        value = value_convert(binder, value, TYPE_DYNAMIC);
        return value ? value_call2(binder, folded ? "!@in_json_folded(%1, %2)" : "!@in_json(%1, %2)",
                                   TYPE_BOOL, value, items->list[0])
                     : NULL;
    }
    if (!items_as(binder, &value, items, place))
        return NULL;
    if (value->type == TYPE_DYNAMIC)
        return binder_wrong(binder, "semantic.type", place,
                            "a dynamic is never one of a list: use tostring() or another");
    for (unsigned i = 0; i < items->count && items->constant; i++)
        items->constant =
            items->list[i]->kind == BOUND_CONSTANT; /* conversions may be left to the database */
    if (items->constant)
        return value_among(binder, value, value_list(binder, value->type, items->list, items->count, place),
                           folded);
    for (unsigned i = 0; i < items->count; i++) {
        struct bound_value *sides[2] = {value, items->list[i]};
        struct bound_value *one = folded ? bind_operator(binder, "=~", place, sides, 2)
                                         : value_equal(binder, value, items->list[i], false, place);
        if (!one)
            return NULL;
        any = any ? value_both(binder, BOUND_OR, any, one) : one;
    }
    return any ? any : value_bool(binder, false, place);
}

static struct bound_value *has_of(struct binder *binder, struct bound_value *value, struct values *items,
                                  bool all, struct kql_place place)
{
    struct bound_value *any = NULL;
    struct buf pattern;

    if (!all && items->count > 3) { /* one pass for all of them */
        buf_init(&pattern, REGEX_BYTES_MAX);
        bool ascii = true;
        for (unsigned i = 0; i < items->count; i++) {
            struct text folded = constant_folded(binder, items->list[i]->text);
            ascii = ascii && folded.bytes;
            buf_string(&pattern, i ? "|" : "");
            if (ascii)
                pattern_add(&pattern, folded, true, true);
        }
        if (ascii && !buf_failed(&pattern)) {
            struct bound_value *sought = pattern_value(binder, &pattern, place);
            return sought ? value_call2(binder, "!(@fold(%1) ~ %2)", TYPE_BOOL, value, sought) : NULL;
        }
        buf_done(&pattern);
    }
    for (unsigned i = 0; i < items->count; i++) {
        struct bound_value *one = value_has(binder, value, "has", items->list[i]->text);
        if (!one)
            return NULL;
        any = any ? value_both(binder, all ? BOUND_AND : BOUND_OR, any, one) : one;
    }
    return any ? any : value_bool(binder, all, place);
}

static struct bound_value *has_items(struct binder *binder, struct bound_value *value, struct values *items,
                                     bool all, struct kql_place place)
{
    struct bound_value *list;

    for (unsigned i = 0; i < items->count; i++)
        if (items->list[i]->type != TYPE_STRING && items->list[i]->type != TYPE_DYNAMIC)
            items->list[i] = value_convert(binder, items->list[i], TYPE_STRING);
    if (binder_failed(binder))
        return NULL;
    for (unsigned i = 0; i < items->count && items->constant; i++)
        items->constant = value_is_text(items->list[i]);
    if (items->constant)
        return has_of(binder, value, items, all, place);
    if (items->count == 1 && items->list[0]->type == TYPE_DYNAMIC) {
        list = items->list[0];
    } else {
        for (unsigned i = 0; i < items->count; i++)
            items->list[i] = value_convert(binder, items->list[i], TYPE_DYNAMIC);
        list = value_call(binder, "json_build_array(%*)", TYPE_DYNAMIC, place, items->list, items->count);
    }
    return value_call2(binder, all ? "!@has_all(%1, %2)" : "!@has_any(%1, %2)", TYPE_BOOL, value, list);
}

/* in, in~, has_any, has_all */
static struct bound_value *bind_among(struct binder *binder, const struct scope *scope,
                                      const struct kql_expression *expression, struct text word)
{
    bool has = text_starts(word, TEXT("has_")), of_all = expression->left->kind == KQL_ALL,
         folded = text_ends(word, TEXT("~"));
    struct bound_value *value = of_all ? value_all_columns(binder, rows_here(scope), NULL, expression->place)
                                       : bind_value(binder, scope, expression->left),
                       *many;
    struct values items;

    if (!value)
        return NULL;
    if ((has || folded) && value->type == TYPE_DYNAMIC)
        value = value_convert(binder, value, TYPE_STRING);
    if ((has || folded) && value->type != TYPE_STRING)
        return binder_wrong(binder, "semantic.type", expression->place,
                            "%.*s looks into texts, and this is a %s; tostring() makes it one",
                            TEXT_ARGS(word), kql_type_name(value->type));
    if (expression->items && !expression->items->next && is_rows(binder, scope, expression->items)) {
        many = array_of_rows(binder, scope, expression->items);
        if (!many)
            return NULL;
        if (has)
            return value_call2(binder,
                               text_equal(word, TEXT("has_all"))
                                   ? "!@has_all(%1, (SELECT json_agg(x) FROM unnest(ARRAY%2) x))"
                                   : "!@has_any(%1, (SELECT json_agg(x) FROM unnest(ARRAY%2) x))",
                               TYPE_BOOL, value, many);
        if (many->type == TYPE_DYNAMIC)
            return value_call2(binder, "!@in_json(%1, (SELECT json_agg(x) FROM unnest(ARRAY%2) x))",
                               TYPE_BOOL, value_convert(binder, value, TYPE_DYNAMIC), many);
        value = value_as(binder, value, many->type, "what is looked up");
        return value ? value_among(binder, value, many, folded) : NULL;
    }
    if (!bind_items(binder, scope, expression->items, &items))
        return NULL;
    return has ? has_items(binder, value, &items, text_equal(word, TEXT("has_all")), expression->place)
               : in_items(binder, value, &items, folded, expression->place);
}

struct bound_value *bind_in(struct binder *binder, const struct scope *scope,
                            const struct kql_expression *expression)
{
    bool negated = expression->negated || (expression->word.count && expression->word.bytes[0] == '!');
    struct text word = expression->word;

    if (word.count && word.bytes[0] == '!')
        word = (struct text){word.bytes + 1, word.count - 1};
    return value_negated_if(binder, negated, bind_among(binder, scope, expression, word));
}
