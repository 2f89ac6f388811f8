//! Signed URLs: the holder may perform one operation until it expires, and nothing else.

use reqwest::Method;
use serde_json::json;
use std::time::Duration;

use crate::support::bytes::noise;
use crate::support::client::{Ask, content, path};
use crate::support::links::{complete, follow};
use crate::support::{Setup, TestApp, both};

both! {
    async fn a_signed_url_reads_without_authentication(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(100_000);
        let file = ann.upload("naïve.bin", bytes.clone()).await;
        let body = json!({"operation": "get", "expires_in": 60, "download_name": "für dich.bin"});
        let answer = ann.post(&format!("{}/signed-urls", path(&file))).json(&body).answer().await;
        assert_eq!(answer.status, 201);
        let signed = answer.json();
        assert_eq!(signed["method"], "GET");
        let got = follow(&app.anonymous(), &signed, "").await;
        assert_eq!(got.status, 200);
        assert_eq!(got.bytes, bytes);
        assert_eq!(got.header("content-disposition"), "attachment; filename=\"f_r dich.bin\"; filename*=UTF-8''f%C3%BCr%20dich.bin");
        let part = app.anonymous().get(signed["url"].as_str().unwrap()).header("range", "bytes=10-19").answer().await;
        assert_eq!((part.status, part.bytes.as_slice()), (206, &bytes[10..20]));

        let head = follow(&app.anonymous(), &ann.sign(&file, "head").await, "").await;
        assert_eq!((head.status, head.header("content-length")), (200, "100000"));
    }

    async fn a_signed_url_permits_only_its_operation(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "mine").await;
        let other = ann.upload("b.txt", "also mine").await;
        let (signed, of_other) = (ann.sign(&file, "get").await, ann.sign(&other, "get").await);
        let (url, other_url) = (signed["url"].as_str().unwrap(), of_other["url"].as_str().unwrap());
        let stranger = app.anonymous();
        for method in [Method::PUT, Method::DELETE, Method::POST] {
            let status = stranger.request(method.clone(), url).body("x").answer().await.status;
            assert!(status == 403 || status == 405, "{method}: {status}");
        }
        // Another key, expiry or name, a flipped digit: each invalidates the signature.
        let swapped = url.replacen(url.split('?').next().unwrap(), other_url.split('?').next().unwrap(), 1);
        let mut flipped = url.to_owned();
        let last = flipped.pop().unwrap();
        flipped.push(if last == '0' { '1' } else { '0' });
        let longer = url.replace("xpires=", "xpires=9");
        let renamed = url.replace("a.txt", "b.txt");
        for tampered in [swapped, flipped, longer, renamed, format!("{url}&extra=1"), url.split('?').next().unwrap().to_owned()] {
            assert_ne!(tampered, url);
            assert_eq!(stranger.get(&tampered).answer().await.status, 403, "{tampered}");
        }
        assert_eq!(stranger.get(url).answer().await.bytes, b"mine");
    }

    async fn the_lifetime_of_a_signed_url_is_limited(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "mine").await;
        let path = format!("{}/signed-urls", path(&file));
        for expires_in in [json!(0), json!(604_801), json!(u64::MAX), json!(-1), json!("1h")] {
            let problem = ann.post(&path).json(&json!({"operation": "get", "expires_in": expires_in})).answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["pointer"], "/expires_in");
        }
        ann.post(&path).json(&json!({"operation": "shred"})).answer().await.problem(422, "invalid");
        ann.post(&path).json(&json!({"operation": "get", "download_name": "a/b"})).answer().await.problem(422, "invalid");
        let week = ann.post(&path).json(&json!({"operation": "get", "expires_in": 604_800})).answer().await;
        assert_eq!(week.status, 201);
        ann.get("/v1/files?urls=signed&expires_in=604801").answer().await.problem(422, "invalid");
    }

    async fn options_that_would_have_no_effect_are_refused(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "mine").await;
        let error = ann.get("/v1/files?expires_in=60").answer().await.problem(422, "invalid")["errors"][0].clone();
        assert_eq!((&error["parameter"], &error["code"]), (&json!("expires_in"), &json!("unsupported")));
        for (option, value) in [("download_name", json!("b.txt")), ("inline", json!(true))] {
            let body = json!({"operation": "put", option: value});
            let problem = ann.post(&format!("{}/signed-urls", path(&file))).json(&body).answer().await;
            let error = problem.problem(422, "invalid")["errors"][0].clone();
            assert_eq!((&error["pointer"], &error["code"]), (&json!(format!("/{option}")), &json!("unsupported")));
        }
    }

    async fn lists_contain_urls_that_are_stable_for_a_while(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for name in ["a", "b", "c"] {
            ann.upload(name, name).await;
        }
        let list = || async { ann.get("/v1/files?urls=signed&expires_in=3600").answer().await.json() };
        let first = list().await;
        for file in first["items"].as_array().unwrap() {
            let got = app.anonymous().get(file["url"].as_str().unwrap()).answer().await;
            assert_eq!(got.bytes, file["name"].as_str().unwrap().as_bytes());
            let expires: jiff::Timestamp = file["url_expires_at"].as_str().unwrap().parse().unwrap();
            let left = expires.as_second() - app.app.clock.now().as_second();
            assert!((3600..=3600 + 900).contains(&left), "{left}");
        }
        // The expiry is rounded, so at most one step lies between the lists.
        let (second, third) = (list().await, list().await);
        assert!(first == second || second == third);
        app.advance(Duration::from_secs(1000));
        assert_ne!(list().await["items"][0]["url"], second["items"][0]["url"]);
        assert!(ann.get("/v1/files").answer().await.json()["items"][0].get("url").is_none());
    }

    async fn a_signed_put_and_its_completion_replace_the_content(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bob = app.sign_up("bob").await;
        let file = ann.upload("a.txt", "old").await;
        let signed = ann.sign(&file, "put").await;
        complete(&ann, &signed).await.problem(409, "upload_incomplete");

        let bytes = noise(300_000);
        let put = follow(&app.anonymous(), &signed, bytes.clone()).await;
        assert_eq!(put.status, 200, "{}", put.text());
        assert_eq!(ann.download(&file).await, b"old");
        // The URL cannot be used again: objects are never overwritten.
        assert_eq!(follow(&app.anonymous(), &signed, "other").await.status, 412);

        complete(&bob, &signed).await.problem(404, "not_found");
        let completed = complete(&ann, &signed).await;
        assert_eq!(completed.status, 200, "{}", completed.text());
        let completed = completed.json();
        assert_eq!((&completed["id"], &completed["size"]), (&file["id"], &json!(300_000)));
        assert!(ann.download(&file).await == bytes);
        // A client that lost the response repeats the request.
        assert_eq!(complete(&ann, &signed).await.json()["id"], file["id"]);
        assert_eq!(follow(&app.anonymous(), &signed, "other").await.status, if app.setup == Setup::SqliteAndDisk { 410 } else { 412 });
        app.assert_nothing_but(1).await;
    }

    async fn a_signed_put_does_not_overwrite_newer_content(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "old").await;
        let signed = ann.sign(&file, "put").await;
        assert_eq!(follow(&app.anonymous(), &signed, "through the URL").await.status, 200);
        let newer = ann.put(&content(&file)).header("if-match", "*").body("newer").answer().await;
        assert_eq!(newer.status, 200);
        complete(&ann, &signed).await.problem(412, "precondition_failed");
        assert_eq!(ann.download(&file).await, b"newer");
    }

    async fn a_signed_put_fails_once_its_file_is_deleted(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "old").await;
        let signed = ann.sign(&file, "put").await;
        assert_eq!(ann.delete(&path(&file)).answer().await.status, 204);
        complete(&ann, &signed).await.problem(404, "not_found");
        if app.setup == Setup::SqliteAndDisk {
            follow(&app.anonymous(), &signed, "x").await.problem(410, "upload_gone");
        }
    }

    async fn a_put_without_the_signed_header_is_refused(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "old").await;
        let signed = ann.sign(&file, "put").await;
        let bare = app.anonymous().put(signed["url"].as_str().unwrap()).body("x").answer().await;
        assert_eq!(bare.status, 403);
        complete(&ann, &signed).await.problem(409, "upload_incomplete");
    }
}

/// On disk the server signs the URLs, so it can guarantee more than a bucket.
mod on_disk {
    use super::*;

    #[tokio::test]
    async fn a_signed_url_is_invalid_after_expiry_deletion_or_disabling() {
        let app = TestApp::start(Setup::SqliteAndDisk).await;
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "mine").await;
        let other = ann.upload("b.txt", "mine").await;
        let stranger = app.anonymous();
        let (short, long, of_other) = (
            ann.sign(&file, "get").await,
            ann.post(&format!("{}/signed-urls", path(&file)))
                .json(&json!({"operation": "get", "expires_in": 86400}))
                .answer()
                .await
                .json(),
            ann.post(&format!("{}/signed-urls", path(&other)))
                .json(&json!({"operation": "get", "expires_in": 86400}))
                .answer()
                .await
                .json(),
        );
        // HEAD asks for the headers of what GET reads, at least where this server signs.
        if long["url"].as_str().unwrap().starts_with(&app.url("/")) {
            let (get, head) =
                (stranger.get(long["url"].as_str().unwrap()), stranger.head(long["url"].as_str().unwrap()));
            let (get, head) = (get.answer().await, head.answer().await);
            assert_eq!(
                (head.status, head.bytes.len(), head.header("content-length")),
                (200, 0, get.header("content-length"))
            );
            assert_eq!(
                (head.header("etag"), head.header("content-disposition")),
                (get.header("etag"), get.header("content-disposition"))
            );
        }
        app.advance(Duration::from_secs(901));
        stranger.get(short["url"].as_str().unwrap()).answer().await.problem(403, "url_expired");
        let fresh = stranger.get(long["url"].as_str().unwrap()).answer().await;
        assert_eq!(fresh.status, 200);
        assert!(fresh.header("cache-control").starts_with("private, max-age=8"), "{}", fresh.header("cache-control"));
        assert_eq!(fresh.header("content-security-policy"), "sandbox; default-src 'none'; frame-ancestors 'none'");

        ann.delete(&path(&file)).answer().await;
        stranger.get(long["url"].as_str().unwrap()).answer().await.problem(404, "not_found");
        strongroom::users::set_disabled(&app.app, "ann@example.org", true).await.unwrap();
        stranger.get(of_other["url"].as_str().unwrap()).answer().await.problem(404, "not_found");
    }

    #[tokio::test]
    async fn pages_of_other_origins_can_use_signed_urls() {
        let app = TestApp::start(Setup::SqliteAndDisk).await;
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "old").await;
        let signed = ann.sign(&file, "put").await;
        let preflight = app
            .anonymous()
            .request(Method::OPTIONS, signed["url"].as_str().unwrap())
            .header("origin", "https://app.example.org")
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "if-none-match")
            .answer()
            .await;
        assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, "*"));
        let put = app.anonymous().put(signed["url"].as_str().unwrap()).header("origin", "https://app.example.org");
        let put = put.header("sec-fetch-site", "cross-site").header("if-none-match", "*").body("new").answer().await;
        assert_eq!((put.status, put.header("access-control-allow-origin")), (200, "*"));
    }

    #[tokio::test]
    async fn a_signed_put_respects_the_size_limit_and_the_expiry() {
        let app = TestApp::start_with(Setup::SqliteAndDisk, |config| config.limits.file_size = 1000).await;
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "old").await;
        let signed = ann.sign(&file, "put").await;
        follow(&app.anonymous(), &signed, noise(1001)).await.problem(413, "too_large");
        let wrong = app.anonymous().put(signed["url"].as_str().unwrap()).header("if-none-match", "*");
        let digest = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";
        wrong.header("repr-digest", digest).body("x").answer().await.problem(422, "digest_mismatch");
        assert_eq!(follow(&app.anonymous(), &signed, noise(1000)).await.status, 200);
        app.advance(Duration::from_secs(3600));
        complete(&ann, &signed).await.problem(410, "upload_gone");
        follow(&app.anonymous(), &signed, "x").await.problem(403, "url_expired");
    }
}

/// The bucket may have another name for clients than for the server.
mod in_a_bucket {
    use super::*;
    use strongroom::config::StoreConfig;

    #[tokio::test]
    async fn signed_urls_have_the_public_endpoint() {
        let app = TestApp::start_with(Setup::PostgresAndS3, |config| {
            let StoreConfig::S3(s3) = &mut config.store else { panic!("this setup is on S3") };
            let mut public = s3.endpoint.clone().unwrap();
            public.set_host(Some("localhost")).unwrap();
            s3.public_endpoint = Some(public);
        })
        .await;
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "mine").await;
        let listed = ann.get("/v1/files?urls=signed").answer().await.json();
        for url in [&ann.sign(&file, "get").await["url"], &listed["items"][0]["url"]] {
            let url = url.as_str().unwrap();
            assert!(url.starts_with("http://localhost:"), "{url}");
            assert_eq!(app.anonymous().get(url).answer().await.bytes, b"mine");
        }
    }
}
