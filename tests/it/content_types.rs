//! Only the content types that the operator allows are stored. The type is detected from the bytes.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use strongroom::config::AllowedTypes;

use crate::support::bytes::noise;
use crate::support::client::{Answer, Ask, Client, content};
use crate::support::links::{complete, follow};
use crate::support::tus::{Tus, create, tus};
use crate::support::{Setup, TestApp, both};

async fn with_images_and_pdf_allowed(app: TestApp) -> TestApp {
    let types = ["image/*", "application/pdf"].map(str::to_owned).to_vec();
    app.restart_with(|config| config.limits.allowed_types = AllowedTypes(types)).await
}

fn png(length: usize) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0".as_slice(), &noise(length)].concat()
}

/// A ZIP archive with these entries, stored.
fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in entries {
        bytes.extend_from_slice(b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0");
        bytes.extend(u32::try_from(content.len()).unwrap().to_le_bytes().repeat(2));
        bytes.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&[b"\0\0", name.as_bytes(), content.as_bytes()].concat());
    }
    bytes
}

/// Uploads the bytes in every way, and returns the content type that each of them finds; or the code of the problem.
async fn types_on_every_way(ann: &Client, bytes: &[u8], hint: &str) -> Vec<String> {
    let found = |answer: Answer| {
        let json = answer.json();
        json["content_type"].as_str().or(json["code"].as_str()).unwrap_or_default().to_owned()
    };
    let raw = ann.post("/v1/files?name=a").header("content-type", hint).body(bytes.to_vec());
    let part = Part::bytes(bytes.to_vec()).file_name("a").mime_str(hint).unwrap();
    let form = ann.post("/v1/files").multipart(Form::new().part("file", part));
    let mut types = vec![found(raw.answer().await), found(form.answer().await)];

    let metadata = format!("a,filetype {}", BASE64_STANDARD.encode(hint));
    let upload = Tus::create(ann, Some(bytes.len()), &metadata).await;
    let (first, rest) = bytes.split_at(bytes.len().min(3));
    assert_eq!(upload.append(ann, 0, first.to_vec()).await.status, 204);
    let appended = upload.append(ann, first.len(), rest.to_vec()).await;
    types.push(match appended.status {
        204 => found(ann.get(&format!("/v1/files/{}", appended.header("strongroom-file-id"))).answer().await),
        _ => found(appended),
    });

    let begun = json!({"name": "a", "size": bytes.len(), "content_type": hint, "mode": "direct"});
    let id = ann.post("/v1/uploads").json(&begun).answer().await.json()["id"].as_str().unwrap().to_owned();
    let parts = ann.post(&format!("/v1/uploads/{id}/parts")).json(&json!({"numbers": [1]})).answer().await.json();
    let sent = ann.put(parts["parts"][0]["url"].as_str().unwrap()).body(bytes.to_vec()).answer().await;
    types.push(match sent.status {
        200 => found(ann.post(&format!("/v1/uploads/{id}/complete")).answer().await),
        _ => found(sent),
    });

    let old = ann.post("/v1/files?name=old.png").body(png(9)).answer().await.json();
    let put = ann.put(&content(&old)).header("if-match", "*").header("content-type", hint).body(bytes.to_vec());
    types.push(found(put.answer().await));
    types
}

both! {
    async fn a_type_is_the_same_on_every_way(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
        let pptx = "application/vnd.openxmlformats-officedocument.presentationml.presentation";
        let long = "x".repeat(9000);
        let office = archive(&[("docProps/app.xml", &long), ("docProps/core.xml", ""), ("word/document.xml", ""), ("[Content_Types].xml", "")]);
        let epub = archive(&[("META-INF/container.xml", ""), ("mimetype", "application/epub+zip")]);
        let hidden = archive(&[("docProps/thumbnail.jpeg", &"x".repeat(70_000)), ("ppt/presentation.xml", "")]);
        for (bytes, hint, expected) in [
            (office, "application/octet-stream", docx),
            (epub, "application/zip", "application/epub+zip"),
            (hidden, pptx, pptx),
            (archive(&[("a.txt", "hello")]), docx, "application/zip"),
            (b"BMI,weight\n22,70\n".to_vec(), "text/csv", "text/csv; charset=utf-8"),
            (b"Gr\xf6\xdfe;1\n".to_vec(), "text/csv; charset=windows-1252", "text/csv; charset=windows-1252"),
            (b"\xff\xfeG\0r\0\xf6\0\xdf\0e\0\n\0".to_vec(), "text/csv", "text/csv; charset=utf-16"),
            (b"a line of a log \x08 and more\n".to_vec(), "text/plain", "text/plain"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(), "image/heic", "image/heic"),
        ] {
            assert_eq!(types_on_every_way(&ann, &bytes, hint).await, [expected; 5], "{hint}");
        }
    }

    async fn a_text_is_refused_as_a_picture_and_a_type_is_allowed_by_each_of_its_names(app: TestApp) {
        let allow = |names: &str| AllowedTypes(names.split(',').map(str::to_owned).collect());
        let types = allow("image/*,text/csv,audio/mp4,audio/flac,audio/wav,font/woff2,application/xml");
        let app = app.restart_with(|config| config.limits.allowed_types = types).await;
        let ann = app.sign_up("ann").await;
        for text in ["BMW builds cars", "GIF<script>", "8BPS", "II*.", "RIFF....WEBPVP8 "] {
            let refused = types_on_every_way(&ann, text.as_bytes(), "image/bmp").await;
            assert_eq!(refused, ["unsupported_media_type"; 5], "{text}");
            let found = types_on_every_way(&ann, text.as_bytes(), "text/csv").await;
            assert_eq!(found, ["text/csv; charset=utf-8"; 5], "{text}");
        }
        for (bytes, hint) in [
            (b"\0\0\0\x18ftypM4A \0\0\0\0isomiso2".as_slice(), "audio/mp4"),
            (b"fLaC\0\0\0\x22\x10\0\x10\0", "audio/flac"),
            (b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0", "audio/wav"),
            (b"wOF2\0\x01\0\0\0\0\0\x10", "font/woff2"),
            (b"<?xml version=\"1.0\"?><a/>", "text/xml"),
            (b"Gr\xf6\xdfe;1\n", "text/csv"),
        ] {
            assert_eq!(types_on_every_way(&ann, bytes, hint).await, [hint; 5]);
        }
    }

    async fn what_is_declared_must_be_a_media_type(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let long = format!("text/{}", "x".repeat(300));
        for declared in ["text/plain\0", "\0", "text", "a b/c", "töxt/plain", long.as_str()] {
            for (path, body, pointer) in [
                ("/v1/uploads", json!({"name": "x", "size": 5, "mode": "tus", "content_type": declared}), "/content_type"),
                ("/v1/uploads", json!({"name": "x", "size": 5, "mode": "direct", "content_type": declared}), "/content_type"),
                ("/v1/companion/s3/multipart", json!({"filename": "x", "type": declared, "metadata": {"size": 5}}), "/type"),
            ] {
                let problem = ann.post(path).json(&body).answer().await.problem(422, "invalid");
                assert_eq!(problem["errors"][0]["pointer"], pointer, "{declared:?}");
            }
            let metadata = format!("x,filetype {}", BASE64_STANDARD.encode(declared));
            create(&ann, Some(5), &metadata).answer().await.problem(422, "invalid");
        }
        for declared in ["", "text/plain; charset=utf-8", "image/svg+xml", "application/vnd.oasis.opendocument.text"] {
            let body = json!({"name": "x", "size": 5, "mode": "tus", "content_type": declared});
            assert_eq!(ann.post("/v1/uploads").json(&body).answer().await.status, 201, "{declared}");
            let metadata = format!("x,filetype {}", BASE64_STANDARD.encode(declared));
            assert_eq!(create(&ann, Some(5), &metadata).answer().await.status, 201, "{declared}");
        }
    }

    async fn other_types_are_refused_and_leave_nothing(app: TestApp) {
        let app = with_images_and_pdf_allowed(app).await;
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.png", png(10_000)).await;
        ann.upload("b.pdf", "%PDF-1.7 and so on").await;
        for body in [b"text".to_vec(), Vec::new(), noise(5000), noise(6 * 1024 * 1024), b"%PD".to_vec()] {
            let claimed = ann.post("/v1/files?name=c.png").header("content-type", "image/png").body(body.clone());
            // The server may respond and close the connection before the client has sent everything.
            if let Ok(answer) = claimed.send().await {
                assert_eq!(answer.status(), 415);
            }
            if body.len() < 10_000 {
                let form = Form::new().part("file", Part::bytes(body.clone()).file_name("c.png"));
                ann.post("/v1/files").multipart(form).answer().await.problem(415, "unsupported_media_type");
                let replaced = ann.put(&content(&file)).header("if-match", "*").body(body).answer().await;
                replaced.problem(415, "unsupported_media_type");
            }
        }
        assert_eq!(ann.download(&file).await, png(10_000));
        app.assert_nothing_but(2).await;
    }

    async fn a_type_is_detected_from_single_byte_chunks(app: TestApp) {
        let app = with_images_and_pdf_allowed(app).await;
        let ann = app.sign_up("ann").await;
        for size in [0, 100, 5000] {
            let bytes = png(size);
            let chunks: Vec<_> = bytes.chunks(1).map(|byte| Ok::<_, std::io::Error>(byte.to_vec())).collect();
            let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
            let answer = ann.post("/v1/files?name=a.png").body(body).answer().await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            assert!(ann.download(&answer.json()).await == bytes, "{size}");
        }
        app.assert_nothing_but(3).await;
    }

    async fn the_type_of_a_resumable_upload_is_checked_by_its_completion(app: TestApp) {
        let app = with_images_and_pdf_allowed(app).await;
        let ann = app.sign_up("ann").await;
        // Enough bytes to detect the type: none of them is stored.
        let upload = Tus::create(&ann, Some(10_000), "c.png,filetype aW1hZ2UvcG5n").await;
        upload.append(&ann, 0, noise(9000)).await.problem(415, "unsupported_media_type");
        assert_eq!(upload.offset(&ann).await, 0);
        assert_eq!(tus(&ann, Method::DELETE, &upload.path).answer().await.status, 204);
        // Too few bytes to detect the type before the upload is complete.
        let upload = Tus::create(&ann, Some(4), "c.png,filetype aW1hZ2UvcG5n").await;
        assert_eq!(upload.append(&ann, 0, "te").await.status, 204);
        upload.append(&ann, 2, "xt").await.problem(415, "unsupported_media_type");
        assert_eq!(upload.head(&ann).await.status, 404);
        create(&ann, Some(0), "c.png").answer().await.problem(415, "unsupported_media_type");
        let whole = create(&ann, Some(4), "c.png").header("content-type", "application/offset+octet-stream").body("text");
        whole.answer().await.problem(415, "unsupported_media_type");
        app.assert_nothing_but(0).await;

        let bytes = png(6 * 1024 * 1024);
        let upload = Tus::create(&ann, Some(bytes.len()), "").await;
        for (offset, chunk) in [(0, &bytes[..5]), (5, &bytes[5..])] {
            assert_eq!(upload.append(&ann, offset, chunk.to_vec()).await.status, 204);
        }
        assert_eq!(upload.file(&ann).await.header("content-type"), "image/png");
        app.assert_nothing_but(1).await;
    }

    async fn the_type_of_a_signed_put_is_checked_by_its_completion(app: TestApp) {
        let app = with_images_and_pdf_allowed(app).await;
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.png", png(100)).await;
        let signed = ann.sign(&file, "put").await;
        let put = follow(&app.anonymous(), &signed, "text").await;
        // A bucket accepts any bytes.
        if app.setup == Setup::SqliteAndDisk {
            put.problem(415, "unsupported_media_type");
            complete(&ann, &signed).await.problem(409, "upload_incomplete");
        } else {
            assert_eq!(put.status, 200);
            complete(&ann, &signed).await.problem(415, "unsupported_media_type");
            complete(&ann, &signed).await.problem(410, "upload_gone");
        }
        let signed = ann.sign(&file, "put").await;
        assert_eq!(follow(&app.anonymous(), &signed, png(200)).await.status, 200);
        assert_eq!(complete(&ann, &signed).await.status, 200);
        assert!(ann.download(&file).await == png(200));
        app.assert_usage_is_exact().await;
    }
}
