SET LOCAL ROLE picket_owner;
CREATE OR REPLACE FUNCTION picket.audit_alert() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO picket.alert AS a (workspace_id, rule_id, cause, severity, title, description, details, remediation, tactics, techniques, first_seen_at, last_seen_at)
    SELECT NEW.workspace_id, CASE NEW.action WHEN 'authority.create' THEN 'IoT_CertificateSuccessfullyAddedToHub' ELSE 'IoT_CertificateSuccessfullyDeletedFromHub' END, NEW.target,
           'Medium', CASE NEW.action WHEN 'authority.create' THEN 'A certificate authority was added' ELSE 'A certificate authority was removed' END,
           'Whoever has its key decides which devices are let in.', jsonb_build_object('Actor', NEW.actor, 'Authority', NEW.target),
           jsonb_build_array('Confirm with who keeps the authorities that this was meant.', 'If it was not, undo it, and take the token back that did it.'),
           'Persistence', 'T1553.004, T1098', NEW.at, NEW.at
     WHERE picket.exception_of(NEW.workspace_id, '', CASE NEW.action WHEN 'authority.create' THEN 'IoT_CertificateSuccessfullyAddedToHub'
                                                     ELSE 'IoT_CertificateSuccessfullyDeletedFromHub' END, NEW.target, NEW.at) IS NULL
    ON CONFLICT (workspace_id, device_id, module_id, rule_id, cause) WHERE status <> 'closed' DO UPDATE
       SET repeat_count = a.repeat_count + 1, last_seen_at = excluded.last_seen_at, details = excluded.details;
    RETURN NULL;
END $$;
DROP TRIGGER alert ON picket.audit;
CREATE TRIGGER alert AFTER INSERT ON picket.audit FOR EACH ROW WHEN (NEW.action IN ('authority.create', 'authority.delete')) EXECUTE FUNCTION picket.audit_alert();
RESET ROLE;
