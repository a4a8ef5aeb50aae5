SET LOCAL ROLE picket_owner;
