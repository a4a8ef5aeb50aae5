#include "query/render.h"

/* What with (…) may set, by both names. */
static const struct {
    const char *kql, *log_analytics, *kusto;
    enum { PROPERTY_TEXT, PROPERTY_LIST, PROPERTY_FLAG, PROPERTY_NUMBER } kind;
} properties[] = {
    {"title", "title", "Title", PROPERTY_TEXT},
    {"xcolumn", "xColumn", "XColumn", PROPERTY_TEXT},
    {"series", "series", "Series", PROPERTY_LIST},
    {"ycolumns", "yColumns", "YColumns", PROPERTY_LIST},
    {"anomalycolumns", "anomalyColumns", "AnomalyColumns", PROPERTY_LIST},
    {"xtitle", "xTitle", "XTitle", PROPERTY_TEXT},
    {"ytitle", "yTitle", "YTitle", PROPERTY_TEXT},
    {"xaxis", "xAxis", "XAxis", PROPERTY_TEXT},
    {"yaxis", "yAxis", "YAxis", PROPERTY_TEXT},
    {"legend", "legend", "Legend", PROPERTY_TEXT},
    {"ysplit", "ySplit", "YSplit", PROPERTY_TEXT},
    {"accumulate", "accumulate", "Accumulate", PROPERTY_FLAG},
    {"kind", "kind", "Kind", PROPERTY_TEXT},
    {"ymin", "yMin", "Ymin", PROPERTY_NUMBER},
    {"ymax", "yMax", "Ymax", PROPERTY_NUMBER},
};

static const struct kql_expression *said(const struct kql_operator *render, const char *name)
{
    for (const struct kql_parameter *parameter = render ? render->parameters : NULL; parameter; parameter = parameter->next)
        if (text_equal_nocase(parameter->name.text, text_of(name)))
            return parameter->value;
    return NULL;
}

static struct text word_of(const struct kql_expression *value)
{
    if (!value)
        return TEXT_NONE;
    return value->kind == KQL_REFERENCE ? value->name.text : value->text;
}

static void list_write(struct buf *out, const struct kql_expression *value)
{
    buf_byte(out, '[');
    for (const struct kql_expression *one = value; one; one = one->next) {
        buf_string(out, one == value ? "" : ",");
        buf_json_string(out, word_of(one));
    }
    buf_byte(out, ']');
}

static void property_write(struct buf *out, size_t i, const struct kql_expression *value)
{
    struct text word = word_of(value);

    switch (properties[i].kind) {
    case PROPERTY_FLAG:
        buf_string(out, text_equal(word, TEXT("true")) ? "true" : "false");
        break;
    case PROPERTY_NUMBER:
        buf_json_string(out, word.count ? word : TEXT("NaN"));
        break;
    case PROPERTY_LIST:
        if (value)
            list_write(out, value);
        else
            buf_string(out, "null");
        break;
    case PROPERTY_TEXT:
        if (word.bytes)
            buf_json_string(out, word);
        else
            buf_string(out, "null");
    }
}

static void write_properties(struct buf *out, const struct kql_operator *render, bool kusto)
{
    struct text visualization = render ? render->name.text : TEXT_NONE;

    buf_format(out, "{\"%s\":", kusto ? "Visualization" : "visualization");
    if (visualization.bytes)
        buf_json_string(out, visualization);
    else
        buf_string(out, "null");
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
        buf_format(out, ",\"%s\":", kusto ? properties[i].kusto : properties[i].log_analytics);
        property_write(out, i, said(render, properties[i].kql));
    }
    buf_string(out, kusto ? ",\"IsQuerySorted\":false}" : ",\"isQuerySorted\":false,\"annotation\":\"\",\"by\":null}");
}

void render_write(struct buf *out, const struct kql_operator *render)
{
    write_properties(out, render, false);
}

void render_write_kusto(struct buf *out, const struct kql_operator *render)
{
    write_properties(out, render, true);
}
