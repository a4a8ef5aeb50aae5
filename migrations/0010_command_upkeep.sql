-- What was handed to a connection that ended with its server waits again, and what nobody fetched in time says so.
SET LOCAL ROLE picket_owner;

CREATE INDEX cloud_message_locked ON picket.cloud_message (locked_until) WHERE state = 'locked';
CREATE INDEX cloud_message_expiry ON picket.cloud_message (expires_at) WHERE state IN ('queued', 'locked');

CREATE OR REPLACE FUNCTION picket.ingest_alive(replica_id uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO picket.ingest_replica (replica) VALUES (replica_id) ON CONFLICT (replica) DO UPDATE SET seen_at = now();
    DELETE FROM picket.ingest_replica r WHERE r.seen_at < now() - interval '1 day';
    IF NOT pg_try_advisory_xact_lock(hashtext('picket.commands')) THEN
        RETURN;
    END IF;
    UPDATE picket.cloud_message m SET state = 'expired', ended_at = now(), lock_token = NULL, locked_until = NULL
     WHERE m.message_number IN (SELECT o.message_number FROM picket.cloud_message o
                                 WHERE o.state IN ('queued', 'locked') AND o.expires_at <= now()
                                   AND (o.state = 'queued' OR o.locked_until <= now())
                                 LIMIT 1000 FOR UPDATE SKIP LOCKED);
    -- Queued anew, it is news to every server, and the one that has the device hands it out.
    UPDATE picket.cloud_message m SET state = 'queued', lock_token = NULL, locked_until = NULL
     WHERE m.message_number IN (SELECT o.message_number FROM picket.cloud_message o
                                 WHERE o.state = 'locked' AND o.locked_until <= now() LIMIT 1000 FOR UPDATE SKIP LOCKED);
    DELETE FROM picket.cloud_message m WHERE m.message_number IN (
        SELECT o.message_number FROM picket.cloud_message o WHERE o.ended_at < now() - interval '7 days' LIMIT 1000);
    DELETE FROM picket.method_call c WHERE c.call_number IN (
        SELECT o.call_number FROM picket.method_call o WHERE o.expires_at < now() - interval '7 days' LIMIT 1000);
END $$;
