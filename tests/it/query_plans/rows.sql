-- Enough rows for PostgreSQL to choose between plans, in the proportions of a service that has been used for a while:
-- 200 users with 50 files each, and one with 10,000. A tenth of the files is in the trash.

INSERT INTO users (id, email, email_key, name, password_hash, is_admin, created_at, updated_at)
    SELECT uuidv7(), n || '@example.org', n || '@example.org', 'User ' || n, 'x', n = 1, n, n
    FROM generate_series(1, 5000) n;
INSERT INTO spaces (id, user_id, name, created_at, updated_at) SELECT id, id, '', 1, 1 FROM users;

CREATE TEMPORARY TABLE accounts AS SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS n FROM users;
CREATE TEMPORARY TABLE created AS
    SELECT n, (SELECT id FROM accounts WHERE accounts.n = CASE WHEN i.n <= 10000 THEN 1 ELSE 2 + i.n % 200 END) AS owner,
        uuidv7() AS blob, uuidv7() AS file
    FROM generate_series(1, 20000) i (n);

INSERT INTO sessions (id, user_id, token_hash, user_agent, address, created_at, last_used_at, expires_at)
    SELECT uuidv7(), id, decode(md5('session' || n || copy), 'hex'), '', '', n, n, n + copy
    FROM accounts, generate_series(1, 3) copy;
INSERT INTO api_tokens (id, user_id, token_hash, name, last_four, created_at, expires_at)
    SELECT uuidv7(), id, decode(md5('token' || n || copy), 'hex'), '', '', n, NULLIF(n + copy, n + 1)
    FROM accounts, generate_series(1, 3) copy;
INSERT INTO throttles (subject, attempts, window_ends_at) SELECT 'address ' || n, 1, n FROM generate_series(1, 10000) n;

-- One in two hundred is in progress or pending deletion.
INSERT INTO blobs (id, space_id, key, state, lease_until, size, sha256, content_type, created_at, ready_at)
    SELECT blob, owner, md5('key' || n), 'ready', n, n % 997, sha256(n::text::bytea), 'text/plain', n, n FROM created;
INSERT INTO blobs (id, space_id, key, state, lease_until, created_at)
    SELECT uuidv7(), id, md5('lost key' || n), CASE WHEN n % 2 = 0 THEN 'pending' ELSE 'deleting' END, n, n
    FROM accounts WHERE n <= 100;
INSERT INTO folders (id, space_id, name, location, search, sort_key, created_at, updated_at)
    SELECT id, id, '', '', '', '', n, n FROM accounts;
-- 50 folders for each owner of files, one of them in the trash, and many for the one with many files.
INSERT INTO folders (id, space_id, parent_id, name, location, search, sort_key, created_at, updated_at, trashed_at, trash_id)
    SELECT new.id, owner, owner, name, name || '/', name || '/', name, 1, 1, CASE WHEN n % 50 = 49 THEN 1 END,
        CASE WHEN n % 50 = 49 THEN new.id END
    FROM (SELECT uuidv7() AS id, owner, i AS n, 'folder-' || i AS name
        FROM (SELECT DISTINCT owner FROM created) AS owners, generate_series(0, 49) i) AS new;
INSERT INTO folders (id, space_id, parent_id, name, location, search, sort_key, created_at, updated_at)
    SELECT uuidv7(), p.space_id, p.id, 'below-' || i, p.location || 'below-' || i || '/', '', 'below-' || i, 1, 1
    FROM folders p JOIN accounts a ON a.id = p.space_id AND a.n = 1, generate_series(1, 40) i WHERE p.parent_id IS NOT NULL;
INSERT INTO files (id, space_id, folder_id, name, search, sort_key, blob_id, size, metadata, created_at, updated_at, trashed_at)
    SELECT file, owner, (SELECT d.id FROM folders d WHERE d.parent_id = owner AND d.name = 'folder-' || n % 50), 'file-' || n,
        'file-' || n, 'file-' || n, blob, n % 997, '{}', n, n, CASE WHEN n % 10 = 0 THEN n END
    FROM created;

INSERT INTO file_attributes (space_id, key, value, file_id)
    SELECT owner, 'tag', 'tag-' || n % 5, file FROM created
    UNION ALL SELECT owner, 'metadata.n', (n % 100)::text, file FROM created
    UNION ALL SELECT owner, 'mtime', n::text, file FROM created;

INSERT INTO signed_puts (id, space_id, creator_id, blob_id, file_id, replaces_blob_id, created_at, expires_at)
    SELECT uuidv7(), owner, owner, blob, file, blob, n, n FROM created WHERE n % 8 = 0;
INSERT INTO resumable_uploads (id, space_id, creator_id, folder_id, blob_id, tail_blob_id, mode, path, name, on_conflict, upload_metadata, part_size, hash_state, file_id,
        created_at, expires_at)
    SELECT uuidv7(), owner, owner, owner, blob, CASE WHEN n % 3 = 0 THEN blob END, 'tus', '', '', 'number', '', 1, '',
        CASE WHEN n % 2 = 0 THEN file END, n, n
    FROM created WHERE n % 4 = 0;
INSERT INTO upload_parts (upload_id, number, receipt)
    SELECT id, number, 'receipt' FROM resumable_uploads, generate_series(1, 3) number;
INSERT INTO idempotency_keys (user_id, key, fingerprint, blob_id, response, expires_at)
    SELECT owner, 'key ' || n, '', blob, '{}', n FROM created;

INSERT INTO links (id, space_id, creator_id, file_id, token_hash, last_four, allow_from, inline, note, created_at, revoked_at)
    SELECT uuidv7(), owner, owner, file, decode(md5('link' || n), 'hex'), '', '', FALSE, '', n,
        CASE WHEN n % 20 = 0 THEN n END
    FROM created WHERE n % 2 = 0;
INSERT INTO link_downloads (id, link_id, client_hash, agent_hash, open_responses, bytes_granted, lease_until)
    SELECT uuidv7(), id, '', '', 1, 1, created_at FROM links;
INSERT INTO archive_urls (id, user_id, token_hash, credential, credential_id, name, items, created_at, expires_at)
    SELECT uuidv7(), owner, decode(md5('archive' || n), 'hex'), 'session', file, '', '', n, n FROM created;
INSERT INTO teams (id, name, name_key, created_at, updated_at)
    SELECT uuidv7(), 'Team ' || n, 'team ' || n, 1, 1 FROM generate_series(1, 500) n;
INSERT INTO team_members (team_id, user_id, added_at)
    SELECT t.id, a.id, 1 FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS n FROM teams) t
    JOIN accounts a ON 1 + a.n % 500 = t.n;
INSERT INTO grants (id, folder_id, user_id, role, rights, creator_id, created_at, expires_at)
    SELECT uuidv7(), d.id, a.id, 'viewer', 7, d.space_id, 1, CASE WHEN a.n % 10 = 0 THEN 1 END
    FROM (SELECT id, space_id, ROW_NUMBER() OVER (ORDER BY id) AS n FROM folders) d
    CROSS JOIN generate_series(0, 11) AS k JOIN accounts a ON a.n = 1 + (d.n + k) % 5000;
INSERT INTO spaces (id, name, creator_id, created_at, updated_at, deleted_at)
    SELECT uuidv7(), 'Space ' || a.n, a.id, 1, 1, CASE WHEN a.n % 100 = 0 THEN 1 END FROM accounts a;
INSERT INTO folders (id, space_id, name, location, search, sort_key, created_at, updated_at)
    SELECT id, id, '', '', '', '', 1, 1 FROM spaces WHERE user_id IS NULL;
INSERT INTO grants (id, folder_id, user_id, role, rights, creator_id, created_at)
    SELECT uuidv7(), id, creator_id, 'manager', 255, creator_id, 1 FROM spaces WHERE user_id IS NULL;
INSERT INTO grants (id, file_id, team_id, role, rights, created_at)
    SELECT uuidv7(), f.file, t.id, 'editor', 63, 1 FROM created f
    JOIN (SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS n FROM teams) t ON t.n = 1 + f.n % 500 WHERE f.n % 4 = 0;
INSERT INTO grants (id, file_id, email, email_key, role, rights, created_at)
    SELECT uuidv7(), f.file, n || '@example.com', n || '@example.com', 'viewer', 7, 1 FROM created f WHERE f.n % 4 = 1;
INSERT INTO audit_events (id, at, kind, space_id, actor_id, file_id, channel, detail)
    SELECT uuidv7(), 3 * n + copy, CASE copy WHEN 1 THEN 'file.created' WHEN 2 THEN 'file.read' ELSE 'file.changed' END,
        owner, owner, file, 'api', '{}'
    FROM created, generate_series(1, 3) copy;
INSERT INTO changes (space_id, kind, file_id, path, name, actor_id, at)
    SELECT owner, 'file_created', file, '', 'file-' || n, owner, n FROM created;
INSERT INTO erasures (id, user_id, state, started_at, finished_at)
    SELECT uuidv7(), CASE WHEN n % 1000 = 0 THEN uuidv7() END, CASE WHEN n % 1000 = 0 THEN 'running' ELSE 'done' END, n, n
    FROM generate_series(1, 10000) n;
INSERT INTO orphans (kind, key, multipart_id, first_seen_at, last_seen_at)
    SELECT 'object', md5('orphan' || n), '', n, n FROM generate_series(1, 10000) n;

ANALYZE;
