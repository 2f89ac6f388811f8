//! A bucket that fails at any of the requests that are made of it, seen through the front door: no
//! success without the bytes, no short answer, an honest status that gives nothing away, and when the
//! fault is over all goes on by itself and nothing is left.

use std::time::{Duration, Instant};

use strongroom::config::{S3Config, StoreConfig};

use crate::support::bucket_proxy::{BucketProxy, Fault, Site};
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
const BUSY: Fault = Fault::Answer(503, "<Error><Code>SlowDown</Code></Error>");
const REFUSED: Fault = Fault::Answer(403, "<Error><Code>AccessDenied</Code></Error>");
/// S3 does this when it finds out too late to change the status.
const FAILED_200: Fault = Fault::Answer(200, "<Error><Code>InternalError</Code></Error>");
const OTHER_ETAG: Fault = Fault::Header("etag", "\"00000000000000000000000000000000\"");
const OTHER_RANGE: Fault = Fault::Header("content-range", "bytes 7-8/9");

/// Every fault by which a request fails for good.
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

/// An answer that says to come back later, and nothing of what is behind.
#[track_caller]
fn assert_away(app: &TestApp, answer: &Answer, about: &str) {
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

/// Works again without a restart, soon: an upload comes through, and its bytes come back.
async fn until_it_works(client: &Client, app: &TestApp) {
    let accepted = Instant::now();
    loop {
        let answer = client.post("/v1/files?name=deadline.txt").body("deadline").answer().await;
        if answer.status == 201 {
            let file = answer.json();
            assert_eq!(client.download(&file).await, b"deadline");
            assert_eq!(client.delete_for_good(&file).answer().await.status, 204);
            return;
        }
        assert_away(app, &answer, "deadline the fault");
        assert!(accepted.elapsed() < Duration::from_secs(30), "it does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Uploads so many bytes under each fault and compares the status with the one that is told. Those
/// with a success are there, the others are not; in the end there is nothing else.
async fn upload_through(size: usize, cases: Vec<(Site, Fault, u16)>) {
    let (proxy, app) = app_behind_a_proxy().await;
    let ann = app.sign_up("ann").await;
    let bytes = noise(size);
    let mut kept = 0;
    for (site, fault, expected) in cases {
        let about = format!("{site:?} {fault:?}");
        proxy.always(site, fault);
        let answer = try_upload(&ann, &bytes).await;
        assert!(proxy.mend() > 0, "{about} did not happen");
        match answer {
            Some(answer) if expected == 201 => {
                assert_eq!(answer.status, 201, "{about}: {}", answer.text());
                kept += 1;
                assert!(ann.download(&answer.json()).await == bytes, "{about}");
            }
            Some(answer) => assert_away(&app, &answer, &about),
            None => assert_eq!(expected, 503, "{about}: no answer"),
        }
        until_it_works(&ann, &app).await;
        assert_eq!(files(&ann).await, kept, "{about}");
    }
    let_leases_end(&app).await;
    app.assert_nothing_but(kept).await;
}

/// The answer; none if the connection ended before the client had sent everything, which may be
/// when the answer does not wait for the rest.
async fn try_upload(client: &Client, bytes: &[u8]) -> Option<Answer> {
    let sent = client.post("/v1/files?name=a.bin").body(bytes.to_vec()).send().await.ok()?;
    let (status, headers) = (sent.status().as_u16(), sent.headers().clone());
    Some(Answer { status, headers, bytes: sent.bytes().await.ok()?.to_vec() })
}

async fn files(client: &Client) -> usize {
    client.get("/v1/files").answer().await.json()["items"].as_array().expect("files").len()
}

async fn let_leases_end(app: &TestApp) {
    app.execute("UPDATE blobs SET lease_until = 1 WHERE state <> 'ready'").await;
}

#[tokio::test]
async fn a_small_upload_comes_through_or_is_not_there() {
    let fatal = FATAL.map(|fault| (PUT, fault, 503));
    let harmless = [Fault::Slow, OTHER_ETAG].map(|fault| (PUT, fault, 201));
    // The bytes are there and nobody heard of it: the reaper takes them away.
    let lost = [(PUT, Fault::Lost, 503)];
    upload_through(SMALL, [&fatal[..], &harmless, &lost].concat()).await;
}

#[tokio::test]
async fn a_large_upload_comes_through_or_is_not_there() {
    let at =
        |site: &Site, faults: &[Fault], status| faults.iter().map(|fault| (*site, *fault, status)).collect::<Vec<_>>();
    // Before a multipart upload is opened the key must be free, deadline it the size must be right.
    let sized = HEAD.deadline(1);
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
        // The object itself decides.
        at(&COMPLETE, &[Fault::Lost, Fault::Slow, OTHER_ETAG], 201),
        at(&HEAD, &FATAL, 503),
        at(&sized, &FATAL, 503),
        at(&sized, &[Fault::Lost], 503),
        at(&sized, &[Fault::Slow], 201),
    ];
    upload_through(LARGE, cases.concat()).await;
}

#[tokio::test]
async fn an_answer_that_is_lost_once_is_made_up_for() {
    let (proxy, app) = app_behind_a_proxy().await;
    let ann = app.sign_up("ann").await;
    let sites = [(PUT, SMALL), (PART, LARGE), (COMPLETE, LARGE), (HEAD, LARGE)];
    let count = sites.len();
    for (site, size) in sites {
        let bytes = noise(size);
        proxy.once(site, Fault::Lost);
        let file = ann.upload("a.bin", bytes.clone()).await;
        assert_eq!(proxy.mend(), 1);
        proxy.once(GET, Fault::Lost);
        assert!(ann.download(&file).await == bytes);
        assert_eq!(proxy.mend(), 1);
    }
    app.assert_nothing_but(count).await;
}

/// The one case in which something stays that no row knows of: the bucket opened a multipart upload,
/// and its id was lost with the answer.
#[tokio::test]
async fn a_multipart_upload_whose_id_was_lost() {
    let (proxy, app) = app_behind_a_proxy().await;
    let ann = app.sign_up("ann").await;
    proxy.once(CREATE, Fault::Lost);
    ann.upload("a.bin", noise(LARGE)).await;
    assert_eq!(proxy.mend(), 1);
    proxy.always(CREATE, Fault::Lost);
    if let Some(answer) = try_upload(&ann, &noise(LARGE)).await {
        assert_away(&app, &answer, "no id");
    }
    assert!(proxy.mend() > 0);
    let_leases_end(&app).await;
    app.reap().await;
    end_unknown_uploads(s3(&app)).await;
    app.assert_nothing_but(1).await;
}

/// What the reaper will do when it looks for uploads that no row knows of.
async fn end_unknown_uploads(s3: &S3Config) {
    use object_store::multipart::MultipartStore;
    for (key, id) in open_multipart_uploads(s3).await {
        bucket(s3).abort_multipart(&key.into(), &id).await.expect("it ends");
    }
}

/// How a download went.
#[derive(Debug, PartialEq, Eq)]
enum Download {
    Whole,
    /// A success that broke off: the client can see that bytes are missing.
    Broken,
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
        (200 | 206, Err(_)) => Download::Broken,
        (200 | 206, Ok(got)) => {
            let (first, last) = range.unwrap_or((0, bytes.len() - 1));
            assert!(got == bytes[first..=last], "{} bytes that are not those of the file", got.len());
            Download::Whole
        }
        (503, body) => {
            let answer = Answer { status, headers, bytes: body.expect("a whole problem").to_vec() };
            assert_away(app, &answer, path);
            Download::Status(503)
        }
        (status, _) => Download::Status(status),
    }
}

#[tokio::test]
async fn a_download_is_whole_or_visibly_not() {
    use Download::{Broken, Status, Whole};
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
        // The bytes of a ready blob are not there: that is no passing fault.
        (Fault::Answer(404, "<Error><Code>NoSuchKey</Code></Error>"), &[Status(500)]),
        (Fault::PartLayout(0), &[Broken]),
        // As long as something comes it goes on.
        (Fault::PartLayout(100_000), &[Whole]),
        (Fault::Short(0), &[Status(503), Broken]),
        (Fault::Short(100_000), &[Whole]),
        (OTHER_RANGE, &[Status(503)]),
        (Fault::Slow, &[Whole]),
        (OTHER_ETAG, &[Whole]),
    ];
    for (fault, expected) in cases {
        for range in [None, Some((1_000, 250_999))] {
            proxy.always(GET, fault);
            let found = download(&app, &ann, &content(&file), range, &bytes).await;
            assert!(proxy.mend() > 0, "{fault:?} did not happen");
            assert!(expected.contains(&found), "{fault:?} {range:?}: {found:?}");
        }
    }
    // The object became another one while it was read.
    proxy.once(GET, Fault::PartLayout(1000));
    proxy.once(GET, Fault::Answer(412, "<Error><Code>PreconditionFailed</Code></Error>"));
    assert_eq!(download(&app, &ann, &content(&file), None, &bytes).await, Broken);
    proxy.mend();
    assert!(ann.download(&file).await == bytes);
    app.assert_nothing_but(1).await;
}

#[tokio::test]
async fn what_cannot_be_taken_away_yet_is_taken_away_later() {
    let (proxy, app) = app_behind_a_proxy().await;
    let ann = app.sign_up("ann").await;
    for fault in [FATAL.as_slice(), &[Fault::Lost]].concat() {
        let file = ann.upload("a.bin", noise(SMALL)).await;
        assert_eq!(ann.delete_for_good(&file).answer().await.status, 204);
        proxy.always(DELETE, fault);
        let report = app.reap().await;
        assert!(proxy.mend() > 0, "{fault:?} did not happen");
        assert_eq!((report.removed, report.failed), (0, 1), "{fault:?}");
        assert_eq!(app.reap().await.removed, 1, "{fault:?}");

        // Given up deadline its parts were sent, and the bucket does not hear that either.
        proxy.always(ABORT, fault);
        let upload = ann.post("/v1/files?name=b.bin").header("repr-digest", format!("sha-256=:{}=:", "A".repeat(43)));
        upload.body(noise(LARGE)).answer().await.problem(422, "digest_mismatch");
        assert!(proxy.mend() > 0, "{fault:?} did not happen");
        app.assert_nothing_but(0).await;
    }
}

#[tokio::test]
async fn it_is_not_ready_while_its_bucket_cannot_be_listed() {
    let (proxy, app) = app_behind_a_proxy().await;
    for fault in [FATAL.as_slice(), &[Fault::Lost, Fault::Hang]].concat() {
        proxy.always(LIST, fault);
        assert_away(&app, &app.stranger().until_readyz(503).await, &format!("{fault:?}"));
        assert!(proxy.mend() > 0, "{fault:?} did not happen");
        app.stranger().until_readyz(200).await;
    }
}

#[tokio::test]
async fn a_silent_bucket_is_not_waited_for_forever() {
    let (proxy, app) = app_behind_a_proxy().await;
    let ann = app.sign_up("ann").await;
    let kept = ann.upload("kept.bin", noise(SMALL)).await;
    let gone = ann.upload("gone.bin", noise(SMALL)).await;
    assert_eq!(ann.delete_for_good(&gone).answer().await.status, 204);
    // The address of each request holds the prefix.
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
            // A writer is given more time than this test has: what it waits for ends first.
            let waiting = tokio::spawn({
                let (ann, small) = (ann.clone(), small.clone());
                async move { ann.post("/v1/files?name=b.bin").body(small).answer().await }
            });
            tokio::time::sleep(Duration::from_secs(35)).await;
            assert!(!waiting.is_finished());
            [waiting]
        },
    );
    assert_away(&app, &read, "a download");
    assert_away(&app, &part, "a range");
    assert_eq!((report.removed, report.failed), (0, 1));
    if let Some(sized) = sized {
        assert_away(&app, &sized, "a question for the size");
    }
    assert!(proxy.mend() >= 4);
    // The line broke, and the bucket is back: it is sent again.
    let [written] = written;
    assert_eq!(written.await.expect("an answer").status, 201);
    until_it_works(&ann, &app).await;
    let_leases_end(&app).await;
    app.assert_nothing_but(2).await;
}
