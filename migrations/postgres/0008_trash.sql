-- The trash, as it is shown and as it is emptied.
CREATE INDEX files_in_trash ON files (owner_id, trashed_at, id) WHERE trashed_at IS NOT NULL;
CREATE INDEX files_to_purge ON files (trashed_at, id) WHERE trashed_at IS NOT NULL;
