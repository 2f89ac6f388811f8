-- Names that clients give to requests, so that one sent twice is done once.
CREATE TABLE idempotency_keys (
    owner_id   UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key        TEXT NOT NULL,
    -- The SHA-256 of what was asked for, without the bytes.
    request    BYTEA NOT NULL,
    -- The blob of the attempt that has the key. As long as there is no answer and this blob is not
    -- pending within its lease, the key is free.
    blob_id    UUID NOT NULL,
    -- What was answered, as JSON; written in the transaction that published.
    answer     TEXT,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (owner_id, key)
);
CREATE INDEX idempotency_keys_by_end ON idempotency_keys (expires_at);
