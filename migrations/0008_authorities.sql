-- Devices that show a certificate: by its thumbprint, or by an authority whose certificates a workspace trusts.
SET LOCAL ROLE picket_owner;

CREATE TABLE picket.certificate_authority (
    workspace_id      int         NOT NULL REFERENCES picket.workspace,
    name              text        COLLATE "C" NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$'),
    authority_id      bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
    status            text        NOT NULL DEFAULT 'unverified' CHECK (status IN ('unverified', 'verified', 'disabled')),
    certificate       bytea       NOT NULL, -- DER, as the next one
    crl               bytea,
    crl_this_update   timestamptz,
    crl_next_update   timestamptz,
    crl_count         int,
    sha256            bytea       NOT NULL CHECK (octet_length(sha256) = 32),
    subject           text        NOT NULL,
    not_before        timestamptz NOT NULL,
    not_after         timestamptz NOT NULL,
    verification_code text        NOT NULL, -- common name of the certificate that proves that one has the authority's key
    verified_at       timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now(),
    changed_at        timestamptz NOT NULL DEFAULT clock_timestamp(), -- moved by the trigger below: the front door reads what moved
    PRIMARY KEY (workspace_id, name),
    CHECK ((status = 'unverified') = (verified_at IS NULL)),
    CHECK ((crl IS NULL) = (crl_this_update IS NULL) AND (crl IS NULL) = (crl_count IS NULL))
);
-- A certificate names its workspace through its authority, so one that counts leads to one workspace.
CREATE UNIQUE INDEX certificate_authority_one ON picket.certificate_authority (sha256) WHERE status = 'verified';

CREATE FUNCTION picket.certificate_authority_changed() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER changed BEFORE UPDATE ON picket.certificate_authority
    FOR EACH ROW EXECUTE FUNCTION picket.certificate_authority_changed();
CREATE TRIGGER roster_wake AFTER INSERT OR UPDATE OR DELETE ON picket.certificate_authority
    FOR EACH STATEMENT EXECUTE FUNCTION picket.roster_wake();

-- An identity has one credential, whatever its kind. Thumbprints are SHA-1 or SHA-256 of the certificate's DER.
ALTER TABLE picket.credential
    DROP CONSTRAINT credential_kind_check,
    DROP CONSTRAINT credential_pkey,
    ADD PRIMARY KEY (workspace_id, device_id, module_id),
    ADD COLUMN thumbprint_primary bytea CHECK (octet_length(thumbprint_primary) IN (20, 32)),
    ADD COLUMN thumbprint_secondary bytea CHECK (octet_length(thumbprint_secondary) IN (20, 32)),
    ALTER COLUMN sealed_primary DROP NOT NULL,
    ALTER COLUMN sealed_secondary DROP NOT NULL,
    ADD CONSTRAINT credential_kind_check CHECK (kind IN ('sas', 'thumbprint', 'authority')),
    ADD CONSTRAINT credential_keys_check CHECK (CASE WHEN kind = 'sas' THEN num_nonnulls(sealed_primary, sealed_secondary) = 2
                                                     ELSE num_nonnulls(sealed_primary, sealed_secondary) = 0 END),
    ADD CONSTRAINT credential_thumbprints_check CHECK (CASE WHEN kind = 'thumbprint' THEN thumbprint_primary IS NOT NULL
                                                            ELSE num_nonnulls(thumbprint_primary, thumbprint_secondary) = 0 END);

-- Enrolling gives an identity the enrolment's key, also where it had a credential of another kind: the rest of that
-- function is as 0007 has it.
DO $$
DECLARE
    before text := pg_get_functiondef('picket.enrolment_register(int, text, text, text, bytea, bytea, text[], bytea[], bytea[])'::regprocedure);
    after  text := replace(before, 'module_id, kind) DO UPDATE SET sealed_primary',
                           'module_id) DO UPDATE SET kind = ''sas'', thumbprint_primary = NULL, thumbprint_secondary = NULL, sealed_primary');
BEGIN
    ASSERT after <> before, 'picket.enrolment_register is not the one of 0007';
    EXECUTE after;
END $$;

ALTER TABLE picket.certificate_authority ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY everything ON picket.certificate_authority TO picket_owner, picket_ingest USING (true) WITH CHECK (true);
CREATE POLICY visible ON picket.certificate_authority TO picket_query, picket_admin
    USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]));
GRANT SELECT ON picket.certificate_authority TO picket_ingest, picket_query;
GRANT SELECT, INSERT, UPDATE, DELETE ON picket.certificate_authority TO picket_admin;
-- What may be shown of a credential; keys stay with who writes them.
CREATE POLICY visible_kind ON picket.credential TO picket_query
    USING (workspace_id = ANY ((SELECT picket.workspaces_visible())::int[]));
GRANT SELECT (workspace_id, device_id, module_id, kind, thumbprint_primary, thumbprint_secondary, changed_at)
    ON picket.credential TO picket_query;
