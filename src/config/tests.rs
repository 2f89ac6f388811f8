use std::path::Path;

use secrecy::ExposeSecret;

use super::*;

/// A text that neither `Debug` nor an error may show.
const HIDDEN: &str = "hunter2";

fn variables(pairs: &[(&str, &str)]) -> Settings {
    let environment = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).into())).collect();
    Settings::from_environment(&environment).unwrap()
}

fn resolved(pairs: &[(&str, &str)]) -> Config {
    variables(pairs).resolve().unwrap_or_else(|error| panic!("{pairs:?}: {error}"))
}

fn error(pairs: &[(&str, &str)]) -> String {
    variables(pairs).resolve().map(|_| format!("{pairs:?} was accepted")).unwrap_or_else(|error| error.to_string())
}

fn in_file(text: &str) -> Result<Settings, ConfigError> {
    Settings::from_toml(text, Path::new("strongroom.toml"))
}

#[test]
fn the_defaults_match_the_documentation() {
    let config = Config::default();
    assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.public_url.as_str(), "http://127.0.0.1:3000/");
    assert_eq!(config.registration, Registration::Open);
    assert_eq!(config.database_url.expose_secret(), "sqlite:strongroom-data/strongroom.db");
    assert!(matches!(config.store, StoreConfig::Disk { root } if root == Path::new("strongroom-data/files")));
    assert_eq!(config.limits.file_size, 64 << 30);
    assert_eq!(config.limits.signed_url_max_lifetime, Duration::from_secs(7 * 24 * 3600));
    assert_eq!(config.uploads.memory, 128 << 20);
    assert_eq!(config.auth.session_lifetime, Duration::from_secs(30 * 24 * 3600));
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    std::fs::write(&file, "page_limit = 1\nbatch_limit = 1\nrange_limit = 1\ntoken_limit = 1").unwrap();
    let environment = || {
        let limits = [("STRONGROOM_PAGE_LIMIT", "2"), ("STRONGROOM_BATCH_LIMIT", "2")];
        // An empty variable counts as absent.
        let texts =
            limits.into_iter().chain([("STRONGROOM_RANGE_LIMIT", ""), ("STRONGROOM_CONFIG", file.to_str().unwrap())]);
        texts.map(|(name, text)| (name.into(), text.into()))
    };
    let flags = variables(&[("STRONGROOM_PAGE_LIMIT", "3")]);
    let limits = Settings::load(flags, None, environment()).unwrap().resolve().unwrap().limits;
    assert_eq!((limits.page, limits.batch, limits.ranges, limits.tokens), (3, 2, 1, 1));
    assert_eq!(limits.json_body, Limits::default().json_body);

    let missing = Settings::load(Settings::default(), Some(folder.path().join("none.toml")), environment());
    assert!(missing.unwrap_err().to_string().contains("none.toml: "));
}

#[test]
fn limits_of_accounts_and_types_are_read() {
    let config = resolved(&[
        ("STRONGROOM_QUOTA_BYTES", "10GB"),
        ("STRONGROOM_QUOTA_FILES", "0"),
        ("STRONGROOM_ALLOWED_TYPES", "Image/*, application/pdf"),
    ]);
    assert_eq!(config.quotas, Quotas { bytes: Some(10_000_000_000), files: Some(0), open_uploads: 100 });
    let allowed = |kind| config.limits.allowed_types.admit(kind);
    assert!(allowed("image/png") && allowed("application/pdf") && allowed("application/PDF; a=b"));
    assert!(!allowed("text/plain; charset=utf-8") && !allowed("application/pdfx") && !allowed("imagex/png"));
    assert_eq!((Config::default().quotas.bytes, Config::default().limits.allowed_types.admit("a/b")), (None, true));
    for types in ["image", "*/*", "image/png; q=1", "image/png,,image/gif"] {
        let why = error(&[("STRONGROOM_ALLOWED_TYPES", types)]);
        assert!(why.contains("expected content types such as"), "{why}");
    }
    let registered =
        "audio/mp4,audio/flac,audio/wav,font/woff2,image/heic,image/jpg,image/vnd.microsoft.icon,application/xml";
    let config = resolved(&[("STRONGROOM_ALLOWED_TYPES", registered)]);
    for kind in ["audio/m4a", "audio/x-flac", "image/jpeg", "image/heif", "image/x-icon", "text/xml"] {
        assert!(config.limits.allowed_types.admit(kind), "{kind}");
    }
    assert!(error(&[("STRONGROOM_ALLOWED_TYPES", "image/pgn")]).contains("did you mean image/png?"));
}

#[test]
fn settings_follow_each_other() {
    let config = resolved(&[("STRONGROOM_DATA_DIR", "/srv/100%?"), ("STRONGROOM_LISTEN", "[::1]:0")]);
    assert_eq!(config.database_url.expose_secret(), "sqlite:/srv/100%25%3F/strongroom.db");
    assert!(matches!(config.store, StoreConfig::Disk { root } if root == Path::new("/srv/100%?/files")));
    assert_eq!(config.public_url.as_str(), "http://[::1]:0/");

    let tls = [("STRONGROOM_TLS_CERT", "a.pem"), ("STRONGROOM_TLS_KEY", "b.pem")];
    assert_eq!(resolved(&tls).public_url.as_str(), "https://127.0.0.1:3000/");

    let StoreConfig::S3(own) =
        resolved(&[("STORE_URL", "s3://bucket/a/b/"), ("AWS_ENDPOINT_URL", "http://minio:9000")]).store
    else {
        panic!("a bucket is a store in S3")
    };
    assert_eq!(
        (own.bucket.as_str(), own.prefix.as_str(), own.region.as_str(), own.path_style),
        ("bucket", "a/b", "us-east-1", true)
    );

    let StoreConfig::S3(aws) = resolved(&[("STORE_URL", "s3://bucket"), ("AWS_DEFAULT_REGION", "eu-central-1")]).store
    else {
        panic!("a bucket is a store in S3")
    };
    assert_eq!((aws.prefix.as_str(), aws.region.as_str(), aws.path_style), ("", "eu-central-1", false));
}

#[test]
fn values_have_more_than_one_spelling() {
    let hex = "00".repeat(32);
    let base64 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for key in [hex.as_str(), base64, &format!("{base64}=")] {
        let config = resolved(&[("STRONGROOM_SECRET_KEY", key)]);
        assert_eq!(config.secret_key.unwrap().expose_secret(), [0; 32]);
    }
    for store in ["file:///srv/my%20files", "file:/srv/my%20files"] {
        let config = resolved(&[("STORE_URL", store)]);
        assert!(matches!(config.store, StoreConfig::Disk { root } if root == Path::new("/srv/my files")));
    }
    let listed = in_file(r#"trusted_proxies = ["10.0.0.0/8", "::1"]"#).unwrap().resolve().unwrap();
    let with_commas = resolved(&[("STRONGROOM_TRUSTED_PROXIES", "10.1.2.3/8, ::1")]);
    assert_eq!(listed.trusted_proxies, with_commas.trusted_proxies);
    assert_eq!(listed.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "::1/128".parse::<IpNet>().unwrap()]);
    let mapped = resolved(&[("STRONGROOM_TRUSTED_PROXIES", "::ffff:10.1.2.3/104, ::1")]);
    assert_eq!(mapped.trusted_proxies, listed.trusted_proxies);
    assert!(resolved(&[("STRONGROOM_FSCK_INTERVAL", "0")]).fsck.interval.is_zero());
    // Settings of another store do no harm.
    resolved(&[("AWS_ACCESS_KEY_ID", "id"), ("STRONGROOM_S3_KMS_KEY_ID", "key")]);
}

/// What is set, and the error.
#[rustfmt::skip]
const INVALID: &[(&[(&str, &str)], &str)] = &[
    (&[("STRONGROOM_LISTEN", "abc")], "STRONGROOM_LISTEN: invalid value \"abc\": expected an address such as 127.0.0.1:3000"),
    (&[("STRONGROOM_LISTEN", "0.0.0.0:80"), ("STRONGROOM_REGISTRATION", "open")], "STRONGROOM_PUBLIC_URL: required, such as https://files.example.org, because other machines can connect to 0.0.0.0:80"),
    (&[("STRONGROOM_LISTEN", "[::]:80"), ("STRONGROOM_PUBLIC_URL", "http://a.example")], "STRONGROOM_REGISTRATION: required, such as closed, because other machines can connect to [::]:80"),
    (&[("STRONGROOM_PUBLIC_URL", "https://a.example")], "STRONGROOM_REGISTRATION: required, such as closed, because other machines can connect to https://a.example/"),
    (&[("STRONGROOM_PUBLIC_URL", "ftp://a.example")], "STRONGROOM_PUBLIC_URL: invalid value \"ftp://a.example\": expected an http or https URL without ? and #"),
    (&[("STRONGROOM_PUBLIC_URL", "http://a.example/?b")], "STRONGROOM_PUBLIC_URL: invalid value \"http://a.example/?b\": expected an http or https URL without ? and #"),
    (&[("STRONGROOM_PUBLIC_URL", "http://me:hunter2@a.example")], "STRONGROOM_PUBLIC_URL: must not have a user name or password"),
    (&[("STRONGROOM_REGISTRATION", "maybe")], "STRONGROOM_REGISTRATION: invalid value \"maybe\": expected open or closed"),
    (&[("STRONGROOM_TLS_CERT", "a.pem")], "STRONGROOM_TLS_KEY: required with STRONGROOM_TLS_CERT"),
    (&[("STRONGROOM_TLS_KEY", "a.pem")], "STRONGROOM_TLS_CERT: required with STRONGROOM_TLS_KEY"),
    (&[("STRONGROOM_SECRET_KEY", HIDDEN)], "STRONGROOM_SECRET_KEY: invalid value: expected at least 32 bytes in hex or base64; generate it with: openssl rand -hex 32"),
    (&[("STRONGROOM_TRUSTED_PROXIES", "10.0.0.0/8,x")], "STRONGROOM_TRUSTED_PROXIES: invalid value \"10.0.0.0/8,x\": expected networks such as 10.0.0.0/8,fd00::/8"),
    (&[("DATABASE_URL", "mysql://me:hunter2@db/name")], "DATABASE_URL: invalid value: expected a URL such as sqlite:strongroom.db or postgres://user:password@host/name"),
    (&[("DATABASE_URL", "sqlite::memory:")], "DATABASE_URL: in-memory databases are not supported: a restart would lose the metadata of the stored files"),
    (&[("STRONGROOM_DATABASE_CONNECTIONS", "0")], "STRONGROOM_DATABASE_CONNECTIONS: invalid value \"0\": expected a whole number from 1 to 1000"),
    (&[("STORE_URL", "ftp://files")], "STORE_URL: invalid value \"ftp://files\": expected a location such as file:///srv/files, file:files or s3://bucket/prefix"),
    (&[("STORE_URL", "file://host/files")], "STORE_URL: invalid value \"file://host/files\": expected a location such as file:///srv/files, file:files or s3://bucket/prefix"),
    (&[("STORE_URL", "s3://bucket/a/../b")], "STORE_URL: invalid value \"s3://bucket/a/../b\": expected a location such as file:///srv/files, file:files or s3://bucket/prefix"),
    (&[("STORE_URL", "s3://id:hunter2@bucket")], "STORE_URL: must not have credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    (&[("STORE_URL", "s3://bucket")], "AWS_REGION: must be set to the region of the bucket, such as eu-central-1"),
    (&[("STORE_URL", "s3://bucket"), ("AWS_ENDPOINT_URL", "minio")], "AWS_ENDPOINT_URL: invalid value \"minio\": expected a URL such as https://files.example.org"),
    (&[("STORE_URL", "s3://bucket"), ("AWS_REGION", "a"), ("AWS_ACCESS_KEY_ID", "id")], "AWS_SECRET_ACCESS_KEY: required with AWS_ACCESS_KEY_ID"),
    (&[("STORE_URL", "s3://bucket"), ("AWS_REGION", "a"), ("AWS_SECRET_ACCESS_KEY", HIDDEN)], "AWS_ACCESS_KEY_ID: required with AWS_SECRET_ACCESS_KEY"),
    (&[("STORE_URL", "s3://bucket"), ("AWS_REGION", "a"), ("STRONGROOM_S3_KMS_KEY_ID", "key")], "STRONGROOM_S3_KMS_KEY_ID: requires STRONGROOM_S3_ENCRYPTION=kms"),
    (&[("STORE_URL", "s3://bucket"), ("AWS_REGION", "a"), ("STRONGROOM_S3_PATH_STYLE", "yes")], "STRONGROOM_S3_PATH_STYLE: invalid value \"yes\": expected true or false"),
    (&[("STRONGROOM_PART_SIZE", "1MiB")], "STRONGROOM_PART_SIZE: invalid value \"1MiB\": expected a size such as 128MiB, from 5MiB to 5GiB"),
    (&[("STRONGROOM_UPLOAD_MEMORY", "7MiB")], "STRONGROOM_UPLOAD_MEMORY: invalid value \"7MiB\": expected a size such as 128MiB, from 8MiB to 1TiB"),
    (&[("STRONGROOM_MAX_FILE_SIZE", "0")], "STRONGROOM_MAX_FILE_SIZE: invalid value \"0\": expected a size such as 128MiB, from 1B to 64TiB"),
    (&[("STRONGROOM_SIGNED_URL_MAX_LIFETIME", "8d")], "STRONGROOM_SIGNED_URL_MAX_LIFETIME: invalid value \"8d\": expected a duration such as 15min, from 1s to 7days"),
    (&[("STRONGROOM_SIGNED_URL_MAX_LIFETIME", "5m")], "STRONGROOM_SIGNED_URL_LIFETIME: invalid value \"15min\": expected a duration such as 15min, from 1s to 5m"),
    (&[("STRONGROOM_REAP_INTERVAL", "0s")], "STRONGROOM_REAP_INTERVAL: invalid value \"0s\": expected a duration such as 15min, from 1s to 1day"),
    (&[("STRONGROOM_FSCK_INTERVAL", "31d")], "STRONGROOM_FSCK_INTERVAL: invalid value \"31d\": expected a duration such as 15min, from 0s to 30days"),
    (&[("STRONGROOM_FSCK_QUARANTINE", "0")], "STRONGROOM_FSCK_QUARANTINE: invalid value \"0\": expected a duration such as 15min, from 1h to 30days"),
    (&[("STRONGROOM_DOWNLOAD_VIA", "mail")], "STRONGROOM_DOWNLOAD_VIA: invalid value \"mail\": expected proxy or redirect"),
    (&[("STRONGROOM_LOG", "verbose")], "STRONGROOM_LOG: invalid value \"verbose\": expected a level such as info, or directives such as info,sqlx=debug"),
    (&[("STRONGROOM_LOG_FORMAT", "a\nb")], "STRONGROOM_LOG_FORMAT: invalid value \"a\\nb\": expected text or json"),
];

#[test]
fn an_error_names_the_setting_the_value_and_what_is_expected() {
    for (pairs, line) in INVALID {
        assert_eq!(&error(pairs), line);
        assert!(!line.contains(HIDDEN));
    }
}

#[test]
fn an_error_in_the_file_names_the_file() {
    for (text, line) in [
        (
            "listen = 3000",
            "strongroom.toml: listen: invalid value \"3000\": expected an address such as 127.0.0.1:3000",
        ),
        ("page_limt = 5", "strongroom.toml: unknown setting page_limt; did you mean page_limit?"),
        ("[listen]\nport = 1", "strongroom.toml: listen: expected ADDRESS as a string"),
        (
            "secret_key = \"hunter2\"",
            "strongroom.toml: secret_key: invalid value: expected at least 32 bytes in hex or base64; generate it with: openssl rand -hex 32",
        ),
        ("secret_key = 2024-01-01", "strongroom.toml: secret_key: expected SECRET as a string"),
    ] {
        let error = in_file(text).and_then(Settings::resolve).unwrap_err();
        assert_eq!(error.to_string(), line);
    }
    let broken = in_file("page_limit = 5\nsecret_key = \"hunter2").unwrap_err().to_string();
    assert!(broken.starts_with("strongroom.toml line 2: ") && !broken.contains(HIDDEN), "{broken}");
}

#[test]
fn connections_to_a_database_elsewhere_are_encrypted_unless_the_url_decides() {
    for (url, encrypted) in [
        ("postgres://me:secret@db.example/name", true),
        ("postgres://192.0.2.1/name", true),
        ("postgres://db.example/name?sslmode=prefer", false),
        ("postgres://127.0.0.1:5432/name", false),
        ("postgres://[::1]/name", false),
        ("postgres://localhost/name", false),
        ("postgres:///name?host=/run/postgresql", false),
    ] {
        let config = resolved(&[("DATABASE_URL", url)]);
        assert_eq!(config.database_url.expose_secret().contains("sslmode=require"), encrypted, "{url}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let secret_key = HIDDEN.repeat(8);
    let settings = variables(&[
        ("STRONGROOM_SECRET_KEY", &secret_key),
        ("DATABASE_URL", "postgres://me:hunter2@db.example/name?password=hunter2&sslmode=require"),
        ("STORE_URL", "s3://bucket"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", HIDDEN),
        ("AWS_SESSION_TOKEN", HIDDEN),
    ]);
    let shown = format!("{settings:?} {:?}", settings.clone().resolve().unwrap());
    assert!(!shown.contains(HIDDEN), "{shown}");

    let effective = settings.effective().unwrap();
    assert!(!effective.contains(HIDDEN), "{effective}");
    assert!(
        effective.contains(
            "\ndatabase_url = \"postgres://me:redacted@db.example/name?password=redacted&sslmode=require\"\n"
        )
    );
    assert!(effective.contains("\n# aws_secret_access_key is set\n"));
    assert!(effective.contains("\n# tls_cert is not set\n"));
}

#[test]
fn the_example_file_has_every_setting_at_its_default() {
    let file = include_str!("../../strongroom.example.toml");
    assert_eq!(file, example(), "regenerate it: strongroom config --example > strongroom.example.toml");
    let config = in_file(file).unwrap().resolve().unwrap();
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
    assert_eq!(config.database_url.expose_secret(), Config::default().database_url.expose_secret());
}

#[test]
fn examples_are_accepted() {
    let shown = SETTINGS.iter().filter(|setting| setting.default.is_none() && !setting.secret);
    let mut pairs: Vec<_> = shown.map(|setting| (setting.variable, setting.example)).collect();
    pairs.push(("AWS_SECRET_ACCESS_KEY", HIDDEN));
    pairs.push(("STRONGROOM_S3_ENCRYPTION", "kms"));
    resolved(&pairs);
}

#[test]
fn unknown_variables_are_errors() {
    let load = |name: &str| Settings::load(Settings::default(), None, [(name.into(), "1".into())]);
    for (name, line) in [
        ("STRONGROOM_REGISTRATON", "unknown variable STRONGROOM_REGISTRATON; did you mean STRONGROOM_REGISTRATION?"),
        ("STRONGROOM_DATABASE_URL", "unknown variable STRONGROOM_DATABASE_URL; did you mean DATABASE_URL?"),
        ("STRONGROOM_BANANA", "unknown variable STRONGROOM_BANANA (see strongroom --help)"),
    ] {
        assert_eq!(load(name).unwrap_err().to_string(), line);
    }
    for ignored in ["REGISTRATON", "STRONGROOM", "STRONGROOM_TEST_S3_BUCKET", "STRONGROOM_STACK_DIR"] {
        load(ignored).unwrap();
    }
}

#[test]
fn variables_of_kubernetes_are_ignored() {
    let load = |name: &str, value: &str| Settings::load(Settings::default(), None, [(name.into(), value.into())]);
    for (name, value) in [
        ("STRONGROOM_SERVICE_HOST", "10.0.0.1"),
        ("STRONGROOM_SERVICE_PORT", "80"),
        ("STRONGROOM_SERVICE_PORT_HTTP", "80"),
        ("STRONGROOM_PORT", "tcp://10.0.0.1:80"),
        ("STRONGROOM_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("STRONGROOM_INTERNAL_PORT_80_TCP", "tcp://10.0.0.1:80"),
    ] {
        load(name, value).unwrap();
    }
    for (name, value) in
        [("STRONGROOM_PORT", "80"), ("STRONGROOM_PORT_NUMBER", "80"), ("STRONGROOM_TRUSTED_PROXY", "::1")]
    {
        load(name, value).unwrap_err();
    }
}

#[test]
fn a_secret_can_be_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let load = |pairs: &[(&str, &str)]| {
        let environment = pairs.iter().map(|(name, text)| ((*name).into(), (*text).into()));
        Settings::load(Settings::default(), None, environment)
    };
    let path = file.to_str().unwrap();
    let url = "postgres://me:hunter2@localhost/name";
    for text in [url.to_owned(), format!("{url}\n"), format!("{url}\r\n")] {
        std::fs::write(&file, text).unwrap();
        let config = load(&[("DATABASE_URL_FILE", path), ("DATABASE_URL", "")]).unwrap().resolve().unwrap();
        assert_eq!(config.database_url.expose_secret(), url);
    }
    std::fs::write(&file, format!("{}\n", "00".repeat(32))).unwrap();
    for setting in SETTINGS.iter().filter(|setting| setting.secret) {
        let name = format!("{}_FILE", setting.variable);
        load(&[(&name, path)]).unwrap();
        let both = load(&[(&name, path), (setting.variable, HIDDEN)]).unwrap_err().to_string();
        assert_eq!(both, format!("{name}: {} is set as well", setting.variable));
        let missing = load(&[(&name, "/nowhere")]).unwrap_err().to_string();
        assert!(missing.starts_with(&format!("{name}: /nowhere: ")), "{missing}");
    }
    std::fs::write(&file, "\n").unwrap();
    let empty = load(&[("DATABASE_URL_FILE", path)]).unwrap_err().to_string();
    assert_eq!(empty, format!("DATABASE_URL_FILE: {path} is empty"));
    std::fs::write(&file, HIDDEN).unwrap();
    let invalid = load(&[("STRONGROOM_SECRET_KEY_FILE", path)]).unwrap().resolve().unwrap_err().to_string();
    assert!(invalid.starts_with("STRONGROOM_SECRET_KEY_FILE: ") && !invalid.contains(HIDDEN), "{invalid}");
}

#[test]
fn allowed_origins_are_read_as_browsers_send_them() {
    let origins = |text: &str| resolved(&[("STRONGROOM_ALLOWED_ORIGINS", text)]).allowed_origins;
    assert_eq!(
        origins("https://App.example.org:443/, http://localhost:5173"),
        ["https://app.example.org", "http://localhost:5173"]
    );
    assert_eq!(
        origins("capacitor://localhost,https://münchen.example"),
        ["capacitor://localhost", "https://xn--mnchen-3ya.example"]
    );
    for text in [
        "*",
        "null",
        "app.example.org",
        "https://*.example.org",
        "https://a.example/path",
        "https://me@a.example",
        "https://a.example?b",
        "https://a.example,",
    ] {
        let why = error(&[("STRONGROOM_ALLOWED_ORIGINS", text)]);
        assert!(why.contains("expected origins such as"), "{text}: {why}");
    }
}

#[test]
fn names_follow_one_rule() {
    for setting in SETTINGS {
        let key = setting.variable.trim_start_matches("STRONGROOM_").to_lowercase();
        assert_eq!(setting.key, key);
        assert!(setting.default.is_some() == setting.example.is_empty(), "{key}: a default or an example");
    }
}

#[test]
fn the_documentation_has_the_table_of_settings() {
    let mut table = "| Key in the file | Variable | Default | What it is for |\n|---|---|---|---|\n".to_owned();
    for setting in SETTINGS {
        let default = setting.default.map(|default| format!("`{default}`")).unwrap_or_default();
        let fallback = setting.fallback.map(|name| format!(", else `{name}`")).unwrap_or_default();
        let help = setting.help().replace('|', "\\|");
        table += &format!("| `{}` | `{}`{fallback} | {default} | {help} |\n", setting.key, setting.variable);
    }
    assert!(
        include_str!("../../docs/configure.md").contains(&table),
        "put this table into docs/configure.md:\n{table}"
    );
}
