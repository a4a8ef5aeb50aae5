#include "store/feed_fetch.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdlib.h>

#include "runtime/buf.h"

#define CONNECT_S 15L
#define TOTAL_S 600L
#define STALL_BYTES 100L /* a second; below it … */
#define STALL_S 60L      /* … for so long, the server is taken for gone */
#define REDIRECTS_MAX 5L
#define PAGES_MAX 10000

struct fetching {
    CURL *curl;
    struct buf content;
    const _Atomic bool *stop;
};

static size_t bytes_come(char *bytes, size_t size, size_t count, void *context)
{
    struct fetching *fetching = context;

    buf_append(&fetching->content, bytes, size * count);
    return buf_failed(&fetching->content) ? 0 : size * count;
}

static int progress(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    const struct fetching *fetching = context;

    (void)total;
    (void)now;
    (void)up_total;
    (void)up_now;
    return *fetching->stop;
}

static enum status page_fetch(struct fetching *fetching, const char *url, struct problem *why)
{
    long code = 0;

    buf_clear(&fetching->content);
    curl_easy_setopt(fetching->curl, CURLOPT_URL, url);
    CURLcode result = curl_easy_perform(fetching->curl);
    if (buf_failed(&fetching->content))
        return problem_set(why, STATUS_REJECT, "the feed is longer than %zu bytes", FEED_FETCH_BYTES_MAX);
    if (result != CURLE_OK)
        return problem_set(why, STATUS_RETRY, "%.200s: %s", url, curl_easy_strerror(result));
    curl_easy_getinfo(fetching->curl, CURLINFO_RESPONSE_CODE, &code);
    if (code == 429 || code >= 500)
        return problem_set(why, STATUS_RETRY, "%.200s answers %ld", url, code);
    return code == 200 ? STATUS_OK : problem_set(why, STATUS_REJECT, "%.200s answers %ld", url, code);
}

/* Where the next page is; false: there is none. */
static bool page_after(struct fetching *fetching, const char *url, struct buf *next)
{
    json_t *envelope = json_loadb(fetching->content.bytes, fetching->content.count, 0, NULL);
    const char *token = json_string_value(json_object_get(envelope, "next"));
    bool more = json_is_true(json_object_get(envelope, "more")) && token;
    char *escaped = more ? curl_easy_escape(fetching->curl, token, 0) : NULL;

    buf_clear(next);
    if (escaped)
        buf_format(next, "%s%cnext=%s", url, strchr(url, '?') ? '&' : '?', escaped);
    curl_free(escaped);
    json_decref(envelope);
    return more && escaped && !buf_failed(next);
}

static enum status taxii_fetch(struct fetching *fetching, const char *url, feed_take *take, void *context, struct feed_facts *facts, struct problem *why)
{
    enum status status = STATUS_OK;
    struct buf next;
    bool more = true;

    buf_init(&next, 8192);
    buf_string(&next, url);
    for (int page = 0; !status && more && page < PAGES_MAX; page++) {
        struct feed_facts of_page;
        status = page_fetch(fetching, next.bytes, why);
        if (!status && text_trim(buf_as_text(&fetching->content)).count)
            status = feed_read(buf_as_text(&fetching->content), FEED_STIX, take, context, &of_page, why);
        if (!status) {
            facts->added += of_page.added;
            facts->ignored += of_page.ignored;
            more = page_after(fetching, url, &next);
        }
    }
    buf_done(&next);
    return status;
}

enum status feed_fetch(const char *url, const char *format, feed_take *take, void *context, struct feed_facts *facts, const _Atomic bool *stop, struct problem *why)
{
    struct fetching fetching = {.curl = curl_easy_init(), .stop = stop};
    bool taxii = strcmp(format, "taxii") == 0;
    struct curl_slist *headers = NULL;
    enum feed_format as = FEED_ANY;
    enum status status;

    if (!fetching.curl)
        abort();
    buf_init(&fetching.content, FEED_FETCH_BYTES_MAX);
    headers = curl_slist_append(headers, taxii ? "Accept: application/taxii+json;version=2.1" : "Accept: */*");
    curl_easy_setopt(fetching.curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(fetching.curl, CURLOPT_USERAGENT, "picket");
    curl_easy_setopt(fetching.curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(fetching.curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(fetching.curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    curl_easy_setopt(fetching.curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(fetching.curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(fetching.curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(fetching.curl, CURLOPT_TIMEOUT, TOTAL_S);
    curl_easy_setopt(fetching.curl, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES);
    curl_easy_setopt(fetching.curl, CURLOPT_LOW_SPEED_TIME, STALL_S);
    curl_easy_setopt(fetching.curl, CURLOPT_WRITEFUNCTION, bytes_come);
    curl_easy_setopt(fetching.curl, CURLOPT_WRITEDATA, &fetching);
    curl_easy_setopt(fetching.curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(fetching.curl, CURLOPT_XFERINFOFUNCTION, progress);
    curl_easy_setopt(fetching.curl, CURLOPT_XFERINFODATA, &fetching);
    *facts = (struct feed_facts){.format = taxii ? FEED_STIX : FEED_ANY};
    if (taxii) {
        status = taxii_fetch(&fetching, url, take, context, facts, why);
    } else {
        (void)feed_format_of(text_of(format), &as);
        status = page_fetch(&fetching, url, why);
        if (!status)
            status = feed_read(buf_as_text(&fetching.content), as, take, context, facts, why);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(fetching.curl);
    buf_done(&fetching.content);
    return status;
}
