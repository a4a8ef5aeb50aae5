SET LOCAL ROLE picket_owner;
DROP VIEW analytics."_SecurityIoTRawEvent", analytics."_DefenderIoTRawEvent";
SELECT pg_advisory_xact_lock(hashtext('picket.partitions'));
DO $$
DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT relid FROM pg_partition_tree('picket.raw_event') LOOP
        EXECUTE format('DROP TRIGGER event_hour ON %s', part);
    END LOOP;
END $$;
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

-- Drops partitions that end before the given times; returns their names.
CREATE OR REPLACE FUNCTION picket.partitions_drop(events_before timestamptz, messages_before timestamptz) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    part record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('picket.partitions'));
    FOR part IN
        SELECT c.relname AS name, p.relname AS parent,
               (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']+)''\)'))[1]::timestamptz AS ends
          FROM pg_inherits i
          JOIN pg_class c ON c.oid = i.inhrelid
          JOIN pg_class p ON p.oid = i.inhparent
         WHERE i.inhparent IN ('picket.raw_event'::regclass, 'picket.message'::regclass)
    LOOP
        IF part.ends <= (CASE part.parent WHEN 'raw_event' THEN events_before ELSE messages_before END) THEN
            EXECUTE format('DROP TABLE picket.%I', part.name);
            RETURN NEXT part.name;
        END IF;
    END LOOP;
END $$;
DROP FUNCTION picket.event_hour_watch(regclass), picket.event_hour_add();
DROP TABLE picket.event_hour;
RESET ROLE;
