#include "programs/json_flags.h"

#include <stdio.h>
#include <string.h>

#include "runtime/text.h"

enum status json_flag_file(const struct cli *cli, const char *flag, json_t **out, struct problem *why)
{
    const char *name = cli_value(cli, flag);
    json_error_t error;

    if (!name)
        return problem_set(why, STATUS_REJECT, "--%s is missing: a file with a JSON object, or - for standard input", flag);
    json_t *value = strcmp(name, "-") == 0 ? json_loadf(stdin, 0, &error) : json_load_file(name, 0, &error);
    if (!value)
        return problem_set(why, STATUS_REJECT, "%s: %s (line %d, column %d)", name, error.text, error.line, error.column);
    if (!json_is_object(value)) {
        json_decref(value);
        return problem_set(why, STATUS_REJECT, "%s does not hold a JSON object", name);
    }
    *out = value;
    return STATUS_OK;
}

enum status json_flag_pair(const char *pair, json_t *object, struct problem *why)
{
    struct text name, value = text_cut(text_of(pair), '=', &name);

    if (!value.bytes || !name.count)
        return problem_set(why, STATUS_REJECT, "\"%.64s\" is not NAME=VALUE", pair);
    json_t *json = json_loadb(value.bytes, value.count, JSON_DECODE_ANY, NULL);
    if (!json)
        json = json_stringn(value.bytes, value.count);
    if (!json || json_object_setn_new(object, name.bytes, name.count, json))
        return problem_set(why, STATUS_REJECT, "\"%.64s\" is not UTF-8", pair);
    return STATUS_OK;
}

enum status json_flag_texts(const char *list, json_t **out, struct problem *why)
{
    struct text rest = text_of(list), pair, name;
    json_t *object = json_object();

    while (rest.count) {
        rest = text_cut(rest, ',', &pair);
        struct text value = text_cut(pair, '=', &name);
        if (!value.bytes || !name.count ||
            json_object_setn_new(object, name.bytes, name.count, json_stringn(value.bytes, value.count))) {
            json_decref(object);
            return problem_set(why, STATUS_REJECT, "\"%.*s\" is not NAME=VALUE", TEXT_ARGS(pair));
        }
    }
    *out = object;
    return STATUS_OK;
}
