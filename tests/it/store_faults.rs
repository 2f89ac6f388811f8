//! The S3 store with a bucket that fails during requests. A proxy between them injects the faults.

use axum::body::Bytes;
use futures_util::StreamExt;
use strongroom::error::{Error, Result};
use strongroom::store::{Key, Store};

use crate::support::bucket_proxy::{BUSY, FAILED_200, Fault, REFUSED, Script, Site};
use crate::support::stores::{Leftovers, PART, content, get, put, store_behind, unavailable};

/// Puts `length` bytes with these faults. After a success they must be stored, after an error nothing may be left.
async fn put_with_faults(script: Script, length: usize) -> Result<u64> {
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

const NO_UPLOAD: Fault = Fault::Answer(404, "<Error><Code>NoSuchUpload</Code></Error>");

#[tokio::test]
async fn a_failed_put_leaves_nothing() {
    let put = |faults: &[Fault]| faults.iter().map(|fault| ("PUT", "", *fault)).collect();
    assert!(put_with_faults(put(&[BUSY, BUSY]), 1000).await.is_ok());
    assert!(put_with_faults(put(&[Fault::FalseStatus(500)]), 1000).await.is_ok());
    assert!(unavailable(put_with_faults(put(&[BUSY, BUSY, BUSY]), 1000).await));
    assert!(unavailable(put_with_faults(put(&[REFUSED]), 1000).await));
    let full = put_with_faults(put(&[Fault::Answer(507, ""); 3]), 1000).await;
    assert!(matches!(full, Err(Error::StorageFull)), "{full:?}");
}

#[tokio::test]
async fn a_failed_part_leaves_nothing() {
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
async fn the_object_decides_whether_an_upload_was_completed() {
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
async fn a_download_resumes_where_it_was_interrupted() {
    let cuts = [1000, 0, 0, 4000].map(|length| ("GET", "", Fault::Cut(length)));
    let (store, _, proxy) = store_behind(cuts.to_vec()).await;
    let (key, bytes) = (Key::random(), content(10_000));
    put(&store, &key, &bytes, true).await.unwrap();
    assert!(get(&store, &key, 500..9_500).await.unwrap() == bytes[500..9_500]);
    assert_eq!(proxy.left(), 0);

    let cuts = |lengths: &[usize]| lengths.iter().map(|length| ("GET", "", Fault::Cut(*length))).collect();
    proxy.follow(cuts(&[100, 0, 0, 0, 0]));
    let mut body = store.get(&key, 0..10_000).await.unwrap();
    assert_eq!(body.next().await.unwrap().unwrap(), Bytes::copy_from_slice(&bytes[..100]));
    assert!(unavailable(body.next().await.expect("an error, not an early end")));

    proxy.clear();
    proxy.follow(cuts(&[100, 0]));
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
