//! Resumable uploads on every store: bytes that were reported as durable are kept, whatever fails.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use strongroom::error::{Error, Result};
use strongroom::store::{
    AppendObserver, AppendRequest, DiskStore, Key, MemoryStore, MultipartObserver, Persisted, Store,
};

use crate::store::{Bucket, Leftovers, PART, chunks, content, get, url_signer};
use crate::store_faults::{BUSY, FAILED_200, REFUSED, Script, follow, store_behind, unavailable};
use crate::support::bucket_proxy::Fault;

/// The state that the database keeps of an upload.
struct Upload {
    key: Key,
    multipart: std::sync::Mutex<Option<String>>,
    tails: Vec<Key>,
    tail: Option<Key>,
    receipts: Vec<String>,
    /// The bytes that were written, and the number of those that are durable.
    written: Vec<u8>,
    durable: usize,
}

impl Upload {
    async fn create(store: &dyn Store) -> Self {
        let key = Key::random();
        store.begin(&key).await.unwrap();
        let (tails, tail, receipts, written) = (Vec::new(), None, Vec::new(), Vec::new());
        Self { key, multipart: Default::default(), tails, tail, receipts, written, durable: 0 }
    }

    /// Appends bytes; with `broken`, the body ends with an error.
    async fn append(
        &mut self,
        store: &dyn Store,
        bytes: &[u8],
        size: usize,
        broken: bool,
        all_or_nothing: bool,
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
            coming: Some(bytes.len() as u64),
            all_or_nothing,
        };
        let end = stream::iter(broken.then_some(Err(Error::BodyStalled)));
        store.append(&at, Box::pin(chunks(bytes).chain(end)), self).await
    }

    /// Assembles the upload, reads its content, and deletes everything.
    async fn finish(self, store: &dyn Store) -> Result<Vec<u8>> {
        let multipart = self.multipart.lock().unwrap().take();
        let key = match (&multipart, &self.tail) {
            (None, Some(tail)) => tail.clone(),
            _ => self.key.clone(),
        };
        if key == self.key {
            // A client that lost the first response repeats the request.
            for _ in 0..2 {
                store.assemble(&key, multipart.as_deref(), self.receipts.clone(), self.durable as u64).await?;
            }
        }
        let content = if self.durable > 0 { get(store, &key, 0..self.durable).await? } else { Vec::new() };
        for key in self.tails.iter().chain([&self.key]) {
            store.delete(key, None).await?;
        }
        Ok(content)
    }
}

#[async_trait]
impl MultipartObserver for Upload {
    async fn multipart_opened(&self, upload_id: &str) -> Result<()> {
        assert!(self.multipart.lock().unwrap().replace(upload_id.to_owned()).is_none(), "opened twice");
        Ok(())
    }

    fn owner(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }
}

#[async_trait]
impl AppendObserver for Upload {
    async fn tail_key(&mut self) -> Result<Key> {
        self.tails.push(Key::random());
        Ok(self.tails.last().cloned().expect("a tail"))
    }

    async fn written(&mut self, bytes: &[Bytes]) {
        bytes.iter().for_each(|chunk| self.written.extend_from_slice(chunk));
    }

    async fn kept(&mut self, how: Persisted) -> Result<()> {
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
    for lengths in shapes {
        let bytes = content(lengths.iter().sum());
        let mut upload = Upload::create(store).await;
        for length in lengths {
            let next = &bytes[upload.durable..upload.durable + length];
            if *length > 1 {
                // The first half arrives, and is kept.
                let outcome = upload.append(store, &next[..length / 2], bytes.len(), true, false).await;
                assert!(matches!(outcome, Err(Error::BodyStalled)), "{outcome:?}");
            }
            let rest = &next[(*length > 1) as usize * (length / 2)..];
            upload.append(store, rest, bytes.len(), false, false).await.unwrap();
            assert!(upload.written == bytes[..upload.durable] && upload.durable == upload.written.len(), "{lengths:?}");
        }
        assert_eq!(upload.durable, bytes.len());
        assert!(upload.finish(store).await.unwrap() == bytes, "{lengths:?}");
    }
    // With `all_or_nothing`, an interrupted append has no effect.
    let bytes = content(PART + 10);
    let mut upload = Upload::create(store).await;
    upload.append(store, &bytes[..100], bytes.len(), false, true).await.unwrap();
    assert!(upload.append(store, &content(1000), bytes.len(), true, true).await.is_err());
    assert_eq!(upload.durable, 100);
    upload.append(store, &bytes[100..], bytes.len(), false, true).await.unwrap();
    assert!(upload.finish(store).await.unwrap() == bytes);
}

#[tokio::test]
async fn memory_supports_appends() {
    appends(&MemoryStore::new(url_signer())).await;
}

#[tokio::test]
async fn a_disk_supports_appends() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(&folder.path().join("store"), url_signer()).await.unwrap();
    appends(&store).await;
    let left = std::fs::read_dir(folder.path().join("store/tmp")).unwrap().count();
    assert_eq!(left, 0, "staged files");
}

#[tokio::test]
async fn a_bucket_supports_appends() {
    appends(&Bucket::of_this_run().store()).await;
}

/// A staged file that lost bytes is not extended.
#[tokio::test]
async fn a_truncated_staged_file_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path(), url_signer()).await.unwrap();
    let mut upload = Upload::create(&store).await;
    upload.append(&store, &content(100), 200, false, false).await.unwrap();
    let staged = folder.path().join("tmp").join(upload.key.as_str());
    std::fs::File::options().write(true).open(&staged).unwrap().set_len(99).unwrap();
    assert!(matches!(upload.append(&store, &content(100), 200, false, false).await, Err(Error::Internal(_))));
    std::fs::remove_file(&staged).unwrap();
    assert!(matches!(upload.append(&store, &content(100), 200, false, false).await, Err(Error::UploadGone)));
}

#[tokio::test]
async fn a_failing_bucket_loses_no_durable_bytes() {
    let part = |number: &'static str, fault: Fault| ("PUT", number, fault);
    let complete = |fault: Fault| ("POST", "uploadId=", fault);
    let (store, bucket, proxy) = store_behind(Script::new()).await;
    let script = |faults: Script| follow(&proxy, faults);
    let bytes = content(3 * PART + 10);
    let mut upload = Upload::create(&store).await;
    let key = upload.key.clone();

    // The second part is refused: only the first one is durable.
    script(vec![part("partNumber=1&", BUSY), part("partNumber=2&", REFUSED)]);
    assert!(unavailable(upload.append(&store, &bytes[..2 * PART], bytes.len(), false, false).await));
    assert_eq!(upload.durable, PART);
    // The tail is refused: the append has no effect.
    script(vec![part("", REFUSED)]);
    assert!(unavailable(upload.append(&store, &bytes[PART..PART + 10], bytes.len(), false, false).await));
    assert_eq!(upload.durable, PART);
    upload.append(&store, &bytes[PART..PART + 10], bytes.len(), false, false).await.unwrap();
    // The tail cannot be read back.
    script(vec![("GET", "", REFUSED)]);
    assert!(unavailable(upload.append(&store, &bytes[PART + 10..], bytes.len(), false, false).await));
    script(vec![part("partNumber=2&", Fault::FalseStatus(500))]);
    upload.append(&store, &bytes[PART + 10..], bytes.len(), false, false).await.unwrap();
    assert_eq!(upload.durable, bytes.len());

    // The parts are kept until they are assembled.
    let multipart = upload.multipart.lock().unwrap().clone();
    let size = bytes.len() as u64;
    script(vec![complete(FAILED_200), complete(FAILED_200), complete(FAILED_200)]);
    assert!(unavailable(store.assemble(&key, multipart.as_deref(), upload.receipts.clone(), size).await));
    script(vec![complete(Fault::FalseStatus(500))]);
    assert!(upload.finish(&store).await.unwrap() == bytes);
    assert_eq!(proxy.left(), 0, "not every fault happened");
    assert!(!bucket.exist(&key).await, "an upload is open");
}
