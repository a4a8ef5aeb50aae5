#include "tests/support/program.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include <curl/curl.h>

#include "runtime/clock.h"

#define BODY_BYTES_MAX (256 << 20)
#define HEAD_BYTES_MAX (1 << 20)
#define LOOK_MS 20

static const char *trusted_file;

static size_t bytes_receive(char *bytes, size_t size, size_t count, void *context);

void program_http_trust(const char *ca_file)
{
    trusted_file = ca_file;
}

void program_http(const char *method, const char *url, const char *const *headers, struct text body,
                  struct program_reply *out)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:"); /* no 100-continue round */
    CURL *curl = curl_easy_init();

    if (!curl || !list)
        abort();
    *out = (struct program_reply){0};
    buf_init(&out->body, BODY_BYTES_MAX);
    buf_init(&out->head, HEAD_BYTES_MAX);
    for (; headers && *headers; headers++)
        list = curl_slist_append(list, *headers);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_NOBODY, strcmp(method, "HEAD") == 0 ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    if (body.bytes) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.bytes);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.count);
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, bytes_receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &out->body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, bytes_receive);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &out->head);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)PROGRAM_WAIT_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* tests talk to this host, whatever the environment says */
    if (trusted_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, trusted_file);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, trusted_file ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, trusted_file ? 2L : 0L);
    CURLcode result = curl_easy_perform(curl);
    if (result == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->code);
    else
        snprintf(out->reason, sizeof out->reason, "%s", curl_easy_strerror(result));
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
}

bool program_http_until(const char *method, const char *url, const char *const *headers, struct text body, long code,
                        uint32_t timeout_ms, struct program_reply *out)
{
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;

    program_http(method, url, headers, body, out);
    while (out->code != code && clock_monotonic_ms() < deadline_ms) {
        program_reply_done(out);
        poll(NULL, 0, LOOK_MS);
        program_http(method, url, headers, body, out);
    }
    return out->code == code;
}

struct text program_reply_header(const struct program_reply *reply, const char *name)
{
    struct text rest = {reply->head.bytes, reply->head.count}, line;
    size_t length = strlen(name);

    while (rest.count) {
        rest = text_cut(rest, '\n', &line);
        if (line.count > length && line.bytes[length] == ':' && strncasecmp(line.bytes, name, length) == 0)
            return text_trim((struct text){line.bytes + length + 1, line.count - length - 1});
    }
    return TEXT_NONE;
}

void program_reply_done(struct program_reply *reply)
{
    buf_done(&reply->body);
    buf_done(&reply->head);
}

static size_t bytes_receive(char *bytes, size_t size, size_t count, void *context)
{
    struct buf *out = context;

    buf_append(out, bytes, size * count);
    return buf_failed(out) ? 0 : size * count;
}
