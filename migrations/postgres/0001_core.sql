-- Times are microseconds since 1970 (UTC). Ids are UUIDv7, so that they sort by their making.
-- Text that sorts is compared byte by byte (COLLATE "C"), the order that SQLite uses too.

-- Leases are compared with one clock, the database's.
CREATE VIEW clock AS SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT AS now;

CREATE TABLE users (
    id            UUID PRIMARY KEY,
    email         TEXT NOT NULL,
    -- The address as it is compared: in lower case.
    email_key     TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    is_admin      BOOLEAN NOT NULL DEFAULT FALSE,
    disabled_at   BIGINT,
    avatar_id     UUID,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);

CREATE TABLE sessions (
    id           UUID PRIMARY KEY,
    user_id      UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash   BYTEA NOT NULL UNIQUE,
    user_agent   TEXT NOT NULL,
    address      TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id, id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE tokens (
    id           UUID PRIMARY KEY,
    user_id      UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash   BYTEA NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    -- The last characters, so that a person can tell tokens apart.
    hint         TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT,
    expires_at   BIGINT
);
CREATE INDEX tokens_by_user ON tokens (user_id, id);
CREATE INDEX tokens_by_end ON tokens (expires_at);

-- How often something was tried, for each subject (an account, an address), in a fixed window.
CREATE TABLE throttles (
    subject     TEXT PRIMARY KEY,
    attempts    BIGINT NOT NULL,
    window_ends BIGINT NOT NULL
);
CREATE INDEX throttles_by_end ON throttles (window_ends);

-- The bytes. A key is used once and never overwritten.
CREATE TABLE blobs (
    id           UUID PRIMARY KEY,
    owner_id     UUID NOT NULL REFERENCES users (id),
    key          TEXT NOT NULL UNIQUE,
    state        TEXT NOT NULL CHECK (state IN ('pending', 'ready', 'deleting')),
    -- Pending: the writer's lease. Deleting: the time before which nobody may take the bytes away.
    lease_until  BIGINT NOT NULL,
    -- The store's id of a multipart upload, written down before its first part is sent.
    multipart_id TEXT,
    size         BIGINT,
    sha256       BYTEA,
    content_type TEXT,
    created_at   BIGINT NOT NULL,
    -- When the bytes became visible.
    ready_at     BIGINT,
    CHECK (state <> 'ready' OR (size IS NOT NULL AND sha256 IS NOT NULL AND content_type IS NOT NULL AND ready_at IS NOT NULL))
);
CREATE INDEX blobs_to_reap ON blobs (lease_until) WHERE state <> 'ready';

-- What people see: a path and a name that point at one ready blob.
CREATE TABLE files (
    id         UUID PRIMARY KEY,
    owner_id   UUID NOT NULL REFERENCES users (id),
    path       TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    -- Where the file is, whole: what prefixes and the order by path mean.
    location   TEXT COLLATE "C" NOT NULL GENERATED ALWAYS AS (CASE path WHEN '' THEN name ELSE path || '/' || name END) STORED,
    -- The location in lower case, for the search.
    search     TEXT NOT NULL,
    blob_id    UUID NOT NULL UNIQUE REFERENCES blobs (id),
    -- A copy of the blob's size, so that a list sorted by size is an index walk.
    size       BIGINT NOT NULL,
    metadata   TEXT NOT NULL,
    -- Grows with every change: what a change is guarded by.
    revision   BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    trashed_at BIGINT
);
CREATE UNIQUE INDEX files_by_location ON files (owner_id, location) WHERE trashed_at IS NULL;
CREATE INDEX files_by_id ON files (owner_id, id) WHERE trashed_at IS NULL;
CREATE INDEX files_by_name ON files (owner_id, name, id) WHERE trashed_at IS NULL;
CREATE INDEX files_by_update ON files (owner_id, updated_at, id) WHERE trashed_at IS NULL;
CREATE INDEX files_by_size ON files (owner_id, size, id) WHERE trashed_at IS NULL;

-- Bytes that arrive apart from the request that asked for them, such as through a signed URL.
CREATE TABLE uploads (
    id               UUID PRIMARY KEY,
    owner_id         UUID NOT NULL REFERENCES users (id),
    blob_id          UUID NOT NULL UNIQUE REFERENCES blobs (id) ON DELETE CASCADE,
    -- The file whose bytes this upload replaces, and the blob that it had when the upload was asked for.
    file_id          UUID NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    replaces_blob_id UUID NOT NULL,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL
);
CREATE INDEX uploads_by_file ON uploads (file_id);

-- Work that only one server may do at a time.
CREATE TABLE duties (
    name        TEXT PRIMARY KEY,
    holder      UUID NOT NULL,
    lease_until BIGINT NOT NULL
);
