//! The conformance suite of `Store`, for every store: disk, memory, and a real S3 server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use jiff::Timestamp;
use object_store::ObjectStoreExt;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use reqwest::StatusCode;
use strongroom::app::App;
use strongroom::clock::Clock;
use strongroom::error::{Error, Result};
use strongroom::store::{
    ByteStream, DiskStore, Key, Listed, MemoryStore, MultipartObserver, Object, OpenUpload, Operation, S3Store,
    SignedUrl, Store,
};
use tokio::sync::oneshot;

use crate::support::stores::{
    Bucket, DISPOSITION, Leftovers, PART, Recorded, chunks, client, content, get, put, request, uploads, url_signer,
};
use crate::support::{Setup, config};

const MIB: usize = 1024 * 1024;
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_in_memory_conforms() {
    conforms(Arc::new(MemoryStore::default()), &Unseen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_on_disk_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(&folder.path().join("a/store"), url_signer()).await.unwrap();
    conforms(Arc::new(store), &Folder(folder.path().join("a/store/tmp"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_in_a_bucket_conforms() {
    let bucket = Bucket::new();
    conforms(Arc::new(bucket.store()), &bucket).await;
}

struct Unseen;

#[async_trait]
impl Leftovers for Unseen {
    async fn exist(&self, _: &Key) -> bool {
        false
    }
}

struct Folder(std::path::PathBuf);

#[async_trait]
impl Leftovers for Folder {
    async fn exist(&self, key: &Key) -> bool {
        self.0.join(key.as_str()).exists()
    }
}

/// The contract of every store.
pub async fn conforms(store: Arc<dyn Store>, leftovers: &dyn Leftovers) {
    store.ping().await.unwrap();
    for length in [0, 1, 300_000, PART - 1, PART, PART + 1, 3 * PART + 1] {
        stores_and_reads_ranges(&*store, length, true).await;
        stores_and_reads_ranges(&*store, length, false).await;
    }
    stores_tiny_chunks(&*store).await;
    for length in [10, 2 * PART + 1] {
        for declared in [true, false] {
            leaves_nothing_of_an_interrupted_body(&*store, leftovers, length, declared).await;
            leaves_nothing_of_a_canceled_upload(&store, leftovers, length, declared).await;
        }
        leaves_nothing_if_the_observer_fails(&*store, leftovers, length).await;
        refuses_another_size_than_declared(&*store, leftovers, length).await;
        never_overwrites(&*store, length).await;
    }
    deletes(&*store).await;
    reports_a_missing_object(&*store).await;
    lists_all_objects_by_key(&*store).await;
    lists_and_aborts_incomplete_uploads(&store, leftovers).await;
}

async fn stores_and_reads_ranges(store: &dyn Store, length: usize, declared: bool) {
    let (key, bytes) = (Key::random(), content(length));
    let count = put(store, &key, &bytes, declared).await.unwrap();
    assert_eq!(count, length as u64);
    assert_eq!(store.size(&key).await.unwrap(), Some(length as u64));
    let near_the_middle = length / 2..(length / 2 + 1000).min(length);
    let last = length.saturating_sub(1)..length;
    for range in [0..length, 0..1.min(length), near_the_middle, last] {
        if !range.is_empty() {
            let got = get(store, &key, range.clone()).await.unwrap();
            assert!(got == bytes[range.clone()], "{length} bytes, {range:?}");
        }
    }
    assert!(get(store, &key, 0..length + 1).await.is_err(), "beyond the end");
    store.delete(&key, None).await.unwrap();
}

async fn stores_tiny_chunks(store: &dyn Store) {
    let (key, bytes) = (Key::random(), content(PART + 7));
    let tiny: Vec<_> = bytes.chunks(999).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    store.put(&key, None, Box::pin(stream::iter(tiny)), &Recorded::default()).await.unwrap();
    assert!(get(store, &key, 0..bytes.len()).await.unwrap() == bytes);
    store.delete(&key, None).await.unwrap();
}

async fn leaves_nothing_of_an_interrupted_body(
    store: &dyn Store,
    leftovers: &dyn Leftovers,
    length: usize,
    declared: bool,
) {
    let key = Key::random();
    let interruption = stream::once(async { Err(Error::BodyStalled) });
    let body = Box::pin(chunks(&content(length)).chain(interruption));
    let outcome = store.put(&key, declared.then_some(length as u64 * 2), body, &Recorded::default()).await;
    assert!(matches!(outcome, Err(Error::BodyStalled)), "{outcome:?}");
    assert!(!leftovers.exist(&key).await);
    assert_eq!(store.size(&key).await.unwrap(), None);
    store.delete(&key, None).await.unwrap();
}

async fn leaves_nothing_of_a_canceled_upload(
    store: &Arc<dyn Store>,
    leftovers: &dyn Leftovers,
    length: usize,
    declared: bool,
) {
    let (key, store) = (Key::random(), store.clone());
    let (reached, wait) = oneshot::channel::<()>();
    let stall = stream::once(async move {
        reached.send(()).unwrap();
        future::pending().await
    });
    let body: ByteStream = Box::pin(chunks(&content(length)).chain(stall));
    let put = tokio::spawn({
        let (key, store) = (key.clone(), store.clone());
        async move { store.put(&key, declared.then_some(length as u64 * 2), body, &Recorded::default()).await }
    });
    wait.await.unwrap();
    put.abort();
    assert!(put.await.unwrap_err().is_cancelled());
    // A store aborts a canceled upload in the background.
    let deleted = async {
        while leftovers.exist(&key).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), deleted).await.expect("an incomplete upload remains");
    assert_eq!(store.size(&key).await.unwrap(), None);
}

async fn leaves_nothing_if_the_observer_fails(store: &dyn Store, leftovers: &dyn Leftovers, length: usize) {
    struct Refusing;
    #[async_trait]
    impl MultipartObserver for Refusing {
        async fn multipart_opened(&self, _: &str) -> Result<()> {
            Err(Error::UploadGone)
        }

        fn owner(&self) -> uuid::Uuid {
            uuid::Uuid::now_v7()
        }
    }
    let key = Key::random();
    match store.put(&key, None, Box::pin(chunks(&content(length))), &Refusing).await {
        // There was nothing to record.
        Ok(_) => store.delete(&key, None).await.unwrap(),
        Err(error) => assert!(matches!(error, Error::UploadGone), "{error:?}"),
    }
    assert!(!leftovers.exist(&key).await);
    assert_eq!(store.size(&key).await.unwrap(), None);
}

async fn refuses_another_size_than_declared(store: &dyn Store, leftovers: &dyn Leftovers, length: usize) {
    for declared in [length - 1, length + 1] {
        let key = Key::random();
        let body = Box::pin(chunks(&content(length)));
        let outcome = store.put(&key, Some(declared as u64), body, &Recorded::default()).await;
        assert!(matches!(outcome, Err(Error::BodyBroken(_))), "{outcome:?}");
        assert!(!leftovers.exist(&key).await);
        assert_eq!(store.size(&key).await.unwrap(), None);
    }
}

async fn never_overwrites(store: &dyn Store, length: usize) {
    let (key, first) = (Key::random(), content(length));
    put(store, &key, &first, true).await.unwrap();
    for second_length in [length, 11, 2 * PART + 2] {
        let second = vec![0xAA; second_length];
        let outcome = put(store, &key, &second, true).await;
        assert!(matches!(outcome, Err(Error::PreconditionFailed)), "{outcome:?}");
    }
    assert!(get(store, &key, 0..length).await.unwrap() == first);
    store.delete(&key, None).await.unwrap();
}

async fn deletes(store: &dyn Store) {
    let (key, recorded) = (Key::random(), Recorded::default());
    let body = Box::pin(chunks(&content(PART + 1)));
    store.put(&key, None, body, &recorded).await.unwrap();
    let multipart_id = recorded.0.lock().unwrap().clone();
    for _ in 0..2 {
        store.delete(&key, multipart_id.as_deref()).await.unwrap();
        assert_eq!(store.size(&key).await.unwrap(), None);
    }
    assert!(matches!(get(store, &key, 0..1).await, Err(Error::NotFound)));
}

async fn reports_a_missing_object(store: &dyn Store) {
    let key = Key::random();
    assert_eq!(store.size(&key).await.unwrap(), None);
    assert!(matches!(get(store, &key, 0..1).await, Err(Error::NotFound)));
    store.delete(&key, None).await.unwrap();
}

async fn lists_all_objects_by_key(store: &dyn Store) {
    assert_eq!(list(store).await, [], "an earlier test left something");
    let mut keys: Vec<_> = (0..40).map(|_| Key::random()).collect();
    let bytes = content(keys.len());
    future::join_all(keys.iter().enumerate().map(|(size, key)| put(store, key, &bytes[..size], true))).await;
    let expected = |keys: &[Key]| -> Vec<(String, u64)> {
        let mut expected: Vec<_> = keys.iter().enumerate().map(|(size, key)| (key.to_string(), size as u64)).collect();
        expected.sort();
        expected
    };
    let names = |listed: Vec<Listed<Object>>| -> Vec<(String, u64)> {
        let ours = listed.into_iter().map(|listed| listed.known().expect("no foreign entry"));
        ours.map(|object| (object.key.to_string(), object.size)).collect()
    };
    assert_eq!(names(list(store).await), expected(&keys), "ordered by key");
    let last = keys.pop().unwrap();
    store.delete(&last, None).await.unwrap();
    assert_eq!(names(list(store).await), expected(&keys));
    future::join_all(keys.iter().map(|key| store.delete(key, None))).await;
    assert_eq!(list(store).await, []);
}

async fn lists_and_aborts_incomplete_uploads(store: &Arc<dyn Store>, leftovers: &dyn Leftovers) {
    assert_eq!(uploads_of(&**store, None).await, [], "an earlier test left something");
    let (key, other) = (Key::random(), Key::random());
    let (reached, wait) = oneshot::channel::<()>();
    let stall = stream::once(async move {
        reached.send(()).unwrap();
        future::pending().await
    });
    let body: ByteStream = Box::pin(chunks(&content(2 * PART + 1)).chain(stall));
    let put = tokio::spawn({
        let (key, store) = (key.clone(), store.clone());
        async move { store.put(&key, None, body, &Recorded::default()).await }
    });
    wait.await.unwrap();
    assert_eq!(list(&**store).await, [], "an incomplete upload is not an object");
    let open = uploads_of(&**store, None).await;
    assert_eq!(open, uploads_of(&**store, Some(&key)).await);
    assert_eq!(uploads_of(&**store, Some(&other)).await, []);
    // The store in memory lists no uploads.
    assert_eq!(open.len(), usize::from(leftovers.exist(&key).await));
    for upload in open {
        assert_eq!(upload.key, key);
        for _ in 0..2 {
            store.abort(&upload.key, upload.id.as_deref()).await.unwrap();
        }
    }
    assert!(!leftovers.exist(&key).await);
    assert_eq!(uploads_of(&**store, None).await, []);
    put.abort();
    assert!(put.await.unwrap_err().is_cancelled());
}

async fn list(store: &dyn Store) -> Vec<Listed<Object>> {
    store.list().try_collect().await.unwrap()
}

async fn uploads_of(store: &dyn Store, key: Option<&Key>) -> Vec<OpenUpload> {
    let listed: Vec<_> = store.list_uploads(key).try_collect().await.unwrap();
    listed.into_iter().map(|listed| listed.known().expect("no foreign entry")).collect()
}

/// The foreign entries in both lists of a store.
async fn foreign_entries(store: &dyn Store) -> Vec<String> {
    let objects = list(store).await.into_iter().filter_map(|listed| match listed {
        Listed::Foreign(name) => Some(name),
        Listed::Ours(_) => None,
    });
    let uploads: Vec<_> = store.list_uploads(None).try_collect().await.unwrap();
    let uploads = uploads.into_iter().filter_map(|listed| match listed {
        Listed::Foreign(name) => Some(name),
        Listed::Ours(_) => None,
    });
    let mut names: Vec<_> = objects.chain(uploads).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_list_of_the_disk_reports_foreign_entries() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let store = DiskStore::open(&root, url_signer()).await.unwrap();
    let key = Key::random();
    put(&store, &key, b"ours", true).await.unwrap();
    assert_eq!(foreign_entries(&store).await, [""; 0], "the sentinel is not foreign");

    let (first, second) = (key.as_str().split_at(2).0, if key.as_str().starts_with("00") { "01" } else { "00" });
    let planted = [
        "README".to_owned(),
        "lost+found".to_owned(),
        "blobs/zz".to_owned(),
        // In the wrong directory, in upper case, a directory instead of a file, a symbolic link.
        format!("blobs/{second}/{key}"),
        format!("blobs/{first}/{}", key.as_str().to_uppercase()),
        format!("blobs/{first}/{first}{}", "a".repeat(30)),
        format!("blobs/{first}/{first}{}", "b".repeat(30)),
        "tmp/half".to_owned(),
    ];
    for name in &planted {
        match name {
            name if name.ends_with('a') || name == "lost+found" => std::fs::create_dir(root.join(name)).unwrap(),
            name if name.ends_with('b') => std::os::unix::fs::symlink("/etc/passwd", root.join(name)).unwrap(),
            name => std::fs::write(root.join(name), "theirs").unwrap(),
        }
    }
    let mut expected = planted.to_vec();
    expected.sort();
    assert_eq!(foreign_entries(&store).await, expected);
    let ours: Vec<_> = list(&store).await.into_iter().filter_map(Listed::known).collect();
    assert_eq!(ours.iter().map(|object| (&object.key, object.size)).collect::<Vec<_>>(), [(&key, 4)]);

    // A missing disk is not an empty one.
    std::fs::rename(&root, folder.path().join("elsewhere")).unwrap();
    let listed: Result<Vec<_>> = store.list().try_collect().await;
    assert!(matches!(listed, Err(Error::Unavailable { what: "store", .. })));
    assert!(matches!(store.size(&key).await, Err(Error::Unavailable { what: "store", .. })));
}

#[tokio::test]
async fn a_list_of_the_bucket_has_all_pages_and_reports_foreign_entries() {
    let bucket = Bucket::new();
    let store = bucket.store();
    let mut keys: Vec<_> = (0..1100).map(|_| Key::random()).collect();
    keys.sort_by_key(Key::to_string);
    let puts = keys.iter().map(|key| put(&store, key, b"x", true));
    let stored: Vec<_> = stream::iter(puts).buffer_unordered(16).collect().await;
    assert!(stored.iter().all(|outcome| matches!(outcome, Ok(1))));
    let names =
        ["notes.txt".to_owned(), "folder/inside".to_owned(), keys[3].as_str().to_uppercase(), format!("{}0", keys[7])];
    for name in &names {
        let path = Path::parse(format!("{}/{name}", bucket.config.prefix)).unwrap();
        bucket.client.put(&path, "theirs".into()).await.unwrap();
    }
    let open = bucket
        .client
        .create_multipart(&Path::parse(format!("{}/theirs", bucket.config.prefix)).unwrap())
        .await
        .unwrap();
    // Two uploads of one key, of which a row would name one.
    let path = Path::parse(format!("{}/{}", bucket.config.prefix, keys[0])).unwrap();
    let ids =
        [bucket.client.create_multipart(&path).await.unwrap(), bucket.client.create_multipart(&path).await.unwrap()];
    let longer = Path::parse(format!("{}/{}0", bucket.config.prefix, keys[0])).unwrap();
    let longer_id = bucket.client.create_multipart(&longer).await.unwrap();

    let ours: Vec<_> = list(&store).await.into_iter().filter_map(Listed::known).map(|object| object.key).collect();
    assert!(ours == keys, "{} of {}", ours.len(), keys.len());
    let mut expected: Vec<_> = names.iter().map(|name| format!("{}/{name}", bucket.config.prefix)).collect();
    expected.extend([format!("{}/theirs", bucket.config.prefix), longer.to_string()]);
    expected.sort();
    assert_eq!(foreign_entries(&store).await, expected);
    let mut found = uploads_of(&store, Some(&keys[0])).await;
    found.sort_by_key(|upload| upload.id.clone());
    let mut both: Vec<_> = ids.iter().map(|id| (&keys[0], Some(id.clone()))).collect();
    both.sort_by_key(|(_, id)| id.clone());
    assert_eq!(found.iter().map(|upload| (&upload.key, upload.id.clone())).collect::<Vec<_>>(), both);
    store.abort(&keys[0], Some(&ids[0])).await.unwrap();
    assert_eq!(uploads_of(&store, Some(&keys[0])).await.len(), 1);
    store.abort(&keys[0], Some(&ids[1])).await.unwrap();
    assert_eq!(uploads_of(&store, Some(&keys[0])).await, []);

    bucket
        .client
        .abort_multipart(&Path::parse(format!("{}/theirs", bucket.config.prefix)).unwrap(), &open)
        .await
        .unwrap();
    bucket.client.abort_multipart(&longer, &longer_id).await.unwrap();
}

#[tokio::test]
async fn the_store_on_disk_is_private_and_follows_no_symbolic_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let store = DiskStore::open(&root, url_signer()).await.unwrap();
    let key = Key::random();
    put(&store, &key, b"secret", true).await.unwrap();
    let shard = root.join("blobs").join(&key.as_str()[..2]);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(&root), mode(&shard), mode(&shard.join(key.as_str()))], [0o700, 0o700, 0o600]);

    let other = Key::random();
    let planted = root.join("blobs").join(&other.as_str()[..2]).join(other.as_str());
    symlink(shard.join(key.as_str()), planted).unwrap();
    assert!(get(&store, &other, 0..6).await.is_err());

    std::fs::remove_dir(root.join("tmp")).unwrap();
    symlink(folder.path(), root.join("tmp")).unwrap();
    assert!(matches!(DiskStore::open(&root, url_signer()).await, Err(Error::Setup(_))));
}

#[tokio::test]
async fn a_command_that_opened_only_the_database_cannot_use_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(Setup::SqliteAndDisk, &folder).await;
    let app = App::open_database_only(config, Clock::default()).await.unwrap();
    let key = Key::random();
    assert!(matches!(put(&*app.store, &key, b"lost", true).await, Err(Error::Internal(_))));
    assert!(matches!(get(&*app.store, &key, 0..1).await, Err(Error::Internal(_))));
    assert!(app.store.list().try_next().await.is_err(), "its store is not an empty one");
}

#[tokio::test]
async fn only_one_of_two_writers_of_a_key_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(DiskStore::open(folder.path(), url_signer()).await.unwrap());
    let key = Key::random();
    let (first, second) = (content(MIB), vec![0; MIB]);
    let (one, two) = tokio::join!(put(&*store, &key, &first, true), put(&*store, &key, &second, true));
    assert!(one.is_ok() != two.is_ok());
    let kept = get(&*store, &key, 0..MIB).await.unwrap();
    assert!(kept == if one.is_ok() { first } else { second });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_uploads_share_a_small_memory_budget() {
    const LENGTH: usize = 12 * MIB;
    let bucket = Bucket::new();
    let store = bucket.store();
    let bytes = content(LENGTH);
    let uploads = (0..32).map(|number| {
        let (store, bytes) = (&store, &bytes);
        async move {
            let key = Key::random();
            put(store, &key, bytes, number % 2 == 0).await.unwrap();
            assert_eq!(store.size(&key).await.unwrap(), Some(LENGTH as u64));
            store.delete(&key, None).await.unwrap();
        }
    });
    tokio::time::timeout(Duration::from_secs(120), future::join_all(uploads)).await.expect("a deadlock");
}

#[tokio::test]
async fn a_signed_get_url_reads_from_the_bucket() {
    let store = Bucket::new().store();
    let (key, bytes) = (Key::random(), content(1000));
    put(&store, &key, &bytes, true).await.unwrap();

    let (get, head) = (sign(&store, Operation::Get, &key).await, sign(&store, Operation::Head, &key).await);
    let answer = client().get(get.url.clone()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-disposition"], DISPOSITION);
    assert_eq!(answer.headers()["content-type"], "text/x-test; charset=utf-8");
    assert!(answer.bytes().await.unwrap() == bytes);
    let part = client().get(get.url.clone()).header("range", "bytes=10-19").send().await.unwrap();
    assert!(part.bytes().await.unwrap() == bytes[10..20]);
    let answer = client().head(head.url.clone()).send().await.unwrap();
    assert_eq!((answer.status(), &answer.headers()["content-length"]), (StatusCode::OK, &"1000".parse().unwrap()));

    let tampered = get.url.as_str().replace("test.txt", "test.exe");
    assert_eq!(client().get(tampered).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert_eq!(client().get(head.url).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let mut expired = request(Operation::Get, &key);
    expired.now = Timestamp::now() - Duration::from_secs(3600);
    let expired = store.sign(&expired).await.unwrap();
    assert_eq!(client().get(expired.url).send().await.unwrap().status(), StatusCode::FORBIDDEN);
    store.delete(&key, None).await.unwrap();
}

#[tokio::test]
async fn a_signed_put_url_writes_only_once() {
    let store = Bucket::new().store();
    let key = Key::random();
    let put = sign(&store, Operation::Put, &key).await;
    let send = |body: &'static str, with_headers: bool| {
        let mut request = client().put(put.url.clone()).body(body);
        for (name, value) in put.headers.iter().filter(|_| with_headers) {
            request = request.header(*name, value);
        }
        async { request.send().await.unwrap().status() }
    };
    assert_eq!(send("without the header", false).await, StatusCode::FORBIDDEN);
    assert_eq!(send("first", true).await, StatusCode::OK);
    assert_eq!(send("second", true).await, StatusCode::PRECONDITION_FAILED);
    assert_eq!(get(&store, &key, 0..5).await.unwrap(), b"first");
    store.delete(&key, None).await.unwrap();
}

#[tokio::test]
async fn an_unreachable_store_is_unavailable() {
    let mut config = Bucket::new().config();
    config.endpoint = Some("http://127.0.0.1:9".parse().unwrap());
    let (store, key) = (S3Store::open(&config, &uploads()).unwrap(), Key::random());
    let unavailable = |error: Error| matches!(error, Error::Unavailable { what: "store", .. });
    assert!(unavailable(store.ping().await.unwrap_err()));
    assert!(unavailable(store.size(&key).await.unwrap_err()));
    assert!(unavailable(put(&store, &key, b"x", true).await.unwrap_err()));
    assert!(unavailable(put(&store, &key, &content(PART + 1), false).await.unwrap_err()));
    assert!(unavailable(get(&store, &key, 0..1).await.unwrap_err()));
    assert!(unavailable(store.delete(&key, Some("id")).await.unwrap_err()));
}

#[tokio::test]
async fn a_missing_bucket_is_not_an_empty_bucket() {
    let mut config = Bucket::new().config();
    config.bucket = "there-is-no-such-bucket-here".into();
    let store = S3Store::open(&config, &uploads()).unwrap();
    assert!(matches!(store.ping().await, Err(Error::Unavailable { what: "store", .. })));
    assert!(matches!(store.delete(&Key::random(), None).await, Err(Error::Unavailable { what: "store", .. })));
}

async fn sign(store: &dyn Store, operation: Operation, key: &Key) -> SignedUrl {
    store.sign(&request(operation, key)).await.unwrap()
}
