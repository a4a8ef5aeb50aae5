#include "kql/functions.h"

static const struct kql_signatures *const families[] = {
    &operator_signatures, &text_signatures,    &number_signatures,    &time_signatures,
    &dynamic_signatures,  &network_signatures, &aggregate_signatures, &window_signatures,
};

/* Of Kusto's, and of nothing here yet. */
static const char *const known[] = {
    "geo_info_from_ip_address",
    "geo_distance_2points",
    "geo_point_to_s2cell",
    "geo_point_to_geohash",
    "geo_point_in_polygon",
    "geo_point_in_circle",
    "hash_combine",
    "hash_many",
    "hll",
    "hll_if",
    "hll_merge",
    "dcount_hll",
    "tdigest",
    "tdigest_merge",
    "merge_tdigest",
    "percentile_tdigest",
    "percentiles_array_tdigest",
    "percentrank_tdigest",
    "rank_tdigest",
    "series_decompose",
    "series_decompose_forecast",
    "series_fft",
    "series_ifft",
    "series_iir",
    "series_fir",
    "series_periods_detect",
    "series_periods_validate",
    "series_fit_2lines",
    "series_fit_2lines_dynamic",
    "series_fit_poly",
    "series_outliers",
    "series_decompose_anomalies",
    "series_seasonal",
    "series_stats",
    "series_stats_dynamic",
    "series_fit_line",
    "parse_user_agent",
    "zlib_compress_to_base64_string",
    "zlib_decompress_from_base64_string",
    "gzip_compress_to_base64_string",
    "gzip_decompress_from_base64_string",
    "datetime_list_timezones",
    "buildschema",
    "covariance",
    "covariancep",
    "covarianceif",
    "welch_test",
    "convert_angle",
    "convert_energy",
    "convert_force",
    "convert_length",
    "convert_mass",
    "convert_speed",
    "convert_temperature",
    "convert_volume",
    "external_table",
    "materialized_view",
    "stored_query_result",
    "cluster",
    "database",
    "workspace",
    "app",
    "adx",
    "arg",
    "resource",
    "entity_group",
    "graph",
    "cursor_after",
    "cursor_before_or_at",
    "cursor_current",
    "current_cluster_endpoint",
    "current_database",
    "current_principal",
    "current_principal_details",
    "current_principal_is_member_of",
    "extent_id",
    "extent_tags",
    "row_id",
    "estimate_data_size",
    "_GetWatchlist",
    "_GetWatchlistAlias",
    "bin_auto",
    "percentilew",
    "percentilesw",
    "percentilesw_array",
    "parse_ipv6",
    "parse_ipv6_mask",
    "format_bytes",
    "ipv4_range_to_cidr_list",
};

const struct kql_signatures *signatures_at(size_t i)
{
    return i < sizeof families / sizeof *families ? families[i] : NULL;
}

const struct kql_signature *signatures_find(enum function_kind kind, struct text name,
                                            const struct kql_signature **end)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const struct kql_signature *row = families[i]->rows, *last = row + families[i]->count;
        if (families[i]->kind != kind)
            continue;
        for (; row < last; row++) {
            if (!text_equal(name, text_of(row->name)))
                continue;
            for (*end = row; *end < last && text_equal(name, text_of((*end)->name)); ++*end)
                continue;
            return row;
        }
    }
    return NULL;
}

bool function_is_known(struct text name)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (text_equal(name, text_of(known[i])))
            return true;
    return text_starts(name, TEXT("geo_")) || text_starts(name, TEXT("series_"));
}
