//! The table of settings. Each setting is defined here once: its flag, its line in `--help`, its key in the file, its row
//! in docs/configure.md and its line in the example file are generated from it.

use super::Settings;
use super::setting::{Setting, set};
use super::value::SettingValue;

/// Builds the table, and for every setting a method of [`Settings`] that returns its text.
macro_rules! settings {
    ($($section:literal { $($(#[doc = $help:literal])+ $key:ident = $setting:expr;)+ })+) => {
        /// Every setting, in the order in which it is shown.
        pub const SETTINGS: &[Setting] = &[$($($setting.section($section).named(stringify!($key), concat!($($help),+))),+),+];

        impl Settings {
            $($(pub(super) fn $key(&self) -> SettingValue<'_> {
                const SETTING: Setting = $setting.named(stringify!($key), "");
                self.given(&SETTING)
            })+)+
        }
    };
}

settings! {
    "Server" {
        /// Address and port to listen on; port 0 selects a free port.
        listen = set("STRONGROOM_LISTEN", "ADDRESS").or("127.0.0.1:3000");
        /// Base of every URL in a response. Default: the listen address; required when listening on a non-loopback address.
        public_url = set("STRONGROOM_PUBLIC_URL", "URL").like("https://files.example.org");
        /// Origins whose pages may call the API with a token (CORS); never with cookies.
        allowed_origins = set("STRONGROOM_ALLOWED_ORIGINS", "ORIGIN,...").like("https://app.example.org,http://localhost:5173");
        /// Whether users may register themselves. Default: open; required when listening on a non-loopback address.
        registration = set("STRONGROOM_REGISTRATION", "open|closed").like("closed");
        /// Directory for keys and, unless configured otherwise, the database and the files.
        data_dir = set("STRONGROOM_DATA_DIR", "PATH").or("strongroom-data");
        /// At least 32 bytes in hex or base64, from which the keys of server-signed URLs and of share links are derived; the same on all servers. Default: generated once and stored in the data directory.
        secret_key = set("STRONGROOM_SECRET_KEY", "SECRET").secret().like("the output of: openssl rand -hex 32");
        /// Certificate chain for HTTPS, in PEM.
        tls_cert = set("STRONGROOM_TLS_CERT", "PATH").like("/etc/strongroom/chain.pem");
        /// Private key of the certificate, in PEM.
        tls_key = set("STRONGROOM_TLS_KEY", "PATH").like("/etc/strongroom/key.pem");
        /// How long browsers that have used HTTPS must use only HTTPS (HSTS); 0 to disable. Sent only if the public URL is https.
        hsts = set("STRONGROOM_HSTS", "TIME").or("365d");
        /// Networks of trusted reverse proxies (X-Forwarded-For).
        trusted_proxies = set("STRONGROOM_TRUSTED_PROXIES", "NETWORK,...").like("10.0.0.0/8,fd00::/8");
        /// Further hosts that the server answers for, in addition to the public URL's, IP addresses and names without a dot.
        allowed_hosts = set("STRONGROOM_ALLOWED_HOSTS", "NAME,...").like("files.internal.example.org");
        /// Time a client may take to send the request headers.
        header_timeout = set("STRONGROOM_HEADER_TIMEOUT", "TIME").or("15s");
        /// Time that a connection may be open without a request; longer than that of a proxy in front.
        idle_timeout = set("STRONGROOM_IDLE_TIMEOUT", "TIME").or("75s");
        /// Maximum number of open connections, and of requests in progress on all of them (at least 1,024), a quarter for each address; fewer if the process may not open enough files.
        connection_limit = set("STRONGROOM_CONNECTION_LIMIT", "NUMBER").or("4096");
        /// Maximum number of bytes read and discarded from a request body that was answered early, so that the client gets the response and can reuse the connection.
        drain_size = set("STRONGROOM_DRAIN_SIZE", "SIZE").or("16MiB");
        /// Maximum time for reading the rest of such a body.
        drain_timeout = set("STRONGROOM_DRAIN_TIMEOUT", "TIME").or("30s");
        /// Time that transfers may continue after a shutdown signal.
        shutdown_deadline = set("STRONGROOM_SHUTDOWN_DEADLINE", "TIME").or("30s");
    }
    "Database" {
        /// sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME. Default: strongroom.db in the data directory.
        database_url = set("DATABASE_URL", "URL").secret().like("postgres://strongroom:password@db.example.org/strongroom");
        /// Maximum number of database connections (SQLite: readers; one more connection writes).
        database_connections = set("STRONGROOM_DATABASE_CONNECTIONS", "NUMBER").or("16");
        /// Time that the database may take for a statement that reads for a request.
        statement_timeout = set("STRONGROOM_STATEMENT_TIMEOUT", "TIME").or("10s");
    }
    "Storage" {
        /// Storage location: file:///PATH or s3://BUCKET/PREFIX. Default: files in the data directory.
        store_url = set("STORE_URL", "URL").like("s3://my-bucket/strongroom");
        /// Region of the bucket. Default: us-east-1 with a custom endpoint; required on AWS.
        aws_region = set("AWS_REGION", "NAME").fallback("AWS_DEFAULT_REGION").like("eu-central-1");
        /// Access key. Default: the credentials of the machine, container or web identity.
        aws_access_key_id = set("AWS_ACCESS_KEY_ID", "TEXT").like("AKIAIOSFODNN7EXAMPLE");
        /// Secret of the access key.
        aws_secret_access_key = set("AWS_SECRET_ACCESS_KEY", "SECRET").secret().like("(better kept in the environment)");
        /// Session token of temporary credentials.
        aws_session_token = set("AWS_SESSION_TOKEN", "SECRET").secret().like("(better kept in the environment)");
        /// S3 endpoint. Default: AWS.
        aws_endpoint_url_s3 = set("AWS_ENDPOINT_URL_S3", "URL").fallback("AWS_ENDPOINT_URL").like("http://minio:9000");
        /// Public S3 endpoint used in signed URLs. Default: the endpoint.
        s3_public_endpoint = set("STRONGROOM_S3_PUBLIC_ENDPOINT", "URL").like("https://s3.example.org");
        /// Whether to use endpoint/bucket/key instead of bucket.endpoint/key. Default: true with a custom endpoint, false on AWS.
        s3_path_style = set("STRONGROOM_S3_PATH_STYLE", "true|false").like("true");
        /// Server-side encryption by the bucket.
        s3_encryption = set("STRONGROOM_S3_ENCRYPTION", "none|aes256|kms").or("none");
        /// Key for kms. Default: the default key of the AWS account.
        s3_kms_key_id = set("STRONGROOM_S3_KMS_KEY_ID", "TEXT").like("arn:aws:kms:eu-central-1:111122223333:key/example");
    }
    "Request limits" {
        /// Maximum size of a file.
        max_file_size = set("STRONGROOM_MAX_FILE_SIZE", "SIZE").or("64GiB");
        /// Allowed content types (detected from content). Default: any.
        allowed_types = set("STRONGROOM_ALLOWED_TYPES", "TYPE,...").like("image/*,application/pdf");
        /// Maximum size of an avatar.
        max_avatar_size = set("STRONGROOM_MAX_AVATAR_SIZE", "SIZE").or("5MiB");
        /// Maximum size of a JSON body.
        max_json_body = set("STRONGROOM_MAX_JSON_BODY", "SIZE").or("256KiB");
        /// Maximum size of the metadata of one file, as JSON.
        max_metadata = set("STRONGROOM_MAX_METADATA", "SIZE").or("8KiB");
        /// Memory for JSON bodies, lists and downloads in progress, for the whole process. One half is for bodies and lists, at most a quarter of it per account or address; downloads share the other half equally.
        request_memory = set("STRONGROOM_REQUEST_MEMORY", "SIZE").or("64MiB");
        /// Maximum number of items on one page of a list.
        page_limit = set("STRONGROOM_PAGE_LIMIT", "NUMBER").or("1000");
        /// Maximum number of files in one batch.
        batch_limit = set("STRONGROOM_BATCH_LIMIT", "NUMBER").or("1000");
        /// Maximum number of ranges in one request.
        range_limit = set("STRONGROOM_RANGE_LIMIT", "NUMBER").or("10");
    }
    "Account limits" {
        /// Bytes that one account may use, including metadata, its avatar and open uploads. Default: unlimited.
        quota_bytes = set("STRONGROOM_QUOTA_BYTES", "SIZE").like("10GB");
        /// Files that one account may have. Default: unlimited, or with a quota of bytes one file for each 4 KiB, at least 1000.
        quota_files = set("STRONGROOM_QUOTA_FILES", "NUMBER").like("100000");
        /// Maximum number of open uploads of one account, including resumable uploads and signed PUT URLs.
        open_uploads = set("STRONGROOM_OPEN_UPLOADS", "NUMBER").or("100");
        /// Active API tokens of one account.
        token_limit = set("STRONGROOM_TOKEN_LIMIT", "NUMBER").or("100");
        /// Sessions of one account; a further sign-in ends the oldest one.
        session_limit = set("STRONGROOM_SESSION_LIMIT", "NUMBER").or("1000");
        /// Idempotency keys of one account that are kept, the latest ones, for a day.
        idempotency_keys_per_account = set("STRONGROOM_IDEMPOTENCY_KEYS_PER_ACCOUNT", "NUMBER").or("100000");
    }
    "Uploads and downloads" {
        /// Memory for bytes in transit to the store, for the whole process.
        upload_memory = set("STRONGROOM_UPLOAD_MEMORY", "SIZE").or("128MiB");
        /// Part size of multipart uploads to S3, 5MiB to 5GiB.
        part_size = set("STRONGROOM_PART_SIZE", "SIZE").or("8MiB");
        /// Parts of one upload that are sent concurrently.
        part_concurrency = set("STRONGROOM_PART_CONCURRENCY", "NUMBER").or("4");
        /// Maximum size of one upload request of the web page, and the size recommended to other clients; keep it below the limit of a proxy in front.
        upload_chunk_size = set("STRONGROOM_UPLOAD_CHUNK_SIZE", "SIZE").or("64MiB");
        /// Upload lease: time without a heartbeat after which an upload is abandoned.
        upload_lease = set("STRONGROOM_UPLOAD_LEASE", "TIME").or("15min");
        /// Time without new bytes after which a resumable upload expires.
        upload_expiry = set("STRONGROOM_UPLOAD_EXPIRY", "TIME").or("24h");
        /// Time that a client may send nothing before its upload is aborted.
        upload_stall_timeout = set("STRONGROOM_UPLOAD_STALL_TIMEOUT", "TIME").or("1min");
        /// Minimum average rate of an upload in bytes per second, beyond the stall timeout; 0 for no minimum.
        min_upload_rate = set("STRONGROOM_MIN_UPLOAD_RATE", "SIZE").or("1kB");
        /// Default delivery of content: proxied by this server, or by a redirect to the store.
        download_via = set("STRONGROOM_DOWNLOAD_VIA", "proxy|redirect").or("proxy");
        /// Whether browsers may keep the content of files, to revalidate it before each use. They never keep that of links.
        browser_cache = set("STRONGROOM_BROWSER_CACHE", "revalidate|none").or("revalidate");
        /// Default lifetime of a signed URL.
        signed_url_lifetime = set("STRONGROOM_SIGNED_URL_LIFETIME", "TIME").or("15min");
        /// Maximum lifetime of a signed URL, at most 7d.
        signed_url_max_lifetime = set("STRONGROOM_SIGNED_URL_MAX_LIFETIME", "TIME").or("7d");
        /// Who signs download URLs for S3: the store, or this server, which can revoke them and proxies the content.
        signed_urls = set("STRONGROOM_SIGNED_URLS", "store|server").or("store");
        /// Exports that the server writes at the same time, each of another account.
        export_limit = set("STRONGROOM_EXPORT_LIMIT", "NUMBER").or("4");
        /// Archives that the server sends at the same time, a quarter of them to one account or to the clients at one address.
        archive_limit = set("STRONGROOM_ARCHIVE_LIMIT", "NUMBER").or("16");
        /// Maximum number of files and folders in one archive.
        archive_entries = set("STRONGROOM_ARCHIVE_ENTRIES", "NUMBER").or("100000");
        /// Interval of garbage collection, which deletes what interrupted uploads and deleted files left behind.
        reap_interval = set("STRONGROOM_REAP_INTERVAL", "TIME").or("1min");
    }
    "Share links" {
        /// Delivery of content through links: proxied by this server, or by a redirect to a URL that the bucket signs for 30 seconds.
        link_delivery = set("STRONGROOM_LINK_DELIVERY", "proxy|redirect").or("proxy");
        /// Maximum number of links of one account, including those revoked in the last 30 days.
        link_limit = set("STRONGROOM_LINK_LIMIT", "NUMBER").or("10000");
        /// How long a link with a password stays unlocked.
        link_unlock_lifetime = set("STRONGROOM_LINK_UNLOCK_LIFETIME", "TIME").or("1h");
        /// How long an interrupted download of a link with a download limit can continue, from the same address, without counting again.
        link_resume_window = set("STRONGROOM_LINK_RESUME_WINDOW", "TIME").or("1h");
    }
    "Shared spaces" {
        /// Who may create shared spaces, each of which has a quota of its own: admins only, or every user.
        space_creators = set("STRONGROOM_SPACE_CREATORS", "admins|users").or("admins");
        /// Maximum number of shared spaces that one user may create, those in their grace period included; admins may create any number.
        space_limit = set("STRONGROOM_SPACE_LIMIT", "NUMBER").or("20");
        /// How long a deleted shared space can be restored.
        space_grace = set("STRONGROOM_SPACE_GRACE", "TIME").or("30d");
        /// Maximum number of accounts, teams and addresses that one file or folder is shared with.
        grant_limit = set("STRONGROOM_GRANT_LIMIT", "NUMBER").or("1000");
    }
    "Trash" {
        /// How long deleted files can be restored; 0: they are deleted permanently and immediately.
        trash_retention = set("STRONGROOM_TRASH_RETENTION", "TIME").or("30d");
    }
    "Audit log" {
        /// Audit log retention.
        audit_log_retention = set("STRONGROOM_AUDIT_LOG_RETENTION", "TIME").or("90d");
        /// Events of one account that are kept, the latest ones.
        events_per_account = set("STRONGROOM_EVENTS_PER_ACCOUNT", "NUMBER").or("1000000");
    }
    "Change log" {
        /// How long the change log keeps changes. Clients with an older cursor must list everything again.
        change_log_retention = set("STRONGROOM_CHANGE_LOG_RETENTION", "TIME").or("30d");
        /// Changes that are kept at most, the latest ones of all accounts.
        change_log_limit = set("STRONGROOM_CHANGE_LOG_LIMIT", "NUMBER").or("10000000");
        /// Maximum time that a request for changes waits for one.
        change_wait = set("STRONGROOM_CHANGE_WAIT", "TIME").or("1min");
        /// Requests that wait for changes or follow them, for the whole process.
        change_waiters = set("STRONGROOM_CHANGE_WAITERS", "NUMBER").or("1000");
        /// Such requests of one account.
        change_waiters_per_account = set("STRONGROOM_CHANGE_WAITERS_PER_ACCOUNT", "NUMBER").or("20");
    }
    "Integrity checks" {
        /// Interval of automatic fsck runs; 0 for none. They report their findings and put nothing into quarantine.
        fsck_interval = set("STRONGROOM_FSCK_INTERVAL", "TIME").or("1d");
        /// Bytes per second that a full fsck run reads.
        fsck_rate = set("STRONGROOM_FSCK_RATE", "SIZE").or("50MB");
        /// How long orphaned objects stay in quarantine before fsck deletes them.
        fsck_quarantine = set("STRONGROOM_FSCK_QUARANTINE", "TIME").or("1d");
    }
    "Accounts and authentication" {
        /// Session lifetime.
        session_lifetime = set("STRONGROOM_SESSION_LIFETIME", "TIME").or("30d");
        /// Time without use after which a session ends; 0 for no limit.
        session_idle = set("STRONGROOM_SESSION_IDLE", "TIME").or("14d");
        /// How long a server caches sessions and tokens before it asks the database again; 0 disables the cache. A session that is revoked on one server ends there immediately, and on the others within this time.
        session_cache_ttl = set("STRONGROOM_SESSION_CACHE_TTL", "TIME").or("500ms");
        /// How often a transfer checks again that its session, token, link or signed URL is valid.
        access_check_interval = set("STRONGROOM_ACCESS_CHECK_INTERVAL", "TIME").or("15s");
        /// Maximum number of concurrent password hashes; each takes memory and a core.
        password_hash_concurrency = set("STRONGROOM_PASSWORD_HASH_CONCURRENCY", "NUMBER").or("2");
        /// Time window in which the attempts below are counted.
        attempt_window = set("STRONGROOM_ATTEMPT_WINDOW", "TIME").or("15min");
        /// Failed sign-ins to one account, and failed passwords of one share link.
        logins_per_account = set("STRONGROOM_LOGINS_PER_ACCOUNT", "NUMBER").or("10");
        /// Failed sign-ins and share link passwords from one address (ten times as many from one IPv6 site, a /48), and new passwords that one account sets for itself and its links.
        logins_per_address = set("STRONGROOM_LOGINS_PER_ADDRESS", "NUMBER").or("100");
        /// Registrations from one address.
        registrations_per_address = set("STRONGROOM_REGISTRATIONS_PER_ADDRESS", "NUMBER").or("20");
    }
    "Logging" {
        /// Log level (error, warn, info, debug, trace), or directives such as info,sqlx=debug. Dependencies log debug at most.
        log = set("STRONGROOM_LOG", "LEVEL").or("info");
        /// Log format.
        log_format = set("STRONGROOM_LOG_FORMAT", "text|json").or("text");
    }
}
