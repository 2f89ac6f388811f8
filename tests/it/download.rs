//! Downloads: ranges, conditional requests, HEAD, and the headers that control how browsers treat content.

use std::io::Read;

use reqwest::Method;
use serde_json::json;

use crate::support::bytes::noise;
use crate::support::client::{Ask, content, path};
use crate::support::{Setup, TestApp, both};

both! {
    async fn a_download_has_descriptive_headers(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(100_000);
        let file = ann.upload("data.bin", bytes.clone()).await;
        let answer = ann.get(&content(&file)).answer().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.bytes, bytes);
        assert_eq!(answer.header("etag"), file["etag"].as_str().unwrap());
        assert_eq!(answer.header("content-length"), "100000");
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("content-security-policy"), "sandbox; default-src 'none'; frame-ancestors 'none'");
        assert_eq!(answer.header("cache-control"), "private, no-cache");
        assert_eq!(answer.header("content-disposition"), "attachment; filename=\"data.bin\"");
        assert!(answer.header("repr-digest").starts_with("sha-256=:"));
        assert!(answer.header("last-modified").ends_with("GMT"));

        let head = ann.head(&content(&file)).answer().await;
        assert_eq!((head.status, head.bytes.len()), (200, 0));
        for name in ["etag", "content-length", "content-type", "content-disposition", "last-modified", "accept-ranges", "repr-digest"] {
            assert_eq!(head.header(name), answer.header(name), "{name}");
        }
    }

    async fn a_single_range_returns_its_bytes(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(10_000);
        let file = ann.upload("data.bin", bytes.clone()).await;
        for (range, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=100-199", 100..200),
            ("bytes=9999-", 9999..10_000),
            ("bytes=-1", 9999..10_000),
            ("bytes=-99999", 0..10_000),
            ("bytes=5000-99999", 5000..10_000),
        ] {
            let answer = ann.get(&content(&file)).header("range", range).answer().await;
            assert_eq!(answer.status, 206, "{range}");
            assert_eq!(answer.bytes, bytes[expected.clone()], "{range}");
            let shown = format!("bytes {}-{}/10000", expected.start, expected.end - 1);
            assert_eq!(answer.header("content-range"), shown);
            assert_eq!(answer.header("content-length"), expected.len().to_string());
        }
        for range in ["bytes=10000-", "bytes=-0", "bytes=5-2", "bytes=a", "bytes=", "bytes=0-,0-,0-"] {
            let answer = ann.get(&content(&file)).header("range", range).answer().await;
            answer.problem(416, "range_not_satisfiable");
            assert_eq!(answer.header("content-range"), "bytes */10000", "{range}");
        }
        let other_unit = ann.get(&content(&file)).header("range", "lines=1-2").answer().await;
        assert_eq!((other_unit.status, other_unit.bytes.len()), (200, 10_000));
        let head = ann.head(&content(&file)).header("range", "bytes=0-0").answer().await;
        assert_eq!((head.status, head.header("content-length")), (200, "10000"));
    }

    async fn an_empty_file_has_no_ranges(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("empty", "").await;
        let whole = ann.get(&content(&file)).answer().await;
        assert_eq!((whole.status, whole.header("content-length")), (200, "0"));
        let range = ann.get(&content(&file)).header("range", "bytes=0-").answer().await;
        range.problem(416, "range_not_satisfiable");
        assert_eq!(range.header("content-range"), "bytes */0");
    }

    async fn several_ranges_are_returned_as_multipart(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("abc.txt", "abcdefghijklmnopqrstuvwxyz").await;
        let answer = ann.get(&content(&file)).header("range", "bytes=0-1, 24-, -1").answer().await;
        assert_eq!(answer.status, 206);
        let content_type = answer.header("content-type").to_owned();
        let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
        let part = |range: &str, bytes: &str| {
            format!("\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {range}/26\r\n\r\n{bytes}")
        };
        let expected = part("0-1", "ab") + &part("24-25", "yz") + &part("25-25", "z") + &format!("\r\n--{boundary}--\r\n");
        assert_eq!(answer.text(), expected);
        assert_eq!(answer.header("content-length"), expected.len().to_string());
        let many = (0..11).map(|at| format!("{at}-{at}")).collect::<Vec<_>>().join(",");
        let too_many = ann.get(&content(&file)).header("range", format!("bytes={many}")).answer().await;
        too_many.problem(416, "range_not_satisfiable");
    }

    async fn conditional_headers_are_evaluated(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "some text").await;
        let etag = file["etag"].as_str().unwrap();
        let last_modified = ann.head(&content(&file)).answer().await.header("last-modified").to_owned();
        let (past, future) = ("Mon, 01 Jan 2024 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT");
        let cases = [
            ("if-none-match", etag, 304),
            ("if-none-match", "*", 304),
            ("if-none-match", "\"other\"", 200),
            ("if-match", etag, 200),
            ("if-match", "*", 200),
            ("if-match", "\"other\"", 412),
            ("if-modified-since", last_modified.as_str(), 304),
            ("if-modified-since", past, 200),
            ("if-unmodified-since", past, 412),
            ("if-unmodified-since", future, 200),
        ];
        for (name, value, status) in cases {
            for method in [Method::GET, Method::HEAD] {
                let answer = ann.request(method.clone(), &content(&file)).header(name, value).answer().await;
                assert_eq!(answer.status, status, "{method} {name}: {value}");
                if status == 304 {
                    assert_eq!(answer.header("etag"), etag);
                    assert!(answer.bytes.is_empty());
                }
            }
        }
        let weak = format!("W/{etag}");
        for (value, status) in [(etag, 206), (last_modified.as_str(), 206), ("\"other\"", 200), (past, 200), (weak.as_str(), 200)] {
            let request = ann.get(&content(&file)).header("range", "bytes=0-3").header("if-range", value);
            assert_eq!(request.answer().await.status, status, "if-range: {value}");
        }
    }

    async fn an_etag_that_a_proxy_changed_is_still_the_etag_of_the_file(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "hello").await;
        let hex = file["sha256"].as_str().unwrap();
        for etag in [format!("W/\"{hex}\""), format!("\"{hex}-gzip\""), format!("\"{hex};gzip\""), format!("W/\"{hex}-br\"")] {
            let patched = ann.patch(&path(&file)).header("if-match", &etag).json(&json!({"metadata": {"etag": etag}}));
            assert_eq!(patched.answer().await.status, 200, "{etag}");
            let put = ann.put(&content(&file)).header("if-match", format!("\"x\", {etag}")).body("hello");
            assert_eq!(put.answer().await.status, 200, "{etag}");
            for (name, status) in [("if-match", 200), ("if-none-match", 304)] {
                assert_eq!(ann.get(&content(&file)).header(name, &etag).answer().await.status, status, "{name}: {etag}");
            }
        }
        for etag in [format!("W/\"{}\"", "0".repeat(64)), "W/\"x\"".into(), format!("\"{hex}-other\"")] {
            let put = ann.put(&content(&file)).header("if-match", &etag).body("other");
            put.answer().await.problem(412, "precondition_failed");
        }
    }

    async fn long_lists_are_compressed_and_content_is_not(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let text = "the same words again and again\n".repeat(1000);
        let file = ann.upload("a.txt", text.clone()).await;
        for number in 0..20 {
            ann.upload(&format!("{number}.txt"), "x").await;
        }
        let plain = ann.get("/v1/files").answer().await;
        assert_eq!(plain.header("content-encoding"), "");
        let get = |path: &str, codings: &str| ann.get(path).header("accept-encoding", codings).answer();
        let gzip = get("/v1/files", "gzip").await;
        assert_eq!((gzip.header("content-encoding"), gzip.header("vary")), ("gzip", "accept-encoding"));
        assert!(gzip.bytes.len() * 3 < plain.bytes.len(), "{} of {}", gzip.bytes.len(), plain.bytes.len());
        let mut decoded = String::new();
        flate2::read::GzDecoder::new(&*gzip.bytes).read_to_string(&mut decoded).expect("gzip");
        assert_eq!(decoded, plain.text());
        let br = get("/v1/files", "gzip, deflate, br").await;
        assert_eq!(br.header("content-encoding"), "br");
        assert!(br.bytes.len() * 3 < plain.bytes.len());
        // An encoder that waited for its client would hold more memory than the whole response.
        assert_eq!(br.header("content-length"), br.bytes.len().to_string());
        for _ in 0..2 {
            let document = get("/openapi.json", "gzip").await;
            assert_eq!(document.header("content-encoding"), "gzip");
            assert_eq!(document.header("content-length"), document.bytes.len().to_string());
            let mut decoded = String::new();
            flate2::read::GzDecoder::new(&*document.bytes).read_to_string(&mut decoded).expect("gzip");
            assert_eq!(decoded, get("/openapi.json", "identity").await.text());
        }
        // Content keeps its length and its ETag, a small response is small, and secrets have nothing next to them.
        let whole = get(&content(&file), "gzip, br").await;
        assert_eq!((whole.header("content-encoding"), whole.text()), ("", text));
        assert_eq!(whole.header("etag"), file["etag"].as_str().unwrap());
        for path in [&*path(&file), "/v1/files?limit=1", "/v1/files?urls=signed", "/v1/files?%75rls=signed"] {
            let answer = get(path, "gzip, br").await;
            assert_eq!((answer.status, answer.header("content-encoding")), (200, ""), "{path}");
        }
    }

    async fn types_that_can_contain_scripts_are_attachments(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0".to_vec();
        let cases: [(&str, Vec<u8>, &str, &str); 11] = [
            ("a.png", png.clone(), "image/png", "inline"),
            ("a.mov", b"\0\0\0\x14ftypqt  \0\0\0\0qt  ".to_vec(), "video/quicktime", "inline"),
            ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(), "image/heic", "inline"),
            ("a.txt", b"plain words".to_vec(), "text/plain; charset=utf-8", "inline"),
            ("a.pdf", b"%PDF-1.7\n".to_vec(), "application/pdf", "attachment"),
            ("a.html", b"<!DOCTYPE html><script>alert(1)</script>".to_vec(), "text/html", "attachment"),
            ("b.png", b"<html><script>alert(1)</script>".to_vec(), "text/html", "attachment"),
            ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>".to_vec(), "image/svg+xml", "attachment"),
            ("a.xml", b"<?xml version='1.0'?><x/>".to_vec(), "text/xml", "attachment"),
            ("a.js", b"alert(1)".to_vec(), "text/javascript", "attachment"),
            ("a.swf", b"FWS\x08".to_vec(), "application/x-shockwave-flash", "attachment"),
        ];
        for (name, bytes, content_type, disposition) in cases {
            let hint = content_type.split(';').next().unwrap();
            let request = ann.post("/v1/files").query(&[("name", name)]).header("content-type", hint).body(bytes);
            let file = request.answer().await.json();
            let answer = ann.get(&content(&file)).answer().await;
            assert!(answer.header("content-disposition").starts_with(disposition), "{name}: {:?}", answer.headers);
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("content-security-policy"), "sandbox; default-src 'none'; frame-ancestors 'none'");
            let forced = ann.get(&format!("{}?download=1", content(&file))).answer().await;
            assert!(forced.header("content-disposition").starts_with("attachment"), "{name}");
        }
        // The type of an image is only accepted if its bytes confirm it.
        let liar = ann.post("/v1/files?name=liar.png").header("content-type", "image/png").body("<b>hello").answer().await;
        assert_ne!(liar.json()["content_type"], "image/png");
    }

    async fn a_download_over_http2_is_complete(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(3_000_000);
        let file = ann.upload("data.bin", bytes.clone()).await;
        let http2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        let url = app.url(&content(&file));
        let request = http2.get(&url).bearer_auth(ann.token.as_ref().unwrap());
        let answer = request.send().await.unwrap();
        assert_eq!((answer.version(), answer.content_length()), (reqwest::Version::HTTP_2, Some(3_000_000)));
        assert!(answer.bytes().await.unwrap() == bytes);
        let refused = http2.get(&url).send().await.unwrap();
        assert_eq!(refused.status(), 401);
        assert!(refused.text().await.unwrap().contains("unauthorized"));
    }

    async fn content_can_be_requested_as_a_redirect(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(50_000);
        let file = ann.upload("data.bin", bytes.clone()).await;
        let answer = ann.get(&format!("{}?via=redirect", content(&file))).answer().await;
        assert_eq!((answer.status, answer.header("cache-control")), (302, "no-store"));
        let followed = app.anonymous().get(answer.header("location")).answer().await;
        assert_eq!(followed.status, 200);
        assert_eq!(followed.bytes, bytes);
        ann.get(&format!("{}?via=pigeon", content(&file))).answer().await.problem(422, "invalid");
    }
}
