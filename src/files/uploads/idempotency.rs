//! Idempotency: a request with an `Idempotency-Key` takes effect once, however often it is sent. The keys of different
//! users are independent.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Body;
use crate::access::{Permit, Subject};
use crate::app::App;
use crate::clock::from_micros;
use crate::db::{KeyClaim, KeyResponse};
use crate::error::{Error, Result};
use crate::files::{Conflict, Content, File, Placed, SigningState};

/// An idempotency key: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Parses a key.
    ///
    /// # Errors
    /// [`Error::Invalid`] at the header `idempotency-key`.
    pub fn new(text: &str) -> Result<Self> {
        if !(1..=255).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let detail = "1 to 255 visible ASCII characters, without spaces";
            return Err(Error::invalid_header("idempotency-key", "invalid", detail));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The result of looking up an idempotency key.
pub(super) enum Lookup {
    /// The key is new. It is claimed in the transaction that inserts the pending blob.
    Fresh(KeyClaim),
    /// The request was completed with this response, provided that its content is the same.
    Completed(String),
}

/// Looks up an idempotency key. `request` identifies the request, apart from its content: see [`fingerprint`].
///
/// # Errors
/// [`Error::IdempotencyMismatch`] if the key was used with another request; [`Error::IdempotencyInProgress`] if the
/// first request with it is still running.
pub(super) async fn lookup(app: &App, subject: &Subject, key: &IdempotencyKey, request: &[&str]) -> Result<Lookup> {
    let request = fingerprint(request);
    match app.db.idempotency_key(subject.actor, &key.0).await? {
        None => Ok(Lookup::Fresh(KeyClaim { user: subject.actor, key: key.0.clone(), fingerprint: request })),
        Some(known) if known.fingerprint != request => Err(Error::IdempotencyMismatch),
        Some(known) => known.response.map(Lookup::Completed).ok_or(Error::IdempotencyInProgress),
    }
}

/// The SHA-256 of the parts that identify a request, each preceded by its length, so that the boundaries count. It is
/// stored: what goes into it must not depend on how Rust prints a type.
fn fingerprint(parts: &[&str]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().to_vec()
}

/// The file as in the original response, regardless of later changes.
#[derive(Serialize, Deserialize)]
struct Uploaded {
    id: Uuid,
    folder_id: Uuid,
    path: String,
    name: String,
    created_at: i64,
    updated_at: i64,
    revision: i64,
    metadata: Box<RawValue>,
    tags: Box<RawValue>,
    conflict: Option<String>,
    blob_id: Uuid,
    key: String,
    size: u64,
    sha256: String,
    content_type: String,
    ready_at: i64,
}

/// The response to the upload of this file, as stored with the key.
pub(super) fn answer(claim: &KeyClaim, placed: &Placed<File>) -> Result<KeyResponse> {
    let file = &placed.item;
    let Content { key, size, sha256, content_type, modified_at } = &file.content;
    let uploaded = Uploaded {
        id: file.id,
        folder_id: file.folder_id,
        path: file.path.clone(),
        name: file.name.clone(),
        created_at: file.created_at.as_microsecond(),
        updated_at: file.updated_at.as_microsecond(),
        revision: file.revision,
        metadata: file.metadata.clone(),
        tags: file.tags.clone(),
        conflict: placed.conflict.map(|conflict| conflict.as_str().to_owned()),
        blob_id: file.blob_id,
        key: key.to_string(),
        size: *size,
        sha256: BASE64_STANDARD.encode(sha256),
        content_type: content_type.clone(),
        ready_at: modified_at.as_microsecond(),
    };
    let response = serde_json::to_string(&uploaded).map_err(Error::internal)?;
    Ok(KeyResponse { user: claim.user, key: claim.key.clone(), response })
}

/// Replays the response of a completed upload, if the content is the same. A declared digest or size decides without
/// reading; otherwise no more bytes are read than the file had.
///
/// # Errors
/// [`Error::IdempotencyMismatch`]; the error of the stream.
pub(super) async fn replay(permit: Permit, answer: &str, body: Body) -> Result<Placed<File>> {
    let uploaded: Uploaded = serde_json::from_str(answer).map_err(Error::internal)?;
    let content = Content {
        key: uploaded.key.parse().map_err(Error::internal)?,
        size: uploaded.size,
        sha256: BASE64_STANDARD.decode(&uploaded.sha256).map_err(Error::internal)?,
        content_type: uploaded.content_type,
        modified_at: from_micros(uploaded.ready_at),
    };
    if !has_same_bytes(body, &content).await? {
        return Err(Error::IdempotencyMismatch);
    }
    let file = File {
        id: uploaded.id,
        space_id: permit.space_id,
        folder_id: uploaded.folder_id,
        path: uploaded.path,
        name: uploaded.name,
        metadata: uploaded.metadata,
        tags: uploaded.tags,
        created_at: from_micros(uploaded.created_at),
        updated_at: from_micros(uploaded.updated_at),
        content,
        permit,
        blob_id: uploaded.blob_id,
        revision: uploaded.revision,
        signed: SigningState::default(),
    };
    Ok(Placed { item: file, conflict: uploaded.conflict.as_deref().and_then(Conflict::parse) })
}

async fn has_same_bytes(mut body: Body, content: &Content) -> Result<bool> {
    if let Some(digest) = &body.digest {
        return Ok(*digest == content.sha256);
    }
    if body.size.is_some_and(|size| size != content.size) {
        return Ok(false);
    }
    let (mut hash, mut left) = (Sha256::new(), content.size);
    while let Some(chunk) = body.stream.try_next().await? {
        let Some(rest) = left.checked_sub(chunk.len() as u64) else { return Ok(false) };
        left = rest;
        hash.update(&chunk);
    }
    Ok(hash.finalize().as_slice() == content.sha256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::hex;

    #[test]
    fn a_fingerprint_is_the_same_in_every_version_of_the_program() {
        let hashed = hex(&fingerprint(&["upload", "2026/reports", "q3.pdf", "number", "application/pdf"]));
        assert_eq!(hashed, "47ea11434f4e72c12bcf07ae5de0fc89a161303b517d31b22dd50b2fae45768c");
    }

    #[test]
    fn the_boundaries_between_the_parts_count() {
        assert_ne!(fingerprint(&["ab", "c"]), fingerprint(&["a", "bc"]));
        assert_ne!(fingerprint(&["a"]), fingerprint(&["a", ""]));
    }
}
