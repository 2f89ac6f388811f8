//! Faults of each request to the bucket, seen through the API: no success without stored bytes, no truncated response that
//! looks complete, a correct status without internal details, and recovery without a restart and without leftovers.

use std::time::{Duration, Instant};

use strongroom::config::{S3Config, StoreConfig};

use crate::support::bucket_proxy::{BUSY, BucketProxy, FAILED_200, Fault, REFUSED, Site};
use crate::support::bytes::noise;
use crate::support::client::{Answer, Ask, Client, bucket, content, open_multipart_uploads};
use crate::support::{Setup, TestApp, s3_config};

const SMALL: usize = 1000;
/// Two parts.
const LARGE: usize = 5 * 1024 * 1024 + 1;

const PUT: Site = Site::new("PUT", "");
const CREATE: Site = Site::new("POST", "?uploads");
const PART: Site = Site::new("PUT", "partNumber=2");
const COMPLETE: Site = Site::new("POST", "uploadId=");
const ABORT: Site = Site::new("DELETE", "uploadId=");
const GET: Site = Site::new("GET", "");
const HEAD: Site = Site::new("HEAD", "");
const DELETE: Site = Site::new("DELETE", "");
const LIST: Site = Site::new("GET", "list-type=2");

const BROKEN: Fault = Fault::Answer(500, "<Error><Code>InternalError</Code></Error>");
const OTHER_ETAG: Fault = Fault::Header("etag", "\"00000000000000000000000000000000\"");
const OTHER_RANGE: Fault = Fault::Header("content-range", "bytes 7-8/9");

/// Every fault that makes a request fail when repeated for all attempts.
const FATAL: [Fault; 4] = [BROKEN, BUSY, REFUSED, Fault::Reset];

async fn app_behind_a_proxy() -> (BucketProxy, TestApp) {
    let proxy = BucketProxy::before(s3_config().endpoint.as_ref().expect("an endpoint")).await;
    let app = TestApp::start_with(Setup::PostgresAndS3, |config| {
        let StoreConfig::S3(s3) = &mut config.store else { unreachable!("it is on S3") };
        s3.endpoint = Some(proxy.url.clone());
    });
    (proxy.clone(), app.await)
}

fn s3(app: &TestApp) -> &S3Config {
    let StoreConfig::S3(s3) = &app.app.config.store else { unreachable!("it is on S3") };
    s3
}

/// Asserts a 503 with Retry-After and without internal details.
#[track_caller]
fn assert_unavailable(app: &TestApp, answer: &Answer, about: &str) {
    assert_eq!(answer.status, 503, "{about}: {}", answer.text());
    let problem = answer.problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "5");
    let (detail, s3) = (problem["detail"].as_str().expect("a detail"), s3(app));
    let endpoint = s3.endpoint.as_ref().expect("an endpoint");
    let port = endpoint.port().expect("a port").to_string();
    let inside = [&s3.prefix, &port, "127.0.0.1", "http", "Slow", "Denied", "Internal", "Error", "XML", "retr"];
    for word in inside {
        assert!(!detail.contains(word), "{about}: {word} in {detail}");
    }
    assert!(!answer.text().contains(&s3.prefix) && !answer.text().contains(endpoint.as_str()), "{}", answer.text());
}

/// Waits until uploads and downloads work again, without a restart.
async fn wait_for_recovery(client: &Client, app: &TestApp) {
    let started = Instant::now();
    loop {
        let answer = client.post("/v1/files?name=after.txt").body("after").answer().await;
        if answer.status == 201 {
            let file = answer.json();
            assert_eq!(client.download(&file).await, b"after");
            assert_eq!(client.delete_permanently(&file).answer().await.status, 204);
            return;
        }
        assert_unavailable(app, &answer, "after the fault");
        assert!(started.elapsed() < Duration::from_secs(30), "it does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Uploads this many bytes under each fault and checks the status. Successful uploads exist, failed ones do not, and
/// nothing else is left in the end.
async fn upload_with_faults(size: usize, cases: Vec<(Site, Fault, u16)>) {
    let (proxy, app) = app_behind_a_proxy().await;
    let ann = app.sign_up("ann").await;
    let bytes = noise(size);
    let mut kept = 0;
    for (site, fault, expected) in cases {
        let about = format!("{site:?} {fault:?}");
        proxy.always(site, fault);
        let answer = try_upload(&ann, &bytes).await;
        assert!(proxy.clear() > 0, "{about} did not happen");
        match answer {
            Some(answer) if expected == 201 => {
                assert_eq!(answer.status, 201, "{about}: {}", answer.text());
                kept += 1;
                assert!(ann.download(&answer.json()).await == bytes, "{about}");
            }
            Some(answer) => assert_unavailable(&app, &answer, &about),
            None => assert_eq!(expected, 503, "{about}: no answer"),
        }
        wait_for_recovery(&ann, &app).await;
        assert_eq!(files(&ann).await, kept, "{about}");
    }
    app.expire_leases().await;
    app.assert_nothing_but(kept).await;
}

/// The response; none if the connection was closed before the client had sent everything, which is possible when the
/// server responds early.
async fn try_upload(client: &Client, bytes: &[u8]) -> Option<Answer> {
    let sent = client.post("/v1/files?name=a.bin").body(bytes.to_vec()).send().await.ok()?;
    let (status, headers) = (sent.status().as_u16(), sent.headers().clone());
    Some(Answer { status, headers, bytes: sent.bytes().await.ok()?.to_vec() })
}

async fn files(client: &Client) -> usize {
    client.get("/v1/files").answer().await.json()["items"].as_array().expect("files").len()
}

#[tokio::test]
async fn a_small_upload_is_stored_or_fails() {
    let fatal = FATAL.map(|fault| (PUT, fault, 503));
    let harmless = [Fault::Slow, OTHER_ETAG].map(|fault| (PUT, fault, 201));
    // The object exists, but the server does not know: the reaper deletes it.
    let lost = [(PUT, Fault::Lost, 503)];
    upload_with_faults(SMALL, [&fatal[..], &harmless, &lost].concat()).await;
}

#[tokio::test]
async fn a_large_upload_is_stored_or_fails() {
    let at =
        |site: &Site, faults: &[Fault], status| faults.iter().map(|fault| (*site, *fault, status)).collect::<Vec<_>>();
    // The first HEAD checks that the key is free, the second one the size.
    let sized = HEAD.after(1);
    let cases = [
        at(&CREATE, &FATAL, 503),
        at(&CREATE, &[FAILED_200], 503),
        at(&CREATE, &[Fault::Slow], 201),
        at(&PART, &FATAL, 503),
        at(&PART, &[Fault::Lost], 503),
        at(&PART, &[Fault::Slow], 201),
        at(&PART, &[OTHER_ETAG], 503),
        at(&COMPLETE, &FATAL, 503),
        at(&COMPLETE, &[FAILED_200], 503),
        // The state of the object decides.
        at(&COMPLETE, &[Fault::Lost, Fault::Slow, OTHER_ETAG], 201),
        at(&HEAD, &FATAL, 503),
        at(&sized, &FATAL, 503),
        at(&sized, &[Fault::Lost], 503),
        at(&sized, &[Fault::Slow], 201),
    ];
    upload_with_faults(LARGE, cases.concat()).await;
}

#[tokio::test]
async fn a_single_lost_response_is_recovered() {
    let (proxy, app) = app_behind_a_proxy().await;
    let ann = app.sign_up("ann").await;
    let sites = [(PUT, SMALL), (PART, LARGE), (COMPLETE, LARGE), (HEAD, LARGE)];
    let count = sites.len();
    for (site, size) in sites {
        let bytes = noise(size);
        proxy.once(site, Fault::Lost);
        let file = ann.upload("a.bin", bytes.clone()).await;
        assert_eq!(proxy.clear(), 1);
        proxy.once(GET, Fault::Lost);
        assert!(ann.download(&file).await == bytes);
        assert_eq!(proxy.clear(), 1);
    }
    app.assert_nothing_but(count).await;
}

/// The only case that leaves something that the database does not know: the bucket created a multipart upload, and its
/// id was lost with the response.
#[tokio::test]
async fn a_multipart_upload_with_a_lost_id_is_the_only_leftover() {
    let (proxy, app) = app_behind_a_proxy().await;
    let ann = app.sign_up("ann").await;
    proxy.once(CREATE, Fault::Lost);
    ann.upload("a.bin", noise(LARGE)).await;
    assert_eq!(proxy.clear(), 1);
    proxy.always(CREATE, Fault::Lost);
    if let Some(answer) = try_upload(&ann, &noise(LARGE)).await {
        assert_unavailable(&app, &answer, "no id");
    }
    assert!(proxy.clear() > 0);
    app.expire_leases().await;
    app.reap().await;
    abort_unknown_uploads(s3(&app)).await;
    app.assert_nothing_but(1).await;
}

/// Aborts the multipart uploads that the database does not know.
async fn abort_unknown_uploads(s3: &S3Config) {
    use object_store::multipart::MultipartStore;
    for (key, id) in open_multipart_uploads(s3).await {
        bucket(s3).abort_multipart(&key.into(), &id).await.expect("it is aborted");
    }
}

/// The result of a download.
#[derive(Debug, PartialEq, Eq)]
enum Download {
    Whole,
    /// A success status, but the connection was closed early: the client can see that bytes are missing.
    Truncated,
    Status(u16),
}

async fn download(app: &TestApp, client: &Client, path: &str, range: Option<(usize, usize)>, bytes: &[u8]) -> Download {
    let mut request = client.get(path);
    if let Some((first, last)) = range {
        request = request.header("range", format!("bytes={first}-{last}"));
    }
    let sent = request.send().await.expect("an answer");
    let (status, headers) = (sent.status().as_u16(), sent.headers().clone());
    match (status, sent.bytes().await) {
        (200 | 206, Err(_)) => Download::Truncated,
        (200 | 206, Ok(got)) => {
            let (first, last) = range.unwrap_or((0, bytes.len() - 1));
            assert!(got == bytes[first..=last], "{} bytes that differ from the file", got.len());
            Download::Whole
        }
        (503, body) => {
            let answer = Answer { status, headers, bytes: body.expect("a whole problem").to_vec() };
            assert_unavailable(app, &answer, path);
            Download::Status(503)
        }
        (status, _) => Download::Status(status),
    }
}

#[tokio::test]
async fn a_download_is_complete_or_visibly_truncated() {
    use Download::{Status, Truncated, Whole};
    let (proxy, app) = app_behind_a_proxy().await;
    let ann = app.sign_up("ann").await;
    let bytes = noise(300_000);
    let file = ann.upload("a.bin", bytes.clone()).await;
    let cases: [(Fault, &[Download]); 14] = [
        (BROKEN, &[Status(503)]),
        (BUSY, &[Status(503)]),
        (REFUSED, &[Status(503)]),
        (Fault::Reset, &[Status(503)]),
        (Fault::Lost, &[Status(503)]),
        (FAILED_200, &[Status(503)]),
        // The object of a ready blob is missing: that is not a temporary fault.
        (Fault::Answer(404, "<Error><Code>NoSuchKey</Code></Error>"), &[Status(500)]),
        (Fault::Cut(0), &[Truncated]),
        // A read that makes progress is resumed.
        (Fault::Cut(100_000), &[Whole]),
        (Fault::Short(0), &[Status(503), Truncated]),
        (Fault::Short(100_000), &[Whole]),
        (OTHER_RANGE, &[Status(503)]),
        (Fault::Slow, &[Whole]),
        (OTHER_ETAG, &[Whole]),
    ];
    for (fault, expected) in cases {
        for range in [None, Some((1_000, 250_999))] {
            proxy.always(GET, fault);
            let found = download(&app, &ann, &content(&file), range, &bytes).await;
            assert!(proxy.clear() > 0, "{fault:?} did not happen");
            assert!(expected.contains(&found), "{fault:?} {range:?}: {found:?}");
        }
    }
    // The object was replaced while it was read.
    proxy.once(GET, Fault::Cut(1000));
    proxy.once(GET, Fault::Answer(412, "<Error><Code>PreconditionFailed</Code></Error>"));
    assert_eq!(download(&app, &ann, &content(&file), None, &bytes).await, Truncated);
    proxy.clear();
    assert!(ann.download(&file).await == bytes);
    app.assert_nothing_but(1).await;
}

#[tokio::test]
async fn failed_deletions_are_retried_later() {
    let (proxy, app) = app_behind_a_proxy().await;
    let ann = app.sign_up("ann").await;
    for fault in [FATAL.as_slice(), &[Fault::Lost]].concat() {
        let file = ann.upload("a.bin", noise(SMALL)).await;
        assert_eq!(ann.delete_permanently(&file).answer().await.status, 204);
        proxy.always(DELETE, fault);
        let report = app.reap().await;
        assert!(proxy.clear() > 0, "{fault:?} did not happen");
        assert_eq!((report.deleted, report.failed), (0, 1), "{fault:?}");
        assert_eq!(app.reap().await.deleted, 1, "{fault:?}");

        // An upload that is aborted after its parts were sent, while the bucket fails the abort.
        proxy.always(ABORT, fault);
        let upload = ann.post("/v1/files?name=b.bin").header("repr-digest", format!("sha-256=:{}=:", "A".repeat(43)));
        upload.body(noise(LARGE)).answer().await.problem(422, "digest_mismatch");
        assert!(proxy.clear() > 0, "{fault:?} did not happen");
        app.assert_nothing_but(0).await;
    }
}

#[tokio::test]
async fn readyz_fails_while_the_bucket_cannot_be_listed() {
    let (proxy, app) = app_behind_a_proxy().await;
    for fault in [FATAL.as_slice(), &[Fault::Lost, Fault::Hang]].concat() {
        proxy.always(LIST, fault);
        assert_unavailable(&app, &app.anonymous().until_readyz(503).await, &format!("{fault:?}"));
        assert!(proxy.clear() > 0, "{fault:?} did not happen");
        app.anonymous().until_readyz(200).await;
    }
}

#[tokio::test]
async fn requests_to_a_silent_bucket_time_out() {
    let (proxy, app) = app_behind_a_proxy().await;
    let ann = app.sign_up("ann").await;
    let kept = ann.upload("kept.bin", noise(SMALL)).await;
    let gone = ann.upload("gone.bin", noise(SMALL)).await;
    assert_eq!(ann.delete_permanently(&gone).answer().await.status, 204);
    // Matches every request: each URL has a slash.
    for method in ["GET", "HEAD", "DELETE"] {
        for _ in 0..2 {
            proxy.once(Site::new(method, "/"), Fault::Hang);
        }
    }
    proxy.always(Site::new("PUT", "/"), Fault::Hang);
    let (small, large) = (noise(SMALL), noise(LARGE));
    let (read, part, report, sized, written) = tokio::join!(
        async { ann.get(&content(&kept)).answer().await },
        async { ann.get(&content(&kept)).header("range", "bytes=1-2").answer().await },
        app.reap(),
        try_upload(&ann, &large),
        async {
            // Writes have longer timeouts than this test waits for: the fault ends first.
            let waiting = tokio::spawn({
                let (ann, small) = (ann.clone(), small.clone());
                async move { ann.post("/v1/files?name=b.bin").body(small).answer().await }
            });
            tokio::time::sleep(Duration::from_secs(35)).await;
            assert!(!waiting.is_finished());
            [waiting]
        },
    );
    assert_unavailable(&app, &read, "a download");
    assert_unavailable(&app, &part, "a range");
    assert_eq!((report.deleted, report.failed), (0, 1));
    if let Some(sized) = sized {
        assert_unavailable(&app, &sized, "a request for the size");
    }
    assert!(proxy.clear() >= 4);
    // The connection was closed and the bucket is back: the request is repeated.
    let [written] = written;
    assert_eq!(written.await.expect("an answer").status, 201);
    wait_for_recovery(&ann, &app).await;
    app.expire_leases().await;
    app.assert_nothing_but(2).await;
}
