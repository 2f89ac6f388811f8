//! Archives of folders and of selections: other tools can read them, they can be resumed, and none is short and looks
//! complete.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::process::{Command, Output};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use zip::{CompressionMethod, ZipArchive};

use crate::support::bytes::noise;
use crate::support::client::{Answer, Ask, Client, content, path};
use crate::support::{Setup, TestApp, both, until};

const MIB: usize = 1024 * 1024;

async fn upload(client: &Client, folder: &str, name: &str, bytes: impl Into<Vec<u8>>) -> Value {
    let answer = client.post("/v1/files").query(&[("path", folder), ("name", name)]).body(bytes.into()).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

async fn folder(client: &Client, path: &str) -> Value {
    client.post("/v1/folders").json(&json!({"path": path})).answer().await.json()
}

fn archive_of(folder: &Value) -> String {
    format!("/v1/folders/{}/archive", folder["id"].as_str().expect("an id"))
}

/// The id of the folder that a file is in.
fn parent(file: &Value) -> Value {
    json!({"id": file["folder_id"]})
}

async fn one_time(client: &Client, selection: Value) -> String {
    let answer = client.post("/v1/archives").json(&selection).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["url"].as_str().unwrap().to_owned()
}

/// The entries of an archive with their contents; the reader verifies each CRC.
fn entries(answer: &Answer) -> BTreeMap<String, Vec<u8>> {
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/zip"), "{}", answer.text());
    assert_eq!(answer.header("content-length"), answer.bytes.len().to_string());
    let mut archive = ZipArchive::new(Cursor::new(&answer.bytes)).expect("an archive");
    let length = archive.len();
    let read = |number| {
        let mut entry = archive.by_index(number).expect("an entry");
        assert_eq!(entry.compression(), CompressionMethod::Stored);
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("bytes");
        (entry.name().expect("a name").into_owned(), bytes)
    };
    (0..length).map(read).collect()
}

/// Runs a program. The server of the test continues meanwhile.
async fn run(program: &'static str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments);
    tokio::task::spawn_blocking(move || command.output()).await.expect("a task").expect("the program runs")
}

fn names(answer: &Answer) -> Vec<String> {
    entries(answer).into_keys().collect()
}

both! {
    async fn a_folder_is_downloaded_with_all_below_it_and_nothing_else(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let large = noise(6 * MIB);
        let first = upload(&ann, "30/november", "große Bytes 日本.bin", large.clone()).await;
        upload(&ann, "30", "empty", "").await;
        upload(&ann, "300", "beside", "another folder").await;
        upload(&ann, "", "above", "the top folder").await;
        for (name, text) in [("A", "upper"), ("a", "lower"), ("CON", "a device"), ("b. ", "spaces"), ("%2e%2e", "percent")] {
            upload(&ann, "30/names", name, text).await;
        }
        folder(&ann, "30/nothing/in it").await;
        let gone = upload(&ann, "30", "gone", "in the trash").await;
        ann.delete(&path(&gone)).answer().await;
        let gone = upload(&ann, "30/trashed", "gone too", "in the trash").await;
        ann.delete(&format!("/v1/folders/{}", gone["folder_id"].as_str().unwrap())).answer().await;

        let month = ann.get("/v1/folders").query(&[("path", "")]).answer().await.json()["items"][0].clone();
        assert_eq!(month["name"], "30");
        let got = ann.get(&archive_of(&month)).answer().await;
        assert_eq!((got.header("content-disposition"), got.header("cache-control")), ("attachment; filename=\"30.zip\"", "private, no-store"));
        let expected: BTreeMap<_, _> = [
            ("30/", ""), ("30/empty", ""), ("30/names/", ""), ("30/names/A", "upper"), ("30/names/a (1)", "lower"),
            ("30/names/CON_", "a device"), ("30/names/b_", "spaces"), ("30/names/%2e%2e", "percent"), ("30/november/", ""),
            ("30/nothing/", ""), ("30/nothing/in it/", ""),
        ].map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into_iter()
            .chain([("30/november/große Bytes 日本.bin".to_owned(), large.clone())]).collect();
        let found = entries(&got);
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        assert!(found == expected);

        // It is the same as long as its contents are.
        let again = ann.get(&archive_of(&month)).answer().await;
        assert!(again.bytes == got.bytes && again.header("etag") == got.header("etag"));
        let head = ann.head(&archive_of(&month)).answer().await;
        assert_eq!((head.status, head.header("content-length"), head.header("etag")), (200, got.header("content-length"), got.header("etag")));
        assert_eq!(ann.get(&archive_of(&month)).header("if-none-match", got.header("etag")).answer().await.status, 304);
        let below = ann.get(&archive_of(&parent(&first))).answer().await;
        assert_eq!(names(&below), ["november/", "november/große Bytes 日本.bin"]);
        let all = ann.get(&archive_of(&json!({"id": ann.id}))).answer().await;
        assert_eq!(all.header("content-disposition"), "attachment; filename=\"files.zip\"");
        assert_eq!(names(&all).iter().filter(|name| !name.starts_with("30/")).collect::<Vec<_>>(), ["300/", "300/beside", "above"]);

        app.app.events.flush().await;
        let events = ann.get("/v1/me/events").answer().await.json();
        let first = events["items"].as_array().unwrap().iter().rfind(|event| event["kind"] == "archive_downloaded");
        let event = &first.expect("an event")["detail"];
        assert_eq!((&event["path"], &event["entries"], &event["complete"]), (&json!("30"), &json!(12), &json!(true)), "{events}");
    }

    async fn other_tools_can_read_an_archive_and_resume_it(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for (name, size) in [("a", 0), ("b", 1), ("c", 65_535), ("d", 65_536), ("e", 3 * MIB), ("f", 70_000)] {
            upload(&ann, "docs/deep", name, noise(size)).await;
        }
        let docs = ann.get("/v1/folders").answer().await.json()["items"][0].clone();
        let whole = ann.get(&archive_of(&docs)).answer().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("docs.zip");
        let file = file.to_str().unwrap();
        let token = format!("authorization: Bearer {}", ann.token.as_deref().unwrap());
        // A part of it is there; curl fetches the rest, in the middle of a header, of a content, and of the directory.
        let length = whole.bytes.len();
        for part in [0, 1, 35, 70_000, 2 * MIB, length - 300, length - 5] {
            std::fs::write(file, &whole.bytes[..part]).unwrap();
            let curl = run("curl", &["-sS", "--fail", "-C", "-", "-H", &token, "-o", file, &app.url(&archive_of(&docs))]).await;
            assert!(curl.status.success(), "{part}: {}", String::from_utf8_lossy(&curl.stderr));
            assert!(std::fs::read(file).unwrap() == whole.bytes, "{part}");
        }
        let unzip = run("unzip", &["-t", file]).await;
        assert!(unzip.status.success(), "{}", String::from_utf8_lossy(&unzip.stdout));
        let script = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(len(z.infolist()))";
        let python = run("python3", &["-c", script, file]).await;
        assert_eq!(String::from_utf8_lossy(&python.stdout).trim(), "8", "{}", String::from_utf8_lossy(&python.stderr));
    }

    async fn a_range_is_a_part_of_the_same_bytes(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for number in 0..150 {
            upload(&ann, &format!("docs/{}", number % 7), &format!("{number}"), noise(number * 10)).await;
        }
        let docs = ann.get("/v1/folders").answer().await.json()["items"][0].clone();
        let whole = ann.get(&archive_of(&docs)).answer().await;
        let length = whole.bytes.len();
        assert_eq!(names(&whole).len(), 158);
        for start in (0..length).step_by(length / 60) {
            let end = (start + length / 3).min(length - 1);
            let part = ann.get(&archive_of(&docs)).header("range", format!("bytes={start}-{end}")).header("if-range", whole.header("etag")).answer().await;
            assert_eq!((part.status, part.header("content-range")), (206, format!("bytes {start}-{end}/{length}").as_str()));
            assert!(part.bytes == whole.bytes[start..=end], "{start}");
        }
        ann.get(&archive_of(&docs)).header("range", format!("bytes={length}-")).answer().await.problem(416, "range_not_satisfiable");
        ann.get(&archive_of(&docs)).header("range", "bytes=0-1,5-6").answer().await.problem(416, "range_not_satisfiable");
        // Another archive is not continued.
        upload(&ann, "docs/3", "new", "new").await;
        let other = ann.get(&archive_of(&docs)).header("range", "bytes=5-").header("if-range", whole.header("etag")).answer().await;
        assert_eq!((other.status, names(&other).len()), (200, 159));
        ann.get(&archive_of(&docs)).header("if-match", whole.header("etag")).answer().await.problem(412, "precondition_failed");
    }

    async fn a_change_in_the_middle_breaks_the_transfer(app: TestApp) {
        for change in ["replaced", "trashed", "moved", "folder trashed", "lost"] {
            let ann = app.sign_up(&change.replace(' ', "-")).await;
            upload(&ann, "docs", "a", noise(24 * MIB)).await;
            let last = upload(&ann, "docs", "b", "the last one").await;
            let url = archive_of(&parent(&last));
            let mut answer = ann.get(&url).send().await.expect("an answer");
            assert_eq!(answer.status(), 200);
            answer.chunk().await.expect("bytes").expect("a chunk");
            let done = match change {
                "replaced" => ann.put(&content(&last)).header("if-match", "*").body("other").answer().await.status,
                "trashed" => ann.delete(&path(&last)).answer().await.status,
                "moved" => ann.patch(&path(&last)).json(&json!({"path": "other"})).answer().await.status,
                "folder trashed" => ann.delete(&format!("/v1/folders/{}", last["folder_id"].as_str().unwrap())).answer().await.status,
                _ => {
                    let key = app.text("SELECT b.key FROM blobs b JOIN files f ON f.blob_id = b.id JOIN users u ON u.id = f.space_id WHERE f.name = 'b' AND u.email LIKE 'lost%'").await;
                    app.app.store.delete(&key.parse().unwrap(), None).await.unwrap();
                    200
                }
            };
            assert!(done < 300, "{change}: {done}");
            let rest = answer.bytes().await;
            assert!(rest.is_err(), "{change}: the whole archive was sent");
        }
    }

    async fn the_end_of_the_session_ends_the_transfer(app: TestApp) {
        let app = app.restart_with(|config| config.auth.access_check_interval = Duration::ZERO).await;
        let ann = app.sign_up("ann").await;
        let file = upload(&ann, "docs", "a", noise(24 * MIB)).await;
        let once = one_time(&ann, json!({"files": [file["id"]]})).await;
        for url in [archive_of(&parent(&file)), once.clone()] {
            let signed_in = crate::support::accounts::log_in(&app.anonymous(), "ann@example.org", crate::support::PASSWORD).await.json();
            let other = app.anonymous().with_token(signed_in["token"].as_str().unwrap(), &signed_in["user"]["id"]);
            let url = if url == once { one_time(&other, json!({"files": [file["id"]]})).await } else { url };
            let mut answer = other.get(&url).send().await.expect("an answer");
            answer.chunk().await.expect("bytes").expect("a chunk");
            assert_eq!(other.post("/v1/auth/logout").answer().await.status, 204);
            assert!(answer.bytes().await.is_err(), "{url}");
            assert!([401, 404].contains(&other.get(&url).answer().await.status));
        }
    }

    async fn a_selection_is_downloaded_once(app: TestApp) {
        let app = app.restart_with(|config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
        let (ann, bob, browser) = (app.sign_up("ann").await, app.sign_up("bob").await, app.anonymous());
        let one = upload(&ann, "docs", "a.txt", "one").await;
        let two = upload(&ann, "more", "a.txt", "two").await;
        let selection = json!({"folders": [one["folder_id"]], "files": [one["id"], two["id"]], "name": "für dich.zip"});
        let url = one_time(&ann, selection.clone()).await;
        assert!(url.starts_with(&app.url("/v1/archives/sra_")));
        app.assert_in_no_row(&[url.rsplit('/').next().unwrap()]).await;
        let from = |address: &str| browser.get(&url).header("x-forwarded-for", address);
        assert_eq!(browser.head(&url).answer().await.status, 200);
        let whole = from("192.0.2.1").answer().await;
        assert_eq!(entries(&whole).into_iter().collect::<Vec<_>>(), [
            ("a (1).txt".to_owned(), b"two".to_vec()), ("a.txt".to_owned(), b"one".to_vec()), ("docs/".to_owned(), Vec::new()),
            ("docs/a.txt".to_owned(), b"one".to_vec()),
        ]);
        assert_eq!(whole.header("content-disposition"), "attachment; filename=\"f_r dich.zip\"; filename*=UTF-8''f%C3%BCr%20dich.zip");
        // Its end can be fetched again by the same client.
        assert_eq!(from("192.0.2.1").header("range", "bytes=10-").answer().await.status, 206);
        from("192.0.2.1").answer().await.problem(404, "not_found");
        from("192.0.2.2").header("range", "bytes=10-").answer().await.problem(404, "not_found");

        // Another client cannot take it over, and one that was interrupted continues.
        let big = upload(&ann, "", "big", noise(24 * MIB)).await;
        let url = one_time(&ann, json!({"files": [big["id"]]})).await;
        let from = |address: &str| browser.get(&url).header("x-forwarded-for", address);
        let mut begun = from("192.0.2.1").send().await.unwrap();
        begun.chunk().await.unwrap().unwrap();
        drop(begun);
        from("192.0.2.2").answer().await.problem(404, "not_found");
        assert_eq!(from("192.0.2.1").header("range", "bytes=1000-").answer().await.bytes.len(), 24 * MIB + 2 * (30 + 3) + 16 + 22 - 1000 + 16 - 16);

        // It expires, and ends with the session.
        let url = one_time(&ann, selection.clone()).await;
        app.advance(Duration::from_secs(301));
        browser.get(&url).answer().await.problem(404, "not_found");
        let url = one_time(&ann, selection).await;
        assert_eq!(ann.delete(&path(&two)).answer().await.status, 204);
        browser.get(&url).answer().await.problem(404, "not_found");
        // What belongs to others, or does not exist, cannot be selected.
        for (selection, status) in [
            (json!({"files": [one["id"]]}), 404), (json!({"folders": [one["folder_id"]]}), 404), (json!({"folders": [ann.id]}), 404),
            (json!({"files": [bob.id]}), 404), (json!({}), 422), (json!({"files": vec![bob.id.clone(); 1001]}), 422),
            (json!({"files": ["../x"]}), 422), (json!({"folders": [bob.id], "name": "../x"}), 422),
        ] {
            assert_eq!(bob.post("/v1/archives").json(&selection).answer().await.status, status, "{selection}");
        }
        app.advance(Duration::from_secs(3601));
        app.reap().await;
        assert_eq!(app.count("SELECT COUNT(*) FROM archive_urls").await, 0);
    }

    async fn what_is_shared_is_archived_by_those_who_may_read_it(app: TestApp) {
        let app = app.restart_with(|config| config.auth.access_check_interval = Duration::ZERO).await;
        let (ann, bob, browser) = (app.sign_up("ann").await, app.sign_up("bob").await, app.anonymous());
        upload(&ann, "clients/acme", "private.txt", "private").await;
        upload(&ann, "clients/acme/for-bob/2026", "plan.txt", "plan").await;
        let big = upload(&ann, "clients/acme/for-bob", "big", noise(24 * MIB)).await;
        let other = upload(&ann, "clients/acme/else", "other.txt", "other").await;
        let own = upload(&bob, "", "own.txt", "own").await;
        let shared = parent(&big);
        let share = async |role: &str| {
            let wanted = json!({"folder_id": shared["id"], "user_id": bob.id, "role": role});
            let answer = ann.post("/v1/grants").json(&wanted).answer().await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            format!("/v1/grants/{}", answer.json()["id"].as_str().unwrap())
        };
        let select = async |selection: Value| bob.post("/v1/archives").json(&selection).answer().await;

        // Those who may not read get nothing.
        let (folder_alone, file_alone) = (json!({"folders": [shared["id"]]}), json!({"files": [big["id"]]}));
        for (role, of_file, code) in [("uploader", 404, "not_found"), ("previewer", 403, "right_required")] {
            let grant = share(role).await;
            bob.get(&archive_of(&shared)).answer().await.problem(403, "right_required");
            assert_eq!(bob.head(&archive_of(&shared)).answer().await.status, 403);
            select(folder_alone.clone()).await.problem(403, "right_required");
            select(file_alone.clone()).await.problem(of_file, code);
            assert_eq!(ann.delete(&grant).answer().await.status, 204);
        }

        // A guest who may read gets names from the shared folder on, and nothing beside it.
        let grant = share("viewer").await;
        let expected = ["for-bob/", "for-bob/2026/", "for-bob/2026/plan.txt", "for-bob/big"];
        let whole = bob.get(&archive_of(&shared)).answer().await;
        assert_eq!(whole.header("content-disposition"), "attachment; filename=\"for-bob.zip\"");
        assert_eq!(names(&whole), expected);
        for hidden in ["clients", "acme", "private"] {
            assert!(!whole.bytes.windows(hidden.len()).any(|bytes| bytes == hidden.as_bytes()), "{hidden}");
        }
        bob.get(&archive_of(&parent(&other))).answer().await.problem(404, "not_found");
        select(json!({"folders": [shared["id"]], "files": [other["id"]]})).await.problem(404, "not_found");
        let both = json!({"folders": [shared["id"]], "files": [own["id"]]});
        let used = one_time(&bob, both.clone()).await;
        assert_eq!(names(&browser.get(&used).answer().await), [&expected[..], &["own.txt"]].concat());

        // The audit log of each space has it, with who asked for it.
        app.app.events.flush().await;
        for space in [&ann, &bob] {
            let events = space.get("/v1/me/events").answer().await.json();
            let found = events["items"].as_array().unwrap().iter().any(|event| {
                event["kind"] == "archive_downloaded" && event["channel"] == "signed_url" && event["actor_id"] == json!(bob.id)
            });
            assert!(found, "{events}");
        }

        // A file that is moved to where the guest may not read is not sent.
        let last = upload(&ann, "clients/acme/for-bob", "last", "last").await;
        let url = one_time(&bob, json!({"files": [big["id"], last["id"]]})).await;
        let mut begun = browser.get(&url).send().await.expect("an answer");
        begun.chunk().await.expect("bytes").expect("a chunk");
        assert_eq!(ann.patch(&path(&last)).json(&json!({"path": "clients/acme"})).answer().await.status, 200);
        assert!(begun.bytes().await.is_err());

        // What was asked for ends with the grant: the URL that was not used, and transfers in progress.
        let (unused, used) = (one_time(&bob, both).await, one_time(&bob, file_alone).await);
        let mut running = Vec::new();
        for request in [bob.get(&archive_of(&shared)), browser.get(&used)] {
            let mut answer = request.send().await.expect("an answer");
            assert_eq!(answer.status(), 200);
            answer.chunk().await.expect("bytes").expect("a chunk");
            running.push(answer);
        }
        assert_eq!(ann.delete(&grant).answer().await.status, 204);
        for answer in running {
            assert!(answer.bytes().await.is_err());
        }
        for url in [&unused, &used] {
            browser.get(url).answer().await.problem(404, "not_found");
            assert_eq!(browser.head(url).answer().await.status, 404);
        }
        bob.get(&archive_of(&shared)).answer().await.problem(404, "not_found");
        // A role that does not read does not open it either.
        share("previewer").await;
        browser.get(&unused).answer().await.problem(404, "not_found");
    }

    async fn archives_have_limits(app: TestApp) {
        let app = app.restart_with(|config| (config.limits.archives, config.limits.archive_entries) = (5, 4)).await;
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let file = upload(&ann, "docs", "a", noise(24 * MIB)).await;
        for name in ["b", "c"] {
            upload(&ann, "docs", name, name).await;
        }
        let url = archive_of(&parent(&file));
        assert_eq!(names(&ann.get(&url).answer().await).len(), 4);
        let running = join_all((0..2).map(|_| ann.get(&url).send())).await;
        let refused = ann.get(&url).answer().await;
        refused.problem(503, "too_many_archives");
        assert!(refused.header("retry-after").parse::<u64>().is_ok());
        // Others have their own.
        upload(&bob, "docs", "a", "a").await;
        assert_eq!(bob.get(&archive_of(&json!({"id": bob.id}))).answer().await.status, 200);
        drop(running);
        until(async || ann.get(&url).answer().await.status == 200).await;
        upload(&ann, "docs", "d", "one too many").await;
        let problem = ann.get(&url).answer().await.problem(409, "too_many_entries");
        assert!(problem["detail"].as_str().unwrap().contains("limit 4"));
    }

    async fn uploads_of_every_kind_have_the_crc_of_their_content(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bytes = noise(100_000);
        let tus = crate::support::tus::Tus::create(&ann, Some(bytes.len()), "tus").await;
        for at in [0, 33_333, 77_777] {
            let end = if at == 77_777 { bytes.len() } else { [33_333, 77_777][usize::from(at > 0)] };
            assert_eq!(tus.append(&ann, at, bytes[at..end].to_vec()).await.status, 204);
        }
        let file = ann.upload("put", "old").await;
        let put = ann.sign(&file, "put").await;
        assert_eq!(crate::support::links::follow(&app.anonymous(), &put, bytes.clone()).await.status, 200);
        assert_eq!(crate::support::links::complete(&ann, &put).await.status, 200);
        let replaced = ann.upload("replaced", "old").await;
        assert_eq!(ann.put(&content(&replaced)).header("if-match", "*").body(bytes.clone()).answer().await.status, 200);
        let got = entries(&ann.get(&archive_of(&json!({"id": ann.id}))).answer().await);
        assert_eq!(got.keys().collect::<Vec<_>>(), ["put", "replaced", "tus"]);
        assert!(got.values().all(|content| *content == bytes));
    }
}

/// More entries than one page of the list, and than the 16 bits of the plain format count.
#[tokio::test]
async fn many_files_are_in_one_archive() {
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let ann = app.sign_up("ann").await;
    upload(&ann, "docs", "0", "").await;
    app.execute(
        "INSERT INTO blobs (id, space_id, key, state, lease_until, size, sha256, crc32, content_type, created_at, ready_at)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70000)
        SELECT unhex(format('%032x', i)), u.id, format('%032x', i), 'ready', 0, 0, x'00', 0, 'text/plain', 0, 0
        FROM n, users u",
    )
    .await;
    app.execute(
        "INSERT INTO files (id, space_id, folder_id, name, search, sort_key, blob_id, size, metadata, created_at, updated_at)
        SELECT b.id, b.space_id, d.id, b.key, '', '', b.id, 0, '{}', 0, 0 FROM blobs b, folders d
        WHERE b.sha256 = x'00' AND d.name = 'docs'",
    )
    .await;
    let docs = ann.get("/v1/folders").answer().await.json()["items"][0].clone();
    assert_eq!(names(&ann.get(&archive_of(&docs)).answer().await).len(), 70_002);
}
