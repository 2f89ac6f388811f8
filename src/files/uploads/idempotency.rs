//! Requests that may be sent twice and are done once, because the client gave them a name
//! (`Idempotency-Key`). A name is its owner's alone.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Body;
use crate::app::App;
use crate::clock::from_micros;
use crate::db::{KeyClaim, KeyResponse};
use crate::error::{Error, Result};
use crate::files::{Content, File, Signing};
use crate::users::User;

/// The name that a client gave to a request: 1 to 255 visible characters of ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// # Errors
    /// `Invalid` at `/idempotency-key`.
    pub fn new(text: &str) -> Result<Self> {
        if !(1..=255).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let detail = "1 to 255 visible characters of ASCII, without spaces";
            return Err(Error::invalid("/idempotency-key", "invalid", detail));
        }
        Ok(Self(text.to_owned()))
    }
}

/// What a key says of a request that comes under it.
pub(in crate::files) enum Lookup {
    /// It was not done yet. What claims the key goes into the transaction of the intent.
    Fresh(KeyClaim),
    /// It was done, if its bytes are the same, too; this was answered.
    Completed(String),
}

/// Looks a key up for a request. `request` is what is asked for, without the bytes.
///
/// # Errors
/// `IdempotencyMismatch` if it came with another request; `IdempotencyInProgress` if that is under way.
pub(in crate::files) async fn lookup(app: &App, user: &User, key: &IdempotencyKey, request: &[&str]) -> Result<Lookup> {
    let request = fingerprint(request);
    match app.db.idempotency_key(user.id, &key.0).await? {
        None => Ok(Lookup::Fresh(KeyClaim { key: key.0.clone(), fingerprint: request })),
        Some(known) if known.fingerprint != request => Err(Error::IdempotencyMismatch),
        Some(known) => known.response.map(Lookup::Completed).ok_or(Error::IdempotencyInProgress),
    }
}

/// The SHA-256 of some texts, of which none can pass for a part of another.
fn fingerprint(texts: &[&str]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().to_vec()
}

/// A new file as it was answered, whatever became of it since.
#[derive(Serialize, Deserialize)]
struct Uploaded {
    id: Uuid,
    path: String,
    name: String,
    created_at: i64,
    blob_id: Uuid,
    key: String,
    size: u64,
    sha256: String,
    content_type: String,
    ready_at: i64,
}

/// What is kept under the key as the answer to the upload of this file.
pub(in crate::files) fn answer(claim: &KeyClaim, file: &File) -> Result<KeyResponse> {
    let Content { key, size, sha256, content_type, modified_at } = &file.content;
    let uploaded = Uploaded {
        id: file.id,
        path: file.path.clone(),
        name: file.name.clone(),
        created_at: file.created_at.as_microsecond(),
        blob_id: file.blob_id,
        key: key.to_string(),
        size: *size,
        sha256: BASE64_STANDARD.encode(sha256),
        content_type: content_type.clone(),
        ready_at: modified_at.as_microsecond(),
    };
    let response = serde_json::to_string(&uploaded).map_err(Error::internal)?;
    Ok(KeyResponse { key: claim.key.clone(), response })
}

/// Answers an upload that was done already, if its bytes are the same. Announced digests and
/// lengths are believed; without a digest the bytes are read, no more of them than there were.
///
/// # Errors
/// `IdempotencyMismatch`; what the stream fails with.
pub(in crate::files) async fn replay(user: &User, answer: &str, body: Body) -> Result<File> {
    let uploaded: Uploaded = serde_json::from_str(answer).map_err(Error::internal)?;
    let created_at = from_micros(uploaded.created_at);
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
    Ok(File {
        id: uploaded.id,
        owner_id: user.id,
        path: uploaded.path,
        name: uploaded.name,
        metadata: crate::files::no_metadata(),
        created_at,
        updated_at: created_at,
        content,
        blob_id: uploaded.blob_id,
        revision: 0,
        signed: Signing::default(),
    })
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
