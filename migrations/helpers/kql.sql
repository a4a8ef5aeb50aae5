-- What compiled KQL calls. A datetime is ticks of 100 ns since 0001-01-01, a timespan ticks; a text is never null. Nothing
-- here raises an error for what a value is: what cannot be is null, or the empty text. Facts: Kusto's documentation of its
-- functions, and what its emulator answers.
--
-- The file may be applied again and again. Loaded with "pg_temp." for "kql." it serves one session alone.

-- ---- texts and cases ----
CREATE OR REPLACE FUNCTION kql.fold(x text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT lower(x COLLATE "und-x-icu") $$;
CREATE OR REPLACE FUNCTION kql.fold_all(x text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT array_agg(lower(e COLLATE "und-x-icu")) FROM unnest(x) e $$;
CREATE OR REPLACE FUNCTION kql.lower(x text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT lower(x COLLATE "und-x-icu") $$;
CREATE OR REPLACE FUNCTION kql.upper(x text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT upper(x COLLATE "und-x-icu") $$;
CREATE OR REPLACE FUNCTION kql.ends_with(x text, y text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT right(x, length(y)) = y OR y = '' $$;
CREATE OR REPLACE FUNCTION kql.regex_quote(x text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT regexp_replace(x, '([^0-9A-Za-z_ \u0080-\uffff])', '\\\1', 'g') $$;
CREATE OR REPLACE FUNCTION kql.term(x text, before bool, behind bool) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN before AND x COLLATE "und-x-icu" ~ '^[[:alnum:]]' THEN '(?<![[:alnum:]])' ELSE '' END || kql.regex_quote(x)
       || CASE WHEN behind AND x COLLATE "und-x-icu" ~ '[[:alnum:]]$' THEN '(?![[:alnum:]])' ELSE '' END $$;
CREATE OR REPLACE FUNCTION kql.has_cs(x text, y text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT x COLLATE "und-x-icu" ~ kql.term(y, true, true) $$;
CREATE OR REPLACE FUNCTION kql.has(x text, y text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.has_cs(kql.fold(x), kql.fold(y)) $$;
CREATE OR REPLACE FUNCTION kql.has_prefix_cs(x text, y text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT x COLLATE "und-x-icu" ~ kql.term(y, true, false) $$;
CREATE OR REPLACE FUNCTION kql.has_prefix(x text, y text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.has_prefix_cs(kql.fold(x), kql.fold(y)) $$;
CREATE OR REPLACE FUNCTION kql.has_suffix_cs(x text, y text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT x COLLATE "und-x-icu" ~ kql.term(y, false, true) $$;
CREATE OR REPLACE FUNCTION kql.has_suffix(x text, y text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.has_suffix_cs(kql.fold(x), kql.fold(y)) $$;

-- ---- values as texts ----
CREATE OR REPLACE FUNCTION kql.text_of_bool(x bool) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x THEN 'True' WHEN NOT x THEN 'False' ELSE '' END $$;
CREATE OR REPLACE FUNCTION kql.text_of_real(x float8) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x IS NULL THEN '' WHEN x = 'NaN' THEN 'NaN' WHEN x = 'Infinity' THEN 'inf' WHEN x = '-Infinity' THEN '-inf'
               WHEN x::text ~ '[.e]' THEN upper(x::text) ELSE x::text || '.0' END $$;
CREATE OR REPLACE FUNCTION kql.text_of_decimal(x numeric) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(x::text, '') $$;
CREATE OR REPLACE FUNCTION kql.day_of(t bigint) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT date '0001-01-01' + (t / 864000000000)::int $$;
CREATE OR REPLACE FUNCTION kql.clock_of(t bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT lpad((t / 36000000000)::text, 2, '0') || ':' || lpad((t / 600000000 % 60)::text, 2, '0') || ':' || lpad((t / 10000000 % 60)::text, 2, '0') $$;
CREATE OR REPLACE FUNCTION kql.text_of_datetime(t bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(to_char(kql.day_of(t), 'YYYY-MM-DD') || 'T' || kql.clock_of(t % 864000000000) || '.' || lpad((t % 10000000)::text, 7, '0') || 'Z', '') $$;
CREATE OR REPLACE FUNCTION kql.text_of_moment(t timestamptz) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') || '0Z', '') $$;
CREATE OR REPLACE FUNCTION kql.text_of_timespan(t bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(CASE WHEN t < 0 THEN '-' ELSE '' END || CASE WHEN abs(t) >= 864000000000 THEN abs(t) / 864000000000 || '.' ELSE '' END
       || kql.clock_of(abs(t) % 864000000000) || CASE WHEN t % 10000000 <> 0 THEN '.' || lpad((abs(t) % 10000000)::text, 7, '0') ELSE '' END, '') $$;
CREATE OR REPLACE FUNCTION kql.canonical(x json) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(regexp_replace(x::text, '("(?:\\.|[^"\\])*")|\s+', '\1', 'g'), '') $$;
CREATE OR REPLACE FUNCTION kql.is_null(x json) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT x IS NULL OR json_typeof(x) = 'null' $$;
CREATE OR REPLACE FUNCTION kql.canonical_or_null(x json) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN NOT kql.is_null(x) THEN kql.canonical(x) END $$;
CREATE OR REPLACE FUNCTION kql.text_of(x json) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE coalesce(json_typeof(x), 'null') WHEN 'null' THEN '' WHEN 'string' THEN x #>> '{}' WHEN 'object' THEN kql.canonical(x)
               WHEN 'array' THEN kql.canonical(x) ELSE x::text END $$;
CREATE OR REPLACE FUNCTION kql.comparable(x json) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN NOT kql.is_null(x) THEN kql.text_of(x) END $$;
CREATE OR REPLACE FUNCTION kql.gettype(x json) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE coalesce(json_typeof(x), 'null') WHEN 'object' THEN 'dictionary' WHEN 'boolean' THEN 'bool'
               WHEN 'number' THEN CASE WHEN x::text ~ '[.eE]' THEN 'real' ELSE 'long' END ELSE coalesce(json_typeof(x), 'null') END $$;
CREATE OR REPLACE FUNCTION kql.json_of_real(x float8) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x IN ('NaN', 'Infinity', '-Infinity') THEN to_json(x::text) WHEN x IS NOT NULL THEN kql.text_of_real(x)::json END $$;
CREATE OR REPLACE FUNCTION kql.json_of_datetime(t bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN t IS NOT NULL THEN to_json(kql.text_of_datetime(t)) END $$;
CREATE OR REPLACE FUNCTION kql.json_of_timespan(t bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN t IS NOT NULL THEN to_json(kql.text_of_timespan(t)) END $$;

-- ---- texts and dynamics as values ----
CREATE OR REPLACE FUNCTION kql.to_int(x bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x BETWEEN -2147483648 AND 2147483647 THEN x END $$;
CREATE OR REPLACE FUNCTION kql.to_long(x numeric) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN trunc(x) BETWEEN -9223372036854775808 AND 9223372036854775807 THEN trunc(x)::bigint END $$;
CREATE OR REPLACE FUNCTION kql.to_long(x float8) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x IN ('NaN', 'Infinity', '-Infinity') THEN NULL WHEN x >= 9.2233720368547758e18 THEN 9223372036854775807 WHEN x <= -9.2233720368547758e18 THEN -9223372036854775808
               ELSE trunc(x)::bigint END $$;
CREATE OR REPLACE FUNCTION kql.int_of(x float8) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x IS NOT NULL AND x <> 'NaN' THEN greatest(least(kql.to_long(x), 2147483647), -2147483648) END $$;
CREATE OR REPLACE FUNCTION kql.of_hex(x text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT ('x' || lpad(x, 16, '0'))::bit(64)::bigint $$;
CREATE OR REPLACE FUNCTION kql.to_long(x text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x ~ '^\s*[-+]?[0-9]{1,30}\s*$' THEN kql.to_long(btrim(x)::numeric)
               WHEN x ~ '^\s*0[xX][0-9a-fA-F]{1,16}\s*$' THEN kql.of_hex(substr(btrim(x), 3)) END $$;
CREATE OR REPLACE FUNCTION kql.to_real(x text) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x ~ '^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,2})?\s*$' AND length(x) < 300 THEN btrim(x)::float8
               WHEN x ~* '^\s*nan\s*$' THEN 'NaN'::float8 WHEN x ~ '^\s*\+?[Ii]nf(inity)?\s*$' THEN 'Infinity'::float8
               WHEN x ~ '^\s*-[Ii]nf(inity)?\s*$' THEN '-Infinity'::float8
               WHEN x ~ '^\s*0[xX][0-9a-fA-F]{1,16}\s*$' THEN kql.to_long(x)::float8 END $$;
CREATE OR REPLACE FUNCTION kql.to_decimal(x text) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x ~ '^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,2})?\s*$' AND length(x) < 100 THEN btrim(x)::numeric END $$;
CREATE OR REPLACE FUNCTION kql.to_decimal(x float8) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x NOT IN ('NaN', 'Infinity', '-Infinity') THEN x::numeric END $$;
CREATE OR REPLACE FUNCTION kql.to_bool(x text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN lower(btrim(x)) = 'true' THEN true WHEN lower(btrim(x)) = 'false' THEN false WHEN x ~ '^\s*[-+]?[0-9]{1,18}\s*$' THEN btrim(x)::bigint <> 0 END $$;
CREATE OR REPLACE FUNCTION kql.to_long(x json) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE json_typeof(x) WHEN 'number' THEN kql.to_long(CASE WHEN length(x::text) < 300 THEN x::text::numeric END) WHEN 'string' THEN kql.to_long(x #>> '{}')
               WHEN 'boolean' THEN (x::text = 'true')::int END $$;
CREATE OR REPLACE FUNCTION kql.to_real(x json) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE json_typeof(x) WHEN 'number' THEN kql.to_real(x::text) WHEN 'string' THEN kql.to_real(x #>> '{}')
               WHEN 'boolean' THEN (x::text = 'true')::int END $$;
CREATE OR REPLACE FUNCTION kql.to_decimal(x json) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(x) IN ('number', 'string') THEN kql.to_decimal(x #>> '{}') END $$;
CREATE OR REPLACE FUNCTION kql.to_bool(x json) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE json_typeof(x) WHEN 'number' THEN kql.to_real(x) <> 0 WHEN 'string' THEN kql.to_bool(x #>> '{}') WHEN 'boolean' THEN x::text = 'true' END $$;
CREATE OR REPLACE FUNCTION kql.to_guid(x text) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x ~ '^\s*\{?[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?\s*$' THEN btrim(x, ' {}')::uuid END $$;
CREATE OR REPLACE FUNCTION kql.to_guid(x json) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT kql.to_guid(x #>> '{}') $$;
CREATE OR REPLACE FUNCTION kql.in_time(t bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN t BETWEEN 0 AND 3155378975999999999 THEN t END $$;
CREATE OR REPLACE FUNCTION kql.of_day(d date) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT (d - date '0001-01-01')::bigint * 864000000000 $$;
CREATE OR REPLACE FUNCTION kql.make_day(y bigint, m bigint, d bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN y BETWEEN 1 AND 9999 AND m BETWEEN 1 AND 12 AND d BETWEEN 1 AND 31 THEN
          CASE WHEN d <= extract(day FROM (make_date(y::int, m::int, 1) + interval '1 month - 1 day')) THEN kql.of_day(make_date(y::int, m::int, d::int)) END END $$;
CREATE OR REPLACE FUNCTION kql.make_datetime(y bigint, mo bigint, d bigint, h bigint, mi bigint, s float8) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN h BETWEEN 0 AND 23 AND mi BETWEEN 0 AND 59 AND s >= 0 AND s < 60 THEN
          kql.make_day(y, mo, d) + h * 36000000000 + mi * 600000000 + round((s * 10000000)::numeric)::bigint END $$;
CREATE OR REPLACE FUNCTION kql.make_timespan(d bigint, h bigint, m bigint, s bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN h BETWEEN 0 AND 23 AND m BETWEEN 0 AND 59 AND s BETWEEN 0 AND 59 THEN d * 864000000000 + h * 36000000000 + m * 600000000 + s * 10000000 END $$;
CREATE OR REPLACE FUNCTION kql.of_zone(x text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x IS NULL OR x = '' OR upper(x) = 'Z' THEN 0 ELSE
          (CASE WHEN left(x, 1) = '-' THEN -1 ELSE 1 END) * (substr(x, 2, 2)::bigint * 36000000000 + right(x, 2)::bigint * 600000000) END $$;
CREATE OR REPLACE FUNCTION kql.to_datetime(x text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.in_time(kql.make_datetime(m[1]::bigint, m[2]::bigint, m[3]::bigint, coalesce(m[4], '0')::bigint, coalesce(m[5], '0')::bigint, coalesce(m[6], '0')::float8)
          + coalesce(rpad(left(m[7], 7), 7, '0'), '0')::bigint - kql.of_zone(m[8]))
     FROM (SELECT coalesce(
               regexp_match(x, '^\s*(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:T|t|\s+)(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?)?\s*(Z|z|UTC|GMT|[-+]\d{2}:?\d{2})?\s*$'),
               (SELECT ARRAY[u[3], u[1], u[2], CASE WHEN u[8] ~* 'p' AND u[4] <> '12' THEN (u[4]::int + 12)::text WHEN u[8] ~* 'a' AND u[4] = '12' THEN '0' ELSE u[4] END, u[5], u[6], u[7], NULL]
                  FROM regexp_match(x, '^\s*(\d{1,2})/(\d{1,2})/(\d{4})(?:\s+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?\s*(AM|PM|am|pm)?)?\s*$') u),
               (SELECT ARRAY[u[1], u[2], u[3], NULL, NULL, NULL, NULL, NULL] FROM regexp_match(x, '^\s*(\d{4})/?(\d{2})/?(\d{2})\s*$') u)) AS m) p
    WHERE m IS NOT NULL $$;
CREATE OR REPLACE FUNCTION kql.to_datetime(x json) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE json_typeof(x) WHEN 'string' THEN kql.to_datetime(x #>> '{}') WHEN 'number' THEN kql.in_time(kql.to_long(x)) END $$;
CREATE OR REPLACE FUNCTION kql.to_timespan(x text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT (SELECT (CASE WHEN m[1] = '-' THEN -1 ELSE 1 END) * (coalesce(m[2], '0')::bigint * 864000000000 + m[3]::bigint * 36000000000 + m[4]::bigint * 600000000
                  + coalesce(m[5], '0')::bigint * 10000000 + coalesce(rpad(m[6], 7, '0'), '0')::bigint)
             FROM regexp_match(x, '^\s*(-)?(?:(\d{1,7})\.)?([01]?\d|2[0-3]):([0-5]?\d)(?::([0-5]?\d)(?:\.(\d{1,7}))?)?\s*$') m
            WHERE m IS NOT NULL
           UNION ALL
           SELECT (m[1]::numeric * CASE coalesce(m[2], 'd') WHEN 'd' THEN 864000000000 WHEN 'h' THEN 36000000000 WHEN 'm' THEN 600000000 WHEN 's' THEN 10000000 WHEN 'ms' THEN 10000 ELSE 1 END)::bigint
             FROM regexp_match(x, '^\s*(-?\d{1,9}(?:\.\d+)?)(d|h|m|s|ms|tick)?\s*$') m
            WHERE m IS NOT NULL AND (m[2] IS NOT NULL OR m[1] !~ '\.')
            LIMIT 1) $$;
CREATE OR REPLACE FUNCTION kql.to_timespan(x json) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE json_typeof(x) WHEN 'string' THEN kql.to_timespan(x #>> '{}') WHEN 'number' THEN kql.to_long(x) END $$;
CREATE OR REPLACE FUNCTION kql.of_unix(x float8, scale numeric) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.in_time(621355968000000000 + kql.to_long(trunc(kql.to_decimal(x) * scale))) $$;
-- A double of seconds has a place for the microsecond up to 2^32. Of a time without a zone, as PostgreSQL puts only
-- what is immutable all through into the statement itself.
CREATE OR REPLACE FUNCTION kql.ticks(t timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN t BETWEEN '1840-01-01 00:00:00+00' AND '2100-01-01 00:00:00+00' THEN round(date_part('epoch', t AT TIME ZONE 'UTC') * 1000000)::bigint * 10
               ELSE (extract(epoch FROM t AT TIME ZONE 'UTC') * 10000000)::bigint END + 621355968000000000 $$;
CREATE OR REPLACE FUNCTION kql.moment_below(t bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT (timestamp '0001-01-01' + make_interval(days => (t / 864000000000)::int) + (t % 864000000000 / 10) * interval '1 microsecond') AT TIME ZONE 'UTC' $$;
CREATE OR REPLACE FUNCTION kql.moment_above(t bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.moment_below(t + CASE WHEN t % 10 = 0 THEN 0 ELSE 10 END) $$;
CREATE OR REPLACE FUNCTION kql.parse_json(x text) RETURNS json LANGUAGE plpgsql IMMUTABLE PARALLEL UNSAFE AS
$$ BEGIN
    IF x ~ '^\s*$' THEN RETURN NULL; END IF;
    IF x !~ '^\s*[\[{"0-9tfn-]' THEN RETURN to_json(x); END IF;
    RETURN x::json;
EXCEPTION WHEN data_exception OR invalid_text_representation OR program_limit_exceeded THEN
    RETURN to_json(x);
END $$;
CREATE OR REPLACE FUNCTION kql.first_text(VARIADIC x text[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce((SELECT e FROM unnest(x) WITH ORDINALITY u(e, i) WHERE e <> '' ORDER BY i LIMIT 1), '') $$;
CREATE OR REPLACE FUNCTION kql.first_json(VARIADIC x json[]) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT e FROM unnest(x) WITH ORDINALITY u(e, i) WHERE NOT kql.is_null(e) ORDER BY i LIMIT 1 $$;
CREATE OR REPLACE FUNCTION kql.greatest_text(VARIADIC x text[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT max(e COLLATE "C") FROM unnest(x) e $$;
CREATE OR REPLACE FUNCTION kql.least_text(VARIADIC x text[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT min(e COLLATE "C") FROM unnest(x) e $$;

-- ---- numbers ----
CREATE OR REPLACE FUNCTION kql.wrapped(x numeric) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x BETWEEN -9223372036854775808 AND 9223372036854775807 THEN x::bigint
               ELSE (mod(mod(x + 9223372036854775808, 18446744073709551616) + 18446744073709551616, 18446744073709551616) - 9223372036854775808)::bigint END $$;
CREATE OR REPLACE FUNCTION kql.add(x bigint, y bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN abs(x::float8) < 4e18 AND abs(y::float8) < 4e18 THEN x + y ELSE kql.wrapped(x::numeric + y) END $$;
CREATE OR REPLACE FUNCTION kql.subtract(x bigint, y bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN abs(x::float8) < 4e18 AND abs(y::float8) < 4e18 THEN x - y ELSE kql.wrapped(x::numeric - y) END $$;
CREATE OR REPLACE FUNCTION kql.multiply(x bigint, y bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN abs(x::float8 * y::float8) < 9e18 THEN x * y ELSE kql.wrapped(x::numeric * y) END $$;
CREATE OR REPLACE FUNCTION kql.divide(x bigint, y bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN y = 0 THEN NULL WHEN y = -1 THEN kql.subtract(0, x) ELSE x / y END $$;
CREATE OR REPLACE FUNCTION kql.divide(x float8, y float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN y <> 0 THEN x / y WHEN x IS NULL OR y IS NULL THEN NULL WHEN x = 0 OR x = 'NaN' THEN 'NaN'::float8
               WHEN (x > 0) = (y::text <> '-0') THEN 'Infinity'::float8 ELSE '-Infinity'::float8 END $$;
CREATE OR REPLACE FUNCTION kql.divide(x numeric, y numeric) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN y <> 0 THEN x / y END $$;
CREATE OR REPLACE FUNCTION kql.modulo(x bigint, y bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN y = 0 THEN NULL WHEN y = -1 THEN 0 WHEN x % y < 0 THEN x % y + abs(y) ELSE x % y END $$;
CREATE OR REPLACE FUNCTION kql.modulo(x numeric, y numeric) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN y = 0 THEN NULL WHEN mod(x, y) < 0 THEN mod(x, y) + abs(y) ELSE mod(x, y) END $$;
CREATE OR REPLACE FUNCTION kql.modulo(x float8, y float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN y = 0 OR x IN ('NaN', 'Infinity', '-Infinity') OR y IN ('NaN', 'Infinity', '-Infinity') THEN 'NaN'::float8 ELSE kql.modulo(x::numeric, y::numeric)::float8 END $$;
CREATE OR REPLACE FUNCTION kql.equal(x float8, y float8) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x IS NULL AND y IS NULL THEN NULL WHEN x IS NULL OR y IS NULL OR x = 'NaN' THEN false ELSE x = y END $$;
CREATE OR REPLACE FUNCTION kql.round(x float8, n bigint) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x IN ('NaN', 'Infinity', '-Infinity') THEN x WHEN coalesce(n, 0) > 15 THEN x ELSE round(x::numeric, coalesce(n, 0)::int)::float8 END $$;
CREATE OR REPLACE FUNCTION kql.round(x numeric, n bigint) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT round(x, coalesce(n, 0)::int) $$;
CREATE OR REPLACE FUNCTION kql.pow(x float8, y float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x IS NULL OR y IS NULL THEN NULL WHEN x < 0 AND y <> trunc(y) THEN 'NaN'::float8 WHEN x = 0 AND y < 0 THEN 'Infinity'::float8
               WHEN x = 0 OR y = 0 THEN power(x, y) WHEN ln(abs(x)) * y > 709.78 THEN (CASE WHEN x < 0 AND y::numeric % 2 <> 0 THEN '-Infinity' ELSE 'Infinity' END)::float8
               WHEN ln(abs(x)) * y < -745 THEN 0 ELSE power(x, y) END $$;
CREATE OR REPLACE FUNCTION kql.exp(x float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x > 709.78 THEN 'Infinity'::float8 WHEN x < -745 THEN 0 ELSE exp(x) END $$;
CREATE OR REPLACE FUNCTION kql.sqrt(x float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN x < 0 THEN 'NaN'::float8 ELSE sqrt(x) END $$;
CREATE OR REPLACE FUNCTION kql.log(x float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x > 0 THEN ln(x) WHEN x = 0 THEN '-Infinity'::float8 END $$;
CREATE OR REPLACE FUNCTION kql.log10(x float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x > 0 THEN log(x) WHEN x = 0 THEN '-Infinity'::float8 WHEN x < 0 THEN 'NaN'::float8 END $$;
CREATE OR REPLACE FUNCTION kql.log2(x float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT kql.log(x) / ln(2::float8) $$;
CREATE OR REPLACE FUNCTION kql.acos(x float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN abs(x) <= 1 THEN acos(x) WHEN x IS NOT NULL THEN 'NaN'::float8 END $$;
CREATE OR REPLACE FUNCTION kql.asin(x float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT CASE WHEN abs(x) <= 1 THEN asin(x) WHEN x IS NOT NULL THEN 'NaN'::float8 END $$;
CREATE OR REPLACE FUNCTION kql.shift_left(x bigint, n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT x << (n % 64)::int $$;
CREATE OR REPLACE FUNCTION kql.shift_right(x bigint, n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT x >> (n % 64)::int $$;
CREATE OR REPLACE FUNCTION kql.bin(x bigint, n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN n > 0 THEN x - kql.modulo(x, n) END $$;
CREATE OR REPLACE FUNCTION kql.bin(x float8, n float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN n > 0 THEN floor(x / n) * n END $$;
CREATE OR REPLACE FUNCTION kql.bin(x numeric, n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN n > 0 THEN floor(x / n) * n END $$;
CREATE OR REPLACE FUNCTION kql.bin_at(x bigint, n bigint, at bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN n > 0 THEN at + kql.bin(x - at, n) END $$;
CREATE OR REPLACE FUNCTION kql.bin_at(x float8, n float8, at float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN n > 0 THEN at + kql.bin(x - at, n) END $$;
CREATE OR REPLACE FUNCTION kql.range_rows(a bigint, b bigint, s bigint) RETURNS SETOF bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT generate_series(a, b, s) WHERE s <> 0 $$;
CREATE OR REPLACE FUNCTION kql.range_rows(a float8, b float8, s float8) RETURNS SETOF float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT a + i * s FROM generate_series(0, floor((b - a) / s + 1e-9)::bigint) i WHERE s <> 0 $$;
CREATE OR REPLACE FUNCTION kql.range_rows(a numeric, b numeric, s numeric) RETURNS SETOF numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT generate_series(a, b, s) WHERE s <> 0 $$;

-- ---- texts ----
CREATE OR REPLACE FUNCTION kql.substring(x text, start bigint, n bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN start >= length(x) OR start < - length(x) OR n <= 0 THEN '' ELSE coalesce(substr(x, greatest(CASE WHEN start < 0 THEN length(x) + start ELSE start END, 0)::int + 1,
               least(coalesce(n, length(x)), length(x))::int), '') END $$;
CREATE OR REPLACE FUNCTION kql.indexof(x text, y text, start bigint, n bigint, nth bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    from_at int := CASE WHEN coalesce(start, 0) < 0 THEN greatest(length(x) + start, 0) ELSE coalesce(start, 0) END;
    rest text; found int; at int := 0; wanted bigint := coalesce(nth, 1);
BEGIN
    IF x IS NULL OR y IS NULL OR wanted < 1 THEN RETURN CASE WHEN wanted < 1 THEN NULL ELSE -1 END; END IF;
    rest := substr(x, from_at + 1);
    IF coalesce(n, -1) >= 0 THEN rest := left(rest, n::int); END IF;
    LOOP
        found := strpos(substr(rest, at + 1), y);
        IF found = 0 THEN RETURN -1; END IF;
        wanted := wanted - 1;
        IF wanted = 0 THEN RETURN from_at + at + found - 1; END IF;
        at := at + found;
    END LOOP;
END $$;
CREATE OR REPLACE FUNCTION kql.repeat(x text, n bigint, delimiter text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN n <= 0 THEN '' ELSE repeat(x || delimiter, least(n, 1024)::int - 1) || x END $$;
CREATE OR REPLACE FUNCTION kql.strcmp(x text, y text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x = y THEN 0 WHEN x COLLATE "C" < y COLLATE "C" THEN -1 ELSE 1 END $$;
CREATE OR REPLACE FUNCTION kql.split(x text, d text) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x = '' OR d = '' THEN json_build_array(x) ELSE array_to_json(string_to_array(x, d)) END $$;
CREATE OR REPLACE FUNCTION kql.split(x text, d text, i bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN i >= 0 AND kql.split(x, d) -> i::int IS NOT NULL THEN json_build_array(kql.split(x, d) -> i::int) END $$;
-- The options of an expression stay at its beginning.
CREATE OR REPLACE FUNCTION kql.framed(before text, p text, behind text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN p ~ '^\(\?[iw]+\)' THEN left(p, strpos(p, ')')) || before || substr(p, strpos(p, ')') + 1) ELSE before || p END || behind $$;
CREATE OR REPLACE FUNCTION kql.extract(p text, n bigint, x text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce((regexp_match(x, kql.framed('()', p, '')))[1] || (regexp_match(x, kql.framed('(', p, ')')))[n + 1], '') $$;
CREATE OR REPLACE FUNCTION kql.groups(p text, x text) RETURNS SETOF text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT regexp_matches(x, p, 'g') $$;
CREATE OR REPLACE FUNCTION kql.extract_all(p text, x text) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT json_agg(CASE WHEN cardinality(m) = 1 THEN to_json(coalesce(m[1], '')) ELSE (SELECT json_agg(coalesce(e, '') ORDER BY i) FROM unnest(m) WITH ORDINALITY u(e, i)) END ORDER BY o)
     FROM kql.groups(p, x) WITH ORDINALITY g(m, o) $$;
CREATE OR REPLACE FUNCTION kql.extract_all(p text, wanted json, x text) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT json_agg(CASE WHEN json_array_length(wanted) = 1 THEN to_json(coalesce(m[(wanted ->> 0)::int + 1], ''))
                        ELSE (SELECT json_agg(coalesce(m[(w #>> '{}')::int + 1], '') ORDER BY i) FROM json_array_elements(wanted) WITH ORDINALITY u(w, i)) END ORDER BY o)
     FROM kql.groups(kql.framed('(', p, ')'), x) WITH ORDINALITY g(m, o) $$;
CREATE OR REPLACE FUNCTION kql.trim_start(p text, x text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT regexp_replace(x, kql.framed('^(?:', p, ')'), '') $$;
CREATE OR REPLACE FUNCTION kql.trim_end(p text, x text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT regexp_replace(x, kql.framed('(?:', p, ')$'), '') $$;
CREATE OR REPLACE FUNCTION kql.countof(x text, y text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT count(*) FROM generate_series(1, CASE WHEN y = '' THEN 0 ELSE length(x) END) i WHERE substr(x, i, length(y)) = y $$;
CREATE OR REPLACE FUNCTION kql.countof_regex(x text, p text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT count(*) FROM regexp_matches(x, p, 'g') $$;
CREATE OR REPLACE FUNCTION kql.translate(search text, put text, x text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT translate(x, search, CASE WHEN put = '' THEN '' ELSE rpad(put, greatest(length(search), 1), right(put, 1)) END) $$;
CREATE OR REPLACE FUNCTION kql.isascii(x text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT octet_length(x) = length(x) $$;
CREATE OR REPLACE FUNCTION kql.tohex(x bigint, n bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(CASE WHEN length(to_hex(x)) < n THEN lpad(to_hex(x), n::int, '0') ELSE to_hex(x) END, '') $$;
CREATE OR REPLACE FUNCTION kql.codepoints(x text) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_agg(ascii(c) ORDER BY i), '[]') FROM regexp_split_to_table(x, '') WITH ORDINALITY u(c, i) WHERE c <> '' $$;
CREATE OR REPLACE FUNCTION kql.make_string(x bigint[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(string_agg(chr(e::int), '' ORDER BY i), '') FROM unnest(x) WITH ORDINALITY u(e, i) WHERE e BETWEEN 1 AND 1114111 $$;
CREATE OR REPLACE FUNCTION kql.make_string(x json) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.make_string((SELECT array_agg(kql.to_long(e) ORDER BY i) FROM json_array_elements(CASE WHEN json_typeof(x) = 'array' THEN x ELSE json_build_array(x) END) WITH ORDINALITY u(e, i))) $$;
CREATE OR REPLACE FUNCTION kql.base64_encode(x text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT replace(encode(convert_to(x, 'UTF8'), 'base64'), E'\n', '') $$;
CREATE OR REPLACE FUNCTION kql.base64_decode(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL UNSAFE AS
$$ BEGIN
    RETURN coalesce(convert_from(decode(x, 'base64'), 'UTF8'), '');
EXCEPTION WHEN data_exception THEN
    RETURN '';
END $$;
CREATE OR REPLACE FUNCTION kql.url_encode_component(x text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(string_agg(CASE WHEN c ~ '^[0-9A-Za-z._~-]$' THEN c ELSE regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', '%\1', 'g') END, '' ORDER BY i), '')
     FROM regexp_split_to_table(x, '') WITH ORDINALITY u(c, i) WHERE c <> '' $$;
CREATE OR REPLACE FUNCTION kql.url_encode(x text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT replace(kql.url_encode_component(x), '%20', '+') $$;
CREATE OR REPLACE FUNCTION kql.url_decode(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL UNSAFE AS
$$ BEGIN
    RETURN convert_from((SELECT string_agg(CASE WHEN part ~ '^%[0-9a-fA-F]{2}$' THEN decode(substr(part, 2), 'hex') ELSE convert_to(part, 'UTF8') END, ''::bytea ORDER BY i)
                           FROM regexp_matches(replace(x, '+', ' '), '%[0-9a-fA-F]{2}|[^%]+|%', 'g') WITH ORDINALITY u(m, i), LATERAL (SELECT m[1] AS part) p), 'UTF8');
EXCEPTION WHEN data_exception THEN
    RETURN x;
END $$;
CREATE OR REPLACE FUNCTION kql.has_any(x text, y json) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce((SELECT bool_or(kql.has(x, kql.text_of(e))) FROM json_array_elements(CASE WHEN json_typeof(y) = 'array' THEN y ELSE json_build_array(y) END) e), false) $$;
CREATE OR REPLACE FUNCTION kql.has_all(x text, y json) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce((SELECT bool_and(kql.has(x, kql.text_of(e))) FROM json_array_elements(CASE WHEN json_typeof(y) = 'array' THEN y ELSE json_build_array(y) END) e), true) $$;

-- ---- arrays and bags ----
-- $name is $.name, as published queries have it.
CREATE OR REPLACE FUNCTION kql.at_path(x json, path text) RETURNS json LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    step text[];
BEGIN
    FOR step IN SELECT regexp_matches(path, '(?:^\$|\.)([A-Za-z0-9_]+)|\[(\d+)\]|\[[''"]([^''"]*)[''"]\]', 'g') LOOP
        x := CASE WHEN step[2] IS NOT NULL THEN x -> step[2]::int ELSE x -> coalesce(step[1], step[3]) END;
    END LOOP;
    RETURN x;
END $$;
CREATE OR REPLACE FUNCTION kql.elements(x json) RETURNS SETOF json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT json_array_elements(CASE WHEN json_typeof(x) = 'array' THEN x ELSE '[]' END) $$;
CREATE OR REPLACE FUNCTION kql.element(x json, i bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN i BETWEEN -2147483648 AND 2147483647 THEN x -> i::int END $$;
CREATE OR REPLACE FUNCTION kql.element(x json, i json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(i) = 'number' THEN kql.element(x, kql.to_long(i)) ELSE x -> kql.text_of(i) END $$;
CREATE OR REPLACE FUNCTION kql.array_length(x json) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(x) = 'array' THEN json_array_length(x) END::bigint $$;
CREATE OR REPLACE FUNCTION kql.expanded(x json, as_arrays bool) RETURNS json[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE coalesce(json_typeof(x), 'null') WHEN 'null' THEN ARRAY[NULL]::json[]
     WHEN 'array' THEN (SELECT coalesce(array_agg(e ORDER BY i), '{}') FROM json_array_elements(x) WITH ORDINALITY u(e, i))
     WHEN 'object' THEN (SELECT coalesce(array_agg(CASE WHEN as_arrays THEN json_build_array(k, v) ELSE json_build_object(k, v) END ORDER BY i), '{}') FROM json_each(x) WITH ORDINALITY u(k, v, i))
     ELSE ARRAY[x] END $$;
CREATE OR REPLACE FUNCTION kql.expand(x json[], as_arrays bool, most bigint) RETURNS TABLE (value json[]) LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ BEGIN
    IF cardinality(x) = 1 THEN
        RETURN QUERY SELECT ARRAY[e] FROM unnest(kql.expanded(x[1], as_arrays)) e LIMIT most;
    ELSE
        RETURN QUERY WITH e AS MATERIALIZED (SELECT k, i, v FROM generate_subscripts(x, 1) k, unnest(kql.expanded(x[k], as_arrays)) WITH ORDINALITY u(v, i))
            SELECT array_agg(e.v ORDER BY k) FROM generate_series(1, least((SELECT max(i) FROM e), most)) i CROSS JOIN generate_subscripts(x, 1) k
                   LEFT JOIN e USING (k, i) GROUP BY i ORDER BY i;
    END IF;
END $$;
CREATE OR REPLACE FUNCTION kql.in_json(x json, y json) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce((SELECT bool_or(kql.text_of(e) = kql.text_of(x)) FROM kql.elements(CASE WHEN json_typeof(y) = 'array' THEN y ELSE json_build_array(y) END) e), false) $$;
CREATE OR REPLACE FUNCTION kql.in_json_folded(x json, y json) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce((SELECT bool_or(kql.fold(kql.text_of(e)) = kql.fold(kql.text_of(x))) FROM kql.elements(CASE WHEN json_typeof(y) = 'array' THEN y ELSE json_build_array(y) END) e), false) $$;
CREATE OR REPLACE FUNCTION kql.strcat_array(x json, d text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(string_agg(kql.text_of(e), d ORDER BY i), '') FROM kql.elements(x) WITH ORDINALITY u(e, i) $$;
CREATE OR REPLACE FUNCTION kql.array_concat(x json[]) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_agg(e ORDER BY i, j), '[]') FROM unnest(x) WITH ORDINALITY a(v, i), kql.elements(v) WITH ORDINALITY b(e, j) $$;
CREATE OR REPLACE FUNCTION kql.array_slice(x json, a bigint, b bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(x) = 'array' THEN (SELECT coalesce(json_agg(e ORDER BY i), '[]') FROM json_array_elements(x) WITH ORDINALITY u(e, i)
    WHERE i - 1 >= CASE WHEN a < 0 THEN json_array_length(x) + a ELSE a END AND i - 1 <= CASE WHEN b < 0 THEN json_array_length(x) + b ELSE b END) END $$;
CREATE OR REPLACE FUNCTION kql.array_reverse(x json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(x) = 'array' THEN (SELECT coalesce(json_agg(e ORDER BY i DESC), '[]') FROM json_array_elements(x) WITH ORDINALITY u(e, i)) END $$;
CREATE OR REPLACE FUNCTION kql.array_sum(x json) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT sum(kql.to_real(e)) FROM kql.elements(x) e $$;
CREATE OR REPLACE FUNCTION kql.bag_keys(x json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(x) = 'object' THEN (SELECT coalesce(json_agg(k ORDER BY i), '[]') FROM json_object_keys(x) WITH ORDINALITY u(k, i)) END $$;
CREATE OR REPLACE FUNCTION kql.bag_of_pairs(keys text[], vals json[]) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT ('{' || coalesce(string_agg(to_json(k)::text || ':' || coalesce(v::text, 'null'), ',' ORDER BY i), '') || '}')::json
     FROM (SELECT DISTINCT ON (k) k, v, i FROM unnest(keys, vals) WITH ORDINALITY u(k, v, i) ORDER BY k, i) u $$;
CREATE OR REPLACE FUNCTION kql.bag_pack(x json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.bag_of_pairs((SELECT array_agg(kql.text_of(e) ORDER BY i) FROM json_array_elements(x) WITH ORDINALITY u(e, i) WHERE i % 2 = 1),
                           (SELECT array_agg(e ORDER BY i) FROM json_array_elements(x) WITH ORDINALITY u(e, i) WHERE i % 2 = 0)) $$;
CREATE OR REPLACE FUNCTION kql.bag_merge(x json[]) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.bag_of_pairs(array_agg(k ORDER BY i, j), array_agg(v ORDER BY i, j))
     FROM unnest(x) WITH ORDINALITY a(b, i), json_each(CASE WHEN json_typeof(b) = 'object' THEN b ELSE '{}' END) WITH ORDINALITY c(k, v, j) $$;
CREATE OR REPLACE FUNCTION kql.bag_of(x json[]) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT kql.bag_merge(x) $$;
CREATE OR REPLACE FUNCTION kql.bag_has_key(x json, k text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(x) = 'object' THEN CASE WHEN k LIKE '$%' THEN kql.at_path(x, k) ELSE x -> k END IS NOT NULL END $$;
CREATE OR REPLACE FUNCTION kql.bag_remove_keys(x json, y json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.bag_of_pairs(array_agg(k ORDER BY i), array_agg(v ORDER BY i)) FROM json_each(CASE WHEN json_typeof(x) = 'object' THEN x ELSE '{}' END) WITH ORDINALITY c(k, v, i)
    WHERE k NOT IN (SELECT kql.text_of(e) FROM kql.elements(y) e) $$;
CREATE OR REPLACE FUNCTION kql.set_of(x text[], most bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_agg(e::json ORDER BY i), '[]') FROM (SELECT e, min(i) AS i FROM unnest(x) WITH ORDINALITY u(e, i) GROUP BY e ORDER BY min(i) LIMIT most) s $$;
-- An array within is taken for its elements.
CREATE OR REPLACE FUNCTION kql.first_of(x json, most bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x IS NULL THEN '[]' WHEN json_array_length(x) <= most AND x::text !~ '^\s*\[.*\[' THEN x
          ELSE (SELECT json_agg(f) FROM (SELECT f FROM json_array_elements(x) WITH ORDINALITY u(e, i),
                       json_array_elements(CASE WHEN json_typeof(e) = 'array' THEN e ELSE json_build_array(e) END) WITH ORDINALITY v(f, j) ORDER BY i, j LIMIT most) l) END $$;
CREATE OR REPLACE FUNCTION kql.set_union(x json[]) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.set_of((SELECT array_agg(e::text ORDER BY i, j) FROM unnest(x) WITH ORDINALITY a(v, i), kql.elements(v) WITH ORDINALITY b(e, j)), 1048576) $$;
CREATE OR REPLACE FUNCTION kql.set_has_element(x json, y json) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(x) = 'array' THEN coalesce((SELECT bool_or(kql.canonical(e) = kql.canonical(y)) FROM json_array_elements(x) e), false) END $$;
CREATE OR REPLACE FUNCTION kql.set_intersect(x json[]) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.set_of((SELECT array_agg(e::text ORDER BY j) FROM kql.elements(x[1]) WITH ORDINALITY b(e, j) WHERE (SELECT bool_and(kql.set_has_element(o, e)) FROM unnest(x[2:]) o)), 1048576) $$;
CREATE OR REPLACE FUNCTION kql.set_difference(x json[]) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.set_of((SELECT array_agg(e::text ORDER BY j) FROM kql.elements(x[1]) WITH ORDINALITY b(e, j) WHERE NOT (SELECT bool_or(kql.set_has_element(o, e)) FROM unnest(x[2:]) o)), 1048576) $$;
-- A list has 1,048,576 elements at most.
CREATE OR REPLACE FUNCTION kql.within_list(a bigint, b bigint, s bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT (CASE WHEN s > 0 THEN least(b, a + s::numeric * 1048575) ELSE greatest(b, a + s::numeric * 1048575) END)::bigint $$;
CREATE OR REPLACE FUNCTION kql.range(a bigint, b bigint, s bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_agg(i), '[]') FROM (SELECT i FROM kql.range_rows(a, kql.within_list(a, b, s), s) i LIMIT 1048576) r $$;
CREATE OR REPLACE FUNCTION kql.range(a float8, b float8, s float8) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_agg(kql.json_of_real(i)), '[]') FROM (SELECT i FROM kql.range_rows(a, b, s) i LIMIT 1048576) r $$;
CREATE OR REPLACE FUNCTION kql.range_datetime(a bigint, b bigint, s bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_agg(kql.json_of_datetime(i)), '[]') FROM (SELECT i FROM kql.range_rows(a, kql.within_list(a, b, s), s) i LIMIT 1048576) r $$;
CREATE OR REPLACE FUNCTION kql.range_timespan(a bigint, b bigint, s bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_agg(kql.json_of_timespan(i)), '[]') FROM (SELECT i FROM kql.range_rows(a, kql.within_list(a, b, s), s) i LIMIT 1048576) r $$;

-- ---- times ----
CREATE OR REPLACE FUNCTION kql.startof(part text, t bigint, n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE part WHEN 'day' THEN t - t % 864000000000 + coalesce(n, 0) * 864000000000
     WHEN 'week' THEN (((t / 864000000000) + 1) / 7 * 7 - 1 + 7 * coalesce(n, 0)) * 864000000000
     WHEN 'month' THEN kql.of_day((date_trunc('month', kql.day_of(t)::timestamp) + make_interval(months => coalesce(n, 0)::int))::date)
     WHEN 'year' THEN kql.of_day((date_trunc('year', kql.day_of(t)::timestamp) + make_interval(years => coalesce(n, 0)::int))::date) END $$;
CREATE OR REPLACE FUNCTION kql.endof(part text, t bigint, n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.startof(part, t, coalesce(n, 0) + 1) - 1 $$;
CREATE OR REPLACE FUNCTION kql.dayofweek(t bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN t <= 3155378111999999999 THEN (t / 864000000000 + 1) % 7 * 864000000000 END $$;
CREATE OR REPLACE FUNCTION kql.datetime_part(part text, t bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE lower(part) WHEN 'year' THEN extract(year FROM kql.day_of(t)) WHEN 'quarter' THEN extract(quarter FROM kql.day_of(t))
     WHEN 'month' THEN extract(month FROM kql.day_of(t)) WHEN 'week_of_year' THEN extract(week FROM kql.day_of(t)) WHEN 'weekofyear' THEN extract(week FROM kql.day_of(t))
     WHEN 'day' THEN extract(day FROM kql.day_of(t)) WHEN 'dayofyear' THEN extract(doy FROM kql.day_of(t)) WHEN 'hour' THEN t / 36000000000 % 24
     WHEN 'minute' THEN t / 600000000 % 60 WHEN 'second' THEN t / 10000000 % 60 WHEN 'millisecond' THEN t / 10000 % 1000
     WHEN 'microsecond' THEN t / 10 % 1000000 WHEN 'nanosecond' THEN t % 10000000 * 100 END::bigint $$;
CREATE OR REPLACE FUNCTION kql.datetime_add(part text, n bigint, t bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.in_time(CASE lower(part) WHEN 'year' THEN kql.of_day((kql.day_of(t) + make_interval(years => n::int))::date) + t % 864000000000
     WHEN 'quarter' THEN kql.of_day((kql.day_of(t) + make_interval(months => 3 * n::int))::date) + t % 864000000000
     WHEN 'month' THEN kql.of_day((kql.day_of(t) + make_interval(months => n::int))::date) + t % 864000000000
     WHEN 'week' THEN t + n * 6048000000000 WHEN 'day' THEN t + n * 864000000000 WHEN 'hour' THEN t + n * 36000000000 WHEN 'minute' THEN t + n * 600000000
     WHEN 'second' THEN t + n * 10000000 WHEN 'millisecond' THEN t + n * 10000 WHEN 'microsecond' THEN t + n * 10 WHEN 'nanosecond' THEN t + n / 100 END) $$;
CREATE OR REPLACE FUNCTION kql.datetime_diff(part text, a bigint, b bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE lower(part) WHEN 'year' THEN kql.datetime_part('year', a) - kql.datetime_part('year', b)
     WHEN 'quarter' THEN 4 * (kql.datetime_part('year', a) - kql.datetime_part('year', b)) + kql.datetime_part('quarter', a) - kql.datetime_part('quarter', b)
     WHEN 'month' THEN 12 * (kql.datetime_part('year', a) - kql.datetime_part('year', b)) + kql.datetime_part('month', a) - kql.datetime_part('month', b)
     WHEN 'week' THEN (a / 864000000000 + 1) / 7 - (b / 864000000000 + 1) / 7 WHEN 'day' THEN a / 864000000000 - b / 864000000000
     WHEN 'hour' THEN a / 36000000000 - b / 36000000000 WHEN 'minute' THEN a / 600000000 - b / 600000000 WHEN 'second' THEN a / 10000000 - b / 10000000
     WHEN 'millisecond' THEN a / 10000 - b / 10000 WHEN 'microsecond' THEN a / 10 - b / 10 WHEN 'nanosecond' THEN (a - b) * 100 END $$;

-- ---- series ----
CREATE OR REPLACE FUNCTION kql.series_slot(x bigint, f bigint, s bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN s > 0 AND x >= f THEN (x - f) / s END $$;
CREATE OR REPLACE FUNCTION kql.series_slot(x float8, f float8, s float8) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN s > 0 AND x >= f THEN floor((x - f) / s)::bigint END $$;
CREATE OR REPLACE FUNCTION kql.series_count(f bigint, t bigint, s bigint, closed bool) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN s > 0 AND t >= f THEN least(CASE WHEN closed THEN (t - f) / s + 1 ELSE (t - f + s - 1) / s END, 1048576) ELSE 0 END $$;
CREATE OR REPLACE FUNCTION kql.series_count(f float8, t float8, s float8, closed bool) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN s > 0 AND t >= f THEN least(CASE WHEN closed THEN floor((t - f) / s) + 1 ELSE ceil((t - f) / s) END, 1048576)::bigint ELSE 0 END $$;
CREATE OR REPLACE FUNCTION kql.series(slots bigint[], vals json[], n bigint, otherwise json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_agg(CASE WHEN u.slot IS NULL THEN otherwise ELSE u.v END ORDER BY i), '[]')
     FROM generate_series(0, n - 1) i LEFT JOIN unnest(slots, vals) u(slot, v) ON u.slot = i $$;
CREATE OR REPLACE FUNCTION kql.series_axis(f bigint, s bigint, n bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_agg(f + i * s ORDER BY i), '[]') FROM generate_series(0, n - 1) i $$;
CREATE OR REPLACE FUNCTION kql.series_axis(f float8, s float8, n bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_agg(kql.json_of_real(f + i * s) ORDER BY i), '[]') FROM generate_series(0, n - 1) i $$;
CREATE OR REPLACE FUNCTION kql.series_axis_datetime(f bigint, s bigint, n bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_agg(kql.json_of_datetime(f + i * s) ORDER BY i), '[]') FROM generate_series(0, n - 1) i $$;
CREATE OR REPLACE FUNCTION kql.series_axis_timespan(f bigint, s bigint, n bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_agg(kql.json_of_timespan(f + i * s) ORDER BY i), '[]') FROM generate_series(0, n - 1) i $$;
CREATE OR REPLACE FUNCTION kql.series_of_two(op text, x json, y json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT json_agg(CASE WHEN a IS NULL OR b IS NULL THEN NULL ELSE CASE op WHEN '+' THEN kql.json_of_real(a + b) WHEN '-' THEN kql.json_of_real(a - b)
          WHEN '*' THEN kql.json_of_real(a * b) WHEN '/' THEN kql.json_of_real(kql.divide(a, b)) WHEN '>' THEN to_json(a > b) WHEN '<' THEN to_json(a < b)
          WHEN '=' THEN to_json(a = b) WHEN '>=' THEN to_json(a >= b) WHEN '<=' THEN to_json(a <= b) ELSE to_json(a <> b) END END ORDER BY i)
     FROM (SELECT i, kql.to_real(x -> i) AS a, kql.to_real(y -> i) AS b FROM generate_series(0, greatest(kql.array_length(x), kql.array_length(y))::int - 1) i) s $$;
CREATE OR REPLACE FUNCTION kql.series_fill_const(x json, c float8, missing float8) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT json_agg(CASE WHEN kql.is_null(e) OR kql.to_real(e) = missing THEN CASE WHEN c = trunc(c) THEN to_json(c::bigint) ELSE kql.json_of_real(c) END ELSE e END ORDER BY i)
     FROM kql.elements(x) WITH ORDINALITY u(e, i) $$;
CREATE OR REPLACE FUNCTION kql.series_fill_forward(x json, missing float8) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT json_agg((SELECT f FROM kql.elements(x) WITH ORDINALITY v(f, j) WHERE j <= i AND NOT kql.is_null(f) AND kql.to_real(f) IS DISTINCT FROM missing ORDER BY j DESC LIMIT 1) ORDER BY i)
     FROM kql.elements(x) WITH ORDINALITY u(e, i) $$;
CREATE OR REPLACE FUNCTION kql.series_fill_backward(x json, missing float8) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT json_agg((SELECT f FROM kql.elements(x) WITH ORDINALITY v(f, j) WHERE j >= i AND NOT kql.is_null(f) AND kql.to_real(f) IS DISTINCT FROM missing ORDER BY j LIMIT 1) ORDER BY i)
     FROM kql.elements(x) WITH ORDINALITY u(e, i) $$;

-- ---- more of arrays and bags ----
CREATE OR REPLACE FUNCTION kql.array_iff(c json, x json, y json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT json_agg(CASE WHEN kql.to_bool(e) THEN CASE WHEN json_typeof(x) = 'array' THEN x -> (i - 1)::int ELSE x END
                        WHEN NOT kql.to_bool(e) THEN CASE WHEN json_typeof(y) = 'array' THEN y -> (i - 1)::int ELSE y END END ORDER BY i)
     FROM kql.elements(c) WITH ORDINALITY u(e, i) $$;
CREATE OR REPLACE FUNCTION kql.array_index_of(x json, y json, start bigint, n bigint, nth bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(x) = 'array' THEN coalesce((SELECT i - 1 FROM json_array_elements(x) WITH ORDINALITY u(e, i)
    WHERE kql.canonical(e) = kql.canonical(y) AND i > CASE WHEN coalesce(start, 0) < 0 THEN json_array_length(x) + start ELSE coalesce(start, 0) END
      AND (coalesce(n, -1) < 0 OR i <= coalesce(start, 0) + n) ORDER BY i LIMIT 1 OFFSET greatest(coalesce(nth, 1) - 1, 0)), -1) END $$;
CREATE OR REPLACE FUNCTION kql.array_rotate(x json, n bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(x) = 'array' THEN (SELECT coalesce(json_agg(e ORDER BY kql.modulo(i - 1 - n, json_array_length(x))), '[]') FROM json_array_elements(x) WITH ORDINALITY u(e, i)) END $$;
CREATE OR REPLACE FUNCTION kql.array_shift(x json, n bigint, filler json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(x) = 'array' THEN (SELECT coalesce(json_agg(CASE WHEN i + n BETWEEN 0 AND json_array_length(x) - 1 THEN x -> (i + n)::int ELSE filler END ORDER BY i), '[]')
     FROM generate_series(0, json_array_length(x) - 1) i) END $$;
CREATE OR REPLACE FUNCTION kql.array_sort(x json, falling bool, nulls_last bool) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(x) = 'array' THEN (SELECT coalesce(json_agg(e ORDER BY kql.is_null(e) = coalesce(nulls_last, true),
           CASE WHEN NOT falling THEN kql.to_real(e) END, CASE WHEN falling THEN kql.to_real(e) END DESC,
           CASE WHEN NOT falling THEN kql.text_of(e) END COLLATE "C", CASE WHEN falling THEN kql.text_of(e) END COLLATE "C" DESC, i), '[]')
     FROM json_array_elements(x) WITH ORDINALITY u(e, i)) END $$;
CREATE OR REPLACE FUNCTION kql.array_split(x json, at json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT json_agg(coalesce((SELECT json_agg(x -> k ORDER BY k) FROM generate_series(a, b - 1) k), '[]') ORDER BY i)
     FROM (SELECT i, lag(p, 1, 0) OVER (ORDER BY i) AS a, p AS b
             FROM (SELECT i, CASE WHEN kql.to_long(e) < 0 THEN greatest(json_array_length(x) + kql.to_long(e), 0) ELSE least(kql.to_long(e), json_array_length(x)) END::int AS p
                     FROM kql.elements(at) WITH ORDINALITY u(e, i)
                   UNION ALL SELECT 2147483647, json_array_length(x)) q) r $$;
CREATE OR REPLACE FUNCTION kql.bag_set_key(x json, k text, v json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.bag_merge(ARRAY[json_build_object(k, v), x]) $$;
CREATE OR REPLACE FUNCTION kql.bag_zip(k json, v json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.bag_of_pairs(array_agg(kql.text_of(e) ORDER BY i), array_agg(v -> (i - 1)::int ORDER BY i)) FROM kql.elements(k) WITH ORDINALITY u(e, i)
    WHERE json_typeof(e) = 'string' $$;
CREATE OR REPLACE FUNCTION kql.bag_pack_present(x json[]) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.bag_pack(coalesce((SELECT json_agg(e ORDER BY i) FROM unnest(x) WITH ORDINALITY u(e, i) WHERE kql.text_of(x[(i + 1) / 2 * 2]) <> ''), '[]')) $$;
CREATE OR REPLACE FUNCTION kql.zip(x json[]) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT json_agg((SELECT json_agg(e -> i ORDER BY o) FROM unnest(x) WITH ORDINALITY u(e, o)) ORDER BY i)
     FROM generate_series(0, (SELECT max(kql.array_length(e)) FROM unnest(x) e)::int - 1) i $$;
CREATE OR REPLACE FUNCTION kql.set_equals(x json, y json) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.array_length(kql.set_difference(ARRAY[x, y])) = 0 AND kql.array_length(kql.set_difference(ARRAY[y, x])) = 0 $$;
CREATE OR REPLACE FUNCTION kql.jaccard_index(x json, y json) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.divide(kql.array_length(kql.set_intersect(ARRAY[x, y]))::float8, kql.array_length(kql.set_union(ARRAY[x, y]))::float8) $$;
CREATE OR REPLACE FUNCTION kql.repeat_json(x json, n bigint) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_agg(x), '[]') FROM generate_series(1, least(n, 1048576)) $$;
CREATE OR REPLACE FUNCTION kql.has_any_index(x text, y json) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce((SELECT i - 1 FROM kql.elements(y) WITH ORDINALITY u(e, i) WHERE kql.has(x, kql.text_of(e)) ORDER BY i LIMIT 1), -1) $$;
-- All at once: what was put is not looked at again.
CREATE OR REPLACE FUNCTION kql.replace_strings(x text, y json, z json) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(string_agg(coalesce((SELECT kql.text_of(CASE WHEN json_typeof(z) = 'array' THEN z -> (i - 1)::int ELSE z END)
                                 FROM kql.elements(y) WITH ORDINALITY u(e, i) WHERE kql.text_of(e) = m[1] ORDER BY i LIMIT 1), m[1]), '' ORDER BY o), '')
     FROM regexp_matches(x, '(' || coalesce((SELECT string_agg(kql.regex_quote(kql.text_of(e)), '|' ORDER BY length(kql.text_of(e)) DESC) FROM kql.elements(y) e WHERE kql.text_of(e) <> '') || '|', '')
                            || '.|\n)', 'g') WITH ORDINALITY p(m, o) $$;

-- ---- what texts are made of ----
-- Pieces are texts, {"is": type} for a column, null for what is passed over; the texts of the columns in their order, or
-- null where the text is made otherwise.
CREATE OR REPLACE FUNCTION kql.fits(x text, type text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE type WHEN 'string' THEN true WHEN 'dynamic' THEN true WHEN 'long' THEN kql.to_long(x) IS NOT NULL WHEN 'int' THEN kql.to_int(kql.to_long(x)) IS NOT NULL
          WHEN 'real' THEN kql.to_real(x) IS NOT NULL WHEN 'decimal' THEN kql.to_decimal(x) IS NOT NULL WHEN 'bool' THEN kql.to_bool(x) IS NOT NULL
          WHEN 'datetime' THEN kql.to_datetime(x) IS NOT NULL WHEN 'timespan' THEN kql.to_timespan(x) IS NOT NULL ELSE kql.to_guid(x) IS NOT NULL END $$;
CREATE OR REPLACE FUNCTION kql.parse_relaxed(x text, pieces json) RETURNS json LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    piece json; literal text; found int; at int := 1; loose bool := false; open bool := false; out json[] := '{}'; kind text; number text;
BEGIN
    FOR piece IN SELECT e FROM json_array_elements(pieces) WITH ORDINALITY u(e, i) ORDER BY i LOOP
        IF json_typeof(piece) = 'string' THEN
            literal := piece #>> '{}';
            found := strpos(substr(x, at), literal);
            IF found = 0 OR (found > 1 AND NOT loose AND NOT open) THEN RETURN NULL; END IF;
            IF open THEN out := out || to_json(substr(x, at, found - 1)); END IF;
            at := at + found - 1 + length(literal);
            loose := false; open := false;
        ELSIF json_typeof(piece) = 'object' THEN
            IF open THEN out := out || to_json(''::text); END IF;
            open := true;
            kind := piece ->> 'is';
        ELSE
            number := CASE WHEN open AND kind IN ('long', 'int') THEN substring(substr(x, at) FROM '^[-+]?[0-9]+') END; -- it ends by itself
            at := at + length(coalesce(number, ''));
            IF open THEN out := out || to_json(coalesce(number, '')); open := false; END IF;
            loose := true;
        END IF;
    END LOOP;
    IF open THEN out := out || to_json(substr(x, at)); END IF;
    RETURN array_to_json(out);
END $$;
CREATE OR REPLACE FUNCTION kql.parse(x text, pieces json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN (SELECT bool_and(kql.fits(found ->> (n - 1)::int, e ->> 'is')) FROM (SELECT e, row_number() OVER (ORDER BY i) AS n
                       FROM json_array_elements(pieces) WITH ORDINALITY u(e, i) WHERE json_typeof(e) = 'object') c) IS NOT FALSE THEN found END
     FROM (SELECT kql.parse_relaxed(x, pieces) AS found) f $$;
CREATE OR REPLACE FUNCTION kql.parse_kv(x text, pairs text, kv text, quote text, escape text) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.bag_of_pairs(array_agg(k ORDER BY i), array_agg(to_json(v) ORDER BY i))
     FROM (SELECT i, CASE WHEN quote <> '' AND btrim(left(p, strpos(p, kv) - 1)) LIKE left(quote, 1) || '%' THEN btrim(left(p, strpos(p, kv) - 1), ' ' || quote)
                          ELSE btrim(left(p, strpos(p, kv) - 1)) END AS k,
                  CASE WHEN quote <> '' AND btrim(substr(p, strpos(p, kv) + length(kv))) LIKE '_%' AND left(btrim(substr(p, strpos(p, kv) + length(kv))), 1) = left(quote, 1)
                       THEN btrim(btrim(substr(p, strpos(p, kv) + length(kv))), quote) ELSE substr(p, strpos(p, kv) + length(kv)) END AS v
             FROM unnest(CASE WHEN quote = '' THEN string_to_array(CASE WHEN pairs = ' ' THEN regexp_replace(x, '\s*(' || kql.regex_quote(kv) || ')\s*', '\1', 'g') ELSE x END, pairs)
                              ELSE (SELECT array_agg(m[1]) FROM regexp_matches(x, '((?:' || kql.regex_quote(left(quote, 1)) || '[^' || kql.regex_quote(right(quote, 1)) || ']*' || kql.regex_quote(right(quote, 1)) || '|(?!' || kql.regex_quote(pairs) || ').)+)', 'g') m) END)
                  WITH ORDINALITY u(p, i) WHERE kv <> '' AND strpos(p, kv) > 0) t $$;
-- Without delimiters that are said, all that is no letter or digit is one, and a value is the word behind its name.
CREATE OR REPLACE FUNCTION kql.parse_kv_words(x text) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.bag_of_pairs(array_agg(k ORDER BY i), array_agg(to_json(v) ORDER BY i))
     FROM (SELECT m[1] AS k, lead(m[1]) OVER (ORDER BY i) AS v, i FROM regexp_matches(x, '([[:alnum:]]+)', 'g') WITH ORDINALITY u(m, i)) w WHERE v IS NOT NULL $$;
CREATE OR REPLACE FUNCTION kql.parse_csv(x text) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x = '' THEN '[""]' ELSE json_agg(CASE WHEN m[1] LIKE '"%' THEN replace(substr(m[1], 2, length(m[1]) - 2), '""', '"') ELSE m[1] END ORDER BY i) END
     FROM regexp_matches(split_part(replace(x, E'\r', ''), E'\n', 1) || ',', '("(?:[^"]|"")*"|[^,]*),', 'g') WITH ORDINALITY u(m, i) $$;
CREATE OR REPLACE FUNCTION kql.parse_urlquery(x text) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL UNSAFE AS
$$ SELECT json_build_object('Query Parameters', kql.bag_of_pairs(array_agg(kql.url_decode(split_part(p, '=', 1)) ORDER BY i), array_agg(to_json(kql.url_decode(substr(p, strpos(p || '=', '=') + 1))) ORDER BY i)))
     FROM regexp_split_to_table(ltrim(x, '?'), '&') WITH ORDINALITY u(p, i) WHERE p <> '' $$;
CREATE OR REPLACE FUNCTION kql.parse_url(x text) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL UNSAFE AS
$$ SELECT json_build_object('Scheme', coalesce(m[1], ''), 'Host', coalesce(m[4], ''), 'Port', coalesce(m[5], ''), 'Path', coalesce(m[6], ''), 'Username', coalesce(m[2], ''),
          'Password', coalesce(m[3], ''), 'Query Parameters', kql.parse_urlquery(coalesce(m[7], '')) -> 'Query Parameters', 'Fragment', coalesce(m[8], ''))
     FROM (SELECT regexp_match(x, '^([A-Za-z][A-Za-z0-9+.-]*)://(?:([^:@/?#]*)(?::([^@/?#]*))?@)?(\[[^]]*\]|[^:/?#]*)(?::(\d+))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$') AS m) u $$;
CREATE OR REPLACE FUNCTION kql.parse_version(x text) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x ~ '^\d{1,8}(\.\d{1,8}){0,3}$' THEN (lpad(split_part(x, '.', 1), 8, '0') || lpad(split_part(x, '.', 2), 8, '0') || lpad(split_part(x, '.', 3), 8, '0')
          || lpad(split_part(x, '.', 4), 8, '0'))::numeric END $$;
CREATE OR REPLACE FUNCTION kql.extract_json(path text, x text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL UNSAFE AS
$$ SELECT kql.text_of(kql.at_path(kql.parse_json(x), path)) $$;
CREATE OR REPLACE FUNCTION kql.indexof_regex(x text, p text, start bigint, n bigint, nth bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN coalesce(start, 0) >= 0 THEN regexp_instr(CASE WHEN coalesce(n, -1) >= 0 THEN left(x, (coalesce(start, 0) + n)::int) ELSE x END, p, coalesce(start, 0)::int + 1, greatest(coalesce(nth, 1), 1)::int) - 1 END $$;

-- ---- times as texts ----
CREATE OR REPLACE FUNCTION kql.format_datetime(t bigint, format text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(string_agg(CASE m[1]
       WHEN 'yyyy' THEN to_char(kql.day_of(t), 'YYYY') WHEN 'yy' THEN to_char(kql.day_of(t), 'YY') WHEN 'MM' THEN to_char(kql.day_of(t), 'MM') WHEN 'M' THEN ltrim(to_char(kql.day_of(t), 'MM'), '0')
       WHEN 'dd' THEN to_char(kql.day_of(t), 'DD') WHEN 'd' THEN ltrim(to_char(kql.day_of(t), 'DD'), '0') WHEN 'HH' THEN lpad((t / 36000000000 % 24)::text, 2, '0') WHEN 'H' THEN (t / 36000000000 % 24)::text
       WHEN 'hh' THEN lpad(((t / 36000000000 + 11) % 12 + 1)::text, 2, '0') WHEN 'h' THEN ((t / 36000000000 + 11) % 12 + 1)::text WHEN 'mm' THEN lpad((t / 600000000 % 60)::text, 2, '0')
       WHEN 'm' THEN (t / 600000000 % 60)::text WHEN 'ss' THEN lpad((t / 10000000 % 60)::text, 2, '0') WHEN 's' THEN (t / 10000000 % 60)::text
       WHEN 'tt' THEN CASE WHEN t / 36000000000 % 24 < 12 THEN 'AM' ELSE 'PM' END
       ELSE CASE WHEN m[1] ~ '^f+$' THEN left(lpad((t % 10000000)::text, 7, '0'), length(m[1])) WHEN m[1] ~ '^F+$' THEN rtrim(left(lpad((t % 10000000)::text, 7, '0'), length(m[1])), '0') ELSE m[1] END END, '' ORDER BY i), '')
     FROM regexp_matches(format, '(y+|M+|d+|H+|h+|m+|s+|f+|F+|t+|.)', 'g') WITH ORDINALITY u(m, i) WHERE t IS NOT NULL $$;
CREATE OR REPLACE FUNCTION kql.format_timespan(t bigint, format text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(CASE WHEN t < 0 THEN '-' ELSE '' END || string_agg(CASE
       WHEN m[1] ~ '^d+$' THEN lpad((abs(t) / 864000000000)::text, greatest(length(m[1]), length((abs(t) / 864000000000)::text)), '0')
       WHEN m[1] IN ('hh', 'HH') THEN lpad((abs(t) / 36000000000 % 24)::text, 2, '0') WHEN m[1] IN ('h', 'H') THEN (abs(t) / 36000000000 % 24)::text
       WHEN m[1] = 'mm' THEN lpad((abs(t) / 600000000 % 60)::text, 2, '0') WHEN m[1] = 'm' THEN (abs(t) / 600000000 % 60)::text
       WHEN m[1] = 'ss' THEN lpad((abs(t) / 10000000 % 60)::text, 2, '0') WHEN m[1] = 's' THEN (abs(t) / 10000000 % 60)::text
       WHEN m[1] ~ '^f+$' THEN left(lpad((abs(t) % 10000000)::text, 7, '0'), length(m[1])) WHEN m[1] ~ '^F+$' THEN rtrim(left(lpad((abs(t) % 10000000)::text, 7, '0'), length(m[1])), '0')
       ELSE m[1] END, '' ORDER BY i), '')
     FROM regexp_matches(format, '(d+|H+|h+|m+|s+|f+|F+|.)', 'g') WITH ORDINALITY u(m, i) WHERE t IS NOT NULL $$;

-- ---- addresses ----
CREATE OR REPLACE FUNCTION kql.address(x text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x ~ '^\s*\d{1,3}(\.\d{1,3}){3}(/\d{1,2})?\s*$' THEN (SELECT CASE WHEN greatest(a, b, c, d) < 256 THEN a * 16777216 + b * 65536 + c * 256 + d END
     FROM (SELECT p[1]::bigint AS a, p[2]::bigint AS b, p[3]::bigint AS c, p[4]::bigint AS d FROM string_to_array(split_part(btrim(x), '/', 1), '.') p) q) END $$;
CREATE OR REPLACE FUNCTION kql.prefix(x text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN kql.address(x) IS NULL THEN NULL WHEN strpos(x, '/') = 0 THEN 32 WHEN btrim(split_part(x, '/', 2))::int <= 32 THEN btrim(split_part(x, '/', 2))::bigint END $$;
CREATE OR REPLACE FUNCTION kql.masked(x bigint, n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN n BETWEEN 0 AND 32 THEN x >> (32 - n)::int << (32 - n)::int END $$;
CREATE OR REPLACE FUNCTION kql.dotted(x bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT (x >> 24) || '.' || (x >> 16 & 255) || '.' || (x >> 8 & 255) || '.' || (x & 255) $$;
CREATE OR REPLACE FUNCTION kql.parse_ipv4(x text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT kql.masked(kql.address(x), kql.prefix(x)) $$;
CREATE OR REPLACE FUNCTION kql.parse_ipv4_mask(x text, n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT kql.masked(kql.address(x), least(kql.prefix(x), n)) $$;
CREATE OR REPLACE FUNCTION kql.ipv4_netmask_suffix(x text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT kql.prefix(x) $$;
CREATE OR REPLACE FUNCTION kql.ipv4_compare(x text, y text, n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT sign(kql.masked(kql.address(x), least(kql.prefix(x), kql.prefix(y), n)) - kql.masked(kql.address(y), least(kql.prefix(x), kql.prefix(y), n)))::bigint $$;
CREATE OR REPLACE FUNCTION kql.ipv4_is_match(x text, y text, n bigint) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT kql.ipv4_compare(x, y, n) = 0 $$;
CREATE OR REPLACE FUNCTION kql.ipv4_is_in_range(x text, y text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.masked(kql.address(x), least(kql.prefix(y), kql.prefix(x))) = kql.masked(kql.address(y), least(kql.prefix(y), kql.prefix(x))) $$;
CREATE OR REPLACE FUNCTION kql.ipv4_is_in_any_range(x text, y json) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT bool_or(kql.ipv4_is_in_range(x, kql.text_of(e))) FROM kql.elements(y) e $$;
CREATE OR REPLACE FUNCTION kql.ipv4_is_private(x text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.ipv4_is_in_range(x, '10.0.0.0/8') OR kql.ipv4_is_in_range(x, '172.16.0.0/12') OR kql.ipv4_is_in_range(x, '192.168.0.0/16') $$;
CREATE OR REPLACE FUNCTION kql.format_ipv4(x text, n bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(kql.dotted(kql.masked(CASE WHEN x ~ '^\d{1,10}$' THEN x::bigint ELSE kql.address(x) END, least(coalesce(kql.prefix(x), 32), n))), '') $$;
CREATE OR REPLACE FUNCTION kql.format_ipv4_mask(x text, n bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(nullif(kql.format_ipv4(x, n), '') || '/' || least(coalesce(kql.prefix(x), 32), n), '') $$;
CREATE OR REPLACE FUNCTION kql.addresses(x text) RETURNS SETOF text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT m[1] FROM regexp_matches(x, '(?<![0-9A-Za-z.])(\d{1,3}(?:\.\d{1,3}){3})(?![0-9A-Za-z])', 'g') m $$;
CREATE OR REPLACE FUNCTION kql.has_ipv4(x text, y text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.address(y) IS NOT NULL AND EXISTS (SELECT 1 FROM kql.addresses(x) a WHERE kql.address(a) = kql.address(y)) $$;
CREATE OR REPLACE FUNCTION kql.has_any_ipv4(x text, y json) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(bool_or(kql.has_ipv4(x, kql.text_of(e))), false) FROM kql.elements(y) e $$;
CREATE OR REPLACE FUNCTION kql.has_ipv4_prefix(x text, y text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT (y ~ '^(\d{1,3}\.){1,3}$' OR kql.address(y) IS NOT NULL) AND EXISTS (SELECT 1 FROM kql.addresses(x) a WHERE kql.address(a) IS NOT NULL AND (CASE WHEN y LIKE '%.' THEN starts_with(a, y) ELSE a = y END)) $$;
CREATE OR REPLACE FUNCTION kql.has_any_ipv4_prefix(x text, y json) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(bool_or(kql.has_ipv4_prefix(x, kql.text_of(e))), false) FROM kql.elements(y) e $$;

-- ---- columns that come from data ----
CREATE OR REPLACE FUNCTION kql.bag_types_step(known jsonb, x json) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(x) IS DISTINCT FROM 'object' THEN known ELSE known || coalesce(
        (SELECT jsonb_object_agg(e.key, CASE WHEN t.type = '' THEN coalesce(known ->> e.key, '') WHEN coalesce(known ->> e.key, '') IN ('', t.type) THEN t.type
                                             WHEN known ->> e.key IN ('long', 'real') AND t.type IN ('long', 'real') THEN 'real' ELSE 'dynamic' END)
           FROM json_each(x) e, LATERAL (SELECT CASE kql.gettype(e.value) WHEN 'null' THEN '' WHEN 'dictionary' THEN 'dynamic' WHEN 'array' THEN 'dynamic'
                                                     ELSE kql.gettype(e.value) END AS type) t), '{}') END $$;
CREATE OR REPLACE FUNCTION kql.bag_types_end(known jsonb) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_object_agg(key, CASE value WHEN '' THEN 'dynamic' ELSE value END ORDER BY key COLLATE "C"), '{}') FROM jsonb_each_text(known) $$;
CREATE OR REPLACE AGGREGATE kql.bag_types(json) (sfunc = kql.bag_types_step, stype = jsonb, initcond = '{}', finalfunc = kql.bag_types_end);
CREATE OR REPLACE FUNCTION kql.value_names_end(known text[]) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT coalesce(json_agg(v ORDER BY v COLLATE "C"), '[]') FROM (SELECT DISTINCT v FROM unnest(known) v) d $$;
CREATE OR REPLACE AGGREGATE kql.value_names(text) (sfunc = array_append, stype = text[], initcond = '{}', finalfunc = kql.value_names_end);

-- ---- hashes: xxHash64 of the text's bytes (its specification), SHA-1 (FIPS 180-4) ----
CREATE OR REPLACE FUNCTION kql.rotate(x bigint, n int) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT (x << n) | ((x >> (64 - n)) & ((1::bigint << n) - 1)) $$;
CREATE OR REPLACE FUNCTION kql.bytes_of(b bytea, at int, n int) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT bit_or(get_byte(b, at + i)::bigint << (8 * i)) FROM generate_series(0, n - 1) i $$;
CREATE OR REPLACE FUNCTION kql.xx_round(acc bigint, lane bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.multiply(kql.rotate(kql.add(acc, kql.multiply(lane, -4417276706812531889)), 31), -7046029288634856825) $$;
CREATE OR REPLACE FUNCTION kql.hash(x text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    b bytea := convert_to(x, 'UTF8');
    n int := octet_length(b);
    at int := 0;
    p1 constant bigint := -7046029288634856825;
    p2 constant bigint := -4417276706812531889;
    p3 constant bigint := 1609587929392839161;
    p4 constant bigint := -8796714831421723037;
    p5 constant bigint := 2870177450012600261;
    v bigint[];
    h bigint;
BEGIN
    IF n >= 32 THEN
        v := ARRAY[kql.add(p1, p2), p2, 0, kql.subtract(0, p1)];
        WHILE at <= n - 32 LOOP
            FOR i IN 1 .. 4 LOOP
                v[i] := kql.xx_round(v[i], kql.bytes_of(b, at + 8 * (i - 1), 8));
            END LOOP;
            at := at + 32;
        END LOOP;
        h := kql.add(kql.add(kql.rotate(v[1], 1), kql.rotate(v[2], 7)), kql.add(kql.rotate(v[3], 12), kql.rotate(v[4], 18)));
        FOR i IN 1 .. 4 LOOP
            h := kql.add(kql.multiply(h # kql.xx_round(0, v[i]), p1), p4);
        END LOOP;
    ELSE
        h := p5;
    END IF;
    h := kql.add(h, n);
    WHILE at <= n - 8 LOOP
        h := kql.add(kql.multiply(kql.rotate(h # kql.xx_round(0, kql.bytes_of(b, at, 8)), 27), p1), p4);
        at := at + 8;
    END LOOP;
    IF at <= n - 4 THEN
        h := kql.add(kql.multiply(kql.rotate(h # kql.multiply(kql.bytes_of(b, at, 4), p1), 23), p2), p3);
        at := at + 4;
    END IF;
    WHILE at < n LOOP
        h := kql.multiply(kql.rotate(h # kql.multiply(get_byte(b, at), p5), 11), p1);
        at := at + 1;
    END LOOP;
    h := kql.multiply(h # ((h >> 33) & 2147483647), p2);
    h := kql.multiply(h # ((h >> 29) & 34359738367), p3);
    RETURN h # ((h >> 32) & 4294967295);
END $$;
CREATE OR REPLACE FUNCTION kql.sha1(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    b bytea := convert_to(x, 'UTF8');
    n int := octet_length(b);
    m constant bigint := 4294967295;
    h bigint[] := ARRAY[1732584193, 4023233417, 2562383102, 271733878, 3285377520];
    w bigint[];
    a bigint; c bigint; d bigint; e bigint; g bigint; f bigint; k bigint; t bigint;
BEGIN
    b := b || '\x80' || decode(repeat('00', (119 - n % 64) % 64), 'hex') || decode(lpad(to_hex(n::bigint * 8), 16, '0'), 'hex');
    FOR chunk IN 0 .. octet_length(b) / 64 - 1 LOOP
        FOR i IN 0 .. 15 LOOP
            w[i] := (get_byte(b, chunk * 64 + i * 4)::bigint << 24) | (get_byte(b, chunk * 64 + i * 4 + 1) << 16)
                    | (get_byte(b, chunk * 64 + i * 4 + 2) << 8) | get_byte(b, chunk * 64 + i * 4 + 3);
        END LOOP;
        FOR i IN 16 .. 79 LOOP
            t := w[i - 3] # w[i - 8] # w[i - 14] # w[i - 16];
            w[i] := ((t << 1) | (t >> 31)) & m;
        END LOOP;
        a := h[1]; c := h[2]; d := h[3]; e := h[4]; g := h[5];
        FOR i IN 0 .. 79 LOOP
            IF i < 20 THEN f := (c & d) | ((~ c) & m & e); k := 1518500249;
            ELSIF i < 40 THEN f := c # d # e; k := 1859775393;
            ELSIF i < 60 THEN f := (c & d) | (c & e) | (d & e); k := 2400959708;
            ELSE f := c # d # e; k := 3395469782;
            END IF;
            t := ((((a << 5) | (a >> 27)) & m) + f + g + k + w[i]) & m;
            g := e; e := d; d := ((c << 30) | (c >> 2)) & m; c := a; a := t;
        END LOOP;
        h := ARRAY[(h[1] + a) & m, (h[2] + c) & m, (h[3] + d) & m, (h[4] + e) & m, (h[5] + g) & m];
    END LOOP;
    RETURN (SELECT string_agg(lpad(to_hex(v), 8, '0'), '' ORDER BY i) FROM unnest(h) WITH ORDINALITY u(v, i));
END $$;

-- ---- texts that have parts ----
CREATE OR REPLACE FUNCTION kql.xml_char(c bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN c BETWEEN 1 AND 55295 OR c BETWEEN 57344 AND 1114111 THEN chr(c::int) ELSE '' END $$;
CREATE OR REPLACE FUNCTION kql.xml_text(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    out text := '';
    part text[];
BEGIN
    IF position('&' IN x) = 0 THEN RETURN x; END IF;
    FOR part IN SELECT regexp_matches(x, '&(#[0-9]+|#x[0-9a-fA-F]+|[a-z]+);|([^&]+|&)', 'g') LOOP
        out := out || CASE WHEN part[2] IS NOT NULL THEN part[2] WHEN part[1] = 'lt' THEN '<' WHEN part[1] = 'gt' THEN '>' WHEN part[1] = 'amp' THEN '&'
                           WHEN part[1] = 'quot' THEN '"' WHEN part[1] = 'apos' THEN '''' WHEN part[1] LIKE '#x%' THEN kql.xml_char(kql.of_hex(substr(part[1], 3)))
                           WHEN part[1] LIKE '#%' THEN kql.xml_char(kql.to_long(substr(part[1], 2))) ELSE '&' || part[1] || ';' END;
    END LOOP;
    RETURN out;
END $$;
-- Members of one element: those of one name become a list where the first stood.
CREATE OR REPLACE FUNCTION kql.xml_members(names text[], parts text[], content text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN cardinality(names) = 0 THEN CASE WHEN content = '' THEN 'null' ELSE to_json(content)::text END
               ELSE '{' || (SELECT string_agg(to_json(m.name)::text || ':' || m.value, ',' ORDER BY m.at) FROM
                    (SELECT name, min(i) AS at, CASE WHEN count(*) > 1 THEN '[' || string_agg(value, ',' ORDER BY i) || ']' ELSE min(value) END AS value
                       FROM (SELECT * FROM unnest(names, parts) WITH ORDINALITY u(name, value, i)
                             UNION ALL SELECT '#text', to_json(content)::text, 1000000 WHERE content <> '') p GROUP BY name) m) || '}' END $$;
CREATE OR REPLACE FUNCTION kql.parse_xml(x text) RETURNS json LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    token text[];
    attribute text[];
    tags text[] := '{}';
    names jsonb := '[]'; -- of the elements that are open, innermost last: lists of names
    parts jsonb := '[]'; -- and of the JSON of each
    texts text[] := '{}';
    depth int := 0;
    tag text;
    done text;
    of_names text[];
    of_parts text[];
BEGIN
    IF x IS NULL OR x !~ '<' OR length(x) > 10000000 OR NOT xml_is_well_formed_document(x) THEN RETURN NULL; END IF;
    FOR token IN SELECT regexp_matches(x, '<!--.*?-->|<\?.*?\?>|<!\[CDATA\[(.*?)\]\]>|<(/?)([^\s/>!?]+)((?:\s+[^\s=]+\s*=\s*(?:"[^"]*"|''[^'']*''))*)\s*(/?)>|<![^>]*>|([^<]+)', 'g') LOOP
        IF token[6] IS NOT NULL OR token[1] IS NOT NULL THEN
            IF depth > 0 AND (token[1] IS NOT NULL OR token[6] ~ '\S') THEN
                texts[depth] := texts[depth] || coalesce(token[1], kql.xml_text(token[6]));
            END IF;
            CONTINUE;
        END IF;
        CONTINUE WHEN token[3] IS NULL;
        IF token[2] = '' THEN
            depth := depth + 1;
            tags[depth] := token[3];
            texts[depth] := '';
            of_names := '{}';
            of_parts := '{}';
            FOR attribute IN SELECT regexp_matches(token[4], '([^\s=]+)\s*=\s*(?:"([^"]*)"|''([^'']*)'')', 'g') LOOP
                of_names := of_names || ('@' || attribute[1]);
                of_parts := of_parts || to_json(kql.xml_text(coalesce(attribute[2], attribute[3])))::text;
            END LOOP;
            names := names || jsonb_build_array(to_jsonb(of_names));
            parts := parts || jsonb_build_array(to_jsonb(of_parts));
        END IF;
        IF token[2] = '/' OR token[5] = '/' THEN
            tag := tags[depth];
            of_names := ARRAY(SELECT jsonb_array_elements_text(names -> (depth - 1)));
            of_parts := ARRAY(SELECT jsonb_array_elements_text(parts -> (depth - 1)));
            done := kql.xml_members(of_names, of_parts, texts[depth]);
            names := names - (depth - 1);
            parts := parts - (depth - 1);
            depth := depth - 1;
            IF depth = 0 THEN RETURN ('{' || to_json(tag)::text || ':' || done || '}')::json; END IF;
            names := jsonb_set(names, ARRAY[(depth - 1)::text], (names -> (depth - 1)) || to_jsonb(tag));
            parts := jsonb_set(parts, ARRAY[(depth - 1)::text], (parts -> (depth - 1)) || to_jsonb(done));
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION kql.parse_path(x text) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT json_build_object('Scheme', coalesce(s.m[1], ''), 'RootPath', coalesce(substring(s.path FROM '^([A-Za-z]:)'), ''),
        'DirectoryPath', d.directory, 'DirectoryName', coalesce(substring(d.directory FROM '([^/\\]*)$'), ''),
        'Filename', f.name, 'Extension', coalesce(substring(f.name FROM '\.([^.]*)$'), ''), 'AlternateDataStreamName', f.stream)
     FROM (SELECT regexp_match(x, '^([A-Za-z][A-Za-z0-9+.-]+)://') AS m, regexp_replace(x, '^[A-Za-z][A-Za-z0-9+.-]+://', '') AS path) s,
          LATERAL (SELECT coalesce(substring(s.path FROM '^(.*)[/\\][^/\\]*$'), '') AS directory, substring(s.path FROM '([^/\\]*)$') AS last) d,
          LATERAL (SELECT CASE WHEN d.last ~ '^[A-Za-z]:$' THEN '' ELSE split_part(d.last, ':', 1) END AS name, split_part(d.last, ':', 2) AS stream) f $$;
-- As Windows programs split their command line: backslashes before a quote, quotes, blanks.
CREATE OR REPLACE FUNCTION kql.parse_command_line(x text) RETURNS json LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    out text[] := '{}';
    word text := NULL;
    quoted bool := false;
    at int := 1;
    slashes int;
    c text;
BEGIN
    WHILE at <= length(x) LOOP
        c := substr(x, at, 1);
        IF c = E'\\' THEN
            slashes := length(substring(substr(x, at) FROM '^\\+'));
            at := at + slashes;
            IF substr(x, at, 1) = '"' THEN
                word := coalesce(word, '') || repeat(E'\\', slashes / 2);
                IF slashes % 2 = 1 THEN word := word || '"'; at := at + 1; END IF;
            ELSE
                word := coalesce(word, '') || repeat(E'\\', slashes);
            END IF;
        ELSIF c = '"' THEN
            quoted := NOT quoted;
            word := coalesce(word, '');
            at := at + 1;
        ELSIF c IN (' ', E'\t') AND NOT quoted THEN
            IF word IS NOT NULL THEN out := out || word; word := NULL; END IF;
            at := at + 1;
        ELSE
            word := coalesce(word, '') || c;
            at := at + 1;
        END IF;
    END LOOP;
    IF word IS NOT NULL THEN out := out || word; END IF;
    RETURN CASE WHEN x = '' THEN NULL ELSE to_json(out) END;
END $$;
CREATE OR REPLACE FUNCTION kql.base64_bytes(x text) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN length(x) % 4 = 0 AND x ~ '^[A-Za-z0-9+/]*={0,2}$' THEN decode(x, 'base64') END $$;
CREATE OR REPLACE FUNCTION kql.base64_decode_array(x text) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN kql.base64_bytes(x) IS NOT NULL THEN coalesce((SELECT json_agg(get_byte(kql.base64_bytes(x), i) ORDER BY i)
          FROM generate_series(0, octet_length(kql.base64_bytes(x)) - 1) i), '[]') END $$;
CREATE OR REPLACE FUNCTION kql.base64_encode_array(x json) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(x) = 'array' AND NOT EXISTS (SELECT FROM json_array_elements(x) e WHERE kql.to_long(e) NOT BETWEEN 0 AND 255 OR kql.to_long(e) IS NULL)
               THEN coalesce((SELECT translate(encode(string_agg(decode(lpad(to_hex(kql.to_long(e)), 2, '0'), 'hex'), '' ORDER BY i), 'base64'), E'\n', '')
                                FROM json_array_elements(x) WITH ORDINALITY u(e, i)), '') ELSE '' END $$;
-- Microsoft's order of a GUID's bytes: the first three groups are numbers, least byte first.
CREATE OR REPLACE FUNCTION kql.guid_bytes(x uuid) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT decode(substr(h, 7, 2) || substr(h, 5, 2) || substr(h, 3, 2) || substr(h, 1, 2) || substr(h, 11, 2) || substr(h, 9, 2) || substr(h, 15, 2) || substr(h, 13, 2) || substr(h, 17), 'hex')
     FROM (SELECT replace(x::text, '-', '') AS h) t $$;
CREATE OR REPLACE FUNCTION kql.swap_guid(h text) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT (substr(h, 7, 2) || substr(h, 5, 2) || substr(h, 3, 2) || substr(h, 1, 2) || substr(h, 11, 2) || substr(h, 9, 2) || substr(h, 15, 2) || substr(h, 13, 2) || substr(h, 17))::uuid $$;
CREATE OR REPLACE FUNCTION kql.bytes_guid(b bytea) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN octet_length(b) = 16 THEN kql.swap_guid(encode(b, 'hex')) END $$;
CREATE OR REPLACE FUNCTION kql.sorted_json(x json) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ BEGIN
    RETURN CASE json_typeof(x)
        WHEN 'object' THEN '{' || coalesce((SELECT string_agg(to_json(key)::text || ':' || kql.sorted_json(value), ',' ORDER BY key COLLATE "C") FROM json_each(x)), '') || '}'
        WHEN 'array' THEN '[' || coalesce((SELECT string_agg(kql.sorted_json(e), ',' ORDER BY i) FROM json_array_elements(x) WITH ORDINALITY u(e, i)), '') || ']'
        ELSE coalesce(x::text, '') END;
END $$;
CREATE OR REPLACE FUNCTION kql.treepath(x json, path text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ BEGIN
    RETURN CASE json_typeof(x)
        WHEN 'object' THEN ARRAY(SELECT p FROM json_each(x) WITH ORDINALITY u(key, value, i), LATERAL (SELECT CASE WHEN path = '' THEN '[''' || key || ''']' ELSE path || '[''' || key || ''']' END AS here) h,
                                 LATERAL unnest(ARRAY[h.here] || kql.treepath(value, h.here)) WITH ORDINALITY v(p, k) ORDER BY i, k)
        WHEN 'array' THEN CASE WHEN json_array_length(x) = 0 THEN '{}'::text[] ELSE ARRAY[path || '[0]'] || kql.treepath(x -> 0, path || '[0]') END
        ELSE '{}'::text[] END;
END $$;

-- ---- addresses of both lengths ----
CREATE OR REPLACE FUNCTION kql.inet_of(x text) RETURNS inet LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x ~ '^(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}(/(3[0-2]|[12]?[0-9]))?$' THEN x::inet
               WHEN x ~ '^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|(?=[0-9a-fA-F:.]*::)(?!.*::.*::)(?!(.*:){9})[0-9a-fA-F:]{2,41})(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?$'
                    AND x !~ '[0-9a-fA-F]{5}' AND x !~ '^:[^:]' AND x !~ '[^:]:(/|$)' THEN x::inet
               WHEN x ~* '^::(ffff:)?(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?$' THEN x::inet END $$;
CREATE OR REPLACE FUNCTION kql.inet_mapped(a inet) RETURNS inet LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN family(a) = 6 THEN a ELSE set_masklen(('::ffff:' || host(a))::inet, 96 + masklen(a)) END $$;
CREATE OR REPLACE FUNCTION kql.ipv6_compare(x text, y text, prefix bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN a IS NULL OR b IS NULL THEN NULL WHEN network(set_masklen(a, m)) < network(set_masklen(b, m)) THEN -1
               WHEN network(set_masklen(a, m)) > network(set_masklen(b, m)) THEN 1 ELSE 0 END
     FROM (SELECT a, b, least(masklen(a), masklen(b), coalesce(prefix, 128))::int AS m
             FROM (SELECT kql.inet_mapped(kql.inet_of(x)) AS a, kql.inet_mapped(kql.inet_of(y)) AS b) t) u $$;
CREATE OR REPLACE FUNCTION kql.ipv6_is_in_range(x text, range text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT kql.inet_mapped(kql.inet_of(x)) <<= network(kql.inet_mapped(kql.inet_of(range))) $$;
CREATE OR REPLACE FUNCTION kql.ipv6_is_in_any_range(x text, ranges json) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(ranges) = 'array' THEN coalesce((SELECT bool_or(kql.ipv6_is_in_range(x, e)) FROM json_array_elements_text(ranges) e), false) END $$;

-- ---- time zones ----
CREATE OR REPLACE FUNCTION kql.zone_known(zone text) RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT EXISTS (SELECT FROM pg_catalog.pg_timezone_names WHERE name = zone) $$;
CREATE OR REPLACE FUNCTION kql.clock_time(t bigint) RETURNS timestamp LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT timestamp '0001-01-01' + make_interval(days => (t / 864000000000)::int) + (t % 864000000000 / 10) * interval '1 microsecond' $$;
CREATE OR REPLACE FUNCTION kql.of_clock_time(t timestamp) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT (extract(epoch FROM t) * 10000000)::bigint + 621355968000000000 $$;
CREATE OR REPLACE FUNCTION kql.local_to_utc(t bigint, zone text) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN kql.zone_known(zone) THEN kql.of_clock_time((kql.clock_time(t) AT TIME ZONE zone) AT TIME ZONE 'UTC')
          -- A time that a clock put forward leaves out is one of after that.
          - greatest(kql.of_clock_time((kql.clock_time(t) AT TIME ZONE zone) AT TIME ZONE zone) - t, 0) END $$;
CREATE OR REPLACE FUNCTION kql.utc_to_local(t bigint, zone text) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN kql.zone_known(zone) THEN kql.of_clock_time((kql.clock_time(t) AT TIME ZONE 'UTC') AT TIME ZONE zone) END $$;

-- ---- series, element by element ----
CREATE OR REPLACE FUNCTION kql.series_of_one(f text, s json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(s) = 'array' THEN coalesce((SELECT json_agg(kql.json_of_real(CASE f WHEN 'abs' THEN abs(v) WHEN 'sign' THEN sign(v) WHEN 'floor' THEN floor(v)
          WHEN 'ceiling' THEN ceil(v) WHEN 'exp' THEN kql.exp(v) WHEN 'log' THEN kql.log(v) WHEN 'sin' THEN sin(v) WHEN 'cos' THEN cos(v) WHEN 'tan' THEN tan(v)
          WHEN 'asin' THEN kql.asin(v) WHEN 'acos' THEN kql.acos(v) WHEN 'atan' THEN atan(v) END) ORDER BY i)
          FROM (SELECT kql.to_real(e) AS v, i FROM json_array_elements(s) WITH ORDINALITY u(e, i)) t), '[]') END $$;
CREATE OR REPLACE FUNCTION kql.series_pow(s json, p float8) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(s) = 'array' THEN coalesce((SELECT json_agg(kql.json_of_real(kql.pow(kql.to_real(e), p)) ORDER BY i) FROM json_array_elements(s) WITH ORDINALITY u(e, i)), '[]') END $$;
CREATE OR REPLACE FUNCTION kql.series_dot(a json, b json) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(a) = 'array' AND json_typeof(b) = 'array' THEN coalesce((SELECT sum(kql.to_real(x) * kql.to_real(y))
          FROM ROWS FROM (json_array_elements(a), json_array_elements(b)) u(x, y)), 0) END $$;
-- A number stands for a series of it, as long as the other.
CREATE OR REPLACE FUNCTION kql.series_like(n float8, s json) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN json_typeof(s) = 'array' THEN coalesce((SELECT json_agg(kql.json_of_real(n)) FROM json_array_elements(s)), '[]') END $$;

-- ---- over rows in order, with states that begin anew ----
CREATE OR REPLACE FUNCTION kql.number_step(known bigint, first bigint, anew bool) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN known IS NULL OR coalesce(anew, false) THEN first ELSE known + 1 END $$;
CREATE OR REPLACE AGGREGATE kql.number_since(bigint, bool) (sfunc = kql.number_step, stype = bigint);
CREATE OR REPLACE FUNCTION kql.sum_step(known bigint, x bigint, anew bool) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN known IS NULL OR coalesce(anew, false) THEN coalesce(x, 0) ELSE kql.add(known, coalesce(x, 0)) END $$;
CREATE OR REPLACE AGGREGATE kql.sum_since(bigint, bool) (sfunc = kql.sum_step, stype = bigint);
CREATE OR REPLACE FUNCTION kql.sum_step(known float8, x float8, anew bool) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN known IS NULL OR coalesce(anew, false) THEN coalesce(x, 0) ELSE known + coalesce(x, 0) END $$;
CREATE OR REPLACE AGGREGATE kql.sum_since(float8, bool) (sfunc = kql.sum_step, stype = float8);
-- {rank, rows since it changed, value}
CREATE OR REPLACE FUNCTION kql.rank_step(known text[], x text, anew bool) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN known IS NULL OR coalesce(anew, false) THEN ARRAY['1', '1', '1', x]
               WHEN known[4] IS NOT DISTINCT FROM x THEN ARRAY[known[1], known[2], (known[3]::bigint + 1)::text, x]
               ELSE ARRAY[(known[1]::bigint + 1)::text, (known[3]::bigint + 1)::text, (known[3]::bigint + 1)::text, x] END $$;
CREATE OR REPLACE FUNCTION kql.rank_dense_end(known text[]) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT known[1]::bigint $$;
CREATE OR REPLACE FUNCTION kql.rank_min_end(known text[]) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT known[2]::bigint $$;
CREATE OR REPLACE AGGREGATE kql.rank_dense(text, bool) (sfunc = kql.rank_step, stype = text[], finalfunc = kql.rank_dense_end);
CREATE OR REPLACE AGGREGATE kql.rank_min(text, bool) (sfunc = kql.rank_step, stype = text[], finalfunc = kql.rank_min_end);
-- {the first of the session, the one before}
CREATE OR REPLACE FUNCTION kql.session_step(known bigint[], x bigint, from_first bigint, from_last bigint, anew bool) RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN known IS NULL OR coalesce(anew, false) OR x - known[1] > from_first OR x - known[2] > from_last THEN ARRAY[x, x] ELSE ARRAY[known[1], x] END $$;
CREATE OR REPLACE FUNCTION kql.session_end(known bigint[]) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT known[1] $$;
CREATE OR REPLACE AGGREGATE kql.session(bigint, bigint, bigint, bool) (sfunc = kql.session_step, stype = bigint[], finalfunc = kql.session_end);

-- ---- a match found step by step: kql/regex_steps.h has why ----
CREATE OR REPLACE FUNCTION kql.extract_steps(options text, whole text, heads text[], tails text[], from_step bigint, to_step bigint, x text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    at int := regexp_instr(x COLLATE "und-x-icu", options || whole);
    first int;
    taken text;
BEGIN
    IF at = 0 THEN RETURN ''; END IF;
    first := at;
    FOR i IN 1 .. to_step LOOP
        IF i = from_step + 1 THEN first := at; END IF;
        taken := (regexp_match(substr(x, at) COLLATE "und-x-icu", options || '^(' || heads[i] || ')' || CASE WHEN tails[i] <> '' THEN '(?=' || tails[i] || ')' ELSE '' END))[1];
        IF taken IS NULL THEN RETURN ''; END IF;
        at := at + length(taken);
    END LOOP;
    RETURN substr(x, first, at - first);
END $$;

-- ---- mathematics ----
-- erf as e^(-x^2) times a series without cancellation, erfc of greater x as a continued fraction: Abramowitz and Stegun, 7.1.6 and 7.1.14.
CREATE OR REPLACE FUNCTION kql.erfc(x float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    a float8 := abs(x);
    term float8 := abs(x);
    sum float8 := abs(x);
    fraction float8 := 0;
    behind float8;
BEGIN
    IF x IS NULL OR x = 'NaN' THEN RETURN x; END IF;
    IF a > 27 THEN
        behind := 0;
    ELSIF a < 2 THEN
        FOR n IN 1 .. 100 LOOP
            term := term * 2 * a * a / (2 * n + 1);
            sum := sum + term;
            EXIT WHEN term < sum * 1e-17;
        END LOOP;
        behind := 1 - 2 / sqrt(pi()) * exp(-a * a) * sum;
    ELSE
        FOR n IN REVERSE 120 .. 1 LOOP
            fraction := n / 2.0::float8 / (a + fraction);
        END LOOP;
        behind := exp(-a * a) / sqrt(pi()) / (a + fraction);
    END IF;
    RETURN CASE WHEN x < 0 THEN 2 - behind ELSE behind END;
END $$;
CREATE OR REPLACE FUNCTION kql.erf(x float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    term float8 := x;
    sum float8 := x;
BEGIN
    IF x IS NULL OR x = 'NaN' THEN RETURN x; END IF;
    IF abs(x) >= 2 THEN RETURN CASE WHEN x < 0 THEN kql.erfc(-x) - 1 ELSE 1 - kql.erfc(x) END; END IF;
    FOR n IN 1 .. 100 LOOP
        term := term * 2 * x * x / (2 * n + 1);
        sum := sum + term;
        EXIT WHEN abs(term) <= abs(sum) * 1e-17;
    END LOOP;
    RETURN 2 / sqrt(pi()) * exp(-x * x) * sum;
END $$;
-- Lanczos' approximation with g = 7 and nine terms, good to some 15 digits.
CREATE OR REPLACE FUNCTION kql.loggamma(x float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x <= 0 OR x = 'NaN' THEN 'NaN'::float8 WHEN x > 1e305 THEN 'Infinity'
               WHEN x < 0.5 THEN ln(pi() / sin(pi() * x)) - kql.loggamma(1 - x)
               ELSE (SELECT 0.5 * ln(2 * pi()) + (x - 0.5) * ln(x + 6.5) - (x + 6.5) + ln(0.99999999999980993::float8 + sum(c / (x - 1 + i)))
                       FROM unnest(ARRAY[676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
                                         -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7]::float8[]) WITH ORDINALITY u(c, i)) END $$;
CREATE OR REPLACE FUNCTION kql.gamma(x float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x <= 0 OR x = 'NaN' THEN 'NaN'::float8 WHEN x > 171.6243769563027 THEN 'Infinity'
               WHEN x = trunc(x) AND x < 22 THEN factorial(x::bigint - 1)::float8 ELSE exp(kql.loggamma(x)) END $$;
CREATE OR REPLACE FUNCTION kql.beta_pdf(x float8, a float8, b float8) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN x IS NULL OR a IS NULL OR b IS NULL THEN NULL WHEN a <= 0 OR b <= 0 OR x < 0 OR x > 1 THEN 'NaN'::float8 WHEN x IN (0, 1) THEN 0
               ELSE exp((a - 1) * ln(x) + (b - 1) * ln(1 - x) + kql.loggamma(a + b) - kql.loggamma(a) - kql.loggamma(b)) END $$;
-- The regularized incomplete beta function by its continued fraction: Abramowitz and Stegun, 26.5.8.
CREATE OR REPLACE FUNCTION kql.beta_cdf(x float8, a float8, b float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    fraction float8 := 0;
    d float8;
BEGIN
    IF x IS NULL OR a IS NULL OR b IS NULL THEN RETURN NULL; END IF;
    IF x < 0 OR x > 1 OR a <= 0 OR b <= 0 THEN RETURN 'NaN'; END IF;
    IF x IN (0, 1) THEN RETURN x; END IF;
    IF x > (a + 1) / (a + b + 2) THEN RETURN 1 - kql.beta_cdf(1 - x, b, a); END IF;
    FOR m IN REVERSE 200 .. 1 LOOP
        d := CASE WHEN m % 2 = 0 THEN m / 2 * (b - m / 2) * x / ((a + m - 1) * (a + m)) ELSE -(a + m / 2) * (a + b + m / 2) * x / ((a + m - 1) * (a + m)) END;
        fraction := d / (1 + fraction);
    END LOOP;
    RETURN exp(a * ln(x) + b * ln(1 - x) + kql.loggamma(a + b) - kql.loggamma(a) - kql.loggamma(b)) / a / (1 + fraction);
END $$;
CREATE OR REPLACE FUNCTION kql.beta_inv(p float8, a float8, b float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    low float8 := 0;
    high float8 := 1;
    x float8;
BEGIN
    IF p IS NULL OR a IS NULL OR b IS NULL OR p < 0 OR p > 1 THEN RETURN NULL; END IF;
    IF a <= 0 OR b <= 0 THEN RETURN 'NaN'; END IF;
    FOR i IN 1 .. 1100 LOOP -- by halves: as far as numbers go, also towards 0
        x := (low + high) / 2;
        EXIT WHEN x = low OR x = high;
        IF kql.beta_cdf(x, a, b) < p THEN low := x; ELSE high := x; END IF;
    END LOOP;
    RETURN x;
END $$;

-- ---- Punycode: RFC 3492 ----
CREATE OR REPLACE FUNCTION kql.punycode_adapted(delta bigint, count int, first bool) RETURNS int LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    k int := 0;
BEGIN
    delta := delta / CASE WHEN first THEN 700 ELSE 2 END;
    delta := delta + delta / count;
    WHILE delta > 455 LOOP
        delta := delta / 35;
        k := k + 36;
    END LOOP;
    RETURN k + 36 * delta / (delta + 38);
END $$;
CREATE OR REPLACE FUNCTION kql.punycode(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    points int[] := ARRAY(SELECT ascii(c) FROM regexp_split_to_table(x, '') WITH ORDINALITY u(c, i) WHERE c <> '' ORDER BY i);
    basic text := regexp_replace(x, '[^\x01-\x7f]', '', 'g');
    done int := length(regexp_replace(x, '[^\x01-\x7f]', '', 'g'));
    total int := done;
    n int := 128;
    next int;
    bias int := 72;
    delta bigint := 0;
    q bigint;
    t int;
    k int;
    point int;
    result text := basic || CASE WHEN done > 0 THEN '-' ELSE '' END;
BEGIN
    WHILE done < cardinality(points) LOOP
        next := (SELECT min(p) FROM unnest(points) p WHERE p >= n);
        delta := delta + (next - n)::bigint * (done + 1);
        n := next;
        FOREACH point IN ARRAY points LOOP
            IF point < n THEN delta := delta + 1; END IF;
            CONTINUE WHEN point <> n;
            q := delta;
            k := 36;
            LOOP
                t := least(greatest(k - bias, 1), 26);
                EXIT WHEN q < t;
                result := result || substr('abcdefghijklmnopqrstuvwxyz0123456789', (t + (q - t) % (36 - t) + 1)::int, 1);
                q := (q - t) / (36 - t);
                k := k + 36;
            END LOOP;
            result := result || substr('abcdefghijklmnopqrstuvwxyz0123456789', (q + 1)::int, 1);
            bias := kql.punycode_adapted(delta, done + 1, done = total);
            delta := 0;
            done := done + 1;
        END LOOP;
        delta := delta + 1;
        n := n + 1;
    END LOOP;
    RETURN result;
END $$;
-- What is no Punycode gives an empty text.
CREATE OR REPLACE FUNCTION kql.punycode_read(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
    rest text := lower(CASE WHEN strpos(x, '-') > 0 THEN substring(x FROM '[^-]*$') ELSE x END);
    points int[] := ARRAY(SELECT ascii(c) FROM regexp_split_to_table(CASE WHEN strpos(x, '-') > 0 THEN substring(x FROM '^(.*)-[^-]*$') ELSE '' END, '')
                          WITH ORDINALITY u(c, i) WHERE c <> '' ORDER BY i);
    n bigint := 128;
    at bigint := 0;
    before bigint;
    bias int := 72;
    weight bigint;
    digit int;
    k int;
    t int;
BEGIN
    IF x ~ '[^\x01-\x7f]' THEN RETURN ''; END IF;
    WHILE rest <> '' LOOP
        before := at;
        weight := 1;
        k := 36;
        LOOP
            digit := strpos('abcdefghijklmnopqrstuvwxyz0123456789', left(rest, 1)) - 1;
            IF rest = '' OR digit < 0 OR weight > 1000000000 THEN RETURN ''; END IF;
            rest := substr(rest, 2);
            at := at + digit * weight;
            t := least(greatest(k - bias, 1), 26);
            EXIT WHEN digit < t;
            weight := weight * (36 - t);
            k := k + 36;
        END LOOP;
        bias := kql.punycode_adapted(at - before, cardinality(points) + 1, before = 0);
        n := n + at / (cardinality(points) + 1);
        at := at % (cardinality(points) + 1);
        IF n > 1114111 OR n BETWEEN 55296 AND 57343 THEN RETURN ''; END IF;
        points := points[1:at] || n::int || points[at + 1:];
        at := at + 1;
    END LOOP;
    RETURN coalesce((SELECT string_agg(chr(p), '' ORDER BY i) FROM unnest(points) WITH ORDINALITY u(p, i)), '');
END $$;
CREATE OR REPLACE FUNCTION kql.punycode_domain(x text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT string_agg(CASE WHEN l ~ '[^\x01-\x7f]' THEN 'xn--' || kql.punycode(l) ELSE l END, '.' ORDER BY i) FROM unnest(string_to_array(x, '.')) WITH ORDINALITY u(l, i) $$;
CREATE OR REPLACE FUNCTION kql.punycode_domain_read(x text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT string_agg(CASE WHEN l LIKE 'xn--%' THEN kql.punycode_read(substr(l, 5)) ELSE l END, '.' ORDER BY i) FROM unnest(string_to_array(x, '.')) WITH ORDINALITY u(l, i) $$;

CREATE OR REPLACE FUNCTION kql.assert(condition bool, message text) RETURNS bool LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ BEGIN
    IF condition IS NOT TRUE THEN RAISE 'assert: %', message; END IF;
    RETURN true;
END $$;
