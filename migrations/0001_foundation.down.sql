-- Roles stay: they may own or be granted things in other databases of the cluster.
DROP SCHEMA picket CASCADE;
