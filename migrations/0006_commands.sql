-- What operators send to devices, and who is connected where.
SET LOCAL ROLE picket_owner;

-- A server that takes devices. Its connections count for as long as it was seen lately.
CREATE TABLE picket.ingest_replica (
    replica uuid        PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE picket.device_connection (
    workspace_id    int         NOT NULL,
    device_id       text        COLLATE "C" NOT NULL,
    module_id       text        COLLATE "C" NOT NULL DEFAULT '',
    connected       bool        NOT NULL,
    replica         uuid        NOT NULL,
    transport       text        NOT NULL,
    peer            text        NOT NULL,
    connected_at    timestamptz NOT NULL,
    disconnected_at timestamptz,
    commit_xid      xid8        NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (workspace_id, device_id, module_id)
) WITH (fillfactor = 70);
CREATE INDEX device_connection_commit ON picket.device_connection (commit_xid);
CREATE TRIGGER commit_xid BEFORE UPDATE ON picket.device_connection FOR EACH ROW EXECUTE FUNCTION picket.commit_xid_renew();

-- Cloud to device: waits here until the device has taken it, or its time is over.
CREATE TABLE picket.cloud_message (
    message_number   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id     int         NOT NULL,
    device_id        text        COLLATE "C" NOT NULL,
    state            text        NOT NULL DEFAULT 'queued'
                     CHECK (state IN ('queued', 'locked', 'completed', 'rejected', 'expired', 'dead', 'cancelled')),
    message_id       text,
    correlation_id   text,
    user_id          text,
    content_type     text,
    content_encoding text,
    properties       json        NOT NULL DEFAULT '{}',
    body             bytea       NOT NULL CHECK (octet_length(body) <= 65536),
    ack              text        NOT NULL DEFAULT 'none' CHECK (ack IN ('none', 'positive', 'negative', 'full')),
    lock_token       uuid,
    locked_until     timestamptz,
    delivery_count   int         NOT NULL DEFAULT 0,
    enqueued_at      timestamptz NOT NULL DEFAULT now(),
    expires_at       timestamptz NOT NULL,
    ended_at         timestamptz,
    commit_xid       xid8        NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX cloud_message_waiting ON picket.cloud_message (workspace_id, device_id, message_number)
    WHERE state IN ('queued', 'locked');
CREATE INDEX cloud_message_device ON picket.cloud_message (workspace_id, device_id, message_number DESC);
CREATE INDEX cloud_message_commit ON picket.cloud_message (commit_xid) WHERE state = 'queued';
CREATE INDEX cloud_message_ended ON picket.cloud_message (ended_at) WHERE ended_at IS NOT NULL;
CREATE TRIGGER commit_xid BEFORE UPDATE ON picket.cloud_message FOR EACH ROW EXECUTE FUNCTION picket.commit_xid_renew();

CREATE TABLE picket.method_call (
    call_number  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id int         NOT NULL,
    device_id    text        COLLATE "C" NOT NULL,
    module_id    text        COLLATE "C" NOT NULL DEFAULT '',
    method       text        NOT NULL,
    payload      json        NOT NULL,
    state        text        NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sent', 'answered', 'given up')),
    code         bigint,
    answer       json,
    asked_at     timestamptz NOT NULL DEFAULT now(),
    sent_at      timestamptz,
    ended_at     timestamptz,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX method_call_queued ON picket.method_call (call_number) WHERE state = 'queued';
CREATE INDEX method_call_device ON picket.method_call (workspace_id, device_id, call_number DESC);
CREATE INDEX method_call_ended ON picket.method_call (expires_at);

CREATE FUNCTION picket.deliveries_wake() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('picket_deliveries', '');
    RETURN NULL;
END $$;
CREATE TRIGGER wake AFTER INSERT ON picket.cloud_message FOR EACH STATEMENT EXECUTE FUNCTION picket.deliveries_wake();
CREATE TRIGGER wake AFTER INSERT ON picket.method_call FOR EACH STATEMENT EXECUTE FUNCTION picket.deliveries_wake();

-- Hands out the oldest that wait, each to one taker at a time. One that was handed out and not settled comes again.
CREATE FUNCTION picket.cloud_take(workspace int, device text, most int, lock_seconds int, deliveries_max int)
    RETURNS SETOF picket.cloud_message
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE picket.cloud_message m
       SET state = CASE WHEN m.expires_at <= now() THEN 'expired' ELSE 'dead' END, ended_at = now(), lock_token = NULL
     WHERE m.workspace_id = workspace AND m.device_id = device AND m.state IN ('queued', 'locked')
       AND (m.state = 'queued' OR m.locked_until <= now())
       AND (m.expires_at <= now() OR m.delivery_count >= deliveries_max);
    RETURN QUERY
    WITH taken AS (
        UPDATE picket.cloud_message m
           SET state = 'locked', lock_token = gen_random_uuid(), locked_until = now() + make_interval(secs => lock_seconds),
               delivery_count = m.delivery_count + 1
         WHERE m.message_number IN (
               SELECT w.message_number FROM picket.cloud_message w
                WHERE w.workspace_id = workspace AND w.device_id = device AND w.state IN ('queued', 'locked')
                  AND (w.state = 'queued' OR w.locked_until <= now())
                ORDER BY w.message_number LIMIT most FOR UPDATE SKIP LOCKED)
        RETURNING m.*)
    SELECT * FROM taken ORDER BY message_number;
END $$;

CREATE FUNCTION picket.cloud_settle(workspace int, device text, token uuid, outcome text) RETURNS bool
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE picket.cloud_message m
       SET state = outcome, lock_token = NULL, locked_until = NULL, ended_at = CASE WHEN outcome <> 'queued' THEN now() END
     WHERE m.workspace_id = workspace AND m.device_id = device AND m.lock_token = token AND m.state = 'locked';
    RETURN FOUND;
END $$;

-- Of the calls of some identities, those that nobody else has taken and that are not too late.
CREATE FUNCTION picket.method_claim(numbers bigint[])
    RETURNS TABLE (call_number bigint, workspace_id int, device_id text, module_id text, method text, payload text,
                   expires_us bigint)
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE picket.method_call c SET state = 'sent', sent_at = now()
     WHERE c.call_number IN (SELECT q.call_number FROM picket.method_call q
                              WHERE q.call_number = ANY (numbers) AND q.state = 'queued' FOR UPDATE SKIP LOCKED)
       AND c.state = 'queued' AND c.expires_at > now()
    RETURNING c.call_number, c.workspace_id, c.device_id, c.module_id, c.method, c.payload::text,
              (extract(epoch FROM c.expires_at) * 1000000)::bigint $$;

CREATE FUNCTION picket.method_answer(number bigint, workspace int, device text, module text, answer_code bigint,
                                     answer_payload json) RETURNS bool
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE picket.method_call c SET state = 'answered', code = answer_code, answer = answer_payload, ended_at = now()
     WHERE c.call_number = number AND c.workspace_id = workspace AND c.device_id = device AND c.module_id = module
       AND c.state = 'sent';
    IF FOUND THEN
        PERFORM pg_notify('picket_answers', '');
        RETURN true;
    END IF;
    RETURN false;
END $$;

-- What became of calls, for who waits for them in behalf of those who made them.
CREATE FUNCTION picket.method_results(numbers bigint[]) RETURNS TABLE (call_number bigint, state text, code bigint, answer text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.call_number, c.state, c.code, c.answer::text FROM picket.method_call c WHERE c.call_number = ANY (numbers) $$;
-- Nobody waits any more. False: the answer came in the meantime.
CREATE FUNCTION picket.method_give_up(number bigint) RETURNS bool
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE picket.method_call c SET state = 'given up', ended_at = now()
     WHERE c.call_number = number AND c.state IN ('queued', 'sent');
    RETURN FOUND;
END $$;

-- Connections made and ended, in the order of happening; an older word never overrules a newer one.
CREATE FUNCTION picket.connections_note(workspaces int[], devices text[], modules text[], connecteds bool[], replica_id uuid,
                                        transports text[], peers text[], connected_us bigint[], at_us bigint[])
    RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO picket.device_connection AS c (workspace_id, device_id, module_id, connected, replica, transport, peer,
                                               connected_at, disconnected_at)
    SELECT DISTINCT ON (n.workspace, n.device, n.module) n.workspace, n.device, n.module, n.connected, replica_id, n.transport,
           n.peer, to_timestamp(n.since_us / 1e6), CASE WHEN NOT n.connected THEN to_timestamp(n.at_us / 1e6) END
      FROM unnest(workspaces, devices, modules, connecteds, transports, peers, connected_us, at_us)
           AS n(workspace, device, module, connected, transport, peer, since_us, at_us)
      JOIN picket.device d ON d.workspace_id = n.workspace AND d.device_id = n.device AND d.module_id = n.module
     ORDER BY n.workspace, n.device, n.module, n.since_us DESC, n.connected
        ON CONFLICT (workspace_id, device_id, module_id) DO UPDATE
       SET connected = EXCLUDED.connected, replica = EXCLUDED.replica, transport = EXCLUDED.transport, peer = EXCLUDED.peer,
           connected_at = EXCLUDED.connected_at, disconnected_at = EXCLUDED.disconnected_at
     WHERE EXCLUDED.connected_at > c.connected_at
        OR (EXCLUDED.connected_at = c.connected_at AND c.connected AND NOT EXCLUDED.connected) $$;

-- Every few seconds from each server: it lives, and what is long over goes.
CREATE FUNCTION picket.ingest_alive(replica_id uuid) RETURNS void
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

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['device_connection', 'cloud_message', 'method_call'] LOOP
        EXECUTE format('ALTER TABLE picket.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY everything ON picket.%I TO picket_owner, picket_ingest USING (true) WITH CHECK (true)', name);
        EXECUTE format('CREATE POLICY visible ON picket.%I TO picket_query, picket_admin
                        USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]))', name);
        EXECUTE format('GRANT SELECT ON picket.%I TO picket_query, picket_admin, picket_ingest', name);
    END LOOP;
END $$;
GRANT SELECT ON picket.ingest_replica TO picket_query, picket_admin, picket_ingest;
GRANT INSERT, UPDATE (state, ended_at) ON picket.cloud_message TO picket_admin;
GRANT INSERT, UPDATE (state, ended_at) ON picket.method_call TO picket_admin;
REVOKE ALL ON FUNCTION picket.cloud_take(int, text, int, int, int), picket.cloud_settle(int, text, uuid, text),
    picket.method_claim(bigint[]), picket.method_answer(bigint, int, text, text, bigint, json),
    picket.connections_note(int[], text[], text[], bool[], uuid, text[], text[], bigint[], bigint[]),
    picket.ingest_alive(uuid), picket.method_results(bigint[]), picket.method_give_up(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION picket.method_results(bigint[]), picket.method_give_up(bigint) TO picket_query;
GRANT EXECUTE ON FUNCTION picket.cloud_take(int, text, int, int, int), picket.cloud_settle(int, text, uuid, text),
    picket.method_claim(bigint[]), picket.method_answer(bigint, int, text, text, bigint, json),
    picket.connections_note(int[], text[], text[], bool[], uuid, text[], text[], bigint[], bigint[]),
    picket.ingest_alive(uuid) TO picket_ingest;
