//! Secrets of sessions, API tokens, share links and one-time URLs. A prefix names the kind, and a checksum detects typing errors, so
//! that secret scanners find them and malformed ones never cost a query.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX_LENGTH: usize = 4;
/// 30 characters of 62 are 178 random bits.
const RANDOM_LENGTH: usize = 30;
const CHECKSUM_LENGTH: usize = 6;
const LENGTH: usize = PREFIX_LENGTH + RANDOM_LENGTH + CHECKSUM_LENGTH;

/// The kind of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// A session.
    Session,
    /// An API token.
    Token,
    /// A share link.
    Link,
    /// A one-time URL of an archive.
    Archive,
}

impl SecretKind {
    fn prefix(self) -> &'static str {
        match self {
            SecretKind::Session => "srs_",
            SecretKind::Token => "srk_",
            SecretKind::Link => "srl_",
            SecretKind::Archive => "sra_",
        }
    }
}

/// A well-formed secret. `Debug` redacts it; only its hash is stored.
#[derive(Debug, Clone)]
pub struct Secret {
    kind: SecretKind,
    text: SecretString,
}

impl Secret {
    /// A new random secret.
    pub fn random(kind: SecretKind) -> Self {
        Self::with_body(kind, &random_characters())
    }

    /// The secret that these bytes determine, of which there must be enough.
    pub fn derived(kind: SecretKind, bytes: impl Iterator<Item = u8>) -> Self {
        Self::with_body(kind, &fair_characters(bytes).take(RANDOM_LENGTH).collect::<String>())
    }

    /// Parses what a client sent; `None` if the prefix, the length or the checksum is wrong.
    pub fn parse(text: &str) -> Option<Self> {
        let kind = [SecretKind::Session, SecretKind::Token, SecretKind::Link, SecretKind::Archive]
            .into_iter()
            .find(|kind| text.starts_with(kind.prefix()))?;
        if text.len() != LENGTH || !text.is_ascii() {
            return None;
        }
        let body = &text[PREFIX_LENGTH..LENGTH - CHECKSUM_LENGTH];
        let secret = Self::with_body(kind, body);
        (secret.reveal() == text && body.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(secret)
    }

    fn with_body(kind: SecretKind, body: &str) -> Self {
        let mut text = format!("{}{body}", kind.prefix());
        text.push_str(&checksum(&text));
        Self { kind, text: text.into() }
    }

    /// The kind.
    pub fn kind(&self) -> SecretKind {
        self.kind
    }

    /// The text, for the one response that contains it.
    pub fn reveal(&self) -> &str {
        self.text.expose_secret()
    }

    /// The last four characters, by which users distinguish secrets.
    pub fn last_four(&self) -> &str {
        &self.reveal()[LENGTH - 4..]
    }

    /// The SHA-256 of the text, which is stored. A slow hash would add nothing, because the secret is random.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.reveal()).into()
    }
}

fn random_characters() -> String {
    let mut text = String::with_capacity(RANDOM_LENGTH);
    while text.len() < RANDOM_LENGTH {
        let mut bytes = [0u8; 2 * RANDOM_LENGTH];
        getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
        text.extend(fair_characters(bytes.into_iter()).take(RANDOM_LENGTH - text.len()));
    }
    text
}

/// 248 is the largest multiple of 62 in a byte; higher values would favor the first characters.
fn fair_characters(bytes: impl Iterator<Item = u8>) -> impl Iterator<Item = char> {
    bytes.filter(|byte| *byte < 248).map(|byte| ALPHABET[usize::from(byte % 62)] as char)
}

/// The CRC-32 in base 62, most significant digit first.
fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes()) as usize;
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[rest % 62];
        rest /= 62;
    }
    digits.iter().map(|digit| *digit as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The CRC-32 of the first 34 characters is 0xF75808C9, computed by another program.
    const VECTOR: &str = "srk_0123456789ABCDEFGHIJabcdefghij4WptOr";

    #[test]
    fn the_format_is_pinned() {
        let secret = Secret::with_body(SecretKind::Token, "0123456789ABCDEFGHIJabcdefghij");
        assert_eq!(secret.reveal(), VECTOR);
        assert_eq!(Secret::parse(VECTOR).map(|secret| secret.kind()), Some(SecretKind::Token));
    }

    #[test]
    fn every_change_of_one_character_is_detected() {
        for position in 0..LENGTH {
            for replacement in (0x20..0x7f).map(char::from) {
                let mut changed = VECTOR.to_owned();
                changed.replace_range(position..=position, replacement.encode_utf8(&mut [0; 4]));
                assert_eq!(Secret::parse(&changed).is_some(), changed == VECTOR, "{changed}");
            }
        }
    }

    #[test]
    fn a_random_secret_can_be_parsed_and_differs_from_the_next() {
        let secret = Secret::random(SecretKind::Session);
        let parsed = Secret::parse(secret.reveal()).expect("well formed");
        assert_eq!((parsed.kind(), parsed.hash()), (SecretKind::Session, secret.hash()));
        assert_ne!(secret.hash(), Secret::random(SecretKind::Session).hash());
        assert!(!format!("{secret:?}").contains(secret.reveal()));
    }
}
