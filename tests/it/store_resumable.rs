//! Uploads in pieces, on every store: what the ledger was told is there, whatever broke.

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

/// What a row would hold.
struct Page {
    key: Key,
    multipart: std::sync::Mutex<Option<String>>,
    tails: Vec<Key>,
    tail: Option<Key>,
    receipts: Vec<String>,
    /// Bytes that were written, and how many of them are durable.
    written: Vec<u8>,
    durable: usize,
}

impl Page {
    async fn of(store: &dyn Store) -> Self {
        let key = Key::random();
        store.begin(&key).await.unwrap();
        let (tails, tail, receipts, written) = (Vec::new(), None, Vec::new(), Vec::new());
        Self { key, multipart: Default::default(), tails, tail, receipts, written, durable: 0 }
    }

    /// Appends what follows, and breaks off after it if told so.
    async fn append(
        &mut self,
        store: &dyn Store,
        piece: &[u8],
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
            coming: Some(piece.len() as u64),
            all_or_nothing: at_once,
        };
        let end = stream::iter(broken.then_some(Err(Error::BodyStalled)));
        store.append(&at, Box::pin(chunks(piece).chain(end)), self).await
    }

    /// The whole, once it is put together; then everything is taken away.
    async fn whole(self, store: &dyn Store) -> Result<Vec<u8>> {
        let multipart = self.multipart.lock().unwrap().take();
        let key = match (&multipart, &self.tail) {
            (None, Some(tail)) => tail.clone(),
            _ => self.key.clone(),
        };
        if key == self.key {
            // The answer to the first may have been lost.
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
impl MultipartObserver for Page {
    async fn multipart_opened(&self, upload_id: &str) -> Result<()> {
        assert!(self.multipart.lock().unwrap().replace(upload_id.to_owned()).is_none(), "opened twice");
        Ok(())
    }

    fn owner(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }
}

#[async_trait]
impl AppendObserver for Page {
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

async fn grows(store: &dyn Store) {
    let shapes: [&[usize]; 7] =
        [&[0], &[1], &[PART], &[PART + 1], &[3, PART - 3, 1], &[PART, PART, PART], &[2 * PART + 5, 0, PART + 1, 7]];
    for pieces in shapes {
        let bytes = content(pieces.iter().sum());
        let mut page = Page::of(store).await;
        for length in pieces {
            let piece = &bytes[page.durable..page.durable + length];
            if *length > 1 {
                // Half of it comes, and is kept.
                let outcome = page.append(store, &piece[..length / 2], bytes.len(), true, false).await;
                assert!(matches!(outcome, Err(Error::BodyStalled)), "{outcome:?}");
            }
            let rest = &piece[(*length > 1) as usize * (length / 2)..];
            page.append(store, rest, bytes.len(), false, false).await.unwrap();
            assert!(page.written == bytes[..page.durable] && page.durable == page.written.len(), "{pieces:?}");
        }
        assert_eq!(page.durable, bytes.len());
        assert!(page.whole(store).await.unwrap() == bytes, "{pieces:?}");
    }
    // All or nothing, and it breaks off: as if it had never come.
    let bytes = content(PART + 10);
    let mut page = Page::of(store).await;
    page.append(store, &bytes[..100], bytes.len(), false, true).await.unwrap();
    assert!(page.append(store, &content(1000), bytes.len(), true, true).await.is_err());
    assert_eq!(page.durable, 100);
    page.append(store, &bytes[100..], bytes.len(), false, true).await.unwrap();
    assert!(page.whole(store).await.unwrap() == bytes);
}

#[tokio::test]
async fn memory_grows_in_pieces() {
    grows(&MemoryStore::new(url_signer())).await;
}

#[tokio::test]
async fn a_disk_grows_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(&folder.path().join("store"), url_signer()).await.unwrap();
    grows(&store).await;
    let left = std::fs::read_dir(folder.path().join("store/tmp")).unwrap().count();
    assert_eq!(left, 0, "staged files");
}

#[tokio::test]
async fn a_bucket_grows_in_pieces() {
    grows(&Bucket::of_this_run().store()).await;
}

/// Of a disk that lost bytes behind our back nothing is made.
#[tokio::test]
async fn a_file_that_shrank_is_not_taken_for_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path(), url_signer()).await.unwrap();
    let mut page = Page::of(&store).await;
    page.append(&store, &content(100), 200, false, false).await.unwrap();
    let staged = folder.path().join("tmp").join(page.key.as_str());
    std::fs::File::options().write(true).open(&staged).unwrap().set_len(99).unwrap();
    assert!(matches!(page.append(&store, &content(100), 200, false, false).await, Err(Error::Internal(_))));
    std::fs::remove_file(&staged).unwrap();
    assert!(matches!(page.append(&store, &content(100), 200, false, false).await, Err(Error::UploadGone)));
}

#[tokio::test]
async fn a_bucket_that_fails_loses_nothing_that_was_told() {
    let part = |number: &'static str, fault: Fault| ("PUT", number, fault);
    let complete = |fault: Fault| ("POST", "uploadId=", fault);
    let (store, bucket, proxy) = store_behind(Script::new()).await;
    let script = |faults: Script| follow(&proxy, faults);
    let bytes = content(3 * PART + 10);
    let mut page = Page::of(&store).await;
    let key = page.key.clone();

    // The second part is refused: the first one counts.
    script(vec![part("partNumber=1&", BUSY), part("partNumber=2&", REFUSED)]);
    assert!(unavailable(page.append(&store, &bytes[..2 * PART], bytes.len(), false, false).await));
    assert_eq!(page.durable, PART);
    // What fills no part is refused: as if it had not come.
    script(vec![part("", REFUSED)]);
    assert!(unavailable(page.append(&store, &bytes[PART..PART + 10], bytes.len(), false, false).await));
    assert_eq!(page.durable, PART);
    page.append(&store, &bytes[PART..PART + 10], bytes.len(), false, false).await.unwrap();
    // The tail cannot be read back.
    script(vec![("GET", "", REFUSED)]);
    assert!(unavailable(page.append(&store, &bytes[PART + 10..], bytes.len(), false, false).await));
    script(vec![part("partNumber=2&", Fault::FalseStatus(500))]);
    page.append(&store, &bytes[PART + 10..], bytes.len(), false, false).await.unwrap();
    assert_eq!(page.durable, bytes.len());

    // The parts stay until they are put together.
    let multipart = page.multipart.lock().unwrap().clone();
    let size = bytes.len() as u64;
    script(vec![complete(FAILED_200), complete(FAILED_200), complete(FAILED_200)]);
    assert!(unavailable(store.assemble(&key, multipart.as_deref(), page.receipts.clone(), size).await));
    script(vec![complete(Fault::FalseStatus(500))]);
    assert!(page.whole(&store).await.unwrap() == bytes);
    assert_eq!(proxy.left(), 0, "not every fault happened");
    assert!(!bucket.exist(&key).await, "an upload is open");
}
