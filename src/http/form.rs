//! A file in a form (`multipart/form-data`), as a stream: the file's bytes are never gathered.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use multer::{Field, Multipart};

use super::digest;
use crate::error::{Error, Result};
use crate::store::ByteStream;

/// Most bytes of the heads of parts, and of the small fields, in one stretch.
const HEAD_BYTES: u64 = 64 * 1024;

/// The part named `file`, opened, with the fields that came before it.
pub struct FormFile {
    pub stream: ByteStream,
    pub name: Option<String>,
    pub path: Option<String>,
    pub content_type: Option<String>,
    pub digest: Option<Vec<u8>>,
}

/// Reads a form up to its file. The stream ends well only if the form does: with nothing deadline the
/// file but its end.
///
/// # Errors
/// `FileMissing`; `Malformed`; `Invalid` if there is a field that means nothing here.
pub async fn open(body: ByteStream, boundary: String) -> Result<FormFile> {
    let meter = Arc::new(AtomicU64::new(HEAD_BYTES));
    let mut form = Multipart::new(Measured { inner: body, left: meter.clone(), rest: false }, boundary);
    let (mut name, mut path) = (None, None);
    loop {
        meter.store(HEAD_BYTES, Ordering::Relaxed);
        let field = form.next_field().await.map_err(form_error)?.ok_or(Error::FileMissing)?;
        match field.name() {
            Some("file") => {
                meter.store(u64::MAX, Ordering::Relaxed);
                let name = name.or_else(|| field.file_name().map(base_name));
                let content_type = field.content_type().map(ToString::to_string);
                let digest = digest::announced(field.headers())?;
                return Ok(FormFile { stream: file_stream(form, field, meter), name, path, content_type, digest });
            }
            Some("name") if name.is_none() => name = Some(text(field, &meter).await?),
            Some("path") if path.is_none() => path = Some(text(field, &meter).await?),
            other => return Err(unknown_field(other)),
        }
    }
}

async fn text(field: Field<'static>, meter: &AtomicU64) -> Result<String> {
    // The chunk with its head may have been a large one, and the parser asks for the next in any case.
    meter.store(HEAD_BYTES, Ordering::Relaxed);
    field.text().await.map_err(form_error)
}

fn file_stream(form: Multipart<'static>, field: Field<'static>, meter: Arc<AtomicU64>) -> ByteStream {
    Box::pin(stream::unfold(Some((form, field, meter)), |state| async move {
        let (form, mut field, meter) = state?;
        match field.chunk().await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some((form, field, meter)))),
            Ok(None) => {
                drop(field);
                meter.store(HEAD_BYTES, Ordering::Relaxed);
                end_of_form(form).await.err().map(|error| (Err(error), None))
            }
            Err(error) => Some((Err(form_error(error)), None)),
        }
    }))
}

/// After the file there is nothing but the end.
async fn end_of_form(mut form: Multipart<'static>) -> Result<()> {
    match form.next_field().await.map_err(form_error)? {
        None => Ok(()),
        Some(field) if field.name() == Some("file") => Err(Error::TooManyFiles),
        Some(field) => match field.name() {
            Some(known @ ("name" | "path")) => {
                Err(Error::invalid(format!("/{known}"), "out_of_order", "this field comes before the file"))
            }
            other => Err(unknown_field(other)),
        },
    }
}

fn unknown_field(name: Option<&str>) -> Error {
    let name: String = name.unwrap_or_default().chars().take(64).collect();
    Error::invalid(format!("/{name}"), "unknown_field", "a form has the fields `name`, `path` and `file`, each once")
}

/// Some clients send the whole path of the file on their own machine.
fn base_name(name: &str) -> String {
    name.rsplit(['/', '\\']).next().unwrap_or_default().to_owned()
}

fn form_error(error: multer::Error) -> Error {
    match error {
        multer::Error::StreamReadFailed(cause) => match cause.downcast::<Error>() {
            Ok(error) => *error,
            Err(cause) => Error::BodyBroken(cause.to_string()),
        },
        error @ (multer::Error::IncompleteStream
        | multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders) => Error::BodyBroken(error.to_string()),
        error => Error::Malformed(format!("the form cannot be read: {error}")),
    }
}

/// Hands the body to the parser so that its buffer stays small: the parser reads on as long as
/// bytes are there, so it gets one chunk at a turn; and where a file's bytes do not flow, it gets
/// a bounded count of bytes.
struct Measured {
    inner: ByteStream,
    left: Arc<AtomicU64>,
    rest: bool,
}

impl Stream for Measured {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.rest) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = std::task::ready!(self.inner.poll_next_unpin(context));
        self.rest = true;
        let Some(Ok(chunk)) = &next else { return Poll::Ready(next) };
        let left = self.left.load(Ordering::Relaxed);
        // A chunk may hold the end of the heads and the beginning of the file, so it may overdraw once.
        if left == 0 {
            return Poll::Ready(Some(Err(Error::TooLarge { limit: HEAD_BYTES })));
        }
        if left != u64::MAX {
            self.left.store(left.saturating_sub(chunk.len() as u64), Ordering::Relaxed);
        }
        Poll::Ready(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients send as much at once as the line takes.
    #[tokio::test]
    async fn fields_may_come_in_one_chunk_with_much_of_the_file() {
        let bytes = vec![7; 4 * HEAD_BYTES as usize];
        let head = b"--b\r\ncontent-disposition: form-data; name=\"path\"\r\n\r\nphotos\r\n\
            --b\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\na.bin\r\n\
            --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n";
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let chunks = [[head.as_slice(), first].concat(), [second, b"\r\n--b--\r\n"].concat()];
        let body = stream::iter(chunks.map(|chunk| Ok(Bytes::from(chunk))));
        let form = open(Box::pin(body), "b".into()).await.expect("a form");
        assert_eq!((form.path.as_deref(), form.name.as_deref()), (Some("photos"), Some("a.bin")));
        let read: Vec<Bytes> = form.stream.map(|chunk| chunk.expect("bytes")).collect().await;
        assert_eq!(read.concat(), bytes);
    }
}
