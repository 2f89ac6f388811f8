//! The options of a share link.

use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;

use crate::app::App;
use crate::budget::Party;
use crate::clock::{checked_lifetime, deadline};
use crate::db::{Count, LinkRow, Micros};
use crate::error::{Error, Result};
use crate::files::FileName;
use crate::net::parse_network;
use crate::users;

/// The maximum lifetime: ten years. A link without one is active until it is revoked.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Maximum length of a note in bytes.
const MAX_NOTE: usize = 1000;
/// Maximum number of networks of one link.
const MAX_NETWORKS: usize = 100;

/// Options to set on a link. Absent options are unchanged; `Some(None)` removes a restriction.
#[derive(Debug, Default, Clone)]
pub struct LinkOptions {
    /// The lifetime, from now on.
    pub expires_in: Option<Option<Duration>>,
    /// The password that visitors need.
    pub password: Option<Option<SecretString>>,
    /// The download limit.
    pub max_downloads: Option<Option<u64>>,
    /// The networks from which the link can be used, such as `192.0.2.0/24`; empty for all.
    pub allow_from: Option<Vec<String>>,
    /// The file name of downloads; `Some(None)` for the name of the file.
    pub download_name: Option<Option<FileName>>,
    /// Whether browsers may display the content.
    pub inline: Option<bool>,
    /// A note that only the owner sees.
    pub note: Option<String>,
}

impl LinkOptions {
    /// Sets the options of the row.
    ///
    /// # Errors
    /// [`Error::Invalid`] if an option is not valid, [`Error::Throttled`] after too many passwords; the row may have
    /// changed in part.
    pub(super) async fn apply(self, app: &App, row: &mut LinkRow) -> Result<()> {
        if let Some(lifetime) = self.expires_in {
            row.expires_at = lifetime.map(|lifetime| expiry(app, lifetime)).transpose()?;
        }
        if let Some(maximum) = self.max_downloads {
            row.max_downloads = maximum.map(checked_count).transpose()?;
        }
        if let Some(networks) = self.allow_from {
            row.allow_from = joined(&networks)?;
        }
        if let Some(name) = self.download_name {
            row.download_name = name.map(|name| name.as_str().to_owned());
        }
        row.inline = self.inline.unwrap_or(row.inline);
        if let Some(note) = self.note {
            row.note = checked_note(note)?;
        }
        // Hashing is expensive, so it comes after the checks.
        if let Some(password) = self.password {
            row.password_hash = match password {
                Some(password) => {
                    users::count_new_password(app, row.space_id).await?;
                    Some(app.passwords.hash(Party::Account(row.space_id), &password, &[]).await?)
                }
                None => None,
            };
        }
        Ok(())
    }
}

fn expiry(app: &App, lifetime: Duration) -> Result<Micros> {
    Ok(deadline(app.clock.now(), checked_lifetime(lifetime, MAX_LIFETIME)?).into())
}

fn checked_count(maximum: u64) -> Result<Count> {
    let count = Some(Count(maximum)).filter(|count| (Count(1)..=Count::MAX).contains(count));
    count.ok_or_else(|| Error::invalid("/max_downloads", "out_of_range", "at least 1"))
}

fn checked_note(note: String) -> Result<String> {
    if note.len() > MAX_NOTE || note.contains('\0') {
        return Err(Error::invalid("/note", "invalid", format!("at most {MAX_NOTE} bytes, without NUL characters")));
    }
    Ok(note)
}

fn joined(given: &[String]) -> Result<String> {
    if given.len() > MAX_NETWORKS {
        return Err(Error::invalid("/allow_from", "too_many", format!("at most {MAX_NETWORKS} networks")));
    }
    let networks: Vec<_> = given.iter().map(|text| Ok(network(text)?.to_string())).collect::<Result<_>>()?;
    Ok(networks.join(","))
}

fn network(text: &str) -> Result<IpNet> {
    let invalid = || Error::invalid("/allow_from", "invalid", "networks such as 192.0.2.0/24, or addresses");
    parse_network(text).ok_or_else(invalid)
}

/// The networks of a row.
pub(super) fn networks(joined: &str) -> impl Iterator<Item = IpNet> {
    joined.split(',').filter(|text| !text.is_empty()).filter_map(parse_network)
}
