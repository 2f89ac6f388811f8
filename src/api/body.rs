//! A request's body as a stream of bytes whose errors are the client's.

use std::time::Duration;

use axum::body::Body;
use futures_util::{StreamExt, stream};
use utoipa::ToSchema;

use crate::error::Error;
use crate::store::ByteStream;

/// Bytes as they are, in the description of the API.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code, reason = "only described, never built")]
pub struct Binary(Vec<u8>);

/// The body, chunk by chunk. Ends with `BodyStalled` if nothing comes for `stall`, and with
/// `BodyBroken` if the client goes away or breaks the framing.
pub fn stream(body: Body, stall: Duration) -> ByteStream {
    let chunks = body.into_data_stream();
    Box::pin(stream::unfold(Some(chunks), move |chunks| async move {
        let mut chunks = chunks?;
        match tokio::time::timeout(stall, chunks.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(chunk))) => Some((Ok(chunk), Some(chunks))),
            Ok(Some(Err(error))) => Some((Err(Error::BodyBroken(error.to_string())), None)),
            Err(_) => Some((Err(Error::BodyStalled), None)),
        }
    }))
}
