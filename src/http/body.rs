//! Bodies as streams: a request's, whose errors are the client's, and an answer's, whose client may
//! stop taking it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::error::Error;
use crate::store::ByteStream;

/// Bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
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

/// The body of a response, dropped when the client reads nothing of it for `timeout`. One block is read ahead. On HTTP/1
/// the connection itself has this limit; on HTTP/2 one of its streams may stall, with its files open, while others go
/// forward.
pub fn with_send_timeout(body: Body, timeout: Duration) -> Body {
    let mut stream = body.into_data_stream();
    let (send, mut receive) = mpsc::channel(1);
    let ended = Arc::new(AtomicBool::new(false));
    let end = ended.clone();
    tokio::spawn(async move {
        while let Some(block) = stream.next().await {
            if !matches!(tokio::time::timeout(timeout, send.send(block)).await, Ok(Ok(()))) {
                return;
            }
        }
        end.store(true, Ordering::Release);
    });
    Body::from_stream(stream::poll_fn(move |context| {
        receive.poll_recv(context).map(|block| match block {
            // The sender stopped before the end of the body.
            None if !ended.load(Ordering::Acquire) => Some(Err(axum::Error::new(Error::BodyStalled))),
            block => block,
        })
    }))
}
