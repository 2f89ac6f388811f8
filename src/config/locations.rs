//! Locations of the database and the store.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::value::{ConfigError, SettingValue};
use super::{Encryption, S3Config, S3Credentials, Settings, StoreConfig};
use crate::net::is_loopback;

/// The characters that must be percent-encoded in the path of a URL.
const NOT_IN_A_URL: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');

pub(super) fn database_url(given: &SettingValue<'_>) -> Result<SecretString, ConfigError> {
    let url = given.required("a URL such as sqlite:strongroom.db or postgres://user:password@host/name", |text| {
        let postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
        let sqlite = text.strip_prefix("sqlite:").is_some_and(|file| !file.trim_start_matches('/').is_empty());
        (sqlite || postgres && text.parse::<Url>().is_ok()).then(|| SecretString::from(text))
    })?;
    if [":memory:", "mode=memory"].iter().any(|memory| url.expose_secret().contains(memory)) {
        return Err(given
            .refuse("in-memory databases are not supported: a restart would lose the metadata of the stored files"));
    }
    Ok(encrypted(url))
}

/// The same URL; if it leads to another machine and does not say how, the connection must be encrypted. The driver's own
/// default falls back to plain text.
fn encrypted(url: SecretString) -> SecretString {
    let Ok(mut parsed) = url.expose_secret().parse::<Url>() else { return url };
    let is_remote = parsed.scheme().starts_with("postgres") && parsed.host().is_some() && !is_loopback(&parsed);
    let names = ["sslmode", "ssl-mode", "host"];
    if !is_remote || parsed.query_pairs().any(|(name, _)| names.contains(&name.as_ref())) {
        return url;
    }
    parsed.query_pairs_mut().append_pair("sslmode", "require");
    SecretString::from(String::from(parsed))
}

pub(super) fn store(settings: &Settings) -> Result<StoreConfig, ConfigError> {
    let given = settings.store_url();
    if given.text().is_some_and(|text| text.contains('@') && !text.starts_with("file:")) {
        return Err(given.refuse("must not have credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"));
    }
    let expected = "a location such as file:///srv/files, file:files or s3://bucket/prefix";
    match given.text() {
        Some(text) if text.starts_with("s3://") => {
            let (bucket, prefix) = given.required(expected, bucket_and_prefix)?;
            Ok(StoreConfig::S3(Box::new(s3(settings, bucket, prefix)?)))
        }
        _ => Ok(StoreConfig::Disk { root: given.required(expected, directory)? }),
    }
}

/// `file:///absolute` or `file:relative`.
fn directory(text: &str) -> Option<PathBuf> {
    let rest = text.strip_prefix("file:")?;
    let rest = match rest.strip_prefix("//") {
        // A host between the slashes would be another machine.
        Some(absolute) => Some(absolute).filter(|path| path.starts_with('/'))?,
        None => rest,
    };
    if rest.contains(['?', '#']) {
        return None;
    }
    path(&percent_decode_str(rest).decode_utf8().ok()?)
}

fn bucket_and_prefix(text: &str) -> Option<(String, String)> {
    let rest = text.strip_prefix("s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    // Object stores handle other characters, empty segments and dots differently.
    let is_segment = |segment: &str| !["", ".", ".."].contains(&segment) && is_plain(segment);
    let accepted = bucket.len() >= 3 && is_plain(bucket) && (prefix.is_empty() || prefix.split('/').all(is_segment));
    accepted.then(|| (bucket.to_owned(), prefix.to_owned()))
}

fn s3(settings: &Settings, bucket: String, prefix: String) -> Result<S3Config, ConfigError> {
    Ok(S3Config {
        bucket,
        prefix,
        region: settings.aws_region().required("the region of the bucket, such as eu-central-1", |text| {
            text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)).then(|| text.to_owned())
        })?,
        credentials: credentials(settings)?,
        endpoint: settings.aws_endpoint_url_s3().base_url()?,
        public_endpoint: settings.s3_public_endpoint().base_url()?,
        path_style: settings.s3_path_style().choice(&[("true", true), ("false", false)])?,
        encryption: encryption(settings)?,
    })
}

fn credentials(settings: &Settings) -> Result<Option<S3Credentials>, ConfigError> {
    let [id, secret, session] =
        [settings.aws_access_key_id(), settings.aws_secret_access_key(), settings.aws_session_token()];
    match (id.text(), secret.text()) {
        (Some(id), Some(secret)) => Ok(Some(S3Credentials {
            access_key_id: id.to_owned(),
            secret_access_key: secret.into(),
            session_token: session.text().map(SecretString::from),
        })),
        (Some(_), None) => Err(secret.refuse("required with AWS_ACCESS_KEY_ID")),
        (None, Some(_)) => Err(id.refuse("required with AWS_SECRET_ACCESS_KEY")),
        (None, None) if session.is_set() => Err(id.refuse("required with AWS_SESSION_TOKEN")),
        (None, None) => Ok(None),
    }
}

fn encryption(settings: &Settings) -> Result<Option<Encryption>, ConfigError> {
    let key = settings.s3_kms_key_id();
    let kms = Encryption::Kms { key_id: key.text().map(str::to_owned) };
    let choices = [("none", None), ("aes256", Some(&Encryption::Aes256)), ("kms", Some(&kms))];
    let chosen = settings.s3_encryption().choice(&choices)?;
    if key.is_set() && chosen != Some(&kms) {
        return Err(key.refuse("requires STRONGROOM_S3_ENCRYPTION=kms"));
    }
    Ok(chosen.cloned())
}

pub(super) fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty() && !text.contains('\0')).then(|| text.into())
}

/// A path, percent-encoded for a URL.
pub(super) fn in_a_url(path: &Path) -> String {
    utf8_percent_encode(&path.to_string_lossy(), NOT_IN_A_URL).to_string()
}
