#include "query/routes.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/log.h"
#include "runtime/process.h"

/* The console's files are read once, at start: what a request names is looked up among them, so no path of a stranger
 * ever reaches the file system. */

#define FILES_MAX 256
#define FILE_BYTES_MAX (4 * 1024 * 1024)
#define NAME_SIZE 256 /* what a directory entry holds */

struct file {
    char name[NAME_SIZE];
    const char *type;
    struct buf bytes;
};

struct console {
    size_t count;
    struct file files[FILES_MAX];
};

static bool folder_read(const char *path, struct console *console);
static void file_read(const char *folder, const char *name, struct console *console);
static const char *type_of(struct text name);
static enum status file_answer(const struct query *query, struct text name, struct reply *reply, struct problem *why);

struct console *console_load(const char *share_path)
{
    static const char *const folders[] = {"console", "dashboards/console"}; /* installed; in the sources */
    struct console *console = calloc(1, sizeof *console);
    char path[PATH_MAX];

    if (!console)
        abort();
    for (size_t i = 0; i < 2 && !console->count; i++) {
        snprintf(path, sizeof path, "%s/%s", share_path, folders[i]);
        if (!folder_read(path, console))
            log_debug("console.folder", "path=\"%s\" is not there", path);
    }
    if (!console->count)
        log_warn("console.missing", "share=\"%s\"", share_path);
    return console;
}

void console_free(struct console *take_console)
{
    if (!take_console)
        return;
    for (size_t i = 0; i < take_console->count; i++)
        buf_done(&take_console->files[i].bytes);
    free(take_console);
}

ROUTE_HANDLER(console_index)
{
    (void)request;
    return file_answer(query, TEXT("index.html"), reply, why);
}

ROUTE_HANDLER(console_file)
{
    return file_answer(query, http_parameter(request->exchange, "file"), reply, why);
}

/* The token goes no further than this: the browser keeps a cookie that scripts cannot read. */
ROUTE_HANDLER(session_create)
{
    static const char *const members[] = {"token", NULL};
    static const char *const roles[] = {"", "reader", "analyst", "admin"};
    struct caller *caller = ARENA_NEW(request->arena, struct caller);
    char session[SESSION_TEXT_SIZE];
    const char *token = NULL;

    enum status status = request_members(request, members, why);
    if (!status)
        status = request_string(request, "token", &token, why);
    if (!status && !token)
        status = problem_set(why, STATUS_REJECT, "\"token\" is missing");
    if (status)
        return status;
    status = sign_in_session(query_sign_in_of(query), request->db, text_of(token), request->timeout_ms, caller, session, why);
    if (status == STATUS_REJECT)
        return reply_refuse(reply, why, 401, "Unauthorized", "The token is not one that this server knows.");
    if (status)
        return status;
    http_reply_header(reply->exchange, "Cache-Control", "no-store");
    http_reply_header(reply->exchange, "Set-Cookie",
                      arena_format(request->arena, SESSION_COOKIE "=%s; Path=/; Max-Age=%d; HttpOnly; Secure; SameSite=Strict",
                                   session, SESSION_SECONDS));
    reply_open_object(reply, NULL);
    reply_string(reply, "role", roles[caller->role]);
    reply_number(reply, "seconds", SESSION_SECONDS);
    reply_close_object(reply);
    return STATUS_OK;
}

ROUTE_HANDLER(session_end)
{
    (void)query;
    (void)request;
    (void)why;
    http_reply_header(reply->exchange, "Set-Cookie",
                      SESSION_COOKIE "=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict");
    reply_code(reply, 204);
    return STATUS_OK;
}

static bool folder_read(const char *path, struct console *console)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;

    if (!folder)
        return false;
    while ((entry = readdir(folder)))
        if (entry->d_name[0] != '.' && type_of(text_of(entry->d_name)))
            file_read(path, entry->d_name, console);
    closedir(folder);
    return true;
}

static void file_read(const char *folder, const char *name, struct console *console)
{
    struct file *file = &console->files[console->count];
    char path[PATH_MAX];
    struct problem why;

    if (console->count == FILES_MAX || strlen(name) >= sizeof file->name ||
        snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) {
        log_warn("console.file", "name=\"%s\" is left out", name);
        return;
    }
    buf_init(&file->bytes, FILE_BYTES_MAX);
    if (process_read_file(path, FILE_BYTES_MAX, &file->bytes, &why)) {
        log_warn("console.file", "name=\"%s\" reason=\"%s\"", name, why.text);
        buf_done(&file->bytes);
        return;
    }
    snprintf(file->name, sizeof file->name, "%s", name);
    file->type = type_of(text_of(name));
    console->count++;
}

/* NULL for what the console has no use for: an editor's copy is not served. */
static const char *type_of(struct text name)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".woff2", "font/woff2"},
        {".txt", "text/plain; charset=utf-8"},
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (text_ends(name, text_of(types[i][0])))
            return types[i][1];
    return NULL;
}

static enum status file_answer(const struct query *query, struct text name, struct reply *reply, struct problem *why)
{
    const struct console *console = query_console_of(query);
    struct http_exchange *exchange = reply->exchange;
    size_t i = 0;

    while (i < console->count && !text_equal(text_of(console->files[i].name), name))
        i++;
    if (i == console->count)
        return reply_refuse(reply, why, 404, "NotFound", "The console has no such file.");
    http_reply_header(exchange, "Content-Security-Policy",
                      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
                      "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    http_reply_header(exchange, "Referrer-Policy", "no-referrer");
    http_reply_header(exchange, "Cross-Origin-Opener-Policy", "same-origin");
    http_reply_header(exchange, "Cache-Control", "no-cache");
    buf_text(http_reply_body(exchange, console->files[i].type), buf_as_text(&console->files[i].bytes));
    return STATUS_OK;
}
