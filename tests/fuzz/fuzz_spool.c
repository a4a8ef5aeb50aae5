/* A spool folder with anything in it: a message with any body under a good name, one under any name, and any saved numbering. It is taken up,
 * emptied message by message, and then holds what it is given. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/spool.h"
#include "agent/state_file.h"

#define SIZE 65536
#define NAME "00000000000000000007.11111111-2222-4333-8444-555555555555-1.3.message"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64];

static void folder_make(void)
{
    snprintf(folder, sizeof folder, "/dev/shm/picket-fuzz-XXXXXX");
    if (!mkdtemp(folder))
        abort();
}

static void put(const char *name, const uint8_t *data, size_t size)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    if (!file)
        return; /* no name of a file */
    (void)!fwrite(data, 1, size, file);
    fclose(file);
}

static void drop(const char *name)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)remove(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct picket_message wanted = {.id = "11111111-2222-4333-8444-555555555555-7", .count = 3, .body = "{\"Events\":[]}", .body_count = 13};
    static char buffer[SIZE], state[STATE_TEXT_MAX];
    struct picket_message message;
    struct reason why;
    char name[200] = "";
    size_t name_count = size ? data[0] % sizeof name : 0;

    if (!*folder)
        folder_make();
    if (size < 1 + name_count || size > SIZE / 2)
        return 0;
    memcpy(name, data + 1, name_count);
    for (char *at = name; *at; at++)
        if (*at == '/')
            *at = '_';
    const uint8_t *rest = data + 1 + name_count;
    size_t rest_count = size - 1 - name_count;
    put(NAME, rest, rest_count);
    if (*name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "lock") != 0 && strcmp(name, "state") != 0)
        put(name, rest, rest_count);
    put("state", rest, rest_count);
    if (state_file_read(folder, "state", state, sizeof state) > rest_count)
        abort();
    if (!state_file_write(folder, "state", "{}", 2, &why) || state_file_read(folder, "state", state, sizeof state) != 2 || memcmp(state, "{}", 2) != 0)
        abort();
    struct spool *spool = spool_open(folder, 1 << 20, &why);
    if (!spool)
        abort();
    while (spool_oldest(spool, buffer, sizeof buffer, &message) != PICKET_KEPT_NONE)
        spool_forget(spool);
    if (spool_keep(spool, &wanted, &why) != PICKET_KEEP_DONE || spool_oldest(spool, buffer, sizeof buffer, &message) != PICKET_KEPT_FOUND ||
        strcmp(message.id, wanted.id) != 0 || message.body_count != wanted.body_count || memcmp(message.body, wanted.body, wanted.body_count) != 0)
        abort();
    spool_forget(spool);
    spool_close(spool);
    drop("state");
    if (*name)
        drop(name);
    return 0;
}
