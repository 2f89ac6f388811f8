//! The export of an account contains all of its data, in an archive that other tools can read.

use std::io::{Cursor, Read};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use zip::ZipArchive;

use crate::support::bytes::noise;
use crate::support::client::{Ask, Client, path};
use crate::support::tcp_proxy::through_tcp_proxy;
use crate::support::{Setup, TestApp, both, until};

async fn exported(client: &Client) -> ZipArchive<Cursor<Vec<u8>>> {
    let answer = client.get("/v1/me/export").answer().await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/zip"), "{}", answer.text());
    assert!(answer.header("content-disposition").starts_with("attachment; filename=\"strongroom-20"));
    assert_eq!(answer.header("cache-control"), "private, no-store");
    ZipArchive::new(Cursor::new(answer.bytes)).expect("an archive")
}

fn read(archive: &mut ZipArchive<Cursor<Vec<u8>>>, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    archive.by_name(name).unwrap_or_else(|error| panic!("{name}: {error}")).read_to_end(&mut bytes).expect("bytes");
    bytes
}

fn description(archive: &mut ZipArchive<Cursor<Vec<u8>>>) -> Value {
    serde_json::from_slice(&read(archive, "strongroom.json")).expect("JSON")
}

async fn upload(client: &Client, folder: &str, name: &str, bytes: Vec<u8>) -> Value {
    client.post("/v1/files").query(&[("path", folder), ("name", name)]).body(bytes).answer().await.json()
}

both! {
    async fn it_contains_all_data_under_the_original_paths(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        bob.upload("bob.txt", "not ann's").await;
        let large = noise(6_000_000);
        let first = upload(&ann, "2026/november", "große Bytes 日本.bin", large.clone()).await;
        ann.patch(&path(&first)).json(&json!({"metadata": {"invoice": 17}})).answer().await;
        upload(&ann, "", "empty", Vec::new()).await;
        upload(&ann, "", "A", b"upper".to_vec()).await;
        upload(&ann, "", "a", b"lower".to_vec()).await;
        upload(&ann, "B", "below", b"below".to_vec()).await;
        upload(&ann, "", "b", b"beside".to_vec()).await;
        upload(&ann, "", "Maß", b"short".to_vec()).await;
        upload(&ann, "", "MASS", b"long".to_vec()).await;
        let gone = upload(&ann, "", "gone.txt", b"in the trash".to_vec()).await;
        ann.delete(&path(&gone)).answer().await;
        ann.post("/v1/me/tokens").json(&json!({"name": "backup"})).answer().await;
        let png = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &noise(1000)].concat();
        assert_eq!(ann.put("/v1/me/avatar").body(png.clone()).answer().await.status, 201);
        app.app.events.flush().await;

        let mut archive = exported(&ann).await;
        let description = description(&mut archive);
        assert_eq!((&description["format"], &description["account"]["email"]), (&json!("strongroom-export"), &json!("ann@example.org")));
        assert_eq!(description["tokens"][0]["name"], "backup");
        let files = description["files"].as_array().unwrap();
        assert_eq!((files.len(), description["trash"].as_array().unwrap().len()), (8, 1));
        assert!(description["events"].as_array().unwrap().iter().any(|event| event["kind"] == "file_trashed"));
        let described = files.iter().find(|file| file["id"] == first["id"]).unwrap();
        assert_eq!((&described["sha256"], &described["metadata"]), (&first["sha256"], &json!({"invoice": 17})));
        assert_eq!(described["archive_path"], "files/2026/november/große Bytes 日本.bin");
        assert!(read(&mut archive, "files/2026/november/große Bytes 日本.bin") == large);
        assert_eq!(read(&mut archive, "files/empty"), b"");
        assert_eq!(read(&mut archive, "trash/gone.txt"), b"in the trash");
        assert_eq!(read(&mut archive, "avatar.png"), png);
        // Not every filesystem can hold these names side by side.
        assert_eq!(read(&mut archive, "files/A"), b"upper");
        assert_eq!(read(&mut archive, "files/a (1)"), b"lower");
        assert_eq!(read(&mut archive, "files/B/below"), b"below");
        assert_eq!(read(&mut archive, "files/b (1)"), b"beside");
        assert_eq!((read(&mut archive, "files/MASS"), read(&mut archive, "files/Maß (1)")), (b"long".to_vec(), b"short".to_vec()));
        assert_eq!(archive.len(), 11);
        let events = ann.get("/v1/me/events").answer().await.json();
        assert!(events["items"].as_array().unwrap().iter().any(|event| event["kind"] == "account_exported") || {
            app.app.events.flush().await;
            app.count("SELECT COUNT(*) FROM audit_events WHERE kind = 'account_exported'").await == 1
        });
    }

    async fn an_empty_account_can_be_exported(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let mut archive = exported(&ann).await;
        assert_eq!(archive.len(), 1);
        let description = description(&mut archive);
        assert_eq!((&description["files"], &description["trash"], &description["tokens"]), (&json!([]), &json!([]), &json!([])));
    }

    async fn content_that_the_store_has_lost_is_listed_and_the_rest_is_exported(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for name in ["a", "b", "c"] {
            upload(&ann, "docs", name, name.as_bytes().to_vec()).await;
        }
        let lost = app.text("SELECT b.key FROM blobs b JOIN files f ON f.blob_id = b.id WHERE f.name = 'b'").await;
        app.app.store.delete(&lost.parse().unwrap(), None).await.unwrap();
        let mut archive = exported(&ann).await;
        let names: Vec<_> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["strongroom.json", "files/docs/a", "files/docs/c", "MISSING.txt"]);
        assert_eq!(description(&mut archive)["files"].as_array().unwrap().len(), 3);
        let listed = String::from_utf8(read(&mut archive, "MISSING.txt")).unwrap();
        assert!(listed.ends_with("\n\nmissing or too short: files/docs/b\n"), "{listed}");
    }

    async fn an_account_has_one_export_at_a_time_and_the_server_a_few(app: TestApp) {
        let app = app.restart_with(|config| config.limits.exports = 1).await;
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        ann.upload("0.bin", noise(20_000_000)).await;
        let running = ann.get("/v1/me/export").send().await.unwrap();
        ann.get("/v1/me/export").answer().await.problem(409, "export_running");
        let refused = bob.get("/v1/me/export").answer().await;
        refused.problem(503, "too_many_exports");
        assert!(refused.header("retry-after").parse::<u64>().is_ok());
        // Its reader hangs up.
        drop(running);
        until(async || bob.get("/v1/me/export").answer().await.status == 200).await;
        until(async || ann.get("/v1/me/export").answer().await.status == 200).await;
    }

    async fn more_files_than_one_page_are_exported(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for number in 0..105 {
            ann.upload(&format!("{number}.txt"), number.to_string()).await;
        }
        let mut archive = exported(&ann).await;
        assert_eq!(description(&mut archive)["files"].as_array().unwrap().len(), 105);
        for number in 0..105 {
            assert_eq!(read(&mut archive, &format!("files/{number}.txt")), number.to_string().as_bytes());
        }
    }
}

/// An independent reader, which verifies every CRC.
#[tokio::test]
async fn python_can_read_the_archive() {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let ann = app.sign_up("ann").await;
    upload(&ann, "größe", "日本.bin", noise(200_000)).await;
    upload(&ann, "", "empty", Vec::new()).await;
    let bytes = ann.get("/v1/me/export").answer().await.bytes;
    let archive = app.folder.path().join("export.zip");
    std::fs::write(&archive, bytes).unwrap();
    let script = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None
print('|'.join(f'{i.filename}:{i.file_size}:{i.flag_bits >> 11 & 1}' for i in z.infolist()[1:]))";
    let output =
        Command::new("python3").env("PYTHONIOENCODING", "utf-8").args(["-c", script]).arg(&archive).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let entries = String::from_utf8(output.stdout).unwrap();
    assert_eq!(entries.trim(), "files/empty:0:1|files/größe/日本.bin:200000:1");
}

/// A reader that never seeks and knows no size in advance, as Java's `ZipInputStream`.
#[tokio::test]
async fn a_reader_that_streams_can_read_the_archive() {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let ann = app.sign_up("ann").await;
    upload(&ann, "", "a zip in a zip.zip", b"PK\x03\x04 PK\x07\x08 PK\x01\x02".repeat(20_000)).await;
    upload(&ann, "", "empty", Vec::new()).await;
    upload(&ann, "", "last", noise(65_535)).await;
    let bytes = ann.get("/v1/me/export").answer().await.bytes;
    let archive = app.folder.path().join("export.zip");
    std::fs::write(&archive, bytes).unwrap();
    let script = "import struct, sys, zlib
rest, found = open(sys.argv[1], 'rb').read(), []
while rest[:4] == b'PK\\x03\\x04':
    flags, method, crc, size, name, extra = struct.unpack('<6xHH4xI4xIHH', rest[:30])
    assert (method, crc, size) == (8, 0, 0) and flags & 8
    inflate = zlib.decompressobj(-15)
    content = inflate.decompress(rest[30 + name + extra:])
    assert inflate.eof
    found.append(f'{rest[30:30 + name].decode()}:{len(content)}')
    signature, crc, size = struct.unpack('<4sI4xI', inflate.unused_data[:16])
    assert (signature, crc, size) == (b'PK\\x07\\x08', zlib.crc32(content), len(content))
    rest = inflate.unused_data[16:]
assert rest[:4] == b'PK\\x01\\x02'
print('|'.join(found[1:]))";
    let output = Command::new("python3").args(["-c", script]).arg(&archive).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let entries = String::from_utf8(output.stdout).unwrap();
    assert_eq!(entries.trim(), "files/a zip in a zip.zip:280000|files/empty:0|files/last:65535");
}

#[tokio::test]
async fn a_store_failure_aborts_the_response() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let strongroom::config::StoreConfig::S3(s3) = &app.app.config.store else { unreachable!("it is on S3") };
    let (network, detour) = through_tcp_proxy(s3.endpoint.as_ref().unwrap()).await;
    let app = app
        .restart_with(|config| {
            if let strongroom::config::StoreConfig::S3(s3) = &mut config.store {
                s3.endpoint = Some(detour);
            }
        })
        .await;
    let ann = app.sign_up("ann").await;
    for number in 0..4 {
        ann.upload(&format!("{number}.bin"), noise(8_000_000)).await;
    }
    let mut answer = ann.get("/v1/me/export").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.chunk().await.unwrap().is_some());
    network.cut();
    let broken = loop {
        match answer.chunk().await {
            Err(_) => break true,
            Ok(None) => break false,
            Ok(Some(_)) => {}
        }
    };
    assert!(broken, "the response looks complete");
}

/// An export can take hours; its session may have been ended for a reason.
#[tokio::test]
async fn an_export_is_aborted_soon_after_its_session_has_ended() {
    let app = TestApp::start_with(Setup::SqliteAndDisk, |config| {
        config.auth.access_check_interval = Duration::ZERO;
    });
    let app = app.await;
    let ann = app.sign_up("ann").await;
    ann.upload("0.bin", noise(20_000_000)).await;
    let mut response = ann.get("/v1/me/export").send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    assert_eq!(ann.post("/v1/auth/logout").answer().await.status, 204);
    let broken = loop {
        match response.chunk().await {
            Err(_) => break true,
            Ok(None) => break false,
            Ok(Some(_)) => {}
        }
    };
    assert!(broken, "the export was completed");
}

/// Also while it describes the account, before the content of the first file.
#[tokio::test]
async fn a_long_description_is_aborted_soon_after_its_session_has_ended() {
    let app = TestApp::start_with(Setup::SqliteAndDisk, |config| {
        config.auth.access_check_interval = Duration::ZERO;
    });
    let app = app.await;
    let ann = app.sign_up("ann").await;
    for number in 0..20 {
        ann.upload(&format!("{number}.txt"), "small").await;
    }
    app.execute("UPDATE audit_events SET detail = json_object('long', hex(zeroblob(500000)))").await;
    let mut response = ann.get("/v1/me/export").send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    assert_eq!(ann.post("/v1/auth/logout").answer().await.status, 204);
    let mut received = 0;
    while let Some(chunk) = response.chunk().await.unwrap_or_default() {
        received += chunk.len();
    }
    // What was in transit, of more than 20 MB.
    assert!(received < 15_000_000, "{received} bytes");
}

/// A file that is deleted during the export is omitted, and the archive is still valid.
#[tokio::test]
async fn files_deleted_during_the_export_are_omitted() {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let ann = app.sign_up("ann").await;
    ann.upload("0.bin", noise(20_000_000)).await;
    let last = ann.upload("1.txt", "last").await;
    let mut answer = ann.get("/v1/me/export").send().await.unwrap();
    let mut bytes = answer.chunk().await.unwrap().unwrap().to_vec();
    assert_eq!(ann.delete_permanently(&last).answer().await.status, 204);
    while let Some(chunk) = answer.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    assert_eq!(description(&mut archive)["files"].as_array().unwrap().len(), 2);
    let names: Vec<_> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(names, ["strongroom.json", "files/0.bin"]);
}
