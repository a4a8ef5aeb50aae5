-- Events counted by the hour, so that what a fleet sent in a month is read from some ten thousand rows. A count is made in
-- the transaction that stores the events, whoever stores them, and goes when they go: at every moment the sums are those
-- of the events. Rows bear the bus partition, whose events have one writer: no two stores wait for each other's.
SET LOCAL ROLE picket_owner;
CREATE TABLE picket.event_hour (
    workspace_id  int         NOT NULL,
    hour          timestamptz NOT NULL, -- of time_generated
    bus_topic_id  smallint    NOT NULL,
    bus_partition int         NOT NULL,
    kind          bytea       NOT NULL, -- of the three texts, which may be longer than an index takes: see event_hour_add()
    type          text        COLLATE "C" NOT NULL,
    category      text        COLLATE "C" NOT NULL,
    name          text        COLLATE "C" NOT NULL,
    event_count   bigint      NOT NULL,
    hit_count     numeric     NOT NULL, -- sums of what senders say pass any bigint
    first_at      timestamptz NOT NULL, -- of time_generated, like last_at
    last_at       timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, hour, bus_topic_id, bus_partition, kind)
) WITH (fillfactor = 50);
ALTER TABLE picket.event_hour ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON picket.event_hour TO picket_owner USING (true) WITH CHECK (true);
CREATE POLICY visible ON picket.event_hour TO picket_query, picket_admin
    USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]));
GRANT SELECT ON picket.event_hour TO picket_query, picket_admin;

-- Rows in the order of their key: a replayed dead letter and the store of its partition then never wait in a circle.
CREATE FUNCTION picket.event_hour_add() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO picket.event_hour AS h
    SELECT a.workspace_id, a.hour, a.bus_topic_id, a.bus_partition,
           substr(sha256(convert_to(jsonb_build_array(a.type, a.category, a.name)::text, 'UTF8')), 1, 16) AS kind,
           a.type, a.category, a.name, a.event_count, a.hit_count, a.first_at, a.last_at
      FROM (SELECT workspace_id, date_trunc('hour', time_generated, 'UTC') AS hour, bus_topic_id, bus_partition, type, category,
                   name, count(*) AS event_count, sum(hit_count) AS hit_count, min(time_generated) AS first_at,
                   max(time_generated) AS last_at
              FROM added GROUP BY 1, 2, 3, 4, 5, 6, 7) a
     ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (workspace_id, hour, bus_topic_id, bus_partition, kind) DO UPDATE
       SET event_count = h.event_count + excluded.event_count, hit_count = h.hit_count + excluded.hit_count,
           first_at = least(h.first_at, excluded.first_at), last_at = greatest(h.last_at, excluded.last_at);
    RETURN NULL;
END $$;

-- COPY names a day's partition, INSERT may name the whole: each fires the triggers of what was named, and no others.
CREATE FUNCTION picket.event_hour_watch(events regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER event_hour AFTER INSERT ON %s REFERENCING NEW TABLE AS added
                    FOR EACH STATEMENT EXECUTE FUNCTION picket.event_hour_add()', events);
END $$;
REVOKE ALL ON FUNCTION picket.event_hour_add(), picket.event_hour_watch(regclass) FROM PUBLIC;

CREATE OR REPLACE FUNCTION picket.partitions_make(from_time timestamptz, to_time timestamptz) RETURNS int
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    at   timestamptz;
    name text;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('picket.partitions'));
    at := date_trunc('day', from_time);
    WHILE at <= to_time LOOP
        name := 'raw_event_' || to_char(at, 'YYYYMMDD');
        IF to_regclass('picket.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE picket.%I PARTITION OF picket.raw_event FOR VALUES FROM (%L) TO (%L)',
                           name, at, at + interval '1 day');
            EXECUTE format('GRANT INSERT ON picket.%I TO picket_store', name); -- for COPY, which no policy allows
            PERFORM picket.event_hour_watch(format('picket.%I', name)::regclass);
            made := made + 1;
        END IF;
        at := at + interval '1 day';
    END LOOP;
    at := date_trunc('week', from_time);
    WHILE at <= to_time LOOP
        name := 'message_' || to_char(at, 'IYYY"w"IW');
        IF to_regclass('picket.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE picket.%I PARTITION OF picket.message FOR VALUES FROM (%L) TO (%L)',
                           name, at, at + interval '1 week');
            EXECUTE format('CREATE UNIQUE INDEX ON picket.%I (workspace_id, device_id, message_key)', name);
            made := made + 1;
        END IF;
        at := at + interval '1 week';
    END LOOP;
    RETURN made;
END $$;

-- Drops partitions that end before the given times, with what was counted of them; returns their names.
CREATE OR REPLACE FUNCTION picket.partitions_drop(events_before timestamptz, messages_before timestamptz) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    part record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('picket.partitions'));
    FOR part IN
        SELECT c.relname AS name, p.relname AS parent, b.ends::timestamptz AS ends, b.starts::timestamptz AS starts
          FROM pg_inherits i
          JOIN pg_class c ON c.oid = i.inhrelid
          JOIN pg_class p ON p.oid = i.inhparent,
               LATERAL (SELECT (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\)'))[1] AS starts,
                               (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']+)''\)'))[1] AS ends) b
         WHERE i.inhparent IN ('picket.raw_event'::regclass, 'picket.message'::regclass)
    LOOP
        IF part.ends <= (CASE part.parent WHEN 'raw_event' THEN events_before ELSE messages_before END) THEN
            EXECUTE format('DROP TABLE picket.%I', part.name);
            IF part.parent = 'raw_event' THEN
                DELETE FROM picket.event_hour h WHERE h.hour >= part.starts AND h.hour < part.ends;
            END IF;
            RETURN NEXT part.name;
        END IF;
    END LOOP;
END $$;

-- What is there already. Making a trigger waits for who is storing and keeps out who wants to, so nothing is missed or counted twice.
SELECT pg_advisory_xact_lock(hashtext('picket.partitions'));
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT relid FROM pg_partition_tree('picket.raw_event') ORDER BY level, relid LOOP
        PERFORM picket.event_hour_watch(part);
    END LOOP;
END $$;
INSERT INTO picket.event_hour
SELECT workspace_id, date_trunc('hour', time_generated, 'UTC'), bus_topic_id, bus_partition,
       substr(sha256(convert_to(jsonb_build_array(type, category, name)::text, 'UTF8')), 1, 16), type, category, name,
       count(*), sum(hit_count), min(time_generated), max(time_generated)
  FROM picket.raw_event GROUP BY workspace_id, 2, bus_topic_id, bus_partition, type, category, name;

-- To the compiler, a view that is named as a table with a dash before it has that table's rows added up: those of its columns
-- that are kept, TimeGenerated as the hour, and _count, _sum_Column, _min_Column and _max_Column.
CREATE VIEW analytics."_SecurityIoTRawEvent" WITH (security_invoker) AS
SELECT h.hour AS "TimeGenerated", h.name AS "RawEventName", h.type AS "RawEventType", h.category AS "RawEventCategory",
       'SecurityIoTRawEvent' AS "Type", picket.workspace_guid(h.workspace_id) AS "TenantId", h.event_count AS "_count",
       h.hit_count AS "_sum_HitCount", h.first_at AS "_min_TimeGenerated", h.last_at AS "_max_TimeGenerated"
  FROM picket.event_hour h;
CREATE VIEW analytics."_DefenderIoTRawEvent" WITH (security_invoker) AS
SELECT h.hour AS "TimeGenerated", h.name AS "RawEventName", h.type AS "RawEventType", h.category AS "RawEventCategory",
       'DefenderIoTRawEvent' AS "Type", picket.workspace_guid(h.workspace_id) AS "TenantId", h.event_count AS "_count",
       h.hit_count AS "_sum_HitCount", h.first_at AS "_min_TimeGenerated", h.last_at AS "_max_TimeGenerated"
  FROM picket.event_hour h;

-- "__EventDetails" has no word any more that "EventDetails" has not, but where it has "null", which the latter leaves out.
CREATE OR REPLACE VIEW analytics."SecurityIoTRawEvent" WITH (security_invoker) AS
SELECT r.time_generated AS "TimeGenerated", r.time_stamp AS "TimeStamp", r.device_id AS "DeviceId", r.module_id AS "ModuleId",
       r.event_id::text AS "IoTRawEventId", r.name AS "RawEventName", r.type AS "RawEventType", r.category AS "RawEventCategory",
       r.is_empty AS "IsEmpty", r.hit_count AS "HitCount", coalesce(r.agent_version, '') AS "AgentVersion",
       picket.event_details(r.details, r.key_order, r.sender_event_id, r.time_stamp) AS "EventDetails",
       r.details AS "_EventDetails",
       r.details::text || CASE WHEN r.sender_event_id IS NULL OR r.details ? 'OriginalEventId' THEN '' ELSE ' ' || r.sender_event_id END AS "__EventDetails",
       coalesce(r.firmware, '') AS "Firmware", to_jsonb(coalesce(r.departures, '{}')) AS "Departures",
       'SecurityIoTRawEvent' AS "Type", picket.workspace_guid(r.workspace_id) AS "TenantId"
  FROM picket.raw_event r;
GRANT SELECT ON analytics."_SecurityIoTRawEvent", analytics."_DefenderIoTRawEvent" TO picket_query;
RESET ROLE;
