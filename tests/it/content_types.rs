//! Only the content types that the operator allows are stored. The type is detected from the bytes.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use strongroom::config::AllowedTypes;

use crate::support::bytes::noise;
use crate::support::client::{Ask, content};
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

both! {
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
        let put = follow(&app.stranger(), &signed, "text").await;
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
        assert_eq!(follow(&app.stranger(), &signed, png(200)).await.status, 200);
        assert_eq!(complete(&ann, &signed).await.status, 200);
        assert!(ann.download(&file).await == png(200));
        app.assert_usage_is_exact().await;
    }
}
