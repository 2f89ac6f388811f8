-- What each account uses, counted in the transaction of every change; and what it may use.
-- used_bytes: what its pending blobs have reserved and the sizes of its ready ones.
ALTER TABLE users ADD COLUMN used_bytes INTEGER NOT NULL DEFAULT 0;
-- used_files: its files, and those that pending blobs are to become.
ALTER TABLE users ADD COLUMN used_files INTEGER NOT NULL DEFAULT 0;
-- open_uploads: its pending blobs.
ALTER TABLE users ADD COLUMN open_uploads INTEGER NOT NULL DEFAULT 0;
-- NULL: the default of the settings. The largest number: without a limit.
ALTER TABLE users ADD COLUMN quota_bytes INTEGER;
ALTER TABLE users ADD COLUMN quota_files INTEGER;

-- What a pending blob counts toward its owner's use, before it is known what it will be.
ALTER TABLE blobs ADD COLUMN reserved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE blobs ADD COLUMN reserved_files INTEGER NOT NULL DEFAULT 0;

UPDATE users SET used_bytes = counted.bytes, open_uploads = counted.uploads
    FROM (SELECT owner_id, SUM(CASE state WHEN 'ready' THEN size ELSE 0 END) AS bytes,
            SUM(CASE state WHEN 'pending' THEN 1 ELSE 0 END) AS uploads
        FROM blobs GROUP BY owner_id) AS counted
    WHERE counted.owner_id = users.id;
UPDATE users SET used_files = counted.files
    FROM (SELECT owner_id, COUNT(*) AS files FROM files GROUP BY owner_id) AS counted
    WHERE counted.owner_id = users.id;
