-- Times are microseconds since 1970 (UTC). Ids are UUIDv7, which sort by creation.
-- Keep in step with ../postgres. SQLite compares TEXT byte by byte, the order that COLLATE "C" requests there.

-- The database's clock, with which every server compares leases.
CREATE VIEW clock AS SELECT CAST(unixepoch('now', 'subsec') * 1000000 AS INTEGER) AS now;

-- The server that runs, or ran last: a lock file ensures that there is only one.
CREATE TABLE live_instances (
    id INTEGER PRIMARY KEY
) STRICT;

-- Accounts.
CREATE TABLE users (
    id                    BLOB PRIMARY KEY,
    email                 TEXT NOT NULL,
    -- The address in lower case, which makes addresses unique regardless of case.
    email_key             TEXT NOT NULL UNIQUE,
    name                  TEXT NOT NULL,
    password_hash         TEXT NOT NULL,
    -- The operator has set the password: its user must change it before anything else.
    must_change_password  INTEGER NOT NULL DEFAULT FALSE,
    is_admin              INTEGER NOT NULL DEFAULT FALSE,
    disabled_at           INTEGER,
    -- The blob of the avatar.
    avatar_id             BLOB,
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX users_admins ON users (id) WHERE is_admin;

-- Spaces: a tree of folders with a quota, a trash and an audit log of its own. Every account has a personal one with the
-- id of the account; shared ones belong to their members.
CREATE TABLE spaces (
    id                    BLOB PRIMARY KEY,
    -- The account, of a personal space.
    user_id               BLOB UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    -- Empty: a personal space.
    name                  TEXT NOT NULL,
    -- The account that created a shared space.
    creator_id            BLOB REFERENCES users (id) ON DELETE SET NULL,
    -- Usage, updated in the transaction of every change.
    -- Bytes reserved by pending blobs plus the sizes of ready ones.
    used_bytes            INTEGER NOT NULL DEFAULT 0,
    -- Files, including those that pending blobs are going to become.
    used_files            INTEGER NOT NULL DEFAULT 0,
    -- Pending blobs that count as an upload in progress.
    open_uploads          INTEGER NOT NULL DEFAULT 0,
    -- Quotas. NULL: the default from the configuration; 2^63 - 1: unlimited.
    quota_bytes           INTEGER,
    quota_files           INTEGER,
    -- Signed URLs in file lists, for all files of the space together: the latest expiry, and when it was recorded.
    list_urls_expire_at   INTEGER NOT NULL DEFAULT 0,
    list_urls_recorded_at INTEGER NOT NULL DEFAULT 0,
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL,
    -- When a shared space was deleted; it can be restored until its grace period expires.
    deleted_at            INTEGER,
    CHECK (user_id IS NULL OR user_id = id)
) STRICT, WITHOUT ROWID;
CREATE INDEX spaces_by_creator ON spaces (creator_id);
CREATE INDEX spaces_shared ON spaces (id) WHERE user_id IS NULL;
CREATE INDEX spaces_deleted ON spaces (deleted_at) WHERE deleted_at IS NOT NULL;

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
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE api_tokens (
    id           BLOB PRIMARY KEY,
    user_id      BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash   BLOB NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    -- The last four characters of the secret, by which users tell tokens apart.
    last_four    TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    -- NULL: never.
    expires_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_tokens_by_user ON api_tokens (user_id, id);
CREATE INDEX api_tokens_by_expiry ON api_tokens (expires_at);

-- Attempts per subject (an account, an address, a link) within a fixed window.
CREATE TABLE throttles (
    subject        TEXT PRIMARY KEY,
    attempts       INTEGER NOT NULL,
    window_ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX throttles_by_window_end ON throttles (window_ends_at);

-- Content in the store. A key is used once and never overwritten.
CREATE TABLE blobs (
    id               BLOB PRIMARY KEY,
    space_id         BLOB NOT NULL REFERENCES spaces (id),
    key              TEXT NOT NULL UNIQUE,
    state            TEXT NOT NULL CHECK (state IN ('pending', 'ready', 'deleting')),
    -- Pending: when the writer's lease expires. Otherwise: the earliest time at which the object may be deleted.
    lease_until      INTEGER NOT NULL,
    -- The store's id of a multipart upload, recorded before its first part is sent.
    multipart_id     TEXT,
    -- What a pending blob counts toward the usage of its space.
    reserved_bytes   INTEGER NOT NULL DEFAULT 0,
    -- 1 if the blob is going to become a new file.
    reserved_files   INTEGER NOT NULL DEFAULT 0,
    -- 1 if the blob counts as an upload in progress; the tail of a resumable upload does not.
    reserved_uploads INTEGER NOT NULL DEFAULT 1,
    -- Known once the blob is ready.
    size             INTEGER,
    sha256           BLOB,
    -- What archives have of each of their entries.
    crc32            INTEGER,
    content_type     TEXT,
    -- How the bytes of the object represent the content: 'raw' as they are.
    format           TEXT NOT NULL DEFAULT 'raw',
    -- The key with which the object is encrypted, if this server encrypted it.
    key_id           TEXT,
    -- The store that has the object: 'main' is the one of the settings.
    location         TEXT NOT NULL DEFAULT 'main',
    created_at       INTEGER NOT NULL,
    ready_at         INTEGER,
    -- When fsck last read the whole object and found the digest to be right.
    verified_at      INTEGER,
    CHECK (state <> 'ready' OR (size IS NOT NULL AND sha256 IS NOT NULL AND content_type IS NOT NULL AND ready_at IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_by_space ON blobs (space_id);
CREATE INDEX blobs_to_reap ON blobs (lease_until) WHERE state <> 'ready';

-- Folders. The top folder of an account is a row with the id of the account, so that every file and every other folder
-- is in one.
CREATE TABLE folders (
    id            BLOB PRIMARY KEY,
    space_id      BLOB NOT NULL REFERENCES spaces (id),
    -- NULL: a top folder.
    parent_id     BLOB REFERENCES folders (id),
    name          TEXT NOT NULL,
    -- The names from the top folder down to this one, each followed by a slash. Followed by the name of a file in the
    -- folder it is the location of that file: lists by path are in the order of these texts.
    location      TEXT NOT NULL,
    -- As much of the location as fits into an index.
    place         TEXT NOT NULL GENERATED ALWAYS AS (substr(location, 1, 600)) STORED,
    -- The location without differences of case, accent and width, for search.
    search        TEXT NOT NULL,
    -- The name in a form whose order by bytes is the natural one: numbers by value, letters in any case.
    sort_key      TEXT NOT NULL,
    -- Incremented by every change, for optimistic locking.
    revision      INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    -- What was in it at any depth at some time, and when.
    below_files   INTEGER NOT NULL DEFAULT 0,
    below_bytes   INTEGER NOT NULL DEFAULT 0,
    below_folders INTEGER NOT NULL DEFAULT 0,
    below_at      INTEGER NOT NULL DEFAULT 0,
    -- When the folder was moved to the trash, by itself or with one above it; 0 if it is being deleted permanently.
    trashed_at    INTEGER,
    -- The folder that was moved to the trash: this one, or one above it.
    trash_id      BLOB,
    CHECK ((trashed_at IS NULL) = (trash_id IS NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX folders_by_name ON folders (parent_id, name) WHERE trashed_at IS NULL;
CREATE INDEX folders_by_sort_key ON folders (parent_id, sort_key, id) WHERE trashed_at IS NULL;
CREATE INDEX folders_by_parent ON folders (parent_id);
CREATE INDEX folders_by_place ON folders (space_id, place) WHERE trashed_at IS NULL;
CREATE INDEX folders_by_space ON folders (space_id);
CREATE INDEX folders_by_trash ON folders (space_id, trash_id) WHERE trash_id IS NOT NULL;
CREATE INDEX folders_in_trash ON folders (space_id, trashed_at, id) WHERE trash_id = id;
CREATE INDEX folders_to_purge ON folders (trashed_at, id) WHERE trash_id = id;

-- Files: a name in a folder that refers to one ready blob.
CREATE TABLE files (
    id                     BLOB PRIMARY KEY,
    space_id               BLOB NOT NULL REFERENCES spaces (id),
    folder_id              BLOB NOT NULL REFERENCES folders (id),
    name                   TEXT NOT NULL,
    -- The name without differences of case, accent and width, for search.
    search                 TEXT NOT NULL,
    -- The name in a form whose order by bytes is the natural one: numbers by value, letters in any case.
    sort_key               TEXT NOT NULL,
    blob_id                BLOB NOT NULL UNIQUE REFERENCES blobs (id),
    -- A copy of the blob's size, so that a list sorted by size is an index scan.
    size                   INTEGER NOT NULL,
    metadata               TEXT NOT NULL,
    -- A JSON array of texts.
    tags                   TEXT NOT NULL DEFAULT '[]',
    -- Incremented by every change, for optimistic locking.
    revision               INTEGER NOT NULL DEFAULT 0,
    -- Signed download URLs issued by this server: the latest expiry (0: none), and the last revocation.
    signed_urls_expire_at  INTEGER NOT NULL DEFAULT 0,
    signed_urls_revoked_at INTEGER NOT NULL DEFAULT 0,
    -- Part of what their signatures cover; incremented to revoke them.
    signed_url_generation  INTEGER NOT NULL DEFAULT 0,
    created_at             INTEGER NOT NULL,
    updated_at             INTEGER NOT NULL,
    -- When the file was moved to the trash by itself.
    trashed_at             INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX files_by_location ON files (folder_id, name) WHERE trashed_at IS NULL;
CREATE INDEX files_by_name ON files (space_id, name, id) WHERE trashed_at IS NULL;
CREATE INDEX files_by_update ON files (space_id, updated_at, id) WHERE trashed_at IS NULL;
CREATE INDEX files_by_size ON files (space_id, size, id) WHERE trashed_at IS NULL;
CREATE INDEX files_by_sort_key ON files (folder_id, sort_key, id) WHERE trashed_at IS NULL;
-- All files of a folder, for its deletion.
CREATE INDEX files_by_folder ON files (folder_id);
-- All files of an owner, in the trash or not, in the order of creation: for the list in that order, the trash,
-- and the deletion of an account.
CREATE INDEX files_by_space ON files (space_id, trashed_at, id);
CREATE INDEX files_to_purge ON files (trashed_at, id) WHERE trashed_at IS NOT NULL;

-- Teams: groups of accounts that rights are given to.
CREATE TABLE teams (
    id         BLOB PRIMARY KEY,
    name       TEXT NOT NULL,
    -- The name in lower case, which makes names unique regardless of case.
    name_key   TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE team_members (
    team_id  BLOB NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user_id  BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    added_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX team_members_by_user ON team_members (user_id, team_id);

-- Grants: rights to a file, or to a folder with all below it; the members of a space have grants to its top folder.
CREATE TABLE grants (
    id         BLOB PRIMARY KEY,
    folder_id  BLOB REFERENCES folders (id) ON DELETE CASCADE,
    file_id    BLOB REFERENCES files (id) ON DELETE CASCADE,
    -- The account or the team that has the rights; neither, as long as no account has the address.
    user_id    BLOB REFERENCES users (id) ON DELETE CASCADE,
    team_id    BLOB REFERENCES teams (id) ON DELETE CASCADE,
    -- The address that was entered instead of an account, and the same in lower case. It is shown whether an account has
    -- it or not, so that nobody learns which.
    email      TEXT,
    email_key  TEXT,
    role       TEXT NOT NULL,
    -- What the role allows, one bit for each right.
    rights     INTEGER NOT NULL,
    -- The account that gave it.
    creator_id BLOB REFERENCES users (id) ON DELETE SET NULL,
    created_at INTEGER NOT NULL,
    -- NULL: never.
    expires_at INTEGER,
    CHECK ((folder_id IS NULL) <> (file_id IS NULL)),
    CHECK (team_id IS NULL OR (user_id IS NULL AND email_key IS NULL)),
    CHECK (user_id IS NOT NULL OR team_id IS NOT NULL OR email_key IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX grants_by_folder_and_user ON grants (folder_id, user_id) WHERE email_key IS NULL;
CREATE UNIQUE INDEX grants_by_folder_and_team ON grants (folder_id, team_id) WHERE team_id IS NOT NULL;
CREATE UNIQUE INDEX grants_by_folder_and_email ON grants (folder_id, email_key) WHERE email_key IS NOT NULL;
CREATE UNIQUE INDEX grants_by_file_and_user ON grants (file_id, user_id) WHERE email_key IS NULL;
CREATE UNIQUE INDEX grants_by_file_and_team ON grants (file_id, team_id) WHERE team_id IS NOT NULL;
CREATE UNIQUE INDEX grants_by_file_and_email ON grants (file_id, email_key) WHERE email_key IS NOT NULL;
CREATE INDEX grants_by_folder ON grants (folder_id, id);
CREATE INDEX grants_by_file ON grants (file_id, id);
CREATE INDEX grants_by_user ON grants (user_id, id);
CREATE INDEX grants_by_team ON grants (team_id, id);
CREATE INDEX grants_by_email ON grants (email_key) WHERE email_key IS NOT NULL AND user_id IS NULL;
CREATE INDEX grants_by_creator ON grants (creator_id);
CREATE INDEX grants_by_expiry ON grants (expires_at) WHERE expires_at IS NOT NULL;

-- What files are found by: their tags, and the members of their metadata that are texts, numbers and truth values.
CREATE TABLE file_attributes (
    space_id BLOB NOT NULL,
    -- 'tag'; 'metadata.' and the name of a member; 'mtime', the member of this name while the content is the one that it
    -- was sent with.
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    file_id  BLOB NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    PRIMARY KEY (space_id, key, value, file_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX file_attributes_by_file ON file_attributes (file_id);

-- Share links: anyone with the token may download one file, within the owner's restrictions.
CREATE TABLE links (
    id            BLOB PRIMARY KEY,
    space_id      BLOB NOT NULL REFERENCES spaces (id) ON DELETE CASCADE,
    -- The account that created it, which must still be allowed to share the file.
    creator_id    BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    file_id       BLOB NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    token_hash    BLOB NOT NULL UNIQUE,
    -- How often the token was replaced: the token is derived from the id and this.
    turn          INTEGER NOT NULL DEFAULT 0,
    -- The last four characters of the token, by which users tell links apart.
    last_four     TEXT NOT NULL,
    password_hash TEXT,
    -- Networks, separated by commas; empty: any.
    allow_from    TEXT NOT NULL,
    -- Replaces the name of the file.
    download_name TEXT,
    inline        INTEGER NOT NULL,
    -- Visible to the owner only.
    note          TEXT NOT NULL,
    max_downloads INTEGER,
    -- Complete downloads.
    downloads     INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    last_downloaded_at INTEGER,
    expires_at    INTEGER,
    revoked_at    INTEGER,
    -- Incremented by every change of the restrictions, for optimistic locking.
    revision      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX links_by_creator ON links (creator_id, id);
CREATE INDEX links_by_space ON links (space_id);
CREATE INDEX links_by_file ON links (file_id, id);
CREATE INDEX links_by_revocation ON links (revoked_at) WHERE revoked_at IS NOT NULL;

-- Downloads through links with a download limit: in progress, recently interrupted, or recently completed.
CREATE TABLE link_downloads (
    id             BLOB PRIMARY KEY,
    link_id        BLOB NOT NULL REFERENCES links (id) ON DELETE CASCADE,
    -- A hash of the client's address, so that it can continue its download.
    client_hash    BLOB NOT NULL,
    -- A hash of the program that began it.
    agent_hash     BLOB NOT NULL,
    -- Responses in progress.
    open_responses INTEGER NOT NULL,
    -- Bytes sent, plus those that responses in progress are going to send.
    bytes_granted  INTEGER NOT NULL,
    -- Whether the last byte was sent.
    complete       INTEGER NOT NULL DEFAULT FALSE,
    lease_until    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX link_downloads_by_link ON link_downloads (link_id, lease_until);
CREATE INDEX link_downloads_by_expiry ON link_downloads (lease_until);

-- One-time URLs of archives.
CREATE TABLE archive_urls (
    id            BLOB PRIMARY KEY,
    user_id       BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash    BLOB NOT NULL UNIQUE,
    -- The kind of credential that asked for it, a session or a token, and its id: the URL ends with it.
    credential    TEXT NOT NULL,
    credential_id BLOB NOT NULL,
    -- The file name of the archive.
    name          TEXT NOT NULL,
    -- The ids of its files and folders, as JSON.
    items         TEXT NOT NULL,
    -- A hash of the address of the client that uses it, once one does.
    client_hash   BLOB,
    -- Whether the last byte of the archive was sent.
    complete      INTEGER NOT NULL DEFAULT FALSE,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX archive_urls_by_user ON archive_urls (user_id, id);
CREATE INDEX archive_urls_by_expiry ON archive_urls (expires_at);

-- Uploads through signed URLs that replace the content of a file.
CREATE TABLE signed_puts (
    id               BLOB PRIMARY KEY,
    space_id         BLOB NOT NULL REFERENCES spaces (id),
    -- The account that asked for the URL.
    creator_id       BLOB NOT NULL REFERENCES users (id),
    blob_id          BLOB NOT NULL UNIQUE REFERENCES blobs (id) ON DELETE CASCADE,
    -- The file whose content is replaced, and its blob when the URL was signed.
    file_id          BLOB NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    replaces_blob_id BLOB NOT NULL,
    -- The API token that asked for it, if one did: the upload ends with it.
    token_id         BLOB,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX signed_puts_by_space ON signed_puts (space_id);
CREATE INDEX signed_puts_by_creator ON signed_puts (creator_id);
CREATE INDEX signed_puts_by_file ON signed_puts (file_id);
CREATE INDEX signed_puts_by_token ON signed_puts (token_id) WHERE token_id IS NOT NULL;

-- Resumable uploads: the bytes that are durable so far, and who may append to them.
CREATE TABLE resumable_uploads (
    id               BLOB PRIMARY KEY,
    space_id         BLOB NOT NULL REFERENCES spaces (id),
    -- The account that created it.
    creator_id       BLOB NOT NULL REFERENCES users (id),
    -- The folder that the path begins in.
    folder_id        BLOB NOT NULL REFERENCES folders (id) ON DELETE CASCADE,
    -- The blob of the future file. It is pending while the upload is open, with the upload's expiry as its lease.
    blob_id          BLOB NOT NULL UNIQUE REFERENCES blobs (id) ON DELETE CASCADE,
    -- The bytes after the last complete part, in an object of their own.
    tail_blob_id     BLOB REFERENCES blobs (id) ON DELETE SET NULL,
    -- 'tus': bytes in order; 'direct': parts in any order through signed URLs.
    mode             TEXT NOT NULL,
    path             TEXT NOT NULL,
    name             TEXT NOT NULL,
    -- What to do if the name is taken: 'number', 'replace', 'skip', 'fail'.
    on_conflict      TEXT NOT NULL,
    -- As declared by the client.
    content_type     TEXT,
    -- Metadata and tags of the future file, as JSON; NULL: none given.
    metadata         TEXT,
    tags             TEXT,
    -- The tus header Upload-Metadata, returned verbatim.
    upload_metadata  TEXT NOT NULL,
    -- Total bytes, once known.
    size             INTEGER,
    -- Durable bytes. The store may hold more, which are discarded.
    received         INTEGER NOT NULL DEFAULT 0,
    part_size        INTEGER NOT NULL,
    -- The intermediate state of SHA-256 after the durable bytes.
    hash_state       BLOB NOT NULL,
    -- The expected digest of a direct upload, if the client sent one.
    sha256           BLOB,
    -- The claim of the request that may append, and when it expires.
    claim_id         BLOB,
    claim_expires_at INTEGER NOT NULL DEFAULT 0,
    -- The instance of the server that holds the claim.
    claim_instance   INTEGER,
    -- The previous claim, if it expired without being released: its writer may have left bytes behind.
    stale_claim_id   BLOB,
    -- The file, once the upload is complete.
    file_id          BLOB,
    -- The API token that created it, if one did: while it is open, the upload ends with the token.
    token_id         BLOB,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    CHECK (received >= 0 AND (size IS NULL OR received <= size))
) STRICT, WITHOUT ROWID;
CREATE INDEX resumable_uploads_by_creator ON resumable_uploads (creator_id, id);
CREATE INDEX resumable_uploads_by_space ON resumable_uploads (space_id, id);
CREATE INDEX resumable_uploads_by_folder ON resumable_uploads (folder_id);
CREATE INDEX resumable_uploads_by_token ON resumable_uploads (token_id) WHERE token_id IS NOT NULL;
CREATE INDEX resumable_uploads_by_expiry ON resumable_uploads (expires_at) WHERE file_id IS NOT NULL;
-- For the foreign key: the deletion of a tail's row looks for references to it.
CREATE INDEX resumable_uploads_by_tail ON resumable_uploads (tail_blob_id) WHERE tail_blob_id IS NOT NULL;

-- Parts that the store has acknowledged.
CREATE TABLE upload_parts (
    upload_id BLOB NOT NULL REFERENCES resumable_uploads (id) ON DELETE CASCADE,
    -- From 1; without gaps if the bytes arrive in order.
    number    INTEGER NOT NULL,
    -- What the store returned for the part and requires to assemble the parts.
    receipt   TEXT NOT NULL,
    PRIMARY KEY (upload_id, number)
) STRICT, WITHOUT ROWID;

-- Values of Idempotency-Key, by which a repeated request is executed once.
CREATE TABLE idempotency_keys (
    user_id     BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key         TEXT NOT NULL,
    -- The SHA-256 of the request without its content.
    fingerprint BLOB NOT NULL,
    -- The blob of the attempt that holds the key. Without a response, the key is free unless this blob is pending
    -- within its lease.
    blob_id     BLOB NOT NULL,
    -- The instance of the server that the request is running on.
    instance    INTEGER,
    -- The response as JSON, written in the transaction that publishes.
    response    TEXT,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
CREATE INDEX idempotency_keys_by_user ON idempotency_keys (user_id, expires_at) WHERE response IS NOT NULL;

-- The audit log, append-only. Events outlive files, links, sessions and tokens, hence no foreign keys to them;
-- the events of an account are deleted with it.
CREATE TABLE audit_events (
    id            BLOB PRIMARY KEY,
    at            INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    -- The space whose log this is: that of the file, or the personal one of the account that was signed in to or changed.
    space_id      BLOB REFERENCES spaces (id) ON DELETE CASCADE,
    -- The account that acted, if any.
    actor_id      BLOB,
    -- The kind of credential it used, a session or a token, and its id.
    credential    TEXT,
    credential_id BLOB,
    file_id       BLOB,
    link_id       BLOB,
    address       TEXT,
    -- The entry point, such as 'api', 'link' or 'command'.
    channel       TEXT NOT NULL,
    -- Details that depend on the kind, as JSON.
    detail        TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_events_by_time ON audit_events (at, id);
CREATE INDEX audit_events_by_space ON audit_events (space_id, at, id);
CREATE INDEX audit_events_by_file ON audit_events (file_id, at, id) WHERE file_id IS NOT NULL;
-- The actions of an account, for its deletion.
CREATE INDEX audit_events_by_actor ON audit_events (actor_id) WHERE space_id IS NULL OR actor_id <> space_id;

-- The change log: what happened to files, folders and links, in one ascending sequence. A row is inserted in the
-- transaction of its change, after the rows that it is about were locked, so that the changes of one file are in the
-- order in which they happened. It has no foreign keys: it outlives what it is about, and is deleted with its space.
CREATE TABLE changes (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    space_id  BLOB NOT NULL,
    kind      TEXT NOT NULL,
    file_id   BLOB,
    folder_id BLOB,
    link_id   BLOB,
    -- The folder that the file or folder was in.
    parent_id BLOB,
    -- The location of the folder; of a file, that of its folder.
    path      TEXT NOT NULL,
    name      TEXT NOT NULL,
    -- The account that acted, if any.
    actor_id  BLOB,
    at        INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_by_space ON changes (space_id, seq);
-- The actions of an account in spaces of others, for its deletion.
CREATE INDEX changes_by_actor ON changes (actor_id) WHERE actor_id <> space_id;

-- The change log itself, one row: a random number that its cursors contain, and the last change that was deleted because
-- its retention has ended.
CREATE TABLE change_log (
    id     INTEGER NOT NULL,
    purged INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO change_log (id) VALUES (abs(random() % 4294967296));

-- Leases of background jobs that only one server may run at a time.
CREATE TABLE job_leases (
    name        TEXT PRIMARY KEY,
    holder      BLOB NOT NULL,
    -- The instance of the process that holds it.
    instance    INTEGER,
    lease_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When a job ran last, by the clock of its server. After a jump of the clock, the reaper waits.
CREATE TABLE job_runs (
    name TEXT PRIMARY KEY,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Runs of fsck, the latest twenty.
CREATE TABLE fsck_runs (
    id          BLOB PRIMARY KEY,
    state       TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    -- The findings so far, as JSON.
    report      TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER
) STRICT, WITHOUT ROWID;

-- The quarantine: orphaned objects, which no row refers to, before their deletion.
CREATE TABLE orphans (
    kind          TEXT NOT NULL CHECK (kind IN ('object', 'upload')),
    key           TEXT NOT NULL,
    -- The store's id if it is a multipart upload, otherwise empty.
    multipart_id  TEXT NOT NULL,
    -- Bytes, if known.
    size          INTEGER,
    first_seen_at INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL,
    PRIMARY KEY (kind, key, multipart_id)
) STRICT, WITHOUT ROWID;

-- Deletions of accounts. The id is random, because it authorizes its holder to query the progress.
CREATE TABLE erasures (
    id          BLOB PRIMARY KEY,
    -- NULL once the row of the account is deleted.
    user_id     BLOB,
    state       TEXT NOT NULL CHECK (state IN ('running', 'done')),
    started_at  INTEGER NOT NULL,
    finished_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX erasures_by_end ON erasures (state, finished_at);
