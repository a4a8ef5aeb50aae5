-- Threat feeds, and what of it was seen: so that what is listed later is found in what was stored before.
SET LOCAL ROLE picket_owner;

CREATE TABLE picket.feed (
    workspace_id    int         NOT NULL,
    name            text        COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    kind            text        NOT NULL DEFAULT 'threat' CHECK (kind IN ('threat', 'warning')), -- the second drops false friends
    enabled         boolean     NOT NULL DEFAULT true,
    format          text        NOT NULL DEFAULT 'auto',
    url             text,       -- NULL: it is imported by hand
    pull_every      interval    CHECK (pull_every >= interval '1 minute'),
    min_confidence  int         NOT NULL DEFAULT 0 CHECK (min_confidence BETWEEN 0 AND 100),
    generation      bigint      NOT NULL DEFAULT 0, -- of its indicators that count
    making          bigint      NOT NULL DEFAULT 0, -- the newest that was begun
    indicator_count bigint      NOT NULL DEFAULT 0,
    loaded_at       timestamptz,
    pulled_at       timestamptz, -- the last try
    problem         text,        -- why that failed
    retro_done      bigint      NOT NULL DEFAULT 0, -- the newest generation that the past was searched for
    commit_xid      xid8        NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (workspace_id, name)
);
CREATE TRIGGER commit_xid BEFORE UPDATE ON picket.feed FOR EACH ROW EXECUTE FUNCTION picket.commit_xid_renew();

CREATE TABLE picket.indicator (
    workspace_id int         NOT NULL,
    feed         text        COLLATE "C" NOT NULL,
    generation   bigint      NOT NULL,
    value        text        COLLATE "C" NOT NULL,
    kind         text        NOT NULL,
    confidence   smallint,
    valid_until  timestamptz
);
CREATE INDEX indicator_feed ON picket.indicator (workspace_id, feed, generation);
-- Instead of a foreign key, which would be looked up for each of a million rows.
CREATE FUNCTION picket.feed_gone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM picket.indicator i WHERE i.workspace_id = OLD.workspace_id AND i.feed = OLD.name;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION picket.feed_gone() FROM PUBLIC;
CREATE TRIGGER gone AFTER DELETE ON picket.feed FOR EACH ROW EXECUTE FUNCTION picket.feed_gone();

-- What devices had to do with on a day: addresses, names, hashes, sources of downloads. It holds what a feed may list later, each once,
-- so that a month of a fleet is asked in seconds.
CREATE TABLE picket.observable (
    workspace_id int    NOT NULL,
    day          date   NOT NULL,
    kind         text   NOT NULL CHECK (kind IN ('ip', 'domain', 'hash', 'url')),
    value        text   COLLATE "C" NOT NULL,
    device_id    text   COLLATE "C" NOT NULL,
    module_id    text   COLLATE "C" NOT NULL,
    port         int    NOT NULL, -- the first that was seen with an address that the device called; 0: none
    event_id     uuid   NOT NULL, -- the first
    time_generated timestamptz NOT NULL,
    PRIMARY KEY (workspace_id, day, device_id, kind, value)
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['feed', 'indicator', 'observable'] LOOP
        EXECUTE format('ALTER TABLE picket.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY everything ON picket.%I TO picket_owner, picket_store USING (true) WITH CHECK (true)', name);
        CONTINUE WHEN name = 'observable';
        EXECUTE format('CREATE POLICY visible ON picket.%I TO picket_query, picket_admin
            USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]))', name);
        EXECUTE format('GRANT SELECT ON picket.%I TO picket_query, picket_admin', name);
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON picket.%I TO picket_admin', name);
    END LOOP;
END $$;
GRANT SELECT, UPDATE ON picket.feed TO picket_store;
GRANT SELECT, INSERT, DELETE ON picket.indicator TO picket_store;
GRANT SELECT, INSERT, DELETE ON picket.observable TO picket_store;

CREATE VIEW analytics."ThreatIntelligenceIndicator" WITH (security_invoker) AS
SELECT f.loaded_at AS "TimeGenerated", f.loaded_at AS "LastUpdatedTimeUtc", true AS "Active", f.name AS "SourceSystem", f.name AS "AlertSource",
       coalesce(i.valid_until, '9999-12-31T00:00:00Z'::timestamptz) AS "ExpirationDateTime", coalesce(i.confidence, 0)::double precision AS "ConfidenceScore",
       md5(i.feed || ' ' || i.value) AS "IndicatorId", i.kind AS "ThreatType",
       CASE WHEN i.kind IN ('ip', 'ip_port') THEN regexp_replace(i.value, ':[0-9]+$', '') ELSE '' END AS "NetworkIP",
       CASE WHEN i.kind = 'network' THEN i.value ELSE '' END AS "NetworkCidrBlock",
       CASE WHEN i.kind = 'domain' THEN lower(i.value) ELSE '' END AS "DomainName", CASE WHEN i.kind = 'url' THEN i.value ELSE '' END AS "Url",
       CASE WHEN i.kind IN ('md5', 'sha1', 'sha256') THEN lower(i.value) ELSE '' END AS "FileHashValue",
       CASE WHEN i.kind IN ('md5', 'sha1', 'sha256') THEN upper(i.kind) ELSE '' END AS "FileHashType",
       'ThreatIntelligenceIndicator' AS "Type", picket.workspace_guid(i.workspace_id) AS "TenantId"
  FROM picket.indicator i JOIN picket.feed f ON f.workspace_id = i.workspace_id AND f.name = i.feed AND f.generation = i.generation
 WHERE f.enabled AND f.kind = 'threat' AND (i.valid_until IS NULL OR i.valid_until > now());
GRANT SELECT ON analytics."ThreatIntelligenceIndicator" TO picket_query;
RESET ROLE;
