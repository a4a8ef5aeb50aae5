#include "ingest/mqtt/websocket.h"

#include <gnutls/crypto.h>

#define FINAL 0x80
#define MASKED 0x80
#define MASK_BYTES 4
#define KEY_BYTES 16
#define KEY_TEXT_MAX 32

enum { OPCODE_CONTINUATION = 0, OPCODE_BINARY = 2, OPCODE_CLOSE = 8, OPCODE_PING = 9, OPCODE_PONG = 10 };

static size_t header_size(const struct websocket *websocket);
static bool header_done(struct websocket *websocket);
static uint8_t unmask(struct websocket *websocket, uint8_t byte);
static enum websocket_event control_end(struct websocket *websocket);

static inline unsigned opcode_of(const struct websocket *websocket)
{
    return websocket->header[0] & 0x0f;
}

static inline bool in_header(const struct websocket *websocket)
{
    return websocket->header_count < header_size(websocket);
}

enum websocket_event websocket_read(struct websocket *websocket, uint8_t *bytes, size_t count, size_t *used,
                                    size_t *payload)
{
    size_t at = 0, kept = 0;
    enum websocket_event event = WEBSOCKET_MORE;

    while (event == WEBSOCKET_MORE && at < count) {
        bool control = false;
        if (in_header(websocket)) {
            websocket->header[websocket->header_count++] = bytes[at++];
            if (in_header(websocket))
                continue;
            if (!header_done(websocket))
                event = WEBSOCKET_BROKEN;
            control = event == WEBSOCKET_MORE && opcode_of(websocket) >= OPCODE_CLOSE;
        } else if (opcode_of(websocket) >= OPCODE_CLOSE) {
            websocket->control[websocket->control_count++] = unmask(websocket, bytes[at++]);
            control = true;
        } else {
            bytes[kept++] = unmask(websocket, bytes[at++]);
        }
        if (event != WEBSOCKET_MORE || websocket->left)
            continue;
        websocket->header_count = 0;
        if (control)
            event = control_end(websocket);
    }
    *used = at;
    *payload = kept;
    return event;
}

size_t websocket_header(enum websocket_opcode opcode, size_t payload, uint8_t out[WEBSOCKET_HEADER_MAX])
{
    out[0] = (uint8_t)(FINAL | opcode);
    if (payload <= WEBSOCKET_CONTROL_MAX) {
        out[1] = (uint8_t)payload;
        return 2;
    }
    if (payload <= UINT16_MAX) {
        out[1] = 126;
        out[2] = (uint8_t)(payload >> 8);
        out[3] = (uint8_t)payload;
        return 4;
    }
    out[1] = 127;
    for (size_t i = 0; i < 8; i++)
        out[2 + i] = (uint8_t)((uint64_t)payload >> (56 - 8 * i));
    return 10;
}

bool websocket_accept(struct text key, char out[WEBSOCKET_ACCEPT_SIZE])
{
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char joined[KEY_TEXT_MAX + sizeof suffix];
    uint8_t decoded[KEY_TEXT_MAX], digest[20];
    size_t count;

    key = text_trim(key);
    if (key.count > KEY_TEXT_MAX || !text_base64_decode(key, decoded, sizeof decoded, &count) || count != KEY_BYTES)
        return false;
    memcpy(joined, key.bytes, key.count);
    memcpy(joined + key.count, suffix, sizeof suffix - 1);
    if (gnutls_hash_fast(GNUTLS_DIG_SHA1, joined, key.count + sizeof suffix - 1, digest) != 0)
        return false;
    text_base64_encode(digest, sizeof digest, out);
    return true;
}

/* As far as it is known: the second byte says how long it is. */
static size_t header_size(const struct websocket *websocket)
{
    if (websocket->header_count < 2)
        return 2;
    unsigned length = websocket->header[1] & 0x7f;
    return 2u + (length == 126 ? 2 : length == 127 ? 8 : 0) + (websocket->header[1] & MASKED ? MASK_BYTES : 0);
}

/* The header is whole: may a client send such a frame? */
static bool header_done(struct websocket *websocket)
{
    const uint8_t *header = websocket->header;
    unsigned opcode = opcode_of(websocket), length = header[1] & 0x7f;
    size_t length_bytes = length == 126 ? 2 : length == 127 ? 8 : 0;
    bool final = header[0] & FINAL;
    uint64_t left = length_bytes ? 0 : length;

    for (size_t i = 0; i < length_bytes; i++)
        left = left << 8 | header[2 + i];
    if (header[0] & 0x70 || !(header[1] & MASKED) || left > INT64_MAX)
        return false;
    switch (opcode) {
    case OPCODE_BINARY:
        if (websocket->fragmented)
            return false;
        websocket->fragmented = !final;
        break;
    case OPCODE_CONTINUATION:
        if (!websocket->fragmented)
            return false;
        websocket->fragmented = !final;
        break;
    case OPCODE_CLOSE:
    case OPCODE_PING:
    case OPCODE_PONG:
        if (!final || length_bytes)
            return false;
        websocket->control_count = 0;
        break;
    default:
        return false;
    }
    websocket->left = left;
    websocket->at = 0;
    return true;
}

static uint8_t unmask(struct websocket *websocket, uint8_t byte)
{
    const uint8_t *mask = websocket->header + websocket->header_count - MASK_BYTES;

    websocket->left--;
    return byte ^ mask[websocket->at++ % MASK_BYTES];
}

static enum websocket_event control_end(struct websocket *websocket)
{
    unsigned opcode = opcode_of(websocket);

    return opcode == OPCODE_PING ? WEBSOCKET_PING : opcode == OPCODE_CLOSE ? WEBSOCKET_CLOSE : WEBSOCKET_MORE;
}
