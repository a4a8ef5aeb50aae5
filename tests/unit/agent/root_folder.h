#ifndef PICKET_TESTS_UNIT_AGENT_ROOT_FOLDER_H
#define PICKET_TESTS_UNIT_AGENT_ROOT_FOLDER_H

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A temporary folder that stands for a host's root, or holds a spool. */
static char root[] = "/tmp/picket-agent-XXXXXX";

static inline void root_make(void)
{
    memcpy(strrchr(root, '-') + 1, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static inline int root_remove_entry(const char *path, const struct stat *about, int kind, struct FTW *walk)
{
    (void)about;
    (void)kind;
    (void)walk;
    return remove(path);
}

static inline void root_remove(void)
{
    nftw(root, root_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path below the root, with the folders it needs. Good until the next call. */
static inline const char *root_path(const char *path)
{
    static char whole[512];

    ck_assert_int_lt(snprintf(whole, sizeof whole, "%s%s", root, path), (int)sizeof whole);
    for (char *slash = strchr(whole + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(whole, 0755);
        *slash = '/';
    }
    return whole;
}

static inline void root_write_bytes(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(root_path(path), "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, count, file), count);
    ck_assert_int_eq(fclose(file), 0);
}

static inline void root_write(const char *path, const char *text)
{
    root_write_bytes(path, text, strlen(text));
}

static inline void root_link(const char *path, const char *target)
{
    const char *whole = root_path(path);

    (void)unlink(whole);
    ck_assert_int_eq(symlink(target, whole), 0);
}

#endif
