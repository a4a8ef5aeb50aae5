#include "runtime/secret.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_TEXT_BYTES (2 * SECRET_MASTER_KEY_BYTES + 1) /* the digits and their newline */

static enum status key_file_check(int fd, const char *path, struct problem *why);
static enum status key_text_read(int fd, const char *path, struct secret_master *out, struct problem *why);
static bool write_whole(int fd, const char *bytes, size_t count);

enum status secret_init(struct problem *why)
{
    if (sodium_init() < 0)
        return problem_set(why, STATUS_FAULT, "libsodium found no source of random numbers");
    return STATUS_OK;
}

enum status secret_master_load(const char *path, struct secret_master *out, struct problem *why)
{
    assert(path && out);

    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return problem_set(why, STATUS_REJECT, "master key %s cannot be opened: %s", path, strerror(errno));
    enum status status = key_file_check(fd, path, why);
    if (!status)
        status = key_text_read(fd, path, out, why);
    close(fd);
    return status;
}

enum status secret_master_create(const char *path, struct secret_master *out, struct problem *why)
{
    char digits[KEY_TEXT_BYTES + 1];
    struct secret_master fresh;

    assert(path && out);

    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return problem_set(why, STATUS_REJECT, "master key %s cannot be created: %s", path, strerror(errno));
    randombytes_buf(fresh.key, sizeof fresh.key);
    text_hex_encode(fresh.key, sizeof fresh.key, digits);
    digits[KEY_TEXT_BYTES - 1] = '\n';
    bool written = write_whole(fd, digits, KEY_TEXT_BYTES) && fsync(fd) == 0;
    int saved_errno = errno;
    close(fd);
    sodium_memzero(digits, sizeof digits);
    if (written) {
        *out = fresh;
    } else {
        unlink(path); /* half a key would be refused at every start */
    }
    sodium_memzero(&fresh, sizeof fresh);
    if (!written)
        return problem_set(why, STATUS_FAULT, "master key %s cannot be written: %s", path,
                           strerror(saved_errno));
    return STATUS_OK;
}

void secret_seal(const struct secret_master *master, const uint8_t *plain, size_t count, uint8_t *sealed)
{
    static_assert(SECRET_SEALED_BYTES(0) == crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES,
                  "libsodium's sizes");
    static_assert(SECRET_MASTER_KEY_BYTES == crypto_secretbox_KEYBYTES, "libsodium's sizes");

    assert(master && sealed && (plain || count == 0));

    randombytes_buf(sealed, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(sealed + crypto_secretbox_NONCEBYTES, plain, count, sealed, master->key);
}

bool secret_open(const struct secret_master *master, const uint8_t *sealed, size_t sealed_count,
                 uint8_t *plain)
{
    assert(master && (sealed || sealed_count == 0));

    if (sealed_count < SECRET_SEALED_BYTES(0))
        return false;
    return crypto_secretbox_open_easy(plain, sealed + crypto_secretbox_NONCEBYTES,
                                      sealed_count - crypto_secretbox_NONCEBYTES, sealed, master->key) == 0;
}

void secret_random(void *out, size_t count)
{
    randombytes_buf(out, count);
}

bool secret_equal(const void *a, const void *b, size_t count)
{
    return sodium_memcmp(a, b, count) == 0;
}

void secret_wipe(void *bytes, size_t count)
{
    sodium_memzero(bytes, count);
}

/* The one-shot call of libsodium takes keys of 32 bytes only. */
void secret_hmac_sha256(const uint8_t *key, size_t key_count, struct text message,
                        uint8_t out[SECRET_HMAC_BYTES])
{
    crypto_auth_hmacsha256_state state;

    assert(out && (key || key_count == 0));

    crypto_auth_hmacsha256_init(&state, key, key_count);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)message.bytes, message.count);
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof state);
}

void secret_digest(const struct text *parts, size_t count, const struct secret_master *key,
                   uint8_t out[SECRET_DIGEST_BYTES])
{
    crypto_generichash_state state;

    assert(out && (parts || count == 0));

    crypto_generichash_init(&state, key ? key->key : NULL, key ? sizeof key->key : 0, SECRET_DIGEST_BYTES);
    for (size_t i = 0; i < count; i++) {
        uint8_t length[8];
        for (size_t byte = 0; byte < sizeof length; byte++)
            length[byte] = (uint8_t)((uint64_t)parts[i].count >> (8 * byte));
        crypto_generichash_update(&state, length, sizeof length);
        crypto_generichash_update(&state, (const unsigned char *)parts[i].bytes, parts[i].count);
    }
    crypto_generichash_final(&state, out, SECRET_DIGEST_BYTES);
}

/* Looks at the open file, not at its name: nobody can swap it in between. */
static enum status key_file_check(int fd, const char *path, struct problem *why)
{
    struct stat info;

    if (fstat(fd, &info))
        return problem_set(why, STATUS_REJECT, "master key %s cannot be looked at: %s", path,
                           strerror(errno));
    if (!S_ISREG(info.st_mode))
        return problem_set(why, STATUS_REJECT, "master key %s is not a file", path);
    if (info.st_mode & 077)
        return problem_set(why, STATUS_REJECT, "master key %s is open to others (mode %03o): chmod 600 it",
                           path, (unsigned)info.st_mode & 0777);
    return STATUS_OK;
}

static enum status key_text_read(int fd, const char *path, struct secret_master *out, struct problem *why)
{
    char digits[KEY_TEXT_BYTES + 1]; /* one more, to see a file that is longer */
    struct secret_master key;
    size_t count = 0;

    for (;;) {
        ssize_t got = read(fd, digits + count, sizeof digits - count);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break; /* what is missing is told below */
        count += (size_t)got;
    }
    if (count == KEY_TEXT_BYTES && digits[count - 1] == '\n')
        count--;
    bool decoded = text_hex_decode((struct text){digits, count}, key.key, sizeof key.key);
    sodium_memzero(digits, sizeof digits);
    if (decoded)
        *out = key;
    sodium_memzero(&key, sizeof key);
    if (!decoded)
        return problem_set(why, STATUS_REJECT, "master key %s must be %d hex digits and a newline", path,
                           2 * SECRET_MASTER_KEY_BYTES);
    return STATUS_OK;
}

static bool write_whole(int fd, const char *bytes, size_t count)
{
    while (count) {
        ssize_t written = write(fd, bytes, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        count -= (size_t)written;
    }
    return true;
}
