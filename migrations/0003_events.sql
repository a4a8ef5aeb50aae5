-- What devices sent. `message` remembers each message for the resend window; `raw_event` holds one row per payload element.
SET LOCAL ROLE picket_owner;

-- Where records came from. Offsets belong to a cluster and a topic; 'direct' has one topic of its own.
CREATE TABLE picket.bus_topic (
    bus_topic_id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster      text NOT NULL,
    topic        text NOT NULL,
    UNIQUE (cluster, topic)
);
-- The fence: a batch's transaction moves next_offset by compare-and-set, so each partition has one writer.
CREATE TABLE picket.bus_offset (
    bus_topic_id smallint    NOT NULL REFERENCES picket.bus_topic,
    partition    int         NOT NULL,
    next_offset  bigint      NOT NULL,
    moved_at     timestamptz NOT NULL DEFAULT now(),
    -- A reader that ended without handing the partition back leaves `held`. After two such ends at one offset the next
    -- one goes record by record and notes each before it touches it: `attempt_alone`. A record that then ends the program
    -- twice is a dead letter.
    held           boolean   NOT NULL DEFAULT false,
    attempt_offset bigint,
    attempts       int       NOT NULL DEFAULT 0,
    attempt_alone  boolean   NOT NULL DEFAULT false,
    PRIMARY KEY (bus_topic_id, partition)
) WITH (fillfactor = 50);
-- Records that the bus lost before store could read them: counted, alarmed, never silent.
CREATE TABLE picket.bus_gap (
    bus_topic_id smallint    NOT NULL REFERENCES picket.bus_topic,
    partition    int         NOT NULL,
    expected     bigint      NOT NULL,
    available    bigint      NOT NULL,
    noticed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (bus_topic_id, partition, expected)
);

-- One narrow row per device message, dropped by the week after the resend window. Each partition has a unique index
-- on (workspace_id, device_id, message_key), made with it: a partitioned unique index would have to include received_at.
CREATE TABLE picket.message (
    workspace_id  int         NOT NULL,
    device_id     text        COLLATE "C" NOT NULL,
    module_id     text        COLLATE "C" NOT NULL DEFAULT '',
    message_key   uuid        NOT NULL, -- BLAKE2b-128
    received_at   timestamptz NOT NULL,
    bus_topic_id  smallint    NOT NULL,
    bus_partition int         NOT NULL,
    bus_offset    bigint      NOT NULL,
    event_count   int         NOT NULL,
    departures    text[],     -- of the envelope; those of an event stand on the event
    extra         jsonb,      -- members of the envelope that the published schema does not know; NULL when there are none
    properties    jsonb,      -- IoT Hub's system and application properties that came beside the body; NULL: none
    commit_xid    xid8        NOT NULL DEFAULT pg_current_xact_id()
) PARTITION BY RANGE (received_at);

CREATE TABLE picket.raw_event (
    workspace_id    int         NOT NULL,
    device_id       text        COLLATE "C" NOT NULL,
    module_id       text        COLLATE "C" NOT NULL DEFAULT '',
    time_generated  timestamptz NOT NULL, -- receipt, stamped once by ingest
    time_stamp      timestamptz NOT NULL, -- the event's own time
    time_local      text,                 -- TimestampLocal as sent
    event_id        uuid        NOT NULL, -- BLAKE2b-128 of message key and row number in the message
    sender_event_id text,
    element         int         NOT NULL, -- index in the sender's payload list
    type            text        COLLATE "C" NOT NULL,
    category        text        COLLATE "C" NOT NULL,
    name            text        COLLATE "C" NOT NULL,
    is_empty        boolean     NOT NULL DEFAULT false,
    hit_count       bigint      NOT NULL DEFAULT 1,
    agent_version   text,
    agent_id        uuid,                 -- the envelope's AgentId where it is a GUID in its usual form
    firmware        text,
    -- What rules and questions touch most, taken from the details where they are well-formed.
    remote_address  inet,
    remote_port     int,
    local_port      int,
    executable      text,
    process_id      bigint,
    user_name       text,
    details         jsonb       NOT NULL,
    key_order       bytea,      -- the sender's key order; NULL where it is jsonb's own: see picket.json_text()
    extra           jsonb,      -- the event's members beside the payload that no column holds; NULL when there are none
    departures      text[],
    bus_topic_id    smallint    NOT NULL,
    bus_partition   int         NOT NULL,
    bus_offset      bigint      NOT NULL
) PARTITION BY RANGE (time_generated);
CREATE INDEX raw_event_device ON picket.raw_event (workspace_id, device_id, time_generated DESC);
CREATE INDEX raw_event_time ON picket.raw_event USING brin (time_generated) WITH (pages_per_range = 32, autosummarize = on);

-- JSON text with the members in the sender's order and no blanks outside strings. jsonb sorts the keys of every object by
-- length, then bytes; `key_order` says where each sorted key stood: objects are visited in the sender's order, depth
-- first, and each object of n > 1 keys contributes n ranks, one byte each up to 256 keys and two (big endian) beyond.
-- NULL: the order is jsonb's own. `used` is how many bytes were used before this value.
CREATE FUNCTION picket.json_text_walk(value jsonb, key_order bytea, INOUT used int, OUT result text)
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    keys  text[];
    count int;
    rank  int;
    part  record;
    start int;
BEGIN
    IF jsonb_typeof(value) = 'object' THEN
        SELECT coalesce(array_agg(k ORDER BY n), '{}') INTO keys FROM jsonb_object_keys(value) WITH ORDINALITY AS o(k, n);
        count := cardinality(keys);
        start := used;
        IF count > 1 AND key_order IS NOT NULL THEN
            used := used + count * CASE WHEN count > 256 THEN 2 ELSE 1 END;
        END IF;
        result := '{';
        FOR i IN 0 .. count - 1 LOOP
            rank := i;
            IF count > 256 AND key_order IS NOT NULL THEN
                rank := get_byte(key_order, start + 2 * i) * 256 + get_byte(key_order, start + 2 * i + 1);
            ELSIF count > 1 AND key_order IS NOT NULL THEN
                rank := get_byte(key_order, start + i);
            END IF;
            SELECT * INTO part FROM picket.json_text_walk(value -> keys[rank + 1], key_order, used);
            used := part.used;
            result := result || CASE WHEN i > 0 THEN ',' ELSE '' END || to_json(keys[rank + 1])::text || ':' || part.result;
        END LOOP;
        result := result || '}';
    ELSIF jsonb_typeof(value) = 'array' THEN
        result := '[';
        FOR i IN 0 .. jsonb_array_length(value) - 1 LOOP
            SELECT * INTO part FROM picket.json_text_walk(value -> i, key_order, used);
            used := part.used;
            result := result || CASE WHEN i > 0 THEN ',' ELSE '' END || part.result;
        END LOOP;
        result := result || ']';
    ELSE
        result := value::text;
    END IF;
END $$;
CREATE FUNCTION picket.json_text(value jsonb, key_order bytea) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT result FROM picket.json_text_walk(value, key_order, 0) $$;

-- Per identity: what the store has seen of it. Apart from `device`, so that every batch does not disturb the roster.
CREATE TABLE picket.device_activity (
    workspace_id    int         NOT NULL,
    device_id       text        COLLATE "C" NOT NULL,
    module_id       text        COLLATE "C" NOT NULL DEFAULT '',
    first_seen_at   timestamptz NOT NULL,
    last_seen_at    timestamptz NOT NULL,
    message_count   bigint      NOT NULL DEFAULT 0,
    resend_count    bigint      NOT NULL DEFAULT 0, -- messages seen again and not stored twice
    event_count     bigint      NOT NULL DEFAULT 0,
    departure_count bigint      NOT NULL DEFAULT 0, -- events with departures from the published schema
    refused_count   bigint      NOT NULL DEFAULT 0, -- refused at the front door
    refused_reasons jsonb       NOT NULL DEFAULT '{}', -- {"400":1}
    dead_count      bigint      NOT NULL DEFAULT 0,
    agent_version   text,
    PRIMARY KEY (workspace_id, device_id, module_id)
) WITH (fillfactor = 60);

-- The loss ledger: per identity, numbering (epoch) and stream, which event numbers arrived and which the sender dropped.
CREATE TABLE picket.ledger (
    workspace_id  int            NOT NULL,
    device_id     text           COLLATE "C" NOT NULL,
    module_id     text           COLLATE "C" NOT NULL DEFAULT '',
    epoch         uuid           NOT NULL,
    stream        smallint       NOT NULL,
    highest       bigint         NOT NULL, -- greatest number the sender has told of
    stored        int8multirange NOT NULL DEFAULT '{}',
    dropped       int8multirange NOT NULL DEFAULT '{}', -- told by the sender
    drop_reasons  jsonb          NOT NULL DEFAULT '{}', -- {"spool-full":12}
    settled_below bigint         NOT NULL DEFAULT 1,    -- ranges below were folded into the two counts that follow
    settled_stored bigint        NOT NULL DEFAULT 0,
    settled_lost  bigint         NOT NULL DEFAULT 0,
    gap_from      bigint,        -- lowest number that is missing; NULL while nothing is
    gap_since     timestamptz,   -- receipt time at which it was first missing
    gap_alerted   bigint,        -- the gap_from that an alert was raised for
    first_seen_at timestamptz    NOT NULL,
    last_seen_at  timestamptz    NOT NULL,
    PRIMARY KEY (workspace_id, device_id, module_id, epoch, stream)
) WITH (fillfactor = 60);

-- Messages that can never be stored, with the reason.
CREATE TABLE picket.dead_letter (
    dead_letter_id bigint      GENERATED ALWAYS AS IDENTITY,
    workspace_id   int         NOT NULL,
    device_id      text        COLLATE "C" NOT NULL DEFAULT '',
    module_id      text        COLLATE "C" NOT NULL DEFAULT '',
    received_at    timestamptz NOT NULL,
    written_at     timestamptz NOT NULL DEFAULT now(),
    reason         text        NOT NULL,
    headers        jsonb       NOT NULL, -- the record's, values as text where they are UTF-8, else {"base64":…}
    body           bytea       NOT NULL,
    bus_topic_id   smallint    NOT NULL,
    bus_partition  int         NOT NULL,
    bus_offset     bigint      NOT NULL,
    state          text        NOT NULL DEFAULT 'dead' CHECK (state IN ('dead', 'replay', 'replayed')),
    replayed_at    timestamptz,
    commit_xid     xid8        NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (workspace_id, dead_letter_id)
);
CREATE INDEX dead_letter_replay ON picket.dead_letter (dead_letter_id) WHERE state = 'replay';
CREATE INDEX ledger_gap ON picket.ledger (gap_since) WHERE gap_from IS NOT NULL;
CREATE TRIGGER commit_xid BEFORE UPDATE ON picket.dead_letter FOR EACH ROW EXECUTE FUNCTION picket.commit_xid_renew();

-- The same cause on the same device is one alert, repeated.
CREATE TABLE picket.alert (
    workspace_id  int         NOT NULL,
    alert_id      uuid        NOT NULL DEFAULT gen_random_uuid(),
    device_id     text        COLLATE "C" NOT NULL DEFAULT '',
    module_id     text        COLLATE "C" NOT NULL DEFAULT '',
    rule_id       text        NOT NULL,
    cause         text        NOT NULL DEFAULT '',
    severity      text        NOT NULL CHECK (severity IN ('Informational', 'Low', 'Medium', 'High')),
    title         text        NOT NULL,
    details       jsonb       NOT NULL DEFAULT '{}',
    status        text        NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed')),
    repeat_count  bigint      NOT NULL DEFAULT 1,
    first_seen_at timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    commit_xid    xid8        NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (workspace_id, alert_id)
);
CREATE UNIQUE INDEX alert_cause ON picket.alert (workspace_id, device_id, module_id, rule_id, cause) WHERE status = 'open';
CREATE TRIGGER commit_xid BEFORE UPDATE ON picket.alert FOR EACH ROW EXECUTE FUNCTION picket.commit_xid_renew();

-- Partitions: made ahead and dropped by retention, by functions, so that store needs no right to create or drop.
CREATE FUNCTION picket.partitions_make(from_time timestamptz, to_time timestamptz) RETURNS int
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
CREATE FUNCTION picket.partitions_drop(events_before timestamptz, messages_before timestamptz) RETURNS SETOF text
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
REVOKE ALL ON FUNCTION picket.partitions_make(timestamptz, timestamptz), picket.partitions_drop(timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.partitions_make(timestamptz, timestamptz), picket.partitions_drop(timestamptz, timestamptz) TO picket_store;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['message', 'raw_event', 'device_activity', 'ledger', 'dead_letter', 'alert'] LOOP
        EXECUTE format('ALTER TABLE picket.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY everything ON picket.%I TO picket_owner, picket_store USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY visible ON picket.%I TO picket_query, picket_admin
            USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]))', name);
        EXECUTE format('GRANT SELECT ON picket.%I TO picket_query, picket_admin', name);
        EXECUTE format('GRANT SELECT, INSERT%s ON picket.%I TO picket_store',
                       CASE WHEN name IN ('message', 'raw_event') THEN '' ELSE ', UPDATE' END, name);
    END LOOP;
END $$;
GRANT UPDATE (state) ON picket.dead_letter TO picket_admin;
GRANT UPDATE (status) ON picket.alert TO picket_admin;
GRANT SELECT ON picket.bus_topic, picket.bus_offset, picket.bus_gap TO picket_query, picket_admin;
GRANT SELECT, INSERT ON picket.bus_topic, picket.bus_gap TO picket_store;
GRANT SELECT, INSERT, UPDATE ON picket.bus_offset TO picket_store;
