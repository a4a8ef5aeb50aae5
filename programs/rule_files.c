#include "programs/rule_files.h"

#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "runtime/process.h"

#define RULE_BYTES_MAX (4 * 1024 * 1024)
#define FOLDERS_OPEN 20

static enum status file_take(const char *path, rule_file_take *each, void *context, struct problem *why)
{
    struct buf content;

    buf_init(&content, RULE_BYTES_MAX);
    enum status status = process_read_file(path, RULE_BYTES_MAX, &content, why);
    if (!status)
        status = each(context, path, buf_as_text(&content), why);
    buf_done(&content);
    return status;
}

static struct {
    char **paths;
    size_t count, room;
} found_files; /* nftw() hands no context on */

static int file_found(const char *path, const struct stat *facts, int kind, struct FTW *walk)
{
    struct text name = text_of(path);

    (void)facts;
    (void)walk;
    if (kind != FTW_F || !(text_ends(name, TEXT(".yml")) || text_ends(name, TEXT(".yaml"))))
        return 0;
    if (found_files.count == found_files.room) {
        found_files.room = 2 * found_files.room + 256;
        found_files.paths = realloc(found_files.paths, found_files.room * sizeof *found_files.paths);
        if (!found_files.paths)
            abort();
    }
    found_files.paths[found_files.count] = strdup(path);
    return found_files.paths[found_files.count++] ? 0 : -1;
}

static int path_compare(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

enum status rule_files_each(const char *path, rule_file_take *each, void *context, struct problem *why)
{
    enum status status = STATUS_OK;
    struct stat facts;

    if (stat(path, &facts))
        return problem_set(why, STATUS_REJECT, "there is no %s", path);
    if (!S_ISDIR(facts.st_mode))
        return file_take(path, each, context, why);
    if (nftw(path, file_found, FOLDERS_OPEN, FTW_PHYS))
        return problem_set(why, STATUS_REJECT, "%s cannot be read", path);
    qsort(found_files.paths, found_files.count, sizeof *found_files.paths, path_compare);
    for (size_t i = 0; i < found_files.count; i++) {
        if (!status)
            status = file_take(found_files.paths[i], each, context, why);
        free(found_files.paths[i]);
    }
    free(found_files.paths);
    memset(&found_files, 0, sizeof found_files);
    return status;
}
