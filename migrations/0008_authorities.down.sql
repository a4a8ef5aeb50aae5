-- Identities that showed a certificate stay, without a credential: the schema before had no place for theirs.
DO $$
DECLARE
    before text := pg_get_functiondef('picket.enrolment_register(int, text, text, text, bytea, bytea, text[], bytea[], bytea[])'::regprocedure);
BEGIN
    EXECUTE replace(before, 'module_id) DO UPDATE SET kind = ''sas'', thumbprint_primary = NULL, thumbprint_secondary = NULL, sealed_primary',
                    'module_id, kind) DO UPDATE SET sealed_primary');
END $$;
DROP TABLE picket.certificate_authority;
DROP FUNCTION picket.certificate_authority_changed();
REVOKE SELECT (workspace_id, device_id, module_id, kind, thumbprint_primary, thumbprint_secondary, changed_at)
    ON picket.credential FROM picket_query;
DROP POLICY visible_kind ON picket.credential;
DELETE FROM picket.credential WHERE kind <> 'sas';
ALTER TABLE picket.credential
    DROP CONSTRAINT credential_kind_check,
    DROP CONSTRAINT credential_keys_check,
    DROP CONSTRAINT credential_thumbprints_check,
    DROP CONSTRAINT credential_pkey,
    DROP COLUMN thumbprint_primary,
    DROP COLUMN thumbprint_secondary,
    ALTER COLUMN sealed_primary SET NOT NULL,
    ALTER COLUMN sealed_secondary SET NOT NULL,
    ADD CONSTRAINT credential_kind_check CHECK (kind IN ('sas')),
    ADD PRIMARY KEY (workspace_id, device_id, module_id, kind);
