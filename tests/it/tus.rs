//! The tus protocol for resumable uploads.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, RequestBuilder};
use sha2::{Digest, Sha256};

use crate::support::bytes::noise;
use crate::support::client::{Ask, fed};
use crate::support::tus::{CHUNK_TYPE, Tus, create, tus};
use crate::support::{Setup, TestApp, both, until};

const MIB: usize = 1024 * 1024;

impl TestApp {
    async fn wait_until_unclaimed(&self) {
        until(async || self.count("SELECT COUNT(*) FROM resumable_uploads WHERE claim_id IS NOT NULL").await == 0)
            .await;
    }
}

fn checksum(algorithm: &str, digest: &[u8]) -> String {
    format!("{algorithm} {}", BASE64_STANDARD.encode(digest))
}

both! {
    async fn appends_of_every_size_become_the_file(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let shapes: [&[usize]; 9] = [
            &[1], &[5 * MIB], &[5 * MIB + 1], &[11 * MIB], &[1, 2, 3], &[3 * MIB, 2 * MIB], &[3 * MIB, 4 * MIB, 9 * MIB],
            &[5 * MIB, 5 * MIB, 1], &[17 * MIB, 0, 17],
        ];
        for lengths in shapes {
            let bytes = noise(lengths.iter().sum());
            let upload = Tus::create(&ann, Some(bytes.len()), "").await;
            let mut offset = 0;
            for length in lengths {
                let answer = upload.append(&ann, offset, bytes[offset..offset + length].to_vec()).await;
                assert_eq!(answer.status, 204, "{lengths:?}: {}", answer.text());
                offset += length;
                assert_eq!(answer.header("upload-offset"), offset.to_string());
                assert_eq!(answer.header("strongroom-file-id").is_empty(), offset < bytes.len());
            }
            let file = upload.file(&ann).await;
            assert!(file.bytes == bytes, "{lengths:?}");
            let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(file.header("etag"), format!("\"{sha256}\""));
        }
        app.assert_nothing_but(shapes.len()).await;
        assert_eq!(app.count("SELECT COUNT(*) FROM upload_parts").await, 0);
    }

    async fn a_completed_upload_is_an_ordinary_file(app: TestApp) {
        let ann = app.sign_up("ann").await;
        ann.post("/v1/files?name=w%C3%B6rld.pdf&path=2026/nov").body("first").answer().await;
        let metadata = "wörld.pdf,filetype dGV4dC9odG1s,path MjAyNi9ub3Y=,colour cmVk";
        let bytes = b"%PDF-1.7\nnot really";
        let created = create(&ann, Some(bytes.len()), metadata).header("content-type", CHUNK_TYPE).body(bytes.to_vec()).answer().await;
        assert_eq!((created.status, created.header("tus-resumable")), (201, "1.0.0"));
        assert_eq!(created.header("upload-offset"), bytes.len().to_string());
        assert!(created.header("location").starts_with(&app.url("/v1/tus/")));
        let upload = Tus::located(&created);
        let head = upload.head(&ann).await;
        let sent = "filename d8O2cmxkLnBkZg==,filetype dGV4dC9odG1s,path MjAyNi9ub3Y=,colour cmVk";
        assert_eq!((head.header("upload-metadata"), head.header("cache-control")), (sent, "no-store"));
        let id = created.header("strongroom-file-id");
        let file = ann.get(&format!("/v1/files/{id}")).answer().await.json();
        assert_eq!((&file["name"], &file["path"]), (&"wörld (1).pdf".into(), &"2026/nov".into()));
        assert_eq!((&file["content_type"], &file["size"]), (&"application/pdf".into(), &bytes.len().into()));

        // The upload is complete: it cannot be extended, and its deletion does not affect the file.
        tus(&ann, Method::DELETE, &upload.path).answer().await.problem(410, "upload_gone");
        upload.append(&ann, bytes.len(), "more").await.problem(413, "too_large");
        assert_eq!(upload.append(&ann, bytes.len(), "").await.status, 204);
        assert_eq!(upload.file(&ann).await.bytes, bytes);
        app.advance(Duration::from_secs(25 * 3600));
        app.assert_nothing_but(2).await;
        assert_eq!(upload.head(&ann).await.status, 404);
        assert_eq!(ann.get(&format!("/v1/files/{id}")).answer().await.status, 200);
    }

    async fn bytes_received_before_a_disconnect_are_kept(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(23 * MIB);
        let upload = Tus::create(&ann, Some(bytes.len()), "").await;
        let mut offset = 0;
        for length in [MIB, 7 * MIB, 12 * MIB + 5] {
            upload.interrupt(&app, &ann, offset, &bytes[offset..offset + length], "").await;
            offset += length;
            app.wait_until_unclaimed().await;
            assert_eq!(upload.offset(&ann).await, offset);
        }
        assert_eq!(upload.append(&ann, offset, bytes[offset..].to_vec()).await.status, 204);
        assert!(upload.file(&ann).await.bytes == bytes);
        app.assert_nothing_but(1).await;
    }

    async fn an_upload_has_one_writer_and_a_stalled_one_is_replaced(app: TestApp) {
        let app = app.restart_with(|config| config.uploads.lease = Duration::from_secs(3)).await;
        let ann = app.sign_up("ann").await;
        let bytes = noise(6 * MIB);
        let upload = Tus::create(&ann, Some(bytes.len()), "").await;
        let (send, body) = fed();
        let first = tokio::spawn(upload.append_request(&ann, 0, body).send());
        send.send(Ok(bytes[..1000].to_vec())).await.unwrap();
        until(async || app.count("SELECT COUNT(*) FROM resumable_uploads WHERE claim_id IS NOT NULL").await > 0).await;
        upload.append(&ann, 0, bytes.clone()).await.problem(423, "upload_busy");
        let second = loop {
            let answer = upload.append(&ann, 0, bytes.clone()).await;
            if answer.status != 423 {
                break answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_eq!(second.status, 204, "{}", second.text());
        // The stalled writer finds that the upload was continued without it.
        drop(send);
        assert_eq!(first.await.unwrap().unwrap().status(), 423);
        assert!(upload.file(&ann).await.bytes == bytes);
        // Its pending part is deleted once its lease expires.
        app.expire_leases().await;
        app.assert_nothing_but(1).await;
    }

    async fn uploads_of_other_protocols_are_not_found(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let new = serde_json::json!({"name": "d", "mode": "direct", "size": 4});
        let upload = ann.post("/v1/uploads").json(&new).answer().await.json();
        let id = upload["id"].as_str().unwrap();
        let direct = Tus { path: format!("/v1/tus/{id}") };
        assert_eq!(direct.head(&ann).await.status, 404);
        direct.append(&ann, 0, "four").await.problem(404, "not_found");
        tus(&ann, Method::DELETE, &direct.path).answer().await.problem(404, "not_found");
        let overridden = tus(&ann, Method::POST, &direct.path).header("x-http-method-override", "DELETE");
        overridden.answer().await.problem(404, "not_found");
        assert_eq!(ann.get(&format!("/v1/uploads/{id}")).answer().await.status, 200);
        assert_eq!(ann.delete(&format!("/v1/uploads/{id}")).answer().await.status, 204);
    }

    async fn a_stalled_append_ends_with_its_upload(app: TestApp) {
        // Each time after a third of it the writer looks whether it still holds its claim.
        let app = app.restart_with(|config| config.uploads.lease = Duration::from_secs(3)).await;
        let ann = app.sign_up("ann").await;
        let upload = Tus::create(&ann, Some(1000), "").await;
        let (send, body) = fed();
        let stalled = tokio::spawn(upload.append_request(&ann, 0, body).answer());
        send.send(Ok(noise(500))).await.unwrap();
        until(async || app.count("SELECT COUNT(*) FROM resumable_uploads WHERE claim_id IS NOT NULL").await > 0).await;
        assert_eq!(tus(&ann, Method::DELETE, &upload.path).answer().await.status, 204);
        // There is no other writer, and no use in a retry.
        stalled.await.unwrap().problem(404, "not_found");
        app.expire_leases().await;
        app.assert_nothing_but(0).await;
    }

    async fn an_append_with_a_checksum_is_atomic(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(13 * MIB);
        let upload = Tus::create(&ann, Some(bytes.len()), "").await;
        let (first, second) = bytes.split_at(MIB);
        let wrong = checksum("sha256", &[0; 32]);
        for (offset, bytes) in [(0, first), (0, &bytes[..])] {
            let answer = upload.append_request(&ann, offset, bytes.to_vec()).header("upload-checksum", &wrong).answer().await;
            answer.problem(460, "checksum_mismatch");
            assert_eq!(upload.offset(&ann).await, 0);
        }
        let right = checksum("sha256", &Sha256::digest(first));
        assert_eq!(upload.append_request(&ann, 0, first.to_vec()).header("upload-checksum", right).answer().await.status, 204);
        upload.append_request(&ann, first.len(), second.to_vec()).header("upload-checksum", &wrong).answer().await.problem(460, "checksum_mismatch");
        // Parts of it may be stored already, but do not count.
        let right = checksum("crc32", &crc32fast::hash(second).to_be_bytes());
        let header = format!("upload-checksum: {right}\r\n");
        upload.interrupt(&app, &ann, first.len(), &second[..11 * MIB], &header).await;
        app.wait_until_unclaimed().await;
        assert_eq!(upload.offset(&ann).await, first.len());
        let complete = upload.append_request(&ann, first.len(), second.to_vec()).header("upload-checksum", &right);
        assert_eq!(complete.answer().await.status, 204);
        assert!(upload.file(&ann).await.bytes == bytes);
        app.assert_nothing_but(1).await;
    }

    async fn bytes_of_a_slow_client_are_kept_when_its_memory_is_reclaimed(_app: TestApp) {
        // Only uploads to a bucket are buffered in memory.
        if _app.setup == Setup::PostgresAndS3 {
            let app = _app.restart_with(|config| {
                (config.uploads.memory, config.uploads.part_size) = (5 * MIB as u64, 5 * MIB as u64);
                config.uploads.stall_timeout = Duration::from_millis(400);
            }).await;
            let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
            let upload = Tus::create(&ann, Some(5 * MIB + 10), "").await;
            let bytes = noise(5 * MIB + 10);
            assert_eq!(upload.append(&ann, 0, bytes[..5 * MIB].to_vec()).await.status, 204);
            let (send, body) = fed();
            let request = upload.append_request(&ann, 5 * MIB, body);
            let slow = tokio::spawn(async move { request.send().await });
            send.send(Ok(bytes[5 * MIB..].to_vec())).await.unwrap();
            let other = bob.upload("b.bin", noise(10));
            let (slow, _) = tokio::join!(slow, other);
            assert!(!slow.unwrap().is_ok_and(|answer| answer.status().is_server_error()));
            drop(send);
            app.wait_until_unclaimed().await;
            let offset = upload.offset(&ann).await;
            if offset < bytes.len() {
                assert_eq!(upload.append(&ann, offset, bytes[offset..].to_vec()).await.status, 204);
            }
            assert!(upload.file(&ann).await.bytes == bytes);
            app.assert_nothing_but(2).await;
        }
    }

    async fn an_interrupted_creation_can_be_repeated_with_its_key(app: TestApp) {
        if app.setup == Setup::SqliteAndDisk {
            let ann = app.sign_up("ann").await;
            let creation = || create(&ann, Some(5), "").header("idempotency-key", "once");
            let upload = Tus::located(&creation().answer().await);
            // As if the server had been killed before it created the staged file.
            for staged in std::fs::read_dir(app.folder.path().join("files/tmp")).unwrap() {
                std::fs::remove_file(staged.unwrap().path()).unwrap();
            }
            assert_eq!(Tus::located(&creation().answer().await).path, upload.path);
            assert_eq!(upload.append(&ann, 0, "12345").await.status, 204);
            assert_eq!(upload.file(&ann).await.bytes, b"12345");
            let twice = upload.append_request(&ann, 0, "x").header("upload-offset", "5");
            twice.answer().await.problem(400, "malformed");
        }
    }

    async fn the_length_can_be_declared_later(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for length in [0, 10, 5 * MIB, 12 * MIB] {
            let bytes = noise(length);
            let upload = Tus::create(&ann, None, "").await;
            assert_eq!(upload.append(&ann, 0, bytes.clone()).await.status, 204);
            let head = upload.head(&ann).await;
            assert_eq!((head.header("upload-defer-length"), head.header("upload-length")), ("1", ""));
            let declare = |length: usize| upload.append_request(&ann, bytes.len(), "").header("upload-length", length.to_string());
            if length > 0 {
                declare(length - 1).answer().await.problem(400, "malformed");
            }
            let declared = declare(length).answer().await;
            assert_eq!(declared.status, 204, "{}", declared.text());
            assert!(!declared.header("strongroom-file-id").is_empty());
            let file = upload.file(&ann).await;
            assert!(file.status == 200 && file.bytes == bytes, "{length}");
        }
        let empty = create(&ann, Some(0), "empty").answer().await;
        assert_eq!((empty.status, empty.header("strongroom-file-id").len()), (201, 36));
        app.assert_nothing_but(5).await;
    }

    async fn invalid_requests_are_refused_and_do_not_change_the_upload(app: TestApp) {
        let app = app.restart_with(|config| config.limits.file_size = 20 * MIB as u64).await;
        let ann = app.sign_up("ann").await;
        let upload = Tus::create(&ann, Some(10), "").await;
        assert_eq!(upload.append(&ann, 0, "12345").await.status, 204);
        let append = || upload.append_request(&ann, 5, "67890");
        for offset in [0, 4, 6, 10] {
            upload.append(&ann, offset, "67890").await.problem(409, "offset_mismatch");
        }
        upload.append(&ann, 5, "678901").await.problem(413, "too_large");
        let (send, body) = fed();
        let chunked = tokio::spawn(upload.append_request(&ann, 5, body).send());
        for chunk in ["67890", "1"] {
            send.send(Ok(chunk.into())).await.unwrap();
        }
        drop(send);
        assert_eq!(chunked.await.unwrap().unwrap().status(), 413);
        let without = |name: &str| {
            let (client, request) = append().build_split();
            let mut request = request.unwrap();
            request.headers_mut().remove(name);
            RequestBuilder::from_parts(client, request)
        };
        without("tus-resumable").answer().await.problem(412, "unsupported_protocol_version");
        without("content-type").answer().await.problem(415, "unsupported_media_type");
        without("upload-offset").answer().await.problem(400, "malformed");
        for (name, value, status, code) in [
            ("tus-resumable", "0.2.2", 412, "unsupported_protocol_version"),
            ("content-type", "application/octet-stream", 415, "unsupported_media_type"),
            ("upload-offset", "-5", 400, "malformed"),
            ("upload-offset", "18446744073709551615", 400, "malformed"),
            ("upload-length", "11", 400, "malformed"),
            ("upload-checksum", "md5 AAAA", 400, "malformed"),
            ("upload-checksum", "sha1", 400, "malformed"),
            ("upload-checksum", "sha1 ====", 400, "malformed"),
            ("upload-checksum", "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=", 460, "checksum_mismatch"),
        ] {
            let (client, request) = append().build_split();
            let mut request = request.unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
            let answer = RequestBuilder::from_parts(client, request).answer().await;
            answer.problem(status, code);
            let version = if status == 412 { "1.0.0" } else { "" };
            assert_eq!((answer.header("tus-resumable"), answer.header("tus-version")), ("1.0.0", version));
        }
        assert_eq!(upload.offset(&ann).await, 5);

        let create_with = || tus(&ann, Method::POST, "/v1/tus");
        create_with().answer().await.problem(400, "malformed");
        create_with().header("upload-length", "1").header("upload-defer-length", "1").answer().await.problem(400, "malformed");
        create_with().header("upload-length", (20 * MIB + 1).to_string()).answer().await.problem(413, "too_large");
        create_with().header("upload-length", "1").body("x").answer().await.problem(415, "unsupported_media_type");
        for metadata in ["filename !", "filename YQ==,filename YQ==", ","] {
            create_with().header("upload-length", "1").header("upload-metadata", metadata).answer().await.problem(400, "malformed");
        }
        create_with().header("upload-length", "1").header("upload-metadata", "filename Li4vYQ==").answer().await.problem(422, "invalid");
        let with_too_much = create(&ann, Some(1), "").header("content-type", CHUNK_TYPE).body("xx").answer().await;
        with_too_much.problem(413, "too_large");
        let endless = Tus::create(&ann, None, "").await;
        endless.append(&ann, 0, noise(20 * MIB + 1)).await.problem(413, "too_large");

        assert_eq!(append().header("upload-checksum", "sha1 IwmRq8136Bc+2wrzkuHxESAFHik=").answer().await.status, 204);
        assert_eq!(upload.file(&ann).await.bytes, b"1234567890");
        assert_eq!(tus(&ann, Method::DELETE, &endless.path).answer().await.status, 204);
        app.assert_nothing_but(1).await;
    }

    async fn extensions_that_are_not_supported_are_refused_at_the_first_request(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for (name, value) in [
            ("upload-concat", "partial"),
            ("upload-concat", "final;/v1/tus/a /v1/tus/b"),
            ("upload-complete", "?0"),
            ("trailer", "Upload-Checksum"),
            ("trailer", "X-Other , upload-checksum"),
        ] {
            let begun = create(&ann, Some(10), "").header(name, value).answer().await;
            let problem = begun.problem(400, "malformed");
            assert!(problem["detail"].as_str().unwrap().contains("support"), "{problem}");
        }
        let upload = Tus::create(&ann, Some(1), "").await;
        upload.append_request(&ann, 0, "x").header("upload-concat", "partial").answer().await.problem(400, "malformed");
        assert_eq!(upload.append(&ann, 0, "x").await.status, 204);
        app.assert_nothing_but(1).await;
    }

    async fn canceled_and_inactive_uploads_leave_nothing(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(7 * MIB);
        let (canceled, inactive) = (Tus::create(&ann, Some(9 * MIB), "").await, Tus::create(&ann, None, "").await);
        for upload in [&canceled, &inactive] {
            assert_eq!(upload.append(&ann, 0, bytes.clone()).await.status, 204);
        }
        assert_eq!(tus(&ann, Method::DELETE, &canceled.path).answer().await.status, 204);
        assert_eq!(canceled.head(&ann).await.status, 404);
        canceled.append(&ann, 7 * MIB, "x").await.problem(404, "not_found");
        tus(&ann, Method::DELETE, &canceled.path).answer().await.problem(404, "not_found");

        // Every append extends the expiry by a day.
        app.advance(Duration::from_secs(20 * 3600));
        assert_eq!(inactive.append(&ann, 7 * MIB, "x").await.status, 204);
        app.advance(Duration::from_secs(20 * 3600));
        assert_eq!(inactive.offset(&ann).await, 7 * MIB + 1);
        app.advance(Duration::from_secs(5 * 3600));
        assert_eq!(inactive.head(&ann).await.status, 410);
        inactive.append(&ann, 7 * MIB + 1, "x").await.problem(410, "upload_gone");
        assert!(app.count("SELECT COUNT(*) FROM blobs WHERE state = 'pending'").await > 0);
        app.expire_leases().await;
        app.assert_nothing_but(0).await;
        assert_eq!(inactive.head(&ann).await.status, 404);
        assert_eq!(app.count("SELECT COUNT(*) FROM resumable_uploads").await, 0);
    }

    async fn capabilities_are_listed_and_the_method_can_be_overridden(app: TestApp) {
        let options = app.anonymous().request(Method::OPTIONS, "/v1/tus").answer().await;
        assert_eq!((options.status, options.header("tus-version"), options.header("tus-resumable")), (204, "1.0.0", "1.0.0"));
        assert_eq!(options.header("tus-max-size"), app.app.config.limits.file_size.to_string());
        assert_eq!(options.header("tus-checksum-algorithm"), "sha1,sha256,crc32");
        for extension in ["creation", "creation-with-upload", "creation-defer-length", "expiration", "checksum", "termination"] {
            assert!(options.header("tus-extension").split(',').any(|listed| listed == extension), "{extension}");
        }
        let ann = app.sign_up("ann").await;
        let upload = Tus::create(&ann, Some(5), "").await;
        let override_with = |method: &str| tus(&ann, Method::POST, &upload.path).header("x-http-method-override", method);
        let patched = override_with("PATCH").header("content-type", CHUNK_TYPE).header("upload-offset", "0").body("123").answer().await;
        assert_eq!((patched.status, patched.header("upload-offset")), (204, "3"));
        assert_eq!(override_with("HEAD").answer().await.header("upload-offset"), "3");
        override_with("PUT").answer().await.problem(400, "malformed");
        assert_eq!(override_with("DELETE").answer().await.status, 204);
        app.assert_nothing_but(0).await;
    }
}
