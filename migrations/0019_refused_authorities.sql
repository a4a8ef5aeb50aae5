-- What was tried with certificate authorities and refused is an alert too, by the ids that clients know.
SET LOCAL ROLE picket_owner;
CREATE OR REPLACE FUNCTION picket.audit_alert() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind text := CASE NEW.action WHEN 'authority.create' THEN 'IoT_CertificateSuccessfullyAddedToHub'
                                  WHEN 'authority.delete' THEN 'IoT_CertificateSuccessfullyDeletedFromHub'
                                  WHEN 'authority.create.refused' THEN 'Hub_CertificateFailedToBeAddedToHub'
                                  ELSE 'IoT.Hub_CertificateFailedToBeDeletedFromHub' END;
    said text := CASE NEW.action WHEN 'authority.create' THEN 'A certificate authority was added'
                                  WHEN 'authority.delete' THEN 'A certificate authority was removed'
                                  WHEN 'authority.create.refused' THEN 'A certificate authority could not be added'
                                  ELSE 'A certificate authority could not be removed' END;
    undo text := CASE WHEN NEW.action LIKE '%.refused' THEN 'If it was not, take the token back that tried it.'
                                                        ELSE 'If it was not, undo it, and take the token back that did it.' END;
BEGIN
    INSERT INTO picket.alert AS a (workspace_id, rule_id, cause, severity, title, description, details, remediation, tactics, techniques, first_seen_at, last_seen_at)
    SELECT NEW.workspace_id, kind, NEW.target, 'Medium', said, 'Whoever has its key decides which devices are let in.',
           jsonb_build_object('Actor', NEW.actor, 'Authority', NEW.target) || jsonb_strip_nulls(jsonb_build_object('Reason', NEW.details -> 'reason')),
           jsonb_build_array('Confirm with who keeps the authorities that this was meant.', undo), 'Persistence', 'T1553.004, T1098', NEW.at, NEW.at
     WHERE picket.exception_of(NEW.workspace_id, '', kind, NEW.target, NEW.at) IS NULL
    ON CONFLICT (workspace_id, device_id, module_id, rule_id, cause) WHERE status <> 'closed' DO UPDATE
       SET repeat_count = a.repeat_count + 1, last_seen_at = excluded.last_seen_at, details = excluded.details;
    RETURN NULL;
END $$;
DROP TRIGGER alert ON picket.audit;
CREATE TRIGGER alert AFTER INSERT ON picket.audit FOR EACH ROW
    WHEN (NEW.action IN ('authority.create', 'authority.delete', 'authority.create.refused', 'authority.delete.refused')) EXECUTE FUNCTION picket.audit_alert();
RESET ROLE;
