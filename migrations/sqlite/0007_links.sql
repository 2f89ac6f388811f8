-- Share links: whoever has the token reads one file, within the bounds that its owner set.
CREATE TABLE links (
    id            BLOB PRIMARY KEY,
    owner_id      BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    file_id       BLOB NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    token_hash    BLOB NOT NULL UNIQUE,
    -- The token's last characters, so that a person can tell links apart.
    hint          TEXT NOT NULL,
    password_hash TEXT,
    -- Networks with commas between them; empty: from anywhere.
    allow_from    TEXT NOT NULL,
    -- Instead of the file's own name.
    download_name TEXT,
    inline        INTEGER NOT NULL,
    -- For the owner alone.
    note          TEXT NOT NULL,
    max_downloads INTEGER,
    -- Complete deliveries.
    used          INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER,
    expires_at    INTEGER,
    revoked_at    INTEGER,
    -- Grows with every change of the bounds: what a change is guarded by.
    revision      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX links_by_owner ON links (owner_id, id);
CREATE INDEX links_by_file ON links (file_id, id);
CREATE INDEX links_by_revocation ON links (revoked_at) WHERE revoked_at IS NOT NULL;

-- Deliveries of links that may be used so many times: under way, broken off a moment ago, or just done.
CREATE TABLE link_uses (
    id          BLOB PRIMARY KEY,
    link_id     BLOB NOT NULL REFERENCES links (id) ON DELETE CASCADE,
    -- Who it is for, as a hash: whoever resumes is known again.
    client      BLOB NOT NULL,
    -- Answers that are under way.
    answers     INTEGER NOT NULL,
    -- Bytes that were given out, and those promised in answers under way.
    granted     INTEGER NOT NULL,
    -- Counted in the link.
    done        INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX link_uses_by_link ON link_uses (link_id, lease_until);
CREATE INDEX link_uses_by_end ON link_uses (lease_until);

-- Signed URLs that read: until when there may be some, and since when they are others.
ALTER TABLE files ADD COLUMN signed_until INTEGER NOT NULL DEFAULT 0;
-- Part of what our own signatures cover; grows when they are revoked.
ALTER TABLE files ADD COLUMN signed_generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE files ADD COLUMN signed_revoked_at INTEGER NOT NULL DEFAULT 0;
-- Those of lists, for all files of the account together: until when, and when this was written down.
ALTER TABLE users ADD COLUMN lists_signed_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN lists_signed_at INTEGER NOT NULL DEFAULT 0;
