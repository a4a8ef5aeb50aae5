SET LOCAL ROLE picket_owner;
DROP FUNCTION picket.addresses_judge();
DROP FUNCTION picket.custom_judge_few();
DROP FUNCTION picket.custom_judge(picket.custom_seen[]);
DROP FUNCTION picket.custom_raise(int, text, text, text, text, text, jsonb, bigint, timestamptz, timestamptz);
DROP TYPE picket.custom_seen;
DROP FUNCTION picket.custom_in_list(text, text[], text);
DROP TABLE picket.address_try, picket.custom_count, picket.custom_rule;
RESET ROLE;
