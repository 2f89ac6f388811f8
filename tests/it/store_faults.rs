//! The store in a bucket that fails. A proxy between the two changes responses, loses them, and cuts
//! bodies, as scripted.

use axum::body::Bytes;
use futures_util::StreamExt;
use strongroom::error::{Error, Result};
use strongroom::store::{Key, S3Store, Store};

use crate::store::{Bucket, Leftovers, PART, content, get, put, uploads};
use crate::support::bucket_proxy::{BucketProxy, Fault, Site};

/// Part of a request's method and address, and the faults of such requests, one after the other.
pub type Script = Vec<(&'static str, &'static str, Fault)>;

/// A store behind a proxy that follows the script.
pub async fn store_behind(script: Script) -> (S3Store, Bucket, BucketProxy) {
    let bucket = Bucket::of_this_run();
    let mut config = bucket.config();
    let proxy = BucketProxy::before(config.endpoint.as_ref().unwrap()).await;
    config.endpoint = Some(proxy.url.clone());
    follow(&proxy, script);
    (S3Store::open(&config, &uploads()).unwrap(), bucket, proxy)
}

pub fn follow(proxy: &BucketProxy, script: Script) {
    for (method, part, fault) in script {
        proxy.once(Site::new(method, part), fault);
    }
}

/// Puts `length` bytes through the faults. On success they must be there, on failure nothing.
async fn put_through(script: Script, length: usize) -> Result<u64> {
    let (store, bucket, proxy) = store_behind(script).await;
    let (key, bytes) = (Key::random(), content(length));
    let outcome = put(&store, &key, &bytes, true).await;
    assert_eq!(proxy.left(), 0, "not every fault happened");
    assert!(!bucket.exist(&key).await, "an incomplete upload remains");
    if outcome.is_ok() {
        assert!(get(&store, &key, 0..length).await.unwrap() == bytes);
        store.delete(&key, None).await.unwrap();
    } else {
        assert_eq!(store.size(&key).await.unwrap(), None);
    }
    outcome
}

pub fn unavailable<T>(outcome: Result<T>) -> bool {
    matches!(outcome, Err(Error::Unavailable { what: "store", .. }))
}

pub const BUSY: Fault = Fault::Answer(503, "<Error><Code>SlowDown</Code></Error>");
pub const REFUSED: Fault = Fault::Answer(403, "<Error><Code>AccessDenied</Code></Error>");
const NO_UPLOAD: Fault = Fault::Answer(404, "<Error><Code>NoSuchUpload</Code></Error>");
/// S3 responds like this if it fails after it has sent the status.
pub const FAILED_200: Fault = Fault::Answer(200, "<Error><Code>InternalError</Code></Error>");

#[tokio::test]
async fn a_failed_put_leaves_nothing() {
    let put = |faults: &[Fault]| faults.iter().map(|fault| ("PUT", "", *fault)).collect();
    assert!(put_through(put(&[BUSY, BUSY]), 1000).await.is_ok());
    assert!(put_through(put(&[Fault::FalseStatus(500)]), 1000).await.is_ok());
    assert!(unavailable(put_through(put(&[BUSY, BUSY, BUSY]), 1000).await));
    assert!(unavailable(put_through(put(&[REFUSED]), 1000).await));
    let full = put_through(put(&[Fault::Answer(507, ""); 3]), 1000).await;
    assert!(matches!(full, Err(Error::StorageFull)), "{full:?}");
}

#[tokio::test]
async fn a_failed_part_leaves_nothing() {
    let part = |number: &'static str, fault: Fault| ("PUT", number, fault);
    let script =
        vec![part("partNumber=1&", BUSY), part("partNumber=2&", Fault::FalseStatus(500)), ("POST", "uploads", BUSY)];
    assert!(put_through(script, 2 * PART + 1).await.is_ok());
    assert!(unavailable(put_through(vec![part("partNumber=1&", REFUSED)], 2 * PART + 1).await));
    assert!(unavailable(put_through(vec![part("partNumber=3&", REFUSED)], 2 * PART + 1).await));
    let mut script = vec![("DELETE", "uploadId=", BUSY)];
    script.extend([BUSY; 3].map(|fault| part("partNumber=2&", fault)));
    assert!(unavailable(put_through(script, 2 * PART + 1).await));
}

#[tokio::test]
async fn the_object_decides_whether_an_upload_was_completed() {
    let complete = |faults: &[Fault]| {
        let complete = |fault: &Fault| ("POST", "uploadId=", *fault);
        faults.iter().map(complete).collect::<Script>()
    };
    let length = PART + 1;
    assert!(put_through(complete(&[BUSY, FAILED_200]), length).await.is_ok());
    assert!(put_through(complete(&[Fault::FalseStatus(500)]), length).await.is_ok());
    assert!(put_through(complete(&[Fault::FalseStatus(504), NO_UPLOAD]), length).await.is_ok());
    assert!(unavailable(put_through(complete(&[FAILED_200; 3]), length).await));
    assert!(unavailable(put_through(complete(&[NO_UPLOAD]), length).await));
}

#[tokio::test]
async fn a_download_resumes_where_it_was_interrupted() {
    let cuts = [1000, 0, 0, 4000].map(|length| ("GET", "", Fault::Cut(length)));
    let (store, _, proxy) = store_behind(cuts.to_vec()).await;
    let (key, bytes) = (Key::random(), content(10_000));
    put(&store, &key, &bytes, true).await.unwrap();
    assert!(get(&store, &key, 500..9_500).await.unwrap() == bytes[500..9_500]);
    assert_eq!(proxy.left(), 0);

    let cuts = |lengths: &[usize]| lengths.iter().map(|length| ("GET", "", Fault::Cut(*length))).collect();
    follow(&proxy, cuts(&[100, 0, 0, 0, 0]));
    let mut body = store.get(&key, 0..10_000).await.unwrap();
    assert_eq!(body.next().await.unwrap().unwrap(), Bytes::copy_from_slice(&bytes[..100]));
    assert!(unavailable(body.next().await.expect("an error, not an early end")));

    proxy.clear();
    follow(&proxy, cuts(&[100, 0]));
    let mut body = store.get(&key, 0..10_000).await.unwrap();
    body.next().await.unwrap().unwrap();
    store.delete(&key, None).await.unwrap();
    assert!(body.next().await.expect("an error, not an early end").is_err());
}

#[tokio::test]
async fn a_refused_request_is_not_a_missing_object() {
    let (store, _, proxy) = store_behind(Vec::new()).await;
    let key = Key::random();
    put(&store, &key, b"bytes", true).await.unwrap();
    for method in ["HEAD", "DELETE", "GET"] {
        proxy.once(Site::new(method, ""), Fault::Answer(403, ""));
    }
    assert!(unavailable(store.size(&key).await));
    assert!(unavailable(store.delete(&key, None).await));
    assert!(unavailable(get(&store, &key, 0..5).await));
    store.delete(&key, None).await.unwrap();
}
