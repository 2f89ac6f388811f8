//! Unlock tokens: proof that a visitor recently entered the password of a link. A token is a MAC keyed with the hash of
//! the password, which is only in the database: every server accepts it, and it becomes invalid when the password or
//! the token of the link changes.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::app::App;
use crate::clock::{deadline, from_micros};
use crate::db::LinkRow;

/// A token that unlocks a link.
#[derive(Debug)]
pub struct UnlockToken {
    /// The token, as the visitor sends it.
    pub text: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl UnlockToken {
    pub(super) fn new(app: &App, link: &LinkRow, password_hash: &str) -> Self {
        let expires_at = deadline(app.clock.now(), app.config.links.unlock_lifetime);
        let micros = expires_at.as_microsecond();
        let signature = signature(link, password_hash, micros).finalize().into_bytes();
        let text = BASE64_URL_SAFE_NO_PAD.encode([micros.to_be_bytes().as_slice(), &signature].concat());
        Self { text, expires_at }
    }

    pub(super) fn is_valid(app: &App, link: &LinkRow, password_hash: &str, text: &str) -> bool {
        let Ok(bytes) = BASE64_URL_SAFE_NO_PAD.decode(text) else { return false };
        let Some((micros, given)) = bytes.split_first_chunk() else { return false };
        let micros = i64::from_be_bytes(*micros);
        signature(link, password_hash, micros).verify_slice(given).is_ok() && app.clock.now() < from_micros(micros)
    }
}

fn signature(link: &LinkRow, password_hash: &str, micros: i64) -> Hmac<Sha256> {
    let mac = <Hmac<Sha256>>::new_from_slice(password_hash.as_bytes()).expect("HMAC takes keys of any length");
    mac.chain_update(b"strongroom link unlock v1").chain_update(&link.token_hash).chain_update(micros.to_be_bytes())
}
