-- Rows and objects are walked side by side, so both have to be in the order of the bytes of their keys.
ALTER TABLE blobs ALTER COLUMN key TYPE TEXT COLLATE "C";

-- Passes that held rows against bytes, the last few of them.
CREATE TABLE fsck_passes (
    id          UUID PRIMARY KEY,
    state       TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    -- What was found until now, as JSON.
    report      TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    finished_at BIGINT
);

-- The quarantine: bytes that no row knows, on their way out.
CREATE TABLE strays (
    kind       TEXT NOT NULL CHECK (kind IN ('object', 'upload')),
    key        TEXT COLLATE "C" NOT NULL,
    -- The store's id of a multipart upload, else empty.
    upload_id  TEXT NOT NULL,
    -- Bytes, where they are known.
    size       BIGINT,
    first_seen BIGINT NOT NULL,
    last_seen  BIGINT NOT NULL,
    PRIMARY KEY (kind, key, upload_id)
);
