#include "store/json_tree.h"

#include <assert.h>
#include <stdlib.h>

#define SORT_IN_PLACE_MAX 16 /* members up to which insertion sort on the stack beats qsort */

struct frame {
    struct json_node *node;
    struct json_node *last;
};

struct builder {
    struct picket_json_reader reader;
    struct arena *arena;
    struct frame frames[PICKET_JSON_DEPTH_LIMIT + 1];
    size_t depth;
    struct picket_json_token name; /* of the member whose value comes next */
    bool named;
    struct json_node *root;
};

static void value_add(struct builder *builder, const struct picket_json_token *token);
static void container_close(struct builder *builder);
static struct text token_text(struct arena *arena, const struct picket_json_token *token);
static unsigned token_replaced(const struct picket_json_token *token);
static void number_check(struct json_node *node);
static void members_order(struct json_node *object, struct arena *arena);
static void members_drop_earlier(struct json_node *object, struct json_node **sorted);
static int name_compare(const void *left, const void *right);

enum status json_tree_read(struct text source, unsigned depth_max, struct arena *arena, struct json_node **out,
                           struct problem *why)
{
    struct builder builder;
    struct picket_json_token token;
    unsigned line, column;

    assert(arena && out && why && depth_max <= PICKET_JSON_DEPTH_LIMIT);
    builder.arena = arena;
    builder.depth = 0;
    builder.named = false;
    builder.root = NULL;
    picket_json_init(&builder.reader, source.bytes ? source.bytes : "", source.count, depth_max);
    for (;;) {
        switch (picket_json_next(&builder.reader, &token)) {
        case PICKET_JSON_END:
            *out = builder.root;
            return STATUS_OK;
        case PICKET_JSON_ERROR:
            picket_json_position(&builder.reader, builder.reader.error_at, &line, &column);
            return problem_set(why, STATUS_REJECT, "%s (line %u, column %u)", builder.reader.error, line, column);
        case PICKET_JSON_NAME:
            builder.name = token;
            builder.named = true;
            break;
        case PICKET_JSON_OBJECT_CLOSE:
        case PICKET_JSON_ARRAY_CLOSE:
            container_close(&builder);
            break;
        case PICKET_JSON_OBJECT_OPEN:
        case PICKET_JSON_ARRAY_OPEN:
        case PICKET_JSON_STRING:
        case PICKET_JSON_NUMBER:
        case PICKET_JSON_TRUE:
        case PICKET_JSON_FALSE:
        case PICKET_JSON_NULL:
            value_add(&builder, &token);
            break;
        }
    }
}

const struct json_node *node_member(const struct json_node *object, const char *name)
{
    if (!node_is(object, PICKET_JSON_OBJECT_OPEN))
        return NULL;
    size_t count = strlen(name);
    for (const struct json_node *node = object->first; node; node = node->next)
        if (node->name.count == count && memcmp(node->name.bytes, name, count) == 0)
            return node;
    return NULL;
}

bool node_integer(const struct json_node *node, int64_t *out)
{
    if (!node_is(node, PICKET_JSON_NUMBER) && !node_is(node, PICKET_JSON_STRING))
        return false;
    return text_to_i64(node->text, out);
}

static void value_add(struct builder *builder, const struct picket_json_token *token)
{
    struct json_node *node = ARENA_NEW(builder->arena, struct json_node);

    node->kind = token->kind;
    node->sorted = true;
    if (builder->named) {
        node->name = token_text(builder->arena, &builder->name);
        node->replaced = token_replaced(&builder->name);
        builder->named = false;
    }
    if (token->kind == PICKET_JSON_STRING || token->kind == PICKET_JSON_NUMBER) {
        node->text = token_text(builder->arena, token);
        node->replaced |= token_replaced(token);
    }
    if (token->kind == PICKET_JSON_NUMBER)
        number_check(node);

    if (builder->depth == 0) {
        builder->root = node;
    } else {
        struct frame *parent = &builder->frames[builder->depth - 1];
        if (parent->last)
            parent->last->next = node;
        else
            parent->node->first = node;
        parent->last = node;
        parent->node->count++;
        if (node->replaced)
            parent->node->replaced |= JSON_NODE_BELOW;
    }
    if (token->kind == PICKET_JSON_OBJECT_OPEN || token->kind == PICKET_JSON_ARRAY_OPEN)
        builder->frames[builder->depth++] = (struct frame){node, NULL};
}

static void container_close(struct builder *builder)
{
    assert(builder->depth > 0);
    struct json_node *node = builder->frames[--builder->depth].node;
    if (node->kind == PICKET_JSON_OBJECT_OPEN && node->count > 1)
        members_order(node, builder->arena);
    if (node->replaced && builder->depth > 0)
        builder->frames[builder->depth - 1].node->replaced |= JSON_NODE_BELOW;
}

static struct text token_text(struct arena *arena, const struct picket_json_token *token)
{
    if (!(token->flags & PICKET_JSON_ESCAPED))
        return (struct text){token->text, token->count};
    char *out = arena_alloc(arena, 1, token->count + 1);
    return (struct text){out, picket_json_unescape(token, out)};
}

static unsigned token_replaced(const struct picket_json_token *token)
{
    return (token->flags & PICKET_JSON_NUL ? (unsigned)JSON_NODE_NUL : 0u) |
           (token->flags & PICKET_JSON_LONE_SURROGATE ? (unsigned)JSON_NODE_SURROGATE : 0u);
}

/* `numeric` writes 1e131000 out digit by digit when it is read back, so a short number can cost a lot. */
static void number_check(struct json_node *node)
{
    int64_t exponent = 0;
    bool big = node->text.count > JSON_NUMBER_TEXT_MAX;

    for (size_t i = 0; !big && i < node->text.count; i++) {
        if (node->text.bytes[i] != 'e' && node->text.bytes[i] != 'E')
            continue;
        struct text digits = {node->text.bytes + i + 1, node->text.count - i - 1};
        if (digits.count && *digits.bytes == '+')
            digits = (struct text){digits.bytes + 1, digits.count - 1};
        big = !text_to_i64(digits, &exponent) || exponent > JSON_NUMBER_EXPONENT_MAX ||
              exponent < -JSON_NUMBER_EXPONENT_MAX;
        break;
    }
    if (big) {
        node->kind = PICKET_JSON_STRING;
        node->replaced |= JSON_NODE_BIG_NUMBER;
    }
}

/* Sorts as jsonb does, which ranks the members and puts those of one name side by side. The sender's order decides
 * between equals, so that the last of them is the one that came last. */
static void members_order(struct json_node *object, struct arena *arena)
{
    struct json_node *few[SORT_IN_PLACE_MAX];
    struct json_node **sorted = object->count <= SORT_IN_PLACE_MAX
                                    ? few
                                    : ARENA_ARRAY(arena, struct json_node *, object->count);
    bool in_order = true, repeated = false;
    uint32_t i = 0;

    for (struct json_node *node = object->first; node; node = node->next) {
        node->rank = i; /* position in the sender's order until all are sorted: breaks ties */
        sorted[i] = node;
        if (i > 0 && name_compare(&sorted[i - 1], &sorted[i]) > 0)
            in_order = false;
        i++;
    }
    if (!in_order && object->count > SORT_IN_PLACE_MAX)
        qsort(sorted, object->count, sizeof *sorted, name_compare);
    else if (!in_order)
        for (uint32_t at = 1; at < object->count; at++)
            for (uint32_t to = at; to > 0 && name_compare(&sorted[to - 1], &sorted[to]) > 0; to--) {
                struct json_node *swapped = sorted[to];
                sorted[to] = sorted[to - 1];
                sorted[to - 1] = swapped;
            }
    for (i = 0; i + 1 < object->count && !repeated; i++)
        repeated = text_equal(sorted[i]->name, sorted[i + 1]->name);
    if (repeated)
        members_drop_earlier(object, sorted);
    else
        for (i = 0; i < object->count; i++)
            sorted[i]->rank = i;
    object->sorted = in_order;
}

static void members_drop_earlier(struct json_node *object, struct json_node **sorted)
{
    const uint32_t dropped = UINT32_MAX;
    uint32_t rank = 0;

    for (uint32_t i = 0; i < object->count; i++) {
        if (i + 1 < object->count && text_equal(sorted[i]->name, sorted[i + 1]->name)) {
            sorted[i + 1]->replaced |= JSON_NODE_DUPLICATE;
            sorted[i]->rank = dropped;
        } else {
            sorted[i]->rank = rank++;
        }
    }
    object->count = rank;
    object->replaced |= JSON_NODE_BELOW;
    struct json_node **link = &object->first;
    while (*link) {
        if ((*link)->rank == dropped)
            *link = (*link)->next;
        else
            link = &(*link)->next;
    }
}

static int name_compare(const void *left, const void *right)
{
    const struct json_node *a = *(struct json_node *const *)left, *b = *(struct json_node *const *)right;

    if (a->name.count != b->name.count)
        return a->name.count < b->name.count ? -1 : 1;
    int order = a->name.count ? memcmp(a->name.bytes, b->name.bytes, a->name.count) : 0;
    if (order)
        return order;
    return a->rank < b->rank ? -1 : a->rank > b->rank;
}
