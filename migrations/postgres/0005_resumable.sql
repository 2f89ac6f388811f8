-- Uploads that survive: bytes arrive piece by piece, and what is durable is written down here.
CREATE TABLE resumable_uploads (
    id           UUID PRIMARY KEY,
    owner_id     UUID NOT NULL REFERENCES users (id),
    -- What the file will point at. While the upload is open the blob is pending, with the upload's life as its lease.
    blob_id      UUID NOT NULL UNIQUE REFERENCES blobs (id) ON DELETE CASCADE,
    -- The bytes after the last whole part, under a key of their own.
    tail_id      UUID REFERENCES blobs (id) ON DELETE SET NULL,
    -- How its bytes come: in order (tus), or as parts through signed URLs in any order (direct).
    mode         TEXT NOT NULL,
    path         TEXT NOT NULL,
    name         TEXT NOT NULL,
    -- The client's word, a hint.
    content_type TEXT,
    -- What the client said with the creation and wants to read again, word for word.
    note         TEXT NOT NULL,
    -- Bytes in the whole, once they are known.
    size         BIGINT,
    -- Bytes that are durable. Never more, and what lies behind them counts for nothing.
    received     BIGINT NOT NULL DEFAULT 0,
    part_size    BIGINT NOT NULL,
    -- The state of SHA-256 after these bytes.
    hash         BYTEA NOT NULL,
    -- What the bytes of a direct upload shall come to, if the client said so.
    sha256       BYTEA,
    -- Who may append now, and until when nobody else may.
    writer       UUID,
    writer_until BIGINT NOT NULL DEFAULT 0,
    -- The writer before, if it never let go: it may have left something behind.
    lost_writer  UUID,
    -- The file that it became.
    file_id      UUID,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    CHECK (received >= 0 AND (size IS NULL OR received <= size))
);
CREATE INDEX resumable_uploads_by_owner ON resumable_uploads (owner_id, id);
CREATE INDEX resumable_uploads_by_end ON resumable_uploads (expires_at) WHERE file_id IS NOT NULL;
-- When a tail's row goes, whoever refers to it is looked for.
CREATE INDEX resumable_uploads_by_tail ON resumable_uploads (tail_id) WHERE tail_id IS NOT NULL;

-- The parts that the store has acknowledged.
CREATE TABLE upload_parts (
    upload_id UUID NOT NULL REFERENCES resumable_uploads (id) ON DELETE CASCADE,
    -- From 1. Of bytes that come in order without gaps.
    number    BIGINT NOT NULL,
    -- What the store gave for it and wants back when the parts are put together.
    receipt   TEXT NOT NULL,
    PRIMARY KEY (upload_id, number)
);

-- Whether a pending blob counts as an upload under way. What an upload sets aside counts with that upload.
ALTER TABLE blobs ADD COLUMN reserved_uploads BIGINT NOT NULL DEFAULT 1;
