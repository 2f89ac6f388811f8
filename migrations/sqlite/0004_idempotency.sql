-- Names that clients give to requests, so that one sent twice is done once.
CREATE TABLE idempotency_keys (
    owner_id   BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key        TEXT NOT NULL,
    -- The SHA-256 of what was asked for, without the bytes.
    request    BLOB NOT NULL,
    -- The blob of the attempt that has the key. As long as there is no answer and this blob is not
    -- pending within its lease, the key is free.
    blob_id    BLOB NOT NULL,
    -- What was answered, as JSON; written in the transaction that published.
    answer     TEXT,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_end ON idempotency_keys (expires_at);
