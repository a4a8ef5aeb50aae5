#include "programs/kql_files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "runtime/arena.h"
#include "runtime/buf.h"
#include "runtime/process.h"

#define FILE_BYTES_MAX (64 * 1024 * 1024)
#define NAMES_MAX 8
#define PATH_SIZE 4096

static enum status file_read(const char *path, struct buf *out, struct problem *why)
{
    enum status status = process_read_file(path, FILE_BYTES_MAX, out, why);

    return status ? STATUS_REJECT : STATUS_OK;
}

static bool has_ending(const char *path, const char *ending)
{
    size_t count = strlen(path), end = strlen(ending);

    return count > end && text_equal_nocase(text_of(path + count - end), text_of(ending));
}

/* ---- YAML ---- */

struct function_file {
    struct text query, parameters; /* "(a:long, b:string='x')" */
    struct text filled;            /* the same, each with a value */
    struct text names[NAMES_MAX];
    size_t name_count;
};

static struct text scalar_of(yaml_document_t *document, int index)
{
    yaml_node_t *node = yaml_document_get_node(document, index);

    if (!node || node->type != YAML_SCALAR_NODE)
        return TEXT_NONE;
    return (struct text){(const char *)node->data.scalar.value, node->data.scalar.length};
}

static struct text member_of(yaml_document_t *document, yaml_node_t *mapping, const char *name)
{
    if (!mapping || mapping->type != YAML_MAPPING_NODE)
        return TEXT_NONE;
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top;
         pair++)
        if (text_equal(scalar_of(document, pair->key), text_of(name)))
            return scalar_of(document, pair->value);
    return TEXT_NONE;
}

/* As a default stands in KQL: a text wears quotes. */
static const char *default_of(struct arena *arena, struct text type, struct text value)
{
    if (!value.bytes)
        return "";
    if (text_equal_nocase(type, TEXT("string"))) {
        if (value.count >= 2 && (value.bytes[0] == '\'' || value.bytes[0] == '"'))
            return arena_format(arena, "=%.*s", TEXT_ARGS(value));
        return arena_format(arena, "='%.*s'",
                            value.bytes[0] == '*' && value.count == 1 ? 1 : (int)value.count, value.bytes);
    }
    if (text_equal_nocase(type, TEXT("datetime")) && text_equal(value, TEXT("null")))
        return "=datetime(null)";
    if (text_equal_nocase(type, TEXT("int")) && text_equal(value, TEXT("null")))
        return "=int(null)";
    if (text_equal_nocase(type, TEXT("dynamic")) && !text_starts(value, TEXT("dynamic(")))
        return arena_format(arena, "=dynamic(%.*s)", TEXT_ARGS(value));
    return arena_format(arena, "=%.*s", TEXT_ARGS(value));
}

/* `filled`: one without a value gets the null of its type. */
static struct text parameters_of(yaml_document_t *document, int index, struct arena *arena, bool filled)
{
    yaml_node_t *list = yaml_document_get_node(document, index);
    const char *out = "(";

    if (!list || list->type != YAML_SEQUENCE_NODE)
        return TEXT_NONE;
    for (yaml_node_item_t *item = list->data.sequence.items.start; item < list->data.sequence.items.top;
         item++) {
        yaml_node_t *parameter = yaml_document_get_node(document, *item);
        struct text name = member_of(document, parameter, "Name"),
                    type = member_of(document, parameter, "Type");
        struct text value = member_of(document, parameter, "Default");
        bool table = text_starts(type, TEXT("table"));
        if (text_equal(type, TEXT("table")) && text_find(name, ':') < name.count) /* T:(a:long) */
            type = text_cut(name, ':', &name);
        else if (text_equal(type, TEXT("table")))
            type = TEXT("(*)");
        else if (table)
            type = (struct text){type.bytes + 6, type.count - 6};
        const char *otherwise = default_of(arena, type, value);
        if (filled && !*otherwise)
            otherwise = text_equal(type, TEXT("string"))
                            ? "=''"
                            : arena_format(arena, "=%.*s(null)", TEXT_ARGS(type));
        if (filled && table)
            continue; /* rows cannot be given by a value */
        out = arena_format(arena, "%s%s%.*s:%.*s%s", out, out[1] ? ", " : "", TEXT_ARGS(name),
                           TEXT_ARGS(type), otherwise);
    }
    return text_of(arena_format(arena, "%s)", out));
}

static void yaml_fields(yaml_document_t *document, struct arena *arena, struct function_file *out)
{
    static const char *const queries[] = {"query", "FunctionQuery", "ParserQuery"};
    static const char *const names[] = {"FunctionName", "FunctionAlias", "ParserName",
                                        "EquivalentBuiltInParser", "EquivalentBuiltInFunction"};
    yaml_node_t *root = yaml_document_get_root_node(document);

    if (!root || root->type != YAML_MAPPING_NODE)
        return;
    for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top;
         pair++) {
        struct text key = scalar_of(document, pair->key), value = scalar_of(document, pair->value);
        for (size_t i = 0; value.bytes && i < sizeof queries / sizeof *queries; i++)
            if (text_equal(key, text_of(queries[i])))
                out->query = arena_text(arena, value);
        for (size_t i = 0; value.count && i < sizeof names / sizeof *names; i++)
            if (text_equal(key, text_of(names[i])) && out->name_count < NAMES_MAX)
                out->names[out->name_count++] = arena_text(arena, value);
        if (text_equal(key, TEXT("ParserParams")) || text_equal(key, TEXT("FunctionParams"))) {
            out->parameters = parameters_of(document, pair->value, arena, false);
            out->filled = parameters_of(document, pair->value, arena, true);
        }
    }
}

static enum status yaml_read(const char *path, struct text source, struct arena *arena,
                             struct function_file *out, struct problem *why)
{
    yaml_parser_t parser;
    yaml_document_t document;

    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_input_string(&parser, (const unsigned char *)source.bytes, source.count);
    if (!yaml_parser_load(&parser, &document)) {
        enum status status =
            problem_set(why, STATUS_REJECT, "%s is no YAML: line %zu: %s", path, parser.problem_mark.line + 1,
                        parser.problem ? parser.problem : "broken");
        yaml_parser_delete(&parser);
        return status;
    }
    yaml_fields(&document, arena, out);
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return out->query.bytes
               ? STATUS_OK
               : problem_set(why, STATUS_REJECT, "%s has no query, FunctionQuery or ParserQuery", path);
}

/* ---- queries ---- */

static enum status jsonl_read(const char *path, struct text source, kql_query_sink *sink, void *context,
                              struct problem *why)
{
    struct text line;
    size_t number = 0;

    while (source.bytes && source.count) {
        source = text_cut(source, '\n', &line);
        number++;
        if (!text_trim(line).count)
            continue;
        json_error_t error;
        json_t *object = json_loadb(line.bytes, line.count, JSON_ALLOW_NUL, &error);
        const char *query = json_string_value(json_object_get(object, "query")),
                   *id = json_string_value(json_object_get(object, "id"));
        if (!query) {
            json_decref(object);
            return problem_set(why, STATUS_REJECT, "%s, line %zu: a JSON object with a query is wanted here",
                               path, number);
        }
        sink(context, text_of(id), TEXT_NONE,
             (struct text){query, json_string_length(json_object_get(object, "query"))});
        json_decref(object);
    }
    return STATUS_OK;
}

/* The lines up to the next blank one; `*rest` is what stands behind. */
static struct text next_piece(struct text *rest)
{
    struct text line, piece = *rest;

    while (rest->count) {
        struct text behind = text_cut(*rest, '\n', &line);
        if (!text_trim(line).count)
            break;
        *rest = behind.bytes ? behind : (struct text){line.bytes + line.count, 0};
    }
    piece.count = (size_t)(rest->bytes - piece.bytes);
    while (rest->count) {
        struct text behind = text_cut(*rest, '\n', &line);
        if (text_trim(line).count)
            break;
        *rest = behind.bytes ? behind : (struct text){line.bytes + line.count, 0};
    }
    return piece;
}

static bool parses(struct text query, struct arena *arena)
{
    struct kql_statement *statements;
    struct kql_diagnostic ignored;

    return !kql_parse(query, arena, &statements, &ignored);
}

static bool says_something(struct text piece)
{
    struct text line;

    while (piece.count) {
        piece = text_cut(piece, '\n', &line);
        line = text_trim(line);
        if (line.count && !text_starts(line, TEXT("//")))
            return true;
    }
    return false;
}

/* A .kql file is one query, or, where that cannot be, several with blank lines between, as query editors run them. */
static void bare_read(struct text source, struct arena *arena, kql_query_sink *sink, void *context)
{
    size_t pieces = 0, fine = 0;
    struct text rest = source;

    if (!parses(source, arena)) {
        while (rest.count) {
            struct text piece = next_piece(&rest);
            if (!says_something(piece))
                continue;
            pieces++;
            fine += parses(piece, arena);
        }
    }
    if (pieces < 2 || fine * 2 < pieces) {
        sink(context, TEXT_NONE, TEXT_NONE, source);
        return;
    }
    for (rest = source; rest.count;) {
        struct text piece = next_piece(&rest);
        if (says_something(piece))
            sink(context, TEXT_NONE, TEXT_NONE, piece);
    }
}

enum status kql_file_read(const char *path, kql_query_sink *sink, void *context, struct problem *why)
{
    struct function_file file = {0};
    struct arena arena;
    struct buf source;

    arena_init(&arena);
    buf_init(&source, FILE_BYTES_MAX);
    enum status status = file_read(path, &source, why);
    if (!status && has_ending(path, ".jsonl")) {
        status = jsonl_read(path, buf_as_text(&source), sink, context, why);
    } else if (!status && (has_ending(path, ".yaml") || has_ending(path, ".yml"))) {
        status = yaml_read(path, buf_as_text(&source), &arena, &file, why);
        if (!status)
            sink(context, TEXT_NONE, file.filled, file.query);
    } else if (!status) {
        bare_read(buf_as_text(&source), &arena, sink, context);
    }
    buf_done(&source);
    arena_done(&arena);
    return status;
}

/* ---- functions ---- */

/* "… as 'Name'", "alias as Name" in the comment that a file begins with. */
static struct text alias_in_comment(struct text source)
{
    struct text line, rest = source;

    while (rest.count) {
        rest = text_cut(rest, '\n', &line);
        line = text_trim(line);
        if (line.count && !text_starts(line, TEXT("//")))
            break;
        for (size_t i = 0; i + 4 < line.count; i++) {
            struct text behind = {line.bytes + i + 4, line.count - i - 4};
            bool quoted = behind.bytes[0] == '\'' || behind.bytes[0] == '"';
            bool alias = i >= 5 && strncmp(line.bytes + i - 5, "alias", 5) == 0;
            if (strncmp(line.bytes + i, " as ", 4) != 0 || (!quoted && !alias))
                continue;
            struct text name = {behind.bytes + quoted, 0};
            while (name.count + (size_t)quoted < behind.count &&
                   (isalnum((unsigned char)name.bytes[name.count]) || name.bytes[name.count] == '_'))
                name.count++;
            if (name.count)
                return name;
        }
    }
    return TEXT_NONE;
}

enum status kql_function_read(const char *path, kql_query_sink *sink, void *context, struct problem *why)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    struct function_file file = {0};
    struct arena arena;
    struct buf source;

    arena_init(&arena);
    buf_init(&source, FILE_BYTES_MAX);
    enum status status = file_read(path, &source, why);
    if (!status && (has_ending(path, ".yaml") || has_ending(path, ".yml"))) {
        status = yaml_read(path, buf_as_text(&source), &arena, &file, why);
    } else if (!status) {
        file.query = buf_as_text(&source);
        file.names[0] = alias_in_comment(file.query);
        file.name_count = file.names[0].bytes != NULL;
    }
    if (!status)
        file.names[file.name_count < NAMES_MAX ? file.name_count++ : NAMES_MAX - 1] =
            (struct text){base, strcspn(base, ".")};
    for (size_t i = 0; !status && i < file.name_count; i++) {
        bool again = false;
        for (size_t k = 0; k < i; k++)
            again |= text_equal(file.names[k], file.names[i]);
        if (!again)
            sink(context, file.names[i], file.parameters, file.query);
    }
    buf_done(&source);
    arena_done(&arena);
    return status;
}

struct loading {
    struct catalog *catalog;
    struct kql_diagnostic wrong;
};

static void function_load(void *context, struct text name, struct text parameters, struct text body)
{
    struct loading *loading = context;

    if (!loading->wrong.code)
        (void)!catalog_add_function(loading->catalog, name, parameters, body, &loading->wrong);
}

enum status kql_functions_load(const char *folder, struct catalog *catalog, struct problem *why)
{
    DIR *directory = opendir(folder);
    struct dirent *entry;
    struct problem broken;
    char path[PATH_SIZE];

    if (!directory)
        return problem_set(why, STATUS_REJECT, "cannot read the folder %s: %s", folder, strerror(errno));
    while ((entry = readdir(directory))) {
        const char *name = entry->d_name;
        if (!has_ending(name, ".kql") && !has_ending(name, ".yaml") && !has_ending(name, ".yml") &&
            !has_ending(name, ".txt"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, name);
        struct loading loading = {.catalog = catalog};
        if (kql_function_read(path, function_load, &loading, &broken))
            fprintf(stderr, "picket: left out: %s\n", broken.text);
        else if (loading.wrong.code)
            fprintf(stderr, "picket: left out: %s: %s\n", path, loading.wrong.message);
    }
    closedir(directory);
    return STATUS_OK;
}

enum status kql_schema_load(const char *path, struct catalog *catalog, struct problem *why)
{
    struct buf source;
    struct text line;
    size_t number = 0;

    buf_init(&source, FILE_BYTES_MAX);
    enum status status = file_read(path, &source, why);
    struct text rest = buf_as_text(&source);
    while (!status && rest.bytes && rest.count) {
        struct problem broken;
        rest = text_cut(rest, '\n', &line);
        number++;
        line = text_trim(line);
        if (line.count && line.bytes[0] != '#' && catalog_add_declared(catalog, line, &broken))
            status = problem_set(why, STATUS_REJECT, "%s, line %zu: %s", path, number, broken.text);
    }
    buf_done(&source);
    return status;
}
