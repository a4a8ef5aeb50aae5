#include "agent/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_parts(int file, const struct iovec *parts, int count);
static bool sync_folder(const char *folder);

long file_read(const char *path, char *out, size_t size)
{
    size_t count = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return -1;
    while (count < size) {
        ssize_t got = read(file, out + count, size - count);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int error = errno;
            close(file);
            errno = error;
            return -1;
        }
        if (got == 0)
            break;
        count += (size_t)got;
    }
    close(file);
    return (long)count;
}

bool file_write(const char *folder, const char *name, const struct iovec *parts, int count, struct reason *why)
{
    char path[FILE_PATH_SIZE], beside[FILE_PATH_SIZE + sizeof FILE_UNFINISHED];
    int error;

    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path)
        return reason_set(why, "%s/%s is too long for a path", folder, name);
    snprintf(beside, sizeof beside, "%s%s", path, FILE_UNFINISHED);
    int file = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) {
        error = errno;
        (void)reason_set(why, "%s cannot be written: %s", beside, strerror(error));
        errno = error;
        return false;
    }
    bool written = write_parts(file, parts, count) && fsync(file) == 0;
    error = errno;
    close(file);
    if (written && (rename(beside, path) != 0 || !sync_folder(folder))) {
        written = false;
        error = errno;
    }
    if (!written) {
        unlink(beside);
        (void)reason_set(why, "%s cannot be written: %s", path, strerror(error));
        errno = error;
        return false;
    }
    return true;
}

static bool write_parts(int file, const struct iovec *parts, int count)
{
    for (int i = 0; i < count; i++) {
        const char *bytes = parts[i].iov_base;
        size_t left = parts[i].iov_len;
        while (left) {
            ssize_t put = write(file, bytes, left);
            if (put < 0 && errno != EINTR)
                return false;
            if (put < 0)
                continue;
            bytes += put;
            left -= (size_t)put;
        }
    }
    return true;
}

static bool sync_folder(const char *folder)
{
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (file < 0)
        return false;
    bool synced = fsync(file) == 0;
    int error = errno;
    close(file);
    errno = error;
    return synced;
}

bool file_folder_make(const char *path)
{
    char part[FILE_PATH_SIZE];
    struct stat about;

    if (stat(path, &about) == 0) {
        errno = ENOTDIR;
        return S_ISDIR(about.st_mode);
    }
    memcpy(part, path, strlen(path) + 1);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return false;
        *slash = '/';
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

bool file_readable(const char *root, const char *path)
{
    char whole[FILE_PATH_SIZE];

    return snprintf(whole, sizeof whole, "%s%s", root, path) < (int)sizeof whole && access(whole, R_OK) == 0;
}
