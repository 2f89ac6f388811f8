//! A file in a form (`multipart/form-data`, RFC 7578) as a stream: the file is never held in memory.

mod file_name;

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use encoding_rs::Encoding;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, header};
use multer::{Field, Multipart};

use super::digest;
use super::middleware::check_coding;
use super::request_memory::RequestMemory;
use crate::budget::ReservedMemory;
use crate::error::{Error, Result};
use crate::store::ByteStream;

/// Maximum bytes of one small field, of all of them that are kept, of the part headers before and after one, and of the
/// epilogue of the form.
const FIELD_BYTES: u64 = 64 * 1024;

/// The fields that a form may have in addition to its file.
#[derive(Debug, Clone, Copy)]
pub struct AllowedFields {
    pub names: &'static [&'static str],
    /// Whether they may also follow the file.
    pub after_file: bool,
}

/// The part `file` of a form.
pub struct FormFile {
    /// Ends without an error only if the form does, and with it the body.
    pub stream: ByteStream,
    pub fields: Fields,
    /// The name of the part, without folders.
    pub file_name: Option<String>,
    pub content_type: Option<String>,
    /// The SHA-256 among the headers of the part.
    pub digest: Option<Vec<u8>>,
}

/// The small fields of a form. Those that follow the file are there when its stream has ended.
#[derive(Debug, Clone, Default)]
pub struct Fields(Arc<Mutex<KnownFields>>);

#[derive(Debug, Default)]
struct KnownFields {
    /// Names and texts.
    list: Vec<(String, String)>,
    reserved: Option<ReservedMemory>,
}

impl Fields {
    pub fn get(&self, name: &str) -> Option<String> {
        self.known().list.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone())
    }

    fn insert(&self, name: String, text: String) -> Result<()> {
        let mut known = self.known();
        if known.list.iter().map(|(_, text)| text.len()).sum::<usize>() + text.len() > FIELD_BYTES as usize {
            return Err(Error::TooLarge { limit: FIELD_BYTES });
        }
        known.list.push((name, text));
        Ok(())
    }

    /// Keeps as much of the reserved memory as the fields take.
    fn hold(&self, reserved: Option<ReservedMemory>) {
        let mut known = self.known();
        let bytes = known.list.iter().map(|(_, text)| text.len()).sum();
        known.reserved = reserved;
        known.reserved.iter_mut().for_each(|reserved| reserved.shrink(bytes));
    }

    fn known(&self) -> MutexGuard<'_, KnownFields> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a form up to the content of its file. The fields before it, and what the parser holds of them, come out of
/// `memory`. What follows the file needs none: the number of open uploads is limited.
///
/// # Errors
/// [`Error::FileMissing`]; [`Error::Malformed`]; [`Error::Invalid`] if there is a field that is not allowed;
/// [`Error::Unavailable`] if no memory becomes free in time.
pub async fn open(
    body: ByteStream,
    boundary: String,
    allowed: AllowedFields,
    memory: Option<RequestMemory>,
) -> Result<FormFile> {
    // Both the parser and `finish` read to the end, and a stream must not be polled after that unless it is fused.
    let body: Arc<Mutex<ByteStream>> = Arc::new(Mutex::new(Box::pin(body.fuse())));
    let meter = Arc::new(AtomicU64::new(FIELD_BYTES));
    let metered = Metered { inner: body.clone(), left: meter.clone(), rest: false };
    let parts = Multipart::new(metered, boundary);
    let mut form = Form { parts, body, meter, allowed, fields: Fields::default() };
    let reserved = match memory {
        Some(memory) => Some(memory.take(2 * FIELD_BYTES as usize).await?),
        None => None,
    };
    loop {
        let part = form.next_part().await?.ok_or(Error::FileMissing)?;
        if part.name() == Some("file") {
            form.fields.hold(reserved);
            return form.file(part);
        }
        form.read_field(part).await?;
    }
}

/// A form that is being read.
struct Form {
    parts: Multipart<'static>,
    body: Arc<Mutex<ByteStream>>,
    /// Bytes that the parser may read before the next part.
    meter: Arc<AtomicU64>,
    allowed: AllowedFields,
    fields: Fields,
}

impl Form {
    async fn next_part(&mut self) -> Result<Option<Field<'static>>> {
        self.meter.store(FIELD_BYTES, Ordering::Relaxed);
        self.parts.next_field().await.map_err(form_error)
    }

    /// Reads a small field, if it is allowed and new.
    async fn read_field(&mut self, part: Field<'static>) -> Result<()> {
        let name: String = part.name().unwrap_or_default().chars().take(64).collect();
        if !self.allowed.names.contains(&name.as_str()) {
            let detail = format!("expected `{}` or `file`", self.allowed.names.join("`, `"));
            return Err(Error::invalid(format!("/{name}"), "unknown_field", detail));
        }
        if self.fields.get(&name).is_some() {
            return Err(Error::invalid(format!("/{name}"), "repeated", "allowed once only"));
        }
        // The chunk with its headers may have been a large one, and the parser asks for the next in any case.
        self.meter.store(FIELD_BYTES, Ordering::Relaxed);
        let text =
            text(part).await?.ok_or_else(|| Error::invalid(format!("/{name}"), "malformed", "expected UTF-8"))?;
        self.fields.insert(name, text)
    }

    fn file(self, part: Field<'static>) -> Result<FormFile> {
        check_coding(part.headers())?;
        check_transfer_encoding(part.headers())?;
        let disposition = part.headers().get(header::CONTENT_DISPOSITION);
        Ok(FormFile {
            fields: self.fields.clone(),
            file_name: disposition.map(HeaderValue::as_bytes).and_then(file_name::file_name),
            content_type: part.content_type().map(ToString::to_string),
            digest: digest::announced(part.headers())?,
            stream: self.content(part),
        })
    }

    /// The content of the file. The rest of the form is read before it ends.
    fn content(self, part: Field<'static>) -> ByteStream {
        self.meter.store(u64::MAX, Ordering::Relaxed);
        Box::pin(stream::unfold(Some((self, part)), |state| async move {
            let (form, mut part) = state?;
            match part.chunk().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some((form, part)))),
                Ok(None) => {
                    drop(part);
                    form.finish().await.err().map(|error| (Err(error), None))
                }
                Err(error) => Some((Err(form_error(error)), None)),
            }
        }))
    }

    /// Reads the fields after the file, the end of the form, and the body to its announced end.
    async fn finish(mut self) -> Result<()> {
        while let Some(part) = self.next_part().await? {
            match part.name() {
                Some("file") => return Err(Error::TooManyFiles),
                Some(name) if self.allowed.names.contains(&name) && !self.allowed.after_file => {
                    let detail = "this field must come before the file";
                    return Err(Error::invalid(format!("/{name}"), "out_of_order", detail));
                }
                _ => self.read_field(part).await?,
            }
        }
        drop(self.parts);
        let mut rest = FIELD_BYTES;
        while let Some(chunk) = stream::poll_fn(|context| poll_next(&self.body, context)).next().await {
            rest = rest.checked_sub(chunk?.len() as u64).ok_or(Error::TooLarge { limit: FIELD_BYTES })?;
        }
        Ok(())
    }
}

/// The text of a small field, in UTF-8 unless it declares another charset; `None` if it is not in that charset.
async fn text(part: Field<'static>) -> Result<Option<String>> {
    let charset = part.content_type().and_then(|media| media.get_param("charset")).map(|name| name.as_str().to_owned());
    let charset = charset.and_then(|name| Encoding::for_label(name.as_bytes())).unwrap_or(encoding_rs::UTF_8);
    let bytes = part.bytes().await.map_err(form_error)?;
    Ok(charset.decode_without_bom_handling_and_without_replacement(&bytes).map(Into::into))
}

/// Senders of mail encode the parts of a form; nothing else does (RFC 7578, section 4.7).
fn check_transfer_encoding(headers: &HeaderMap) -> Result<()> {
    let Some(encoding) = headers.get("content-transfer-encoding") else { return Ok(()) };
    let encoding = String::from_utf8_lossy(encoding.as_bytes()).trim().to_ascii_lowercase();
    match encoding.as_str() {
        "7bit" | "8bit" | "binary" => Ok(()),
        _ => Err(Error::EncodedBody { coding: encoding.chars().take(32).collect() }),
    }
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

/// Passes the body to the parser so that its buffer stays small: the parser reads as long as there are bytes, so it
/// gets one chunk at a time; and outside of the file it gets a limited number of bytes.
struct Metered {
    inner: Arc<Mutex<ByteStream>>,
    left: Arc<AtomicU64>,
    rest: bool,
}

fn poll_next(body: &Mutex<ByteStream>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
    body.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context)
}

impl Stream for Metered {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.rest) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = std::task::ready!(poll_next(&self.inner, context));
        self.rest = true;
        let Some(Ok(chunk)) = &next else { return Poll::Ready(next) };
        let left = self.left.load(Ordering::Relaxed);
        // A chunk may hold the end of the headers and the beginning of the file, so it may exceed the limit once.
        if left == 0 {
            return Poll::Ready(Some(Err(Error::TooLarge { limit: FIELD_BYTES })));
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

    const ALLOWED: AllowedFields = AllowedFields { names: &["name", "path"], after_file: true };

    /// Clients send as much at once as the connection takes.
    #[tokio::test]
    async fn fields_may_come_in_one_chunk_with_much_of_the_file() {
        let bytes = vec![7; 4 * FIELD_BYTES as usize];
        let head = b"--b\r\ncontent-disposition: form-data; name=\"path\"\r\n\r\nphotos\r\n\
            --b\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\na.bin\r\n\
            --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n";
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let chunks = [[head.as_slice(), first].concat(), [second, b"\r\n--b--\r\n"].concat()];
        // Unlike `iter`, `unfold` panics when it is polled after its end, as the body of a request does.
        let body = stream::unfold(chunks.into_iter(), |mut rest| async {
            rest.next().map(|chunk| (Ok(Bytes::from(chunk)), rest))
        });
        let form = open(Box::pin(body), "b".into(), ALLOWED, None).await.expect("a form");
        assert_eq!((form.fields.get("path"), form.fields.get("name")), (Some("photos".into()), Some("a.bin".into())));
        let read: Vec<Bytes> = form.stream.map(|chunk| chunk.expect("bytes")).collect().await;
        assert_eq!(read.concat(), bytes);
    }
}
