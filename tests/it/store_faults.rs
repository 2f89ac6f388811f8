//! The S3 store with a bucket that fails during a request. A proxy between them injects the faults.

use axum::body::Bytes;
use futures_util::StreamExt;
use strongroom::error::{Error, Result};
use strongroom::store::{Key, S3Store, Store};

use crate::store::{Bucket, Leftovers, PART, content, get, put, uploads};
use crate::support::bucket_proxy::{BucketProxy, Fault, Site};

/// The method and a part of the URL of a request, and its fault. Entries for the same requests apply in this order.
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

/// Uploads `length` bytes with these faults; after a success they must be stored, after an error nothing may be left.
async fn put_with_faults(script: Script, length: usize) -> Result<u64> {
    let (store, bucket, proxy) = store_behind(script).await;
    let (key, bytes) = (Key::random(), content(length));
    let outcome = put(&store, &key, &bytes, true).await;
    assert_eq!(proxy.left(), 0, "not every fault happened");
    assert!(!bucket.exist(&key).await, "an upload is open");
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
/// S3 responds so when it fails after it has sent the status.
pub const FAILED_200: Fault = Fault::Answer(200, "<Error><Code>InternalError</Code></Error>");

#[tokio::test]
async fn a_put_succeeds_or_leaves_nothing() {
    let put = |faults: &[Fault]| faults.iter().map(|fault| ("PUT", "", *fault)).collect();
    assert!(put_with_faults(put(&[BUSY, BUSY]), 1000).await.is_ok());
    assert!(put_with_faults(put(&[Fault::FalseStatus(500)]), 1000).await.is_ok());
    assert!(unavailable(put_with_faults(put(&[BUSY, BUSY, BUSY]), 1000).await));
    assert!(unavailable(put_with_faults(put(&[REFUSED]), 1000).await));
    let full = put_with_faults(put(&[Fault::Answer(507, ""); 3]), 1000).await;
    assert!(matches!(full, Err(Error::StorageFull)), "{full:?}");
}

#[tokio::test]
async fn a_multipart_put_succeeds_or_leaves_nothing() {
    let part = |number: &'static str, fault: Fault| ("PUT", number, fault);
    let script =
        vec![part("partNumber=1&", BUSY), part("partNumber=2&", Fault::FalseStatus(500)), ("POST", "uploads", BUSY)];
    assert!(put_with_faults(script, 2 * PART + 1).await.is_ok());
    assert!(unavailable(put_with_faults(vec![part("partNumber=1&", REFUSED)], 2 * PART + 1).await));
    assert!(unavailable(put_with_faults(vec![part("partNumber=3&", REFUSED)], 2 * PART + 1).await));
    let mut script = vec![("DELETE", "uploadId=", BUSY)];
    script.extend([BUSY; 3].map(|fault| part("partNumber=2&", fault)));
    assert!(unavailable(put_with_faults(script, 2 * PART + 1).await));
}

#[tokio::test]
async fn an_unclear_completion_is_decided_by_the_object() {
    let complete = |faults: &[Fault]| {
        let complete = |fault: &Fault| ("POST", "uploadId=", *fault);
        faults.iter().map(complete).collect::<Script>()
    };
    let length = PART + 1;
    assert!(put_with_faults(complete(&[BUSY, FAILED_200]), length).await.is_ok());
    assert!(put_with_faults(complete(&[Fault::FalseStatus(500)]), length).await.is_ok());
    assert!(put_with_faults(complete(&[Fault::FalseStatus(504), NO_UPLOAD]), length).await.is_ok());
    assert!(unavailable(put_with_faults(complete(&[FAILED_200; 3]), length).await));
    assert!(unavailable(put_with_faults(complete(&[NO_UPLOAD]), length).await));
}

#[tokio::test]
async fn a_download_is_resumed_where_it_was_interrupted() {
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
    assert!(unavailable(body.next().await.expect("an error before the end")));

    proxy.clear();
    follow(&proxy, cuts(&[100, 0]));
    let mut body = store.get(&key, 0..10_000).await.unwrap();
    body.next().await.unwrap().unwrap();
    store.delete(&key, None).await.unwrap();
    assert!(body.next().await.expect("an error before the end").is_err());
}

#[tokio::test]
async fn a_failed_request_does_not_mean_that_the_object_is_missing() {
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
