//! What the S3 store makes of a bucket that fails in the middle: between the two stands a proxy
//! that answers otherwise, loses answers, and cuts bodies, as told.

use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use http::{Method, StatusCode};
use strongroom::error::{Error, Result};
use strongroom::store::{Key, S3Store, Store};

use crate::store::{Bucket, Leftovers, PART, content, get, put, uploads};

/// What happens to the next request of its kind.
#[derive(Clone, Copy)]
enum Fault {
    /// It is answered thus, and never reaches the bucket.
    Answer(u16, &'static str),
    /// It is done, and then answered thus.
    Unheard(u16),
    /// Its answer breaks off after so many bytes.
    Cut(usize),
}

/// Part of a request's method and address, and the faults of such requests, one after the other.
type Script = Vec<(Method, &'static str, Fault)>;

#[derive(Clone)]
struct Proxy {
    script: Arc<Mutex<Script>>,
    bucket: String,
    client: reqwest::Client,
}

/// A store behind a proxy that follows the script.
async fn store_behind(script: Script) -> (S3Store, Bucket, Arc<Mutex<Script>>) {
    let bucket = Bucket::of_this_run();
    let mut config = bucket.config();
    let behind = config.endpoint.take().unwrap();
    let proxy = Proxy {
        script: Arc::new(Mutex::new(script)),
        bucket: behind.as_str().trim_end_matches('/').to_owned(),
        client: reqwest::Client::new(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    config.endpoint = Some(format!("http://{address}").parse().unwrap());
    let script = proxy.script.clone();
    let router = axum::Router::new().fallback(pass).with_state(proxy);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (S3Store::open(&config, &uploads()).unwrap(), bucket, script)
}

async fn pass(State(proxy): State<Proxy>, request: Request) -> Response {
    let fault = proxy.next_fault(&request);
    if let Some(Fault::Answer(status, body)) = fault {
        return answer(status, Body::from(body));
    }
    let (head, body) = request.into_parts();
    let url = format!("{}{}", proxy.bucket, head.uri);
    let body = to_bytes(body, 64 << 20).await.unwrap();
    // With the Host that was signed.
    let request = proxy.client.request(head.method, url).headers(head.headers).body(body);
    let passed = request.send().await.unwrap();
    let (status, headers) = (passed.status(), passed.headers().clone());
    let bytes = passed.bytes().await.unwrap();
    let body = match fault {
        Some(Fault::Unheard(status)) => return answer(status, Body::empty()),
        Some(Fault::Cut(length)) => {
            let cut = stream::once(async {
                // While the server waits, it sends what it has.
                tokio::task::yield_now().await;
                Err(std::io::Error::other("cut"))
            });
            Body::from_stream(stream::iter([Ok(bytes.slice(..length))]).chain(cut))
        }
        _ => Body::from(bytes),
    };
    let mut response = answer(status.as_u16(), body);
    *response.headers_mut() = headers;
    response
}

fn answer(status: u16, body: Body) -> Response {
    Response::builder().status(status).body(body).unwrap()
}

impl Proxy {
    fn next_fault(&self, request: &Request) -> Option<Fault> {
        let mut script = self.script.lock().unwrap();
        let address = request.uri().to_string();
        let place = script.iter().position(|(method, part, _)| method == request.method() && address.contains(part))?;
        Some(script.remove(place).2)
    }
}

/// Puts `length` bytes through the faults; on success they must be there, on failure nothing.
async fn put_through(script: Script, length: usize) -> Result<u64> {
    let (store, bucket, script) = store_behind(script).await;
    let (key, bytes) = (Key::random(), content(length));
    let outcome = put(&store, &key, &bytes, true).await;
    assert_eq!(script.lock().unwrap().len(), 0, "not every fault happened");
    assert!(!bucket.exist(&key).await, "an upload is open");
    if outcome.is_ok() {
        assert!(get(&store, &key, 0..length).await.unwrap() == bytes);
        store.delete(&key, None).await.unwrap();
    } else {
        assert_eq!(store.size(&key).await.unwrap(), None);
    }
    outcome
}

fn unavailable<T>(outcome: Result<T>) -> bool {
    matches!(outcome, Err(Error::Unavailable { what: "store", .. }))
}

const BUSY: Fault = Fault::Answer(503, "<Error><Code>SlowDown</Code></Error>");
const REFUSED: Fault = Fault::Answer(403, "<Error><Code>AccessDenied</Code></Error>");
const NO_UPLOAD: Fault = Fault::Answer(404, "<Error><Code>NoSuchUpload</Code></Error>");
/// S3 does this when it finds out too late to change the status.
const FAILED_200: Fault = Fault::Answer(200, "<Error><Code>InternalError</Code></Error>");

#[tokio::test]
async fn an_object_gets_through_or_leaves_nothing() {
    let put = |faults: &[Fault]| faults.iter().map(|fault| (Method::PUT, "", *fault)).collect();
    assert!(put_through(put(&[BUSY, BUSY]), 1000).await.is_ok());
    assert!(put_through(put(&[Fault::Unheard(500)]), 1000).await.is_ok());
    assert!(unavailable(put_through(put(&[BUSY, BUSY, BUSY]), 1000).await));
    assert!(unavailable(put_through(put(&[REFUSED]), 1000).await));
    let full = put_through(put(&[Fault::Answer(507, ""); 3]), 1000).await;
    assert!(matches!(full, Err(Error::StorageFull)), "{full:?}");
}

#[tokio::test]
async fn parts_get_through_or_leave_nothing() {
    let part = |number: &'static str, fault: Fault| (Method::PUT, number, fault);
    let script =
        vec![part("partNumber=1&", BUSY), part("partNumber=2&", Fault::Unheard(500)), (Method::POST, "uploads", BUSY)];
    assert!(put_through(script, 2 * PART + 1).await.is_ok());
    assert!(unavailable(put_through(vec![part("partNumber=1&", REFUSED)], 2 * PART + 1).await));
    assert!(unavailable(put_through(vec![part("partNumber=3&", REFUSED)], 2 * PART + 1).await));
    let mut script = vec![(Method::DELETE, "uploadId=", BUSY)];
    script.extend([BUSY; 3].map(|fault| part("partNumber=2&", fault)));
    assert!(unavailable(put_through(script, 2 * PART + 1).await));
}

#[tokio::test]
async fn the_object_decides_whether_it_was_completed() {
    let complete = |faults: &[Fault]| {
        let complete = |fault: &Fault| (Method::POST, "uploadId=", *fault);
        faults.iter().map(complete).collect::<Script>()
    };
    let length = PART + 1;
    assert!(put_through(complete(&[BUSY, FAILED_200]), length).await.is_ok());
    assert!(put_through(complete(&[Fault::Unheard(500)]), length).await.is_ok());
    assert!(put_through(complete(&[Fault::Unheard(504), NO_UPLOAD]), length).await.is_ok());
    assert!(unavailable(put_through(complete(&[FAILED_200; 3]), length).await));
    assert!(unavailable(put_through(complete(&[NO_UPLOAD]), length).await));
}

#[tokio::test]
async fn a_download_goes_on_where_it_broke() {
    let cuts = [1000, 0, 0, 4000].map(|length| (Method::GET, "", Fault::Cut(length)));
    let (store, _, script) = store_behind(cuts.to_vec()).await;
    let (key, bytes) = (Key::random(), content(10_000));
    put(&store, &key, &bytes, true).await.unwrap();
    assert!(get(&store, &key, 500..9_500).await.unwrap() == bytes[500..9_500]);
    assert_eq!(script.lock().unwrap().len(), 0);

    script.lock().unwrap().extend([100, 0, 0, 0, 0].map(|length| (Method::GET, "", Fault::Cut(length))));
    let mut body = store.get(&key, 0..10_000).await.unwrap();
    assert_eq!(body.next().await.unwrap().unwrap(), Bytes::copy_from_slice(&bytes[..100]));
    assert!(unavailable(body.next().await.expect("never a silent end")));

    script.lock().unwrap().splice(.., [100, 0].map(|length| (Method::GET, "", Fault::Cut(length))));
    let mut body = store.get(&key, 0..10_000).await.unwrap();
    body.next().await.unwrap().unwrap();
    store.delete(&key, None).await.unwrap();
    assert!(body.next().await.expect("never a silent end").is_err());
}

#[tokio::test]
async fn what_cannot_be_asked_is_not_taken_for_gone() {
    let (store, _, script) = store_behind(Vec::new()).await;
    let key = Key::random();
    put(&store, &key, b"bytes", true).await.unwrap();
    for method in [Method::HEAD, Method::DELETE, Method::GET] {
        script.lock().unwrap().push((method, "", Fault::Answer(StatusCode::FORBIDDEN.as_u16(), "")));
    }
    assert!(unavailable(store.size(&key).await));
    assert!(unavailable(store.delete(&key, None).await));
    assert!(unavailable(get(&store, &key, 0..5).await));
    store.delete(&key, None).await.unwrap();
}
