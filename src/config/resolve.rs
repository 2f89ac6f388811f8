//! Validates the texts and turns them into a [`Config`]; derives the defaults that depend on other settings.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ipnet::IpNet;
use secrecy::SecretSlice;
use url::{Host, Url};

use super::locations::{database_url, in_a_url, path, store};
use super::log_filter::log_filter;
use super::settings::SETTINGS;
use super::value::{ConfigError, SettingValue};
use super::{
    AllowedTypes, Auth, Changes, Config, Fsck, Limits, Links, LogFormat, Quotas, Registration, Settings, SignedUrls,
    SpaceCreators, Spaces, TlsConfig, Uploads, Via,
};
use crate::hex::unhex;
use crate::media::undetectable;
use crate::net::{is_loopback, parse_network};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const TIB: u64 = 1024 * GIB;
const EIB: u64 = 1024 * 1024 * TIB;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest lifetime of a SigV4 signature.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The longest lifetime of a cookie that browsers allow (RFC 6265bis, section 5.5).
const LONGEST_SESSION: Duration = Duration::from_secs(400 * 24 * 60 * 60);

const SHORTEST_SECRET_KEY: usize = 32;

/// Where only the quota of bytes is set, that of files is one for each of this many bytes, but not less than
/// `MIN_FILES`.
const BYTES_OF_A_FILE: u64 = 4 * 1024;
const MIN_FILES: u64 = 1000;

impl Settings {
    /// Validates all settings and returns what the program runs with.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that is not valid, or that is required and absent.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let settings = self.completed()?;
        Ok(Config {
            settings_file: settings.file.clone(),
            listen: listen(&settings)?,
            public_url: settings.public_url().base_url()?.ok_or_else(|| settings.public_url().refuse("required"))?,
            allowed_origins: origins(&settings.allowed_origins())?,
            registration: settings
                .registration()
                .choice(&[("open", Registration::Open), ("closed", Registration::Closed)])?,
            data_dir: settings.data_dir().required("a path", path)?,
            database_url: database_url(&settings.database_url())?,
            database_connections: settings.database_connections().number(1..=1000)?,
            statement_timeout: settings.statement_timeout().time(SECOND..=HOUR)?,
            store: store(&settings)?,
            secret_key: secret_key(&settings.secret_key())?,
            tls: tls(&settings)?,
            limits: limits(&settings)?,
            quotas: quotas(&settings)?,
            uploads: uploads(&settings)?,
            auth: auth(&settings)?,
            links: links(&settings)?,
            spaces: spaces(&settings)?,
            signed_urls: settings
                .signed_urls()
                .choice(&[("store", SignedUrls::Store), ("server", SignedUrls::Server)])?,
            download_via: via(&settings.download_via())?,
            hsts: settings.hsts().time(Duration::ZERO..=3650 * DAY)?,
            browser_cache: settings.browser_cache().choice(&[("revalidate", true), ("none", false)])?,
            trusted_proxies: networks(&settings.trusted_proxies())?,
            reap_interval: settings.reap_interval().time(SECOND..=DAY)?,
            trash_retention: settings.trash_retention().time(Duration::ZERO..=3650 * DAY)?,
            audit_log_retention: settings.audit_log_retention().time(DAY..=3650 * DAY)?,
            changes: changes(&settings)?,
            fsck: fsck(&settings)?,
            shutdown_deadline: settings.shutdown_deadline().time(SECOND..=HOUR)?,
            allowed_hosts: hosts(&settings.allowed_hosts())?,
            header_timeout: settings.header_timeout().time(SECOND..=HOUR)?,
            idle_timeout: settings.idle_timeout().time(SECOND..=HOUR)?,
            drain_timeout: settings.drain_timeout().time(SECOND..=HOUR)?,
            log: settings.log().required("a level such as info, or directives such as info,sqlx=debug", |text| {
                log_filter(text).map(|_| text.to_owned())
            })?,
            log_format: settings.log_format().choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)])?,
        })
    }

    /// Adds every default: those of the table, then those that depend on other settings.
    ///
    /// # Errors
    /// [`ConfigError`] if other machines can connect, and the public URL or the registration is not set.
    pub(super) fn completed(mut self) -> Result<Self, ConfigError> {
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                self = self.or(setting, default);
            }
        }
        let listen = listen(&self)?;
        self.check_exposure(listen)?;
        let scheme = if self.tls_cert().is_set() { "https" } else { "http" };
        let data_dir = self.data_dir().required("a path", path)?;
        let own_endpoint = self.aws_endpoint_url_s3().is_set();

        let derived = [
            (self.public_url(), format!("{scheme}://{listen}")),
            (self.registration(), "open".to_owned()),
            (self.database_url(), format!("sqlite:{}", in_a_url(&data_dir.join("strongroom.db")))),
            (self.store_url(), format!("file:{}", in_a_url(&data_dir.join("files")))),
            (self.s3_path_style(), own_endpoint.to_string()),
        ]
        .map(|(given, default)| (given.setting, default));
        for (setting, default) in derived {
            self = self.or(setting, default);
        }
        if own_endpoint {
            let region = self.aws_region().setting;
            self = self.or(region, "us-east-1");
        }
        Ok(self)
    }

    /// The defaults are for a single machine. If other machines can connect, directly or through a proxy, the public
    /// URL and the registration are required.
    fn check_exposure(&self, listen: SocketAddr) -> Result<(), ConfigError> {
        let required = |given: SettingValue<'_>, location: &dyn std::fmt::Display| {
            let example = given.setting.example;
            let why = format!("required, such as {example}, because other machines can connect to {location}");
            if given.is_set() { Ok(()) } else { Err(given.refuse(why)) }
        };
        if !listen.ip().to_canonical().is_loopback() {
            required(self.public_url(), &listen)?;
            required(self.registration(), &listen)?;
        }
        match self.public_url().base_url()? {
            Some(url) if !is_loopback(&url) => required(self.registration(), &url),
            _ => Ok(()),
        }
    }
}

fn listen(settings: &Settings) -> Result<SocketAddr, ConfigError> {
    settings.listen().required("an address such as 127.0.0.1:3000", |text| text.parse().ok())
}

fn limits(settings: &Settings) -> Result<Limits, ConfigError> {
    let signed_url_max_lifetime = settings.signed_url_max_lifetime().time(SECOND..=WEEK)?;
    Ok(Limits {
        file_size: settings.max_file_size().size(1..=64 * TIB)?,
        allowed_types: allowed_types(&settings.allowed_types())?,
        avatar_size: settings.max_avatar_size().size(KIB..=GIB)?,
        json_body: settings.max_json_body().size(KIB..=64 * MIB)?,
        metadata: settings.max_metadata().size(2..=MIB)?,
        request_memory: settings.request_memory().size(MIB..=TIB)?,
        page: settings.page_limit().number(1..=10_000)?,
        batch: settings.batch_limit().number(1..=10_000)?,
        ranges: settings.range_limit().number(1..=100)?,
        connections: settings.connection_limit().number(1..=1_000_000)?,
        drain_size: settings.drain_size().size(0..=TIB)?,
        tokens: settings.token_limit().number(1..=100_000)?,
        events: settings.events_per_account().number(1000..=u64::from(u32::MAX))?,
        idempotency_keys: settings.idempotency_keys_per_account().number(1000..=u64::from(u32::MAX))?,
        sessions: settings.session_limit().number(1..=100_000)?,
        exports: settings.export_limit().number(1..=1000)?,
        archives: settings.archive_limit().number(1..=1000)?,
        archive_entries: settings.archive_entries().number(1..=10_000_000)?,
        signed_url_lifetime: settings.signed_url_lifetime().time(SECOND..=signed_url_max_lifetime)?,
        signed_url_max_lifetime,
    })
}

fn changes(settings: &Settings) -> Result<Changes, ConfigError> {
    Ok(Changes {
        retention: settings.change_log_retention().time(HOUR..=3650 * DAY)?,
        limit: settings.change_log_limit().number(1000..=1_000_000_000_000)?,
        longest_wait: settings.change_wait().time(SECOND..=HOUR)?,
        waiters: settings.change_waiters().number(1..=1_000_000)?,
        waiters_per_account: settings.change_waiters_per_account().number(1..=100_000)?,
    })
}

/// Content types separated by commas, without parameters.
fn allowed_types(given: &SettingValue<'_>) -> Result<AllowedTypes, ConfigError> {
    let allowed = |text: &str| {
        let mime = text.trim().parse::<mime::Mime>().ok()?;
        let whole = mime.type_() != mime::STAR && mime.params().next().is_none();
        whole.then(|| mime.essence_str().to_ascii_lowercase())
    };
    let types = given
        .optional("content types such as image/*,application/pdf", |text| text.split(',').map(allowed).collect())?;
    let types: Vec<String> = types.unwrap_or_default();
    match types.iter().find_map(|name| undetectable(name)) {
        Some(why) => Err(given.refuse(why)),
        None => Ok(AllowedTypes(types)),
    }
}

fn quotas(settings: &Settings) -> Result<Quotas, ConfigError> {
    let [bytes, files] = [settings.quota_bytes(), settings.quota_files()];
    let bytes = bytes.is_set().then(|| bytes.size(0..=EIB)).transpose()?;
    let files = files.is_set().then(|| files.number(0..=u64::from(u32::MAX))).transpose()?;
    Ok(Quotas {
        bytes,
        // Otherwise small files could fill the database without exhausting the quota of bytes.
        files: files.or(bytes.map(|bytes| (bytes / BYTES_OF_A_FILE).max(MIN_FILES))),
        open_uploads: settings.open_uploads().number(1..=1_000_000)?,
    })
}

fn uploads(settings: &Settings) -> Result<Uploads, ConfigError> {
    let part_size = settings.part_size().size(5 * MIB..=5 * GIB)?;
    Ok(Uploads {
        // A part is buffered in memory before it is sent.
        memory: settings.upload_memory().size(part_size..=TIB)?,
        part_size,
        chunk_size: settings.upload_chunk_size().size(MIB..=64 * TIB)?,
        part_concurrency: settings.part_concurrency().number(1..=64)?,
        lease: settings.upload_lease().time(SECOND..=DAY)?,
        expiry: settings.upload_expiry().time(SECOND..=30 * DAY)?,
        stall_timeout: settings.upload_stall_timeout().time(SECOND..=HOUR)?,
        min_rate: settings.min_upload_rate().size(0..=GIB)?,
    })
}

fn fsck(settings: &Settings) -> Result<Fsck, ConfigError> {
    Ok(Fsck {
        interval: settings.fsck_interval().time(Duration::ZERO..=30 * DAY)?,
        rate: settings.fsck_rate().size(KIB..=TIB)?,
        // An operator needs some time to notice a mistake.
        quarantine: settings.fsck_quarantine().time(HOUR..=30 * DAY)?,
    })
}

fn auth(settings: &Settings) -> Result<Auth, ConfigError> {
    Ok(Auth {
        session_lifetime: settings.session_lifetime().time(60 * SECOND..=LONGEST_SESSION)?,
        session_idle: session_idle(&settings.session_idle())?,
        session_cache_ttl: settings.session_cache_ttl().time(Duration::ZERO..=SECOND)?,
        access_check_interval: settings.access_check_interval().time(SECOND..=HOUR)?,
        password_hash_concurrency: settings.password_hash_concurrency().number(1..=64)?,
        attempt_window: settings.attempt_window().time(SECOND..=DAY)?,
        logins_per_account: settings.logins_per_account().number(1..=1_000_000)?,
        logins_per_address: settings.logins_per_address().number(1..=1_000_000)?,
        registrations_per_address: settings.registrations_per_address().number(1..=1_000_000)?,
    })
}

/// Zero, or longer than the precision of the last use.
fn session_idle(given: &SettingValue<'_>) -> Result<Duration, ConfigError> {
    let time = given.time(Duration::ZERO..=LONGEST_SESSION)?;
    if time.is_zero() || time >= HOUR { Ok(time) } else { Err(given.refuse("0, or at least 1h")) }
}

fn links(settings: &Settings) -> Result<Links, ConfigError> {
    Ok(Links {
        delivery: via(&settings.link_delivery())?,
        limit: settings.link_limit().number(1..=1_000_000)?,
        unlock_lifetime: settings.link_unlock_lifetime().time(SECOND..=30 * DAY)?,
        resume_window: settings.link_resume_window().time(SECOND..=DAY)?,
    })
}

fn spaces(settings: &Settings) -> Result<Spaces, ConfigError> {
    Ok(Spaces {
        creators: settings
            .space_creators()
            .choice(&[("admins", SpaceCreators::Admins), ("users", SpaceCreators::Users)])?,
        limit: settings.space_limit().number(0..=1_000_000)?,
        grace: settings.space_grace().time(Duration::ZERO..=3650 * DAY)?,
        grants: settings.grant_limit().number(1..=100_000)?,
    })
}

fn via(given: &SettingValue<'_>) -> Result<Via, ConfigError> {
    given.choice(&[("proxy", Via::Proxy), ("redirect", Via::Redirect)])
}

fn tls(settings: &Settings) -> Result<Option<TlsConfig>, ConfigError> {
    let [certificate, key] = [settings.tls_cert(), settings.tls_key()];
    match (certificate.text(), key.text()) {
        (Some(certificate), Some(key)) => Ok(Some(TlsConfig { certificate: certificate.into(), key: key.into() })),
        (Some(_), None) => Err(key.refuse("required with STRONGROOM_TLS_CERT")),
        (None, Some(_)) => Err(certificate.refuse("required with STRONGROOM_TLS_KEY")),
        (None, None) => Ok(None),
    }
}

fn secret_key(given: &SettingValue<'_>) -> Result<Option<SecretSlice<u8>>, ConfigError> {
    given.optional("at least 32 bytes in hex or base64; generate it with: openssl rand -hex 32", |text| {
        Some(decoded(text)?).filter(|key| key.len() >= SHORTEST_SECRET_KEY).map(SecretSlice::from)
    })
}

/// Decodes hex, else base64 of either alphabet, padded or not. Hex comes first: it is valid base64 too, but of another
/// key.
fn decoded(text: &str) -> Option<Vec<u8>> {
    if let Some(bytes) = unhex(text) {
        return Some(bytes);
    }
    let padding = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [alphabet::STANDARD, alphabet::URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, padding).decode(text).ok())
}

/// Names of hosts separated by commas, without ports.
fn hosts(given: &SettingValue<'_>) -> Result<Vec<String>, ConfigError> {
    let host = |text: &str| match Host::parse(text.trim()) {
        Ok(Host::Domain(name)) => Some(name.trim_end_matches('.').to_owned()),
        _ => None,
    };
    let names = given.optional("host names without ports such as files.internal.example.org", |text| {
        text.split(',').map(host).collect()
    })?;
    Ok(names.unwrap_or_default())
}

/// Origins separated by commas. `*` and `null` are none: anybody could have them.
fn origins(given: &SettingValue<'_>) -> Result<Vec<String>, ConfigError> {
    let expected =
        "origins such as https://app.example.org,http://localhost:5173: scheme, host and port, without a path";
    let origins = given.optional(expected, |text| text.split(',').map(|text| origin(text.trim())).collect())?;
    Ok(origins.unwrap_or_default())
}

/// An origin as browsers send it (RFC 6454, section 6.2). Programs with pages of their own use other schemes than http.
fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let written = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
    let has_more = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
    if text.contains('*')
        || has_more
        || url.host_str().is_none_or(str::is_empty)
        || !url.username().is_empty()
        || url.password().is_some()
    {
        return None;
    }
    let origin = url.origin();
    Some(if origin.is_tuple() { origin.ascii_serialization() } else { written })
}

/// Networks separated by commas; a single address is a network of one.
fn networks(given: &SettingValue<'_>) -> Result<Vec<IpNet>, ConfigError> {
    let networks =
        given.optional("networks such as 10.0.0.0/8,fd00::/8", |text| text.split(',').map(parse_network).collect())?;
    Ok(networks.unwrap_or_default())
}
