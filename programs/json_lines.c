#include "programs/json_lines.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/text.h"

enum status json_lines_each(const char *path, const char *what, json_line_take *each, void *context, struct problem *why)
{
    FILE *file = fopen(path, "re");
    enum status status = STATUS_OK;
    size_t number = 0, room = 0;
    char *line = NULL;
    ssize_t length;

    if (!file)
        return problem_set(why, STATUS_REJECT, "%s cannot be read", path);
    while (!status && (length = getline(&line, &room, file)) >= 0) {
        struct problem wrong;
        number++;
        if (text_trim((struct text){line, (size_t)length}).count == 0)
            continue;
        json_t *object = json_loadb(line, (size_t)length, JSON_ALLOW_NUL, NULL);
        status = json_is_object(object) ? each(context, object, number, &wrong)
                                        : problem_set(&wrong, STATUS_REJECT, "%s is a JSON object", what);
        if (status)
            problem_set(why, status, "%s, line %zu: %s", path, number, wrong.text);
        json_decref(object);
    }
    free(line);
    fclose(file);
    return status;
}
