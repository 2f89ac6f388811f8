-- Times are microseconds since 1970 (UTC). Ids are UUIDv7, so that they sort by their making.
-- SQLite compares TEXT byte by byte, which is the order that PostgreSQL is told to use too.

-- Leases are compared with one clock, the database's.
CREATE VIEW clock AS SELECT CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER) AS now;

CREATE TABLE users (
    id            BLOB PRIMARY KEY,
    email         TEXT NOT NULL,
    -- The address as it is compared: in lower case.
    email_key     TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    is_admin      INTEGER NOT NULL DEFAULT 0,
    disabled_at   INTEGER,
    avatar_id     BLOB,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    id           BLOB PRIMARY KEY,
    user_id      BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash   BLOB NOT NULL UNIQUE,
    user_agent   TEXT NOT NULL,
    address      TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id, id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE tokens (
    id           BLOB PRIMARY KEY,
    user_id      BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash   BLOB NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    -- The last characters, so that a person can tell tokens apart.
    hint         TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    expires_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_user ON tokens (user_id, id);
CREATE INDEX tokens_by_end ON tokens (expires_at);

-- How often something was tried, for each subject (an account, an address), in a fixed window.
CREATE TABLE throttles (
    subject     TEXT PRIMARY KEY,
    attempts    INTEGER NOT NULL,
    window_ends INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX throttles_by_end ON throttles (window_ends);

-- The bytes. A key is used once and never overwritten.
CREATE TABLE blobs (
    id           BLOB PRIMARY KEY,
    owner_id     BLOB NOT NULL REFERENCES users (id),
    key          TEXT NOT NULL UNIQUE,
    state        TEXT NOT NULL CHECK (state IN ('pending', 'ready', 'deleting')),
    -- Pending: the writer's lease. Deleting: the time before which nobody may take the bytes away.
    lease_until  INTEGER NOT NULL,
    -- The store's id of a multipart upload, written down before its first part is sent.
    multipart_id TEXT,
    size         INTEGER,
    sha256       BLOB,
    content_type TEXT,
    created_at   INTEGER NOT NULL,
    -- When the bytes became visible.
    ready_at     INTEGER,
    CHECK (state <> 'ready' OR (size IS NOT NULL AND sha256 IS NOT NULL AND content_type IS NOT NULL AND ready_at IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_to_reap ON blobs (lease_until) WHERE state <> 'ready';

-- What people see: a path and a name that point at one ready blob.
CREATE TABLE files (
    id         BLOB PRIMARY KEY,
    owner_id   BLOB NOT NULL REFERENCES users (id),
    path       TEXT NOT NULL,
    name       TEXT NOT NULL,
    -- Where the file is, whole: what prefixes and the order by path mean.
    location   TEXT NOT NULL GENERATED ALWAYS AS (CASE path WHEN '' THEN name ELSE path || '/' || name END) STORED,
    -- The location in lower case, for the search.
    search     TEXT NOT NULL,
    blob_id    BLOB NOT NULL UNIQUE REFERENCES blobs (id),
    -- A copy of the blob's size, so that a list sorted by size is an index walk.
    size       INTEGER NOT NULL,
    metadata   TEXT NOT NULL,
    -- Grows with every change: what a change is guarded by.
    revision   INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    trashed_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX files_by_location ON files (owner_id, location) WHERE trashed_at IS NULL;
CREATE INDEX files_by_id ON files (owner_id, id) WHERE trashed_at IS NULL;
CREATE INDEX files_by_name ON files (owner_id, name, id) WHERE trashed_at IS NULL;
CREATE INDEX files_by_update ON files (owner_id, updated_at, id) WHERE trashed_at IS NULL;
CREATE INDEX files_by_size ON files (owner_id, size, id) WHERE trashed_at IS NULL;

-- Bytes that arrive apart from the request that asked for them, such as through a signed URL.
CREATE TABLE uploads (
    id               BLOB PRIMARY KEY,
    owner_id         BLOB NOT NULL REFERENCES users (id),
    blob_id          BLOB NOT NULL UNIQUE REFERENCES blobs (id) ON DELETE CASCADE,
    -- The file whose bytes this upload replaces, and the blob that it had when the upload was asked for.
    file_id          BLOB NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    replaces_blob_id BLOB NOT NULL,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_by_file ON uploads (file_id);

-- Work that only one server may do at a time.
CREATE TABLE duties (
    name        TEXT PRIMARY KEY,
    holder      BLOB NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
