//! Resumable uploads on every store: bytes that were reported durable are kept, whatever fails.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use strongroom::error::{Error, Result};
use strongroom::store::{
    AppendObserver, AppendRequest, DiskStore, Key, MemoryStore, MultipartObserver, Persisted, Store,
};

use crate::support::bucket_proxy::{BUSY, FAILED_200, Fault, REFUSED, Script};
use crate::support::stores::{Bucket, Leftovers, PART, chunks, content, get, store_behind, unavailable, url_signer};

/// What the row of an upload has.
struct Row {
    key: Key,
    multipart: std::sync::Mutex<Option<String>>,
    tails: Vec<Key>,
    tail: Option<Key>,
    receipts: Vec<String>,
    /// The bytes written, and how many of them are durable.
    written: Vec<u8>,
    durable: usize,
}

impl Row {
    async fn of(store: &dyn Store) -> Self {
        let key = Key::random();
        store.begin(&key).await.unwrap();
        let (tails, tail, receipts, written) = (Vec::new(), None, Vec::new(), Vec::new());
        Self { key, multipart: Default::default(), tails, tail, receipts, written, durable: 0 }
    }

    /// Appends the next bytes; if `broken` is set, the body is interrupted after them.
    async fn append(
        &mut self,
        store: &dyn Store,
        chunk: &[u8],
        size: usize,
        broken: bool,
        at_once: bool,
    ) -> Result<()> {
        self.written.truncate(self.durable);
        let (key, tail, multipart) = (self.key.clone(), self.tail.clone(), self.multipart.lock().unwrap().clone());
        let at = AppendRequest {
            key: &key,
            multipart_id: multipart.as_deref(),
            tail: tail.as_ref(),
            offset: self.durable as u64,
            size: Some(size as u64),
            part_size: store.part_size(Some(size as u64))?,
            announced: Some(chunk.len() as u64),
            all_or_nothing: at_once,
        };
        let end = stream::iter(broken.then_some(Err(Error::BodyStalled)));
        store.append(&at, Box::pin(chunks(chunk).chain(end)), self).await
    }

    /// Assembles the upload and returns its content; then everything is deleted.
    async fn whole(self, store: &dyn Store) -> Result<Vec<u8>> {
        let multipart = self.multipart.lock().unwrap().take();
        let key = match (&multipart, &self.tail) {
            (None, Some(tail)) => tail.clone(),
            _ => self.key.clone(),
        };
        if key == self.key {
            // The response to the first attempt may have been lost.
            for _ in 0..2 {
                store.assemble(&key, multipart.as_deref(), self.receipts.clone(), self.durable as u64).await?;
            }
        }
        let whole = if self.durable > 0 { get(store, &key, 0..self.durable).await? } else { Vec::new() };
        for key in self.tails.iter().chain([&self.key]) {
            store.delete(key, None).await?;
        }
        Ok(whole)
    }
}

#[async_trait]
impl MultipartObserver for Row {
    async fn multipart_opened(&self, upload_id: &str) -> Result<()> {
        assert!(self.multipart.lock().unwrap().replace(upload_id.to_owned()).is_none(), "created twice");
        Ok(())
    }

    fn owner(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }
}

#[async_trait]
impl AppendObserver for Row {
    async fn tail_key(&mut self) -> Result<Key> {
        self.tails.push(Key::random());
        Ok(self.tails.last().cloned().expect("a tail"))
    }

    async fn written(&mut self, bytes: &[Bytes]) {
        bytes.iter().for_each(|chunk| self.written.extend_from_slice(chunk));
    }

    async fn persisted(&mut self, how: Persisted) -> Result<()> {
        match how {
            Persisted::InPlace => {}
            Persisted::Part { number, receipt } => {
                self.receipts.push(receipt);
                assert_eq!(number as usize, self.receipts.len());
                self.tail = None;
            }
            Persisted::Tail => self.tail = self.tails.last().cloned(),
        }
        self.durable = self.written.len();
        Ok(())
    }
}

async fn appends(store: &dyn Store) {
    let shapes: [&[usize]; 7] =
        [&[0], &[1], &[PART], &[PART + 1], &[3, PART - 3, 1], &[PART, PART, PART], &[2 * PART + 5, 0, PART + 1, 7]];
    for chunks in shapes {
        let bytes = content(chunks.iter().sum());
        let mut row = Row::of(store).await;
        for length in chunks {
            let chunk = &bytes[row.durable..row.durable + length];
            if *length > 1 {
                // The body is interrupted after half of it, which is kept.
                let outcome = row.append(store, &chunk[..length / 2], bytes.len(), true, false).await;
                assert!(matches!(outcome, Err(Error::BodyStalled)), "{outcome:?}");
            }
            let rest = &chunk[(*length > 1) as usize * (length / 2)..];
            row.append(store, rest, bytes.len(), false, false).await.unwrap();
            assert!(row.written == bytes[..row.durable] && row.durable == row.written.len(), "{chunks:?}");
        }
        assert_eq!(row.durable, bytes.len());
        assert!(row.whole(store).await.unwrap() == bytes, "{chunks:?}");
    }
    // All or nothing: nothing of an interrupted body is kept.
    let bytes = content(PART + 10);
    let mut row = Row::of(store).await;
    row.append(store, &bytes[..100], bytes.len(), false, true).await.unwrap();
    assert!(row.append(store, &content(1000), bytes.len(), true, true).await.is_err());
    assert_eq!(row.durable, 100);
    row.append(store, &bytes[100..], bytes.len(), false, true).await.unwrap();
    assert!(row.whole(store).await.unwrap() == bytes);
}

#[tokio::test]
async fn the_store_in_memory_appends() {
    appends(&MemoryStore::default()).await;
}

#[tokio::test]
async fn the_store_on_disk_appends() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(&folder.path().join("store"), url_signer()).await.unwrap();
    appends(&store).await;
    let left = std::fs::read_dir(folder.path().join("store/tmp")).unwrap().count();
    assert_eq!(left, 0, "staged files");
}

#[tokio::test]
async fn the_store_in_a_bucket_appends() {
    appends(&Bucket::new().store()).await;
}

/// Bytes of the staged file are lost behind the server's back.
#[tokio::test]
async fn a_truncated_file_is_not_assembled() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path(), url_signer()).await.unwrap();
    let mut row = Row::of(&store).await;
    row.append(&store, &content(100), 200, false, false).await.unwrap();
    let staged = folder.path().join("tmp").join(row.key.as_str());
    std::fs::File::options().write(true).open(&staged).unwrap().set_len(99).unwrap();
    assert!(matches!(row.append(&store, &content(100), 200, false, false).await, Err(Error::Internal(_))));
    std::fs::remove_file(&staged).unwrap();
    assert!(matches!(row.append(&store, &content(100), 200, false, false).await, Err(Error::UploadGone)));
}

#[tokio::test]
async fn a_failing_bucket_loses_nothing_that_was_reported_durable() {
    let part = |number: &'static str, fault: Fault| ("PUT", number, fault);
    let complete = |fault: Fault| ("POST", "uploadId=", fault);
    let (store, bucket, proxy) = store_behind(Script::new()).await;
    let script = |faults: Script| proxy.follow(faults);
    let bytes = content(3 * PART + 10);
    let mut row = Row::of(&store).await;
    let key = row.key.clone();

    // The second part is refused: the first one counts.
    script(vec![part("partNumber=1&", BUSY), part("partNumber=2&", REFUSED)]);
    assert!(unavailable(row.append(&store, &bytes[..2 * PART], bytes.len(), false, false).await));
    assert_eq!(row.durable, PART);
    // The tail is refused: nothing of it counts.
    script(vec![part("", REFUSED)]);
    assert!(unavailable(row.append(&store, &bytes[PART..PART + 10], bytes.len(), false, false).await));
    assert_eq!(row.durable, PART);
    row.append(&store, &bytes[PART..PART + 10], bytes.len(), false, false).await.unwrap();
    // The tail cannot be read back.
    script(vec![("GET", "", REFUSED)]);
    assert!(unavailable(row.append(&store, &bytes[PART + 10..], bytes.len(), false, false).await));
    script(vec![part("partNumber=2&", Fault::FalseStatus(500))]);
    row.append(&store, &bytes[PART + 10..], bytes.len(), false, false).await.unwrap();
    assert_eq!(row.durable, bytes.len());

    // The parts remain until they are assembled.
    let multipart = row.multipart.lock().unwrap().clone();
    let size = bytes.len() as u64;
    script(vec![complete(FAILED_200), complete(FAILED_200), complete(FAILED_200)]);
    assert!(unavailable(store.assemble(&key, multipart.as_deref(), row.receipts.clone(), size).await));
    script(vec![complete(Fault::FalseStatus(500))]);
    assert!(row.whole(&store).await.unwrap() == bytes);
    assert_eq!(proxy.left(), 0, "not every fault happened");
    assert!(!bucket.exist(&key).await, "an upload is open");
}
