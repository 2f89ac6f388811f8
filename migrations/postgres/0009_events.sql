-- The trail: what was done, only ever added to. It outlives files, links, sessions and tokens, so it
-- names them without a foreign key; with an account its trail goes.
CREATE TABLE events (
    id            UUID PRIMARY KEY,
    at            BIGINT NOT NULL,
    kind          TEXT NOT NULL,
    -- Whose trail it belongs to: the owner of the file, the account that was signed in to or changed.
    user_id       UUID REFERENCES users (id) ON DELETE CASCADE,
    -- Who did it, if it was somebody with an account.
    actor_id      UUID,
    -- What they showed: a session or a token.
    credential    TEXT,
    credential_id UUID,
    file_id       UUID,
    link_id       UUID,
    address       TEXT,
    door          TEXT NOT NULL,
    -- What else there is to say, as JSON.
    detail        TEXT NOT NULL
);
CREATE INDEX events_by_time ON events (at, id);
CREATE INDEX events_by_user ON events (user_id, at, id);
CREATE INDEX events_by_file ON events (file_id, at, id) WHERE file_id IS NOT NULL;
