DROP FUNCTION picket.enrolment_find(text, text), picket.registration_show(int, text),
    picket.enrolment_register(int, text, text, text, bytea, bytea, text[], bytea[], bytea[]),
    picket.module_key_audit(int, text, text, text);
DROP TABLE picket.registration, picket.enrollment, picket.enrollment_group;
ALTER TABLE picket.workspace DROP COLUMN id_scope;
DROP FUNCTION picket.id_scope_new();
