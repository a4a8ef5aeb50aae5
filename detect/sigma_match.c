#include "detect/sigma_match.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

struct matching {
    const struct sigma_event *event;
    struct sigma_found *found;
    size_t found_count;
};

static char lower(char byte)
{
    return (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
}

/* `text` of the rule is folded already where case does not count. */
static bool same_bytes(const char *value, struct text text, bool cased)
{
    if (cased)
        return memcmp(value, text.bytes, text.count) == 0;
    for (size_t i = 0; i < text.count; i++)
        if (lower(value[i]) != text.bytes[i])
            return false;
    return true;
}

static bool has_within(struct text value, struct text text, bool cased)
{
    for (size_t i = 0; i + text.count <= value.count; i++)
        if (same_bytes(value.bytes + i, text, cased))
            return true;
    return false;
}

/* One more character; they are UTF-8. */
static size_t character_end(struct text value, size_t at)
{
    at++;
    while (at < value.count && ((unsigned char)value.bytes[at] & 0xC0) == 0x80)
        at++;
    return at;
}

/* Where what follows a star does not fit, the star takes one byte more; those before it need not change. */
static bool glob_fits(const struct sigma_clause *clause, struct text value)
{
    size_t at = 0, token = 0, star = SIZE_MAX, from = 0;

    for (;;) {
        const struct sigma_token *next = token < clause->token_count ? &clause->tokens[token] : NULL;
        if (!next && at == value.count)
            return true;
        if (next && next->kind == SIGMA_STAR) {
            star = token++;
            from = at;
        } else if (next && next->kind == SIGMA_ANY && at < value.count) {
            at = character_end(value, at);
            token++;
        } else if (next && next->kind == SIGMA_TEXT && next->text.count <= value.count - at &&
                   same_bytes(value.bytes + at, next->text, clause->cased)) {
            at += next->text.count;
            token++;
        } else if (star != SIZE_MAX && from < value.count) {
            token = star + 1;
            at = ++from;
        } else {
            return false;
        }
    }
}

/* ---- numbers, times, addresses ---- */

static bool number_of(struct text value, double *out)
{
    char text[64], *end;

    if (!value.count || value.count >= sizeof text || memchr("\t\n\v\f\r ", value.bytes[0], 6))
        return false;
    memcpy(text, value.bytes, value.count);
    text[value.count] = '\0';
    if (strpbrk(text, "xXnN"))
        return false;
    *out = strtod(text, &end);
    return !*end;
}

/* "2026-01-31T10:20…", as it stands: no zone is reckoned. */
static bool part_of(struct text value, enum sigma_part part, double *out)
{
    int year, month, day, hour = 0, minute = 0;
    char text[20];

    if (value.count < 10)
        return false;
    snprintf(text, sizeof text, "%.*s", (int)(value.count < 16 ? value.count : 16), value.bytes);
    if (sscanf(text, "%4d-%2d-%2d%*1[ T]%2d:%2d", &year, &month, &day, &hour, &minute) < 3)
        return false;
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    if (month < 1 || month > 12)
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int of_year = before[month - 1] + day + (leap && month > 2), y = year - 1;
    int weekday = (year * 365 - 365 + y / 4 - y / 100 + y / 400 + of_year) % 7; /* 1: Monday, 0: Sunday */
    int week = (of_year - (weekday ? weekday : 7) + 10) / 7;                    /* ISO 8601, within the year */
    *out = part == SIGMA_MINUTE ? minute : part == SIGMA_HOUR ? hour : part == SIGMA_DAY ? day : part == SIGMA_MONTH ? month : part == SIGMA_YEAR ? year : week;
    return true;
}

static bool within(const struct sigma_clause *clause, struct text value)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t address[16];

    if (value.count >= sizeof text)
        return false;
    memcpy(text, value.bytes, value.count);
    text[value.count] = '\0';
    if (inet_pton(clause->is_ipv6 ? AF_INET6 : AF_INET, text, address) != 1)
        return false;
    unsigned bytes = clause->bits / 8u, bits = clause->bits % 8u;
    return memcmp(address, clause->address, bytes) == 0 &&
           (!bits || ((address[bytes] ^ clause->address[bytes]) >> (8 - bits)) == 0);
}

static bool compares(const struct sigma_clause *clause, struct text value)
{
    double number = 0;

    if (clause->part ? !part_of(value, clause->part, &number) : !number_of(value, &number))
        return false;
    return clause->test == SIGMA_LESS         ? number < clause->number
           : clause->test == SIGMA_LESS_EQUAL ? number <= clause->number
           : clause->test == SIGMA_GREATER    ? number > clause->number
           : clause->test == SIGMA_EQUAL      ? number == clause->number
                                              : number >= clause->number;
}

/* ---- clauses ---- */

static bool value_fits(const struct sigma_clause *clause, struct text value)
{
    if (!value.bytes)
        return false;
    switch (clause->test) {
    case SIGMA_EQUAL:
        if (clause->is_number)
            return compares(clause, value);
        return value.count == clause->text.count && same_bytes(value.bytes, clause->text, clause->cased);
    case SIGMA_CONTAINS:
        return has_within(value, clause->text, clause->cased);
    case SIGMA_STARTS:
        return value.count >= clause->text.count && same_bytes(value.bytes, clause->text, clause->cased);
    case SIGMA_ENDS:
        return value.count >= clause->text.count &&
               same_bytes(value.bytes + value.count - clause->text.count, clause->text, clause->cased);
    case SIGMA_GLOB:
        return glob_fits(clause, value);
    case SIGMA_REGEX:
        return regex_fits(clause->regex, value);
    case SIGMA_CIDR:
        return within(clause, value);
    case SIGMA_LESS:
    case SIGMA_LESS_EQUAL:
    case SIGMA_GREATER:
    case SIGMA_GREATER_EQUAL:
        return compares(clause, value);
    case SIGMA_NULL:
    case SIGMA_EXISTS:
    case SIGMA_SAME:
        break;
    }
    return false;
}

static const struct sigma_field *field_find(const struct sigma_event *event, struct text name, size_t *from)
{
    for (; *from < event->count; ++*from)
        if (text_equal(event->fields[*from].name, name))
            return &event->fields[(*from)++];
    return NULL;
}

/* Both as events have them, so where case does not count neither is folded. */
static bool has_at(struct text value, size_t at, struct text part, bool cased)
{
    struct text there = {value.bytes + at, part.count};

    return cased ? text_equal(there, part) : text_equal_nocase(there, part);
}

static bool same_values(const struct sigma_clause *clause, struct text value, struct text other)
{
    if (!other.bytes || !value.bytes || value.count < other.count)
        return false;
    size_t last = value.count - other.count;
    if (clause->same == SIGMA_EQUAL)
        return !last && has_at(value, 0, other, clause->cased);
    for (size_t at = clause->same == SIGMA_ENDS ? last : 0; at <= (clause->same == SIGMA_STARTS ? 0 : last); at++)
        if (has_at(value, at, other, clause->cased))
            return true;
    return false;
}

static bool same_as(const struct sigma_clause *clause, const struct sigma_event *event, struct text value)
{
    const struct sigma_field *other;
    size_t from = 0;

    while ((other = field_find(event, clause->text, &from)))
        if (same_values(clause, value, other->value))
            return true;
    return false;
}

static bool clause_holds(const struct sigma_clause *clause, const struct sigma_event *event, const struct sigma_field **by)
{
    const struct sigma_field *field;
    size_t from = 0;
    bool any = false;

    *by = NULL;
    if (!clause->field.bytes) {
        for (size_t i = 0; i < event->count; i++)
            if (value_fits(clause, event->fields[i].value)) {
                *by = &event->fields[i];
                return true;
            }
        return false;
    }
    while ((field = field_find(event, clause->field, &from))) {
        bool holds = clause->test == SIGMA_EXISTS || (clause->test == SIGMA_SAME ? same_as(clause, event, field->value) : value_fits(clause, field->value));
        any |= field->value.bytes != NULL;
        if (holds) {
            *by = field;
            return true;
        }
    }
    return clause->test == SIGMA_NULL && !any;
}

static bool node_holds(struct matching *matching, const struct sigma_node *node)
{
    size_t before = matching->found_count;
    const struct sigma_field *by;
    bool holds = false;

    switch (node->kind) {
    case SIGMA_CLAUSE:
        holds = clause_holds(node->clause, matching->event, &by);
        if (holds && matching->found && matching->found_count < SIGMA_FOUND_MAX)
            matching->found[matching->found_count++] = (struct sigma_found){node->clause, by};
        return holds;
    case SIGMA_AND:
        holds = true;
        for (size_t i = 0; i < node->count && holds; i++)
            holds = node_holds(matching, node->nodes[i]);
        break;
    case SIGMA_OR:
        for (size_t i = 0; i < node->count && !holds; i++)
            holds = node_holds(matching, node->nodes[i]);
        break;
    case SIGMA_NOT:
        holds = !node_holds(matching, node->nodes[0]);
        matching->found_count = before; /* what is not there is by no field */
        break;
    }
    if (!holds)
        matching->found_count = before;
    return holds;
}

bool sigma_match(const struct sigma_rule *rule, const struct sigma_event *event, struct sigma_found *found, size_t *found_count)
{
    struct matching matching = {.event = event, .found = found};
    bool holds = node_holds(&matching, rule->condition);

    if (found_count)
        *found_count = matching.found_count;
    return holds;
}
