#include "query/refusal.h"

/* Shapes and codes: reference of the Log Analytics query API and of Kusto's REST API. Clients of the first show the message
 * of the innermost error, those of the second "@message"; where it says "Semantic error:" they take the query to be at fault. */

static const struct {
    unsigned http;
    const char *log_analytics, *inner, *kusto, *kusto_type, *prefix;
} kinds[] = {
    [TROUBLE_NONE] = {200, "", "", "", "", ""},
    [TROUBLE_WORKSPACE] = {404, "WorkspaceNotFoundError", "WorkspaceNotFoundError", "BadRequest_EntityNotFound",
                           "Kusto.Data.Exceptions.EntityNotFoundException", ""},
    [TROUBLE_SYNTAX] = {400, "BadArgumentError", "SyntaxError", "SYN0001", "Kusto.Data.Exceptions.SyntaxException", "Syntax error: "},
    [TROUBLE_SEMANTIC] = {400, "BadArgumentError", "SemanticError", "SEM0100", "Kusto.Data.Exceptions.SemanticException",
                          "Semantic error: "},
    [TROUBLE_COST] = {400, "BadArgumentError", "QueryCostError", "E_QUERY_COST", "Kusto.Data.Exceptions.KustoBadRequestException", ""},
    [TROUBLE_TIMEOUT] = {504, "GatewayTimeout", "GatewayTimeout", "Timeout", "Kusto.Data.Exceptions.KustoServiceTimeoutException", ""},
    [TROUBLE_LIMIT] = {200, "PartialError", "QueryResultSizeError", "80DA0003",
                       "Kusto.DataNode.Exceptions.StreamingQueryResultSetTooLargeException", ""},
    [TROUBLE_EXECUTION] = {400, "BadArgumentError", "SemanticError", "E_RUNTIME", "Kusto.Data.Exceptions.KustoBadRequestException", ""},
};

unsigned refusal_code(const struct question_trouble *trouble)
{
    return kinds[trouble->kind].http;
}

/* Ours has the place as fields of its own, others have it in the text. */
static void message_write(struct buf *out, const char *prefix, const struct question_trouble *trouble)
{
    char place[64] = "";
    struct buf text;

    buf_init(&text, 4096);
    if (trouble->line)
        snprintf(place, sizeof place, " (line %u, column %u)", trouble->line, trouble->column);
    buf_format(&text, "%s%s%s", prefix, trouble->message, place);
    buf_json_string(out, buf_as_text(&text));
    buf_done(&text);
}

static void code_write(struct buf *out, const char *name, const char *code)
{
    buf_format(out, "\"%s\":", name);
    buf_json_string(out, text_of(code));
}

static void place_write(struct buf *out, const struct question_trouble *trouble)
{
    if (trouble->line)
        buf_format(out, ",\"line\":%u,\"pos\":%u", trouble->line, trouble->column);
}

/* "code":…,"message":… */
static void said_write(struct buf *out, const char *code, const struct question_trouble *trouble)
{
    code_write(out, "code", code);
    buf_string(out, ",\"message\":");
    message_write(out, "", trouble);
}

static void log_analytics_question(struct buf *out, const struct question_trouble *trouble)
{
    buf_string(out, "{\"error\":{");
    code_write(out, "code", kinds[trouble->kind].log_analytics);
    buf_string(out, ",\"message\":\"The request had some invalid properties\",\"innererror\":{");
    said_write(out, kinds[trouble->kind].inner, trouble);
    buf_string(out, ",\"innererror\":{");
    said_write(out, trouble->code, trouble);
    place_write(out, trouble);
    buf_string(out, "}}}}");
}

void refusal_one_api(struct buf *out, const struct question_trouble *trouble)
{
    buf_string(out, "{\"error\":{");
    code_write(out, "code", trouble->kind == TROUBLE_LIMIT ? "LimitsExceeded" : "General_BadRequest");
    buf_string(out, ",\"message\":\"Request is invalid and cannot be executed.\",");
    code_write(out, "@type", kinds[trouble->kind].kusto_type);
    buf_string(out, ",\"@message\":");
    struct text prefix = text_of(kinds[trouble->kind].prefix);
    message_write(out, prefix.count ? prefix.bytes : trouble->kind == TROUBLE_LIMIT ? "E_QUERY_RESULT_SET_TOO_LARGE (80DA0003): " : "", trouble);
    buf_string(out, ",\"@context\":{},\"@permanent\":");
    buf_string(out, trouble->kind == TROUBLE_TIMEOUT ? "false" : "true");
    buf_string(out, ",\"innererror\":{");
    said_write(out, kinds[trouble->kind].kusto, trouble);
    buf_byte(out, ',');
    code_write(out, "@errorCode", trouble->code);
    buf_string(out, ",\"@errorMessage\":");
    message_write(out, "", trouble);
    place_write(out, trouble);
    buf_string(out, "}}}");
}

void refusal_of_question(struct buf *out, enum refusal_dialect dialect, const struct question_trouble *trouble)
{
    if (dialect == REFUSAL_KUSTO)
        refusal_one_api(out, trouble);
    else
        log_analytics_question(out, trouble);
}

static void log_analytics_request(struct buf *out, unsigned code, const char *message)
{
    const char *name = code == 400   ? "BadArgumentError"
                       : code == 401 ? "AuthenticationFailed"
                       : code == 403 ? "InsufficientAccessError"
                       : code == 404 ? "PathNotFoundError"
                       : code == 429 ? "ThrottledError"
                                     : "ServiceUnavailable";

    buf_string(out, "{\"error\":{");
    code_write(out, "code", name);
    buf_string(out, ",\"message\":");
    buf_json_string(out, text_of(message));
    if (code == 400) {
        buf_string(out, ",\"innererror\":{\"code\":\"QueryValidationError\",\"message\":");
        buf_json_string(out, text_of(message));
        buf_byte(out, '}');
    }
    buf_string(out, "}}");
}

static void kusto_request(struct buf *out, unsigned code, const char *message)
{
    buf_string(out, "{\"error\":{");
    code_write(out, "code", code == 401   ? "Unauthorized"
                            : code == 403 ? "Forbidden"
                            : code == 429 ? "TooManyRequests"
                            : code == 503 ? "ServiceUnavailable"
                                          : "General_BadRequest");
    buf_string(out, ",\"message\":");
    buf_json_string(out, text_of(message));
    buf_string(out, ",\"@type\":\"Kusto.Data.Exceptions.KustoBadRequestException\",\"@message\":");
    buf_json_string(out, text_of(message));
    buf_format(out, ",\"@context\":{},\"@permanent\":%s}}", code < 500 && code != 429 ? "true" : "false");
}

void refusal_of_request(struct buf *out, enum refusal_dialect dialect, unsigned code, const char *name, const char *message)
{
    if (dialect == REFUSAL_LOG_ANALYTICS) {
        log_analytics_request(out, code, message);
    } else if (dialect == REFUSAL_KUSTO) {
        kusto_request(out, code, message);
    } else {
        buf_string(out, "{\"error\":{");
        code_write(out, "code", name);
        buf_string(out, ",\"message\":");
        buf_json_string(out, text_of(message));
        buf_string(out, "}}");
    }
}

void refusal_partial(struct buf *out, const struct question_trouble *trouble)
{
    buf_string(out, "{\"code\":\"PartialError\",\"message\":");
    message_write(out, "", trouble);
    buf_string(out, ",\"details\":[{");
    code_write(out, "code", trouble->code);
    buf_string(out, ",\"message\":");
    message_write(out, "", trouble);
    buf_string(out, "}]}");
}
