-- What is in a folder by name, and which folders there are, are walks along this index.
CREATE INDEX files_by_folder ON files (owner_id, path, name, id) WHERE trashed_at IS NULL;
