SET LOCAL ROLE picket_owner;
DROP INDEX picket.cloud_message_locked, picket.cloud_message_expiry;
CREATE OR REPLACE FUNCTION picket.ingest_alive(replica_id uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO picket.ingest_replica (replica) VALUES (replica_id) ON CONFLICT (replica) DO UPDATE SET seen_at = now();
    DELETE FROM picket.ingest_replica r WHERE r.seen_at < now() - interval '1 day';
    IF NOT pg_try_advisory_xact_lock(hashtext('picket.commands')) THEN
        RETURN;
    END IF;
    DELETE FROM picket.cloud_message m WHERE m.message_number IN (
        SELECT o.message_number FROM picket.cloud_message o WHERE o.ended_at < now() - interval '7 days' LIMIT 1000);
    DELETE FROM picket.method_call c WHERE c.call_number IN (
        SELECT o.call_number FROM picket.method_call o WHERE o.expires_at < now() - interval '7 days' LIMIT 1000);
END $$;
RESET ROLE;
