-- Passes that held rows against bytes, the last few of them.
CREATE TABLE fsck_passes (
    id          BLOB PRIMARY KEY,
    state       TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    -- What was found until now, as JSON.
    report      TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER
) STRICT, WITHOUT ROWID;

-- The quarantine: bytes that no row knows, on their way out.
CREATE TABLE strays (
    kind       TEXT NOT NULL CHECK (kind IN ('object', 'upload')),
    key        TEXT NOT NULL,
    -- The store's id of a multipart upload, else empty.
    upload_id  TEXT NOT NULL,
    -- Bytes, where they are known.
    size       INTEGER,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL,
    PRIMARY KEY (kind, key, upload_id)
) STRICT, WITHOUT ROWID;
