//! The table of settings. A setting is written here once; its flag, its line in `--help`, its key
//! in the file, its row in docs/configure.md and its line in the example file all come from here.

use super::Settings;
use super::value::Given;

/// One setting, as operators know it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The heading it stands under.
    pub section: &'static str,
    /// Its name in the file; as a flag, with dashes.
    pub key: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// A second variable that counts when the first is absent.
    pub fallback: Option<&'static str>,
    /// What a value looks like, in one word.
    pub shape: &'static str,
    /// The default, or none if the setting is then absent or follows from others.
    pub default: Option<&'static str>,
    /// A value to show where there is no default.
    pub example: &'static str,
    /// Never printed, neither in errors nor by `strongroom config`.
    pub secret: bool,
    help: &'static str,
}

impl Setting {
    /// What it is for, in one or two sentences.
    pub fn help(&self) -> &'static str {
        self.help.trim()
    }

    const fn section(self, section: &'static str) -> Self {
        Self { section, ..self }
    }

    const fn named(self, key: &'static str, help: &'static str) -> Self {
        Self { key, help, ..self }
    }

    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn like(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    const fn fallback(self, variable: &'static str) -> Self {
        Self { fallback: Some(variable), ..self }
    }
}

const fn set(variable: &'static str, shape: &'static str) -> Setting {
    Setting {
        section: "",
        key: "",
        variable,
        fallback: None,
        shape,
        default: None,
        example: "",
        secret: false,
        help: "",
    }
}

/// Makes the table, and for every setting a method of [`Settings`] that gives its text.
macro_rules! settings {
    ($($section:literal { $($(#[doc = $help:literal])+ $key:ident = $setting:expr;)+ })+) => {
        /// Every setting, in the order in which it is shown.
        pub const SETTINGS: &[Setting] = &[$($($setting.section($section).named(stringify!($key), concat!($($help),+))),+),+];

        impl Settings {
            $($(pub(super) fn $key(&self) -> Given<'_> {
                const SETTING: Setting = $setting.named(stringify!($key), "");
                self.given(&SETTING)
            })+)+
        }
    };
}

settings! {
    "The server" {
        /// Where the server listens; port 0 takes any free one.
        listen = set("STRONGROOM_LISTEN", "ADDRESS").or("127.0.0.1:3000");
        /// The base of every URL that is given out. Default: the address it listens on; must be chosen if other machines can connect.
        public_url = set("STRONGROOM_PUBLIC_URL", "URL").like("https://files.example.org");
        /// Whether people may register by themselves. Default: open; must be chosen if other machines can connect.
        registration = set("STRONGROOM_REGISTRATION", "open|closed").like("closed");
        /// The folder for keys and, unless they are told to lie elsewhere, the database and the files.
        data_dir = set("STRONGROOM_DATA_DIR", "PATH").or("strongroom-data");
        /// 32 bytes or more in hex or base64, from which our own signed URLs are derived. Default: made once and kept in the data folder.
        secret_key = set("STRONGROOM_SECRET_KEY", "SECRET").secret().like("the output of: openssl rand -hex 32");
        /// The certificate chain for HTTPS, in PEM.
        tls_cert = set("STRONGROOM_TLS_CERT", "PATH").like("/etc/strongroom/chain.pem");
        /// The certificate's key, in PEM.
        tls_key = set("STRONGROOM_TLS_KEY", "PATH").like("/etc/strongroom/key.pem");
        /// Networks of the proxies in front, whose X-Forwarded-For is believed.
        trusted_proxies = set("STRONGROOM_TRUSTED_PROXIES", "NETWORK,...").like("10.0.0.0/8,fd00::/8");
        /// How long a client may take to send the head of a request.
        header_timeout = set("STRONGROOM_HEADER_TIMEOUT", "TIME").or("15s");
        /// How long transfers may go on deadline the order to stop.
        shutdown_deadline = set("STRONGROOM_SHUTDOWN_DEADLINE", "TIME").or("30s");
    }
    "The database" {
        /// sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME. Default: strongroom.db in the data folder.
        database_url = set("DATABASE_URL", "URL").secret().like("postgres://strongroom:password@db.example.org/strongroom");
        /// Connections that are open at most (SQLite: readers; one more writes).
        database_connections = set("STRONGROOM_DATABASE_CONNECTIONS", "NUMBER").or("16");
    }
    "The store" {
        /// Where the bytes lie: file:///PATH or s3://BUCKET/PREFIX. Default: files in the data folder.
        store_url = set("STORE_URL", "URL").like("s3://my-bucket/strongroom");
        /// The bucket's region. Default: us-east-1 with an endpoint of your own; must be chosen on AWS.
        aws_region = set("AWS_REGION", "NAME").fallback("AWS_DEFAULT_REGION").like("eu-central-1");
        /// The access key. Default: the credentials of the machine, container or web identity.
        aws_access_key_id = set("AWS_ACCESS_KEY_ID", "TEXT").like("AKIAIOSFODNN7EXAMPLE");
        /// The secret of the access key.
        aws_secret_access_key = set("AWS_SECRET_ACCESS_KEY", "SECRET").secret().like("(better kept in the environment)");
        /// The session of temporary credentials.
        aws_session_token = set("AWS_SESSION_TOKEN", "SECRET").secret().like("(better kept in the environment)");
        /// Where S3 is. Default: AWS.
        aws_endpoint_url_s3 = set("AWS_ENDPOINT_URL_S3", "URL").fallback("AWS_ENDPOINT_URL").like("http://minio:9000");
        /// The endpoint as people reach it, the base of signed URLs. Default: the endpoint.
        s3_public_endpoint = set("STRONGROOM_S3_PUBLIC_ENDPOINT", "URL").like("https://s3.example.org");
        /// endpoint/bucket/key instead of bucket.endpoint/key. Default: true with an endpoint of your own, false on AWS.
        s3_path_style = set("STRONGROOM_S3_PATH_STYLE", "true|false").like("true");
        /// Encryption by the bucket.
        s3_encryption = set("STRONGROOM_S3_ENCRYPTION", "none|aes256|kms").or("none");
        /// The key for kms. Default: the account's default key.
        s3_kms_key_id = set("STRONGROOM_S3_KMS_KEY_ID", "TEXT").like("arn:aws:kms:eu-central-1:111122223333:key/example");
    }
    "Limits of one request" {
        /// The largest file.
        max_file_size = set("STRONGROOM_MAX_FILE_SIZE", "SIZE").or("64GiB");
        /// Types of files that are accepted, told from their bytes. Default: any.
        allowed_types = set("STRONGROOM_ALLOWED_TYPES", "TYPE,...").like("image/*,application/pdf");
        /// The largest avatar.
        max_avatar_size = set("STRONGROOM_MAX_AVATAR_SIZE", "SIZE").or("5MiB");
        /// The largest JSON body.
        max_json_body = set("STRONGROOM_MAX_JSON_BODY", "SIZE").or("256KiB");
        /// The largest metadata of one file, as JSON.
        max_metadata = set("STRONGROOM_MAX_METADATA", "SIZE").or("8KiB");
        /// Files on one page of a list.
        page_limit = set("STRONGROOM_PAGE_LIMIT", "NUMBER").or("1000");
        /// Files in one batch.
        batch_limit = set("STRONGROOM_BATCH_LIMIT", "NUMBER").or("1000");
        /// Parts in the answer to one range request.
        range_limit = set("STRONGROOM_RANGE_LIMIT", "NUMBER").or("10");
    }
    "Limits of one account" {
        /// Bytes that one account may use, avatar and uploads under way included. Default: without a limit.
        quota_bytes = set("STRONGROOM_QUOTA_BYTES", "SIZE").like("10GB");
        /// Files that one account may have. Default: without a limit.
        quota_files = set("STRONGROOM_QUOTA_FILES", "NUMBER").like("100000");
        /// Uploads that one account may have under way at once, those through signed URLs and in pieces included.
        open_uploads = set("STRONGROOM_OPEN_UPLOADS", "NUMBER").or("100");
    }
    "Uploads and downloads" {
        /// Memory for bytes on their way to the store, for the whole process.
        upload_memory = set("STRONGROOM_UPLOAD_MEMORY", "SIZE").or("128MiB");
        /// One part of a multipart upload to S3, 5MiB to 5GiB.
        part_size = set("STRONGROOM_PART_SIZE", "SIZE").or("8MiB");
        /// Parts of one upload that are on their way at once.
        part_concurrency = set("STRONGROOM_PART_CONCURRENCY", "NUMBER").or("4");
        /// How long a writer may be silent before its upload counts as dead.
        upload_lease = set("STRONGROOM_UPLOAD_LEASE", "TIME").or("15min");
        /// How long an upload that can be resumed waits for its next byte before it is given up.
        upload_expiry = set("STRONGROOM_UPLOAD_EXPIRY", "TIME").or("24h");
        /// How long a client may send nothing.
        upload_stall_timeout = set("STRONGROOM_UPLOAD_STALL_TIMEOUT", "TIME").or("1min");
        /// How content is delivered when the request does not say: through this server, or by a redirect to the store.
        download_via = set("STRONGROOM_DOWNLOAD_VIA", "proxy|redirect").or("proxy");
        /// Life of a signed URL when the request does not say.
        signed_url_default = set("STRONGROOM_SIGNED_URL_DEFAULT", "TIME").or("15min");
        /// Longest life of a signed URL, 7d at most.
        signed_url_max = set("STRONGROOM_SIGNED_URL_MAX", "TIME").or("7d");
        /// Whose signed URLs are given out to read from S3: the bucket's, or this server's, which can be revoked and go through it.
        signed_urls = set("STRONGROOM_SIGNED_URLS", "store|ours").or("store");
        /// The time between two passes of the reaper, which clears what broken uploads and deleted files left.
        reap_interval = set("STRONGROOM_REAP_INTERVAL", "TIME").or("1min");
    }
    "Share links" {
        /// How the bytes of a link are delivered: through this server, or by a redirect to a URL that the bucket signs for 30 seconds.
        link_delivery = set("STRONGROOM_LINK_DELIVERY", "proxy|redirect").or("proxy");
        /// Links of one account, those revoked in the last 30 days included.
        link_limit = set("STRONGROOM_LINK_LIMIT", "NUMBER").or("10000");
        /// How long the password of a link need not be given again.
        link_unlock = set("STRONGROOM_LINK_UNLOCK", "TIME").or("1h");
        /// How long a download that broke off keeps its use of a link that has a number of them.
        link_resume = set("STRONGROOM_LINK_RESUME", "TIME").or("2min");
    }
    "Trash" {
        /// How long deleted files can be restored; 0: they are deleted for good at once.
        trash_retention = set("STRONGROOM_TRASH_RETENTION", "TIME").or("30d");
    }
    "The trail" {
        /// How long it is kept who did what.
        event_retention = set("STRONGROOM_EVENT_RETENTION", "TIME").or("90d");
    }
    "Checks" {
        /// The time between two passes of fsck that nobody asks for; 0 for none. They tell what they find, and put nothing into quarantine.
        fsck_interval = set("STRONGROOM_FSCK_INTERVAL", "TIME").or("1d");
        /// Bytes that a full pass of fsck reads in a second.
        fsck_rate = set("STRONGROOM_FSCK_RATE", "SIZE").or("50MB");
        /// How long bytes that no row knows stay in quarantine before fsck removes them.
        fsck_quarantine = set("STRONGROOM_FSCK_QUARANTINE", "TIME").or("1d");
    }
    "People" {
        /// How long a sign-in lasts.
        session_lifetime = set("STRONGROOM_SESSION_LIFE", "TIME").or("30d");
        /// How long a server trusts what it knows of a session or token before it asks the database again; 0: it always asks. What is ended on one server ends there at once, and on the others within this time.
        session_cache = set("STRONGROOM_SESSION_CACHE", "TIME").or("500ms");
        /// Connections that are open at once; fewer if the process may not open twice as many files.
        connection_limit = set("STRONGROOM_CONNECTION_LIMIT", "NUMBER").or("4096");
        /// Live API tokens of one account.
        token_limit = set("STRONGROOM_TOKEN_LIMIT", "NUMBER").or("100");
        /// Passwords that are hashed at the same time; each takes memory and a core.
        password_hashers = set("STRONGROOM_PASSWORD_HASHERS", "NUMBER").or("2");
        /// The time in which the attempts below are counted.
        attempt_window = set("STRONGROOM_ATTEMPT_WINDOW", "TIME").or("15min");
        /// Failed sign-ins of one account, and failed passwords of one share link.
        logins_per_account = set("STRONGROOM_LOGINS_PER_ACCOUNT", "NUMBER").or("10");
        /// Failed sign-ins and passwords of share links from one address.
        logins_per_address = set("STRONGROOM_LOGINS_PER_ADDRESS", "NUMBER").or("100");
        /// Registrations from one address.
        registrations_per_address = set("STRONGROOM_REGISTRATIONS_PER_ADDRESS", "NUMBER").or("20");
    }
    "Logs" {
        /// A level (error, warn, info, debug, trace), or directives such as info,sqlx=debug.
        log = set("STRONGROOM_LOG", "LEVEL").or("info");
        /// How lines of the log are written.
        log_format = set("STRONGROOM_LOG_FORMAT", "text|json").or("text");
    }
}
