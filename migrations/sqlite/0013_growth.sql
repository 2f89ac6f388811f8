-- Everything of an owner, in the trash or not, in the order in which it was made: one index for the list by that
-- order, for the trash, and for what looks for all that an account has when it goes.
DROP INDEX files_by_id;
DROP INDEX files_in_trash;
CREATE INDEX files_by_owner ON files (owner_id, trashed_at, id);

-- The few among the many.
CREATE INDEX users_admins ON users (id) WHERE is_admin;
CREATE INDEX erasures_by_end ON erasures (state, finished_at);
