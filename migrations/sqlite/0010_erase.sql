-- Accounts that are being taken away. The id is random: whoever knows it may ask how far it is.
CREATE TABLE erasures (
    id          BLOB PRIMARY KEY,
    -- Until the account's row is gone.
    user_id     BLOB,
    state       TEXT NOT NULL CHECK (state IN ('running', 'done')),
    started_at  INTEGER NOT NULL,
    finished_at INTEGER
) STRICT, WITHOUT ROWID;

-- What is looked for by the account: when it goes, and when its row does.
CREATE INDEX blobs_by_owner ON blobs (owner_id);
CREATE INDEX uploads_by_owner ON uploads (owner_id);
-- What an account did to others and to nobody in particular.
CREATE INDEX events_by_actor ON events (actor_id) WHERE user_id IS NULL OR actor_id <> user_id;
