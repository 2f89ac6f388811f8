//! Share links: anyone with a link can read one file, within the options that its owner set.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::accounts::sign_up;
use crate::support::bytes::noise;
use crate::support::client::{Answer, Ask, Client, content, path};
use crate::support::links::create_link;
use crate::support::program::Start;
use crate::support::{Setup, TestApp, both, email, until};

const MIB: usize = 1024 * 1024;
const PASSWORD: &str = "violet tractor under rain";
const FORM: &str = "application/x-www-form-urlencoded";
const HTML: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

fn url(link: &Value) -> &str {
    link["url"].as_str().expect("a URL")
}

/// Where a program gets the content of a link with a download limit.
fn bytes_of(link: &Value) -> String {
    format!("{}?download=1", url(link))
}

fn of(link: &Value) -> String {
    format!("/v1/links/{}", link["id"].as_str().expect("an id"))
}

async fn state(owner: &Client, link: &Value) -> (String, u64) {
    let link = owner.get(&of(link)).answer().await.json();
    (link["state"].as_str().unwrap().to_owned(), link["downloads"].as_u64().unwrap())
}

/// Opens a link as a browser does.
async fn browse(client: &Client, url: &str) -> Answer {
    client.get(url).header("accept", HTML).header("sec-fetch-mode", "navigate").answer().await
}

async fn unlock(client: &Client, link: &Value, password: &str) -> Answer {
    client.post(&format!("{}/unlock", url(link))).json(&json!({"password": password})).answer().await
}

/// Starts a download and disconnects.
async fn interrupt_download(client: &Client, url: &str) {
    let mut answer = client.get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.chunk().await.expect("bytes").expect("a chunk");
}

/// Waits until no response of a link is open.
async fn until_quiet(app: &TestApp) {
    until(async || app.count("SELECT COUNT(*) FROM link_downloads WHERE open_responses > 0").await == 0).await;
}

both! {
    async fn anyone_with_a_link_can_read_the_file(app: TestApp) {
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let bytes = noise(100_000);
        let file = ann.upload("naïve.bin", bytes.clone()).await;
        let link = create_link(&ann, &file, json!({"note": "for the accountant", "download_name": "für dich.bin"})).await;
        assert!(url(&link).starts_with(&app.url("/l/srl_")), "{link}");
        assert_eq!((&link["state"], &link["downloads"], &link["has_password"]), (&json!("active"), &json!(0), &json!(false)));
        for url in [url(&link).to_owned(), format!("{}/anything.bin", url(&link)), format!("{}?download=1", url(&link))] {
            let got = stranger.get(&url).answer().await;
            assert_eq!((got.status, got.header("etag")), (200, file["etag"].as_str().unwrap()));
            assert!(got.bytes == bytes);
            assert_eq!(got.header("content-disposition"), "attachment; filename=\"f_r dich.bin\"; filename*=UTF-8''f%C3%BCr%20dich.bin");
            assert_eq!((got.header("x-robots-tag"), got.header("cache-control")), ("noindex, nofollow", "private, no-store"));
        }
        assert_eq!(state(&ann, &link).await, ("active".into(), 3));
        let shown = ann.get(&of(&link)).answer().await.json();
        assert!(shown["last_downloaded_at"].is_string(), "{shown}");
        let token = url(&link).rsplit('/').next().unwrap();
        app.assert_in_no_row(&[token, &token[4..34]]).await;
        assert!(token.ends_with(shown["last_four"].as_str().unwrap()));
        stranger.get("/l/srl_garbage").answer().await.problem(404, "not_found");
    }

    async fn the_url_of_a_link_is_shown_to_its_owner_again_and_is_in_no_row(app: TestApp) {
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let file = ann.upload("a.txt", "mine").await;
        let link = create_link(&ann, &file, json!({})).await;
        let shown = async |ann: &Client, expected: &Value| {
            let one = ann.get(&of(&link)).answer().await;
            assert_eq!((&one.json()["url"], one.header("cache-control")), (expected, "private, no-store"));
            for list in ["/v1/links".to_owned(), format!("{}/access", path(&file))] {
                let list = ann.get(&list).answer().await;
                let items = list.json()["items"].clone();
                let found = items.as_array().unwrap().iter().map(|item| item.get("link").unwrap_or(item)).find(|item| item["id"] == link["id"]);
                assert_eq!((&found.expect("the link")["url"], list.header("cache-control")), (expected, "private, no-store"));
            }
        };
        shown(&ann, &link["url"]).await;
        assert_eq!(ann.patch(&of(&link)).json(&json!({"note": "n"})).answer().await.json()["url"], link["url"]);
        let token = url(&link).rsplit('/').next().unwrap();
        app.assert_in_no_row(&[token, &token[4..34]]).await;
        // Each of simultaneous rotations gives a URL of its own, and the last one is valid.
        let rotated = join_all((0..8).map(|_| ann.post(&format!("{}/rotate", of(&link))).answer())).await;
        let mut urls: Vec<String> = rotated.iter().map(|answer| url(&answer.json()).to_owned()).collect();
        let last = ann.get(&of(&link)).answer().await.json()["url"].clone();
        assert!(urls.contains(&last.as_str().unwrap().to_owned()));
        urls.push(url(&link).to_owned());
        for url in &urls {
            assert_eq!(stranger.get(url).answer().await.status, if last == **url { 200 } else { 404 });
        }
        urls.sort_unstable();
        urls.dedup();
        assert_eq!(urls.len(), 9);
        shown(&ann, &last).await;
        // With another key of the server the link continues to work, its URL is not known, and the next one is.
        let key = "another key of at least 32 bytes, which makes other tokens";
        let app = app.restart_with(|config| config.secret_key = Some(key.as_bytes().to_vec().into())).await;
        let ann = app.anonymous().with_token(ann.token.as_deref().unwrap(), &json!(ann.id));
        shown(&ann, &Value::Null).await;
        let stranger = app.anonymous();
        assert_eq!(stranger.get(&format!("/l/{}", last.as_str().unwrap().rsplit('/').next().unwrap())).answer().await.bytes, b"mine");
        let next = ann.post(&format!("{}/rotate", of(&link))).answer().await.json();
        assert_eq!(stranger.get(url(&next)).answer().await.bytes, b"mine");
        shown(&ann, &next["url"]).await;
        assert_eq!(ann.delete(&of(&link)).answer().await.status, 204);
        assert_eq!(ann.get(&of(&link)).answer().await.json()["url"], Value::Null);
    }

    async fn parameters_that_programs_append_to_a_link_are_ignored(app: TestApp) {
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let file = ann.upload("a.txt", "shared").await;
        let link = create_link(&ann, &file, json!({"password": "violet tractor"})).await;
        let open = create_link(&ann, &file, json!({})).await;
        for appended in ["fbclid=IwAR0x", "utm_source=mail&utm_medium=a&utm_medium=b", "utm_campaign=caf%E9", "=", "&&"] {
            let page = browse(&stranger, &format!("{}?{appended}", url(&open))).await;
            assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{appended}");
            for path in ["", "/anything.bin"] {
                let got = stranger.get(&format!("{}{path}?{appended}&download=1", url(&open))).answer().await;
                assert_eq!((got.status, got.text().as_str()), (200, "shared"), "{appended}");
            }
            assert_eq!(stranger.head(&format!("{}?{appended}", url(&open))).answer().await.status, 200);
            assert_eq!(browse(&stranger, &format!("{}?{appended}", url(&link))).await.status, 401);
            let unlock = stranger.post(&format!("{}/unlock?{appended}", url(&link)));
            assert_eq!(unlock.json(&json!({"password": "violet tractor"})).answer().await.status, 200);
        }
    }

    async fn links_are_listed_in_pages(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (one, two) = (ann.upload("1", "1").await, ann.upload("2", "2").await);
        let mut created = Vec::new();
        for file in [&one, &two, &one] {
            created.push(create_link(&ann, file, json!({})).await["id"].clone());
        }
        let first = ann.get("/v1/links?limit=2").answer().await.json();
        let ids = |page: &Value| page["items"].as_array().unwrap().iter().map(|link| link["id"].clone()).collect::<Vec<_>>();
        assert_eq!(ids(&first), [created[2].clone(), created[1].clone()]);
        let rest = ann.get(&format!("/v1/links?limit=2&cursor={}", first["next_cursor"].as_str().unwrap())).answer().await.json();
        assert_eq!((ids(&rest), &rest["next_cursor"]), (vec![created[0].clone()], &Value::Null));
        let of_one = ann.get(&format!("/v1/links?file_id={}", one["id"].as_str().unwrap())).answer().await.json();
        assert_eq!(ids(&of_one), [created[2].clone(), created[0].clone()]);
        ann.get("/v1/links?cursor=x").answer().await.problem(400, "bad_cursor");
        assert_eq!(app.sign_up("bob").await.get("/v1/links").answer().await.json()["items"], json!([]));
    }

    async fn invalid_options_are_refused(app: TestApp) {
        let app = app.restart_with(|config| config.links.limit = 1).await;
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "mine").await;
        for (name, value) in [
            ("expires_in", json!(0)), ("expires_in", json!(u64::MAX)), ("max_downloads", json!(0)), ("max_downloads", json!(u64::MAX)),
            ("allow_from", json!(["here"])), ("allow_from", json!("10.0.0.0/8")), ("download_name", json!("a/b")),
            ("note", json!("x".repeat(1001))), ("password", json!("short")), ("password", json!("")),
        ] {
            let problem = ann.post(&format!("{}/links", path(&file))).json(&json!({name: value})).answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["pointer"], format!("/{name}"), "{value}");
        }
        create_link(&ann, &file, json!({})).await;
        ann.post(&format!("{}/links", path(&file))).json(&json!({})).answer().await.problem(409, "too_many_links");
        assert_eq!(app.count("SELECT COUNT(*) FROM links").await, 1);
    }

    async fn expiry_rotation_and_revocation_take_effect_immediately(app: TestApp) {
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let file = ann.upload("a.txt", "mine").await;
        let link = create_link(&ann, &file, json!({"expires_in": 60})).await;
        assert_eq!(stranger.get(url(&link)).answer().await.bytes, b"mine");
        app.advance(Duration::from_secs(61));
        stranger.get(url(&link)).answer().await.problem(410, "link_expired");
        assert_eq!(stranger.head(url(&link)).answer().await.status, 410);
        assert_eq!(browse(&stranger, url(&link)).await.status, 410);
        assert_eq!(state(&ann, &link).await.0, "expired");
        // The owner can extend it.
        assert_eq!(ann.patch(&of(&link)).json(&json!({"expires_in": null})).answer().await.json()["expires_at"], Value::Null);
        assert_eq!(stranger.get(url(&link)).answer().await.status, 200);

        let rotated = ann.post(&format!("{}/rotate", of(&link))).answer().await.json();
        assert_ne!(url(&rotated), url(&link));
        stranger.get(url(&link)).answer().await.problem(404, "not_found");
        assert_eq!(stranger.get(url(&rotated)).answer().await.status, 200);

        for _ in 0..2 {
            assert_eq!(ann.delete(&of(&link)).answer().await.status, 204);
        }
        stranger.get(url(&rotated)).answer().await.problem(410, "link_revoked");
        assert_eq!(state(&ann, &link).await, ("revoked".into(), 3));
        ann.patch(&of(&link)).json(&json!({"expires_in": 60})).answer().await.problem(410, "link_revoked");
        ann.post(&format!("{}/rotate", of(&link))).answer().await.problem(410, "link_revoked");
        app.advance(Duration::from_secs(31 * 24 * 3600));
        app.reap().await;
        assert_eq!(app.count("SELECT COUNT(*) FROM links").await, 0);
    }

    async fn simultaneous_changes_do_not_overwrite_each_other(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "mine").await;
        let link = create_link(&ann, &file, json!({})).await;
        let changes = [json!({"note": "n"}), json!({"inline": true}), json!({"max_downloads": 7}), json!({"expires_in": 60}), json!({"allow_from": ["::1"]}), json!({"password": PASSWORD})];
        let answers = join_all(changes.iter().map(|change| ann.patch(&of(&link)).json(change).answer())).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        let link = ann.get(&of(&link)).answer().await.json();
        assert_eq!((&link["note"], &link["inline"], &link["max_downloads"]), (&json!("n"), &json!(true), &json!(7)));
        assert!(link["expires_at"].is_string() && link["allow_from"] == json!(["::1/128"]) && link["has_password"] == true, "{link}");
    }

    async fn a_link_follows_the_state_of_its_file_and_its_owner(app: TestApp) {
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let (file, other) = (ann.upload("a.txt", "mine").await, ann.upload("b.txt", "other").await);
        let (link, of_other) = (create_link(&ann, &file, json!({})).await, create_link(&ann, &other, json!({"password": PASSWORD})).await);
        let key = unlock(&stranger, &of_other, PASSWORD).await.json()["key"].as_str().unwrap().to_owned();
        strongroom::users::set_disabled(&app.app, &email("ann"), true).await.unwrap();
        for link in [&link, &of_other] {
            stranger.get(url(link)).bearer_auth(&key).answer().await.problem(404, "not_found");
            assert_eq!(stranger.head(url(link)).bearer_auth(&key).answer().await.status, 404);
            assert_eq!(browse(&stranger, url(link)).await.status, 404);
            unlock(&stranger, link, PASSWORD).await.problem(404, "not_found");
        }
        strongroom::users::set_disabled(&app.app, &email("ann"), false).await.unwrap();
        assert_eq!(stranger.get(url(&link)).answer().await.status, 200);
        let signed_in = crate::support::accounts::log_in(&stranger, &email("ann"), crate::support::PASSWORD).await.json();
        let ann = stranger.clone().with_token(signed_in["token"].as_str().unwrap(), &signed_in["user"]["id"]);
        let new = ann.put(&content(&file)).header("if-match", "*").body("newer").answer().await;
        assert_eq!((new.status, stranger.get(url(&link)).answer().await.bytes.as_slice()), (200, b"newer".as_slice()));
        assert_eq!(ann.delete(&path(&file)).answer().await.status, 204);
        stranger.get(url(&link)).answer().await.problem(404, "not_found");
        let restored = ann.post(&format!("/v1/trash/{}/restore", file["id"].as_str().unwrap())).answer().await;
        assert_eq!((restored.status, stranger.get(url(&link)).answer().await.status), (200, 200));
        assert_eq!(ann.delete(&format!("{}?permanent=true", path(&file))).answer().await.status, 204);
        stranger.get(url(&link)).answer().await.problem(404, "not_found");
        ann.get(&of(&link)).answer().await.problem(404, "not_found");
        app.assert_nothing_but(1).await;
    }

    async fn simultaneous_downloads_never_exceed_the_limit(app: TestApp) {
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let bytes = noise(3 * MIB);
        let file = ann.upload("a.bin", bytes.clone()).await;
        let link = create_link(&ann, &file, json!({"max_downloads": 3})).await;
        let answers = join_all((0..50).map(|_| stranger.get(&bytes_of(&link)).answer())).await;
        let (got, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!((got.len(), refused.len()), (3, 47));
        assert!(got.iter().all(|answer| answer.bytes == bytes));
        refused.iter().for_each(|answer| drop(answer.problem(410, "link_used_up")));
        assert_eq!(state(&ann, &link).await, ("used_up".into(), 3));
        assert_eq!(stranger.head(url(&link)).answer().await.status, 410);
        assert_eq!(browse(&stranger, url(&link)).await.status, 410);
        // A response to a range or a condition would tell the size or the version of the file.
        let eleven = ["0-0"; 11].join(",");
        for (name, value) in [
            ("range", format!("bytes={}-", 3 * MIB)), ("range", format!("bytes={eleven}")), ("range", "bytes=x".into()),
            ("if-match", "\"other\"".into()), ("if-none-match", file["etag"].as_str().unwrap().into()),
        ] {
            let refused = stranger.get(&bytes_of(&link)).header(name, &value).answer().await;
            refused.problem(410, "link_used_up");
            assert!(refused.headers.get("content-range").is_none(), "{name}: {value}");
        }
        ann.patch(&of(&link)).json(&json!({"max_downloads": 4})).answer().await;
        assert_eq!(stranger.get(&bytes_of(&link)).answer().await.status, 200);
        stranger.get(&bytes_of(&link)).answer().await.problem(410, "link_used_up");
        ann.patch(&of(&link)).json(&json!({"max_downloads": null})).answer().await;
        assert_eq!(stranger.get(url(&link)).answer().await.status, 200);
    }

    async fn programs_that_check_a_link_use_up_nothing(app: TestApp) {
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let file = ann.upload("a.txt", "mine").await;
        let link = create_link(&ann, &file, json!({"max_downloads": 1, "inline": true})).await;
        let agents = ["Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "BarracudaCentral", "Google-Safety", "Slackbot-LinkExpanding 1.0", ""];
        for agent in agents {
            for accept in ["*/*", HTML, "text/plain"] {
                for method in [Method::GET, Method::HEAD] {
                    let request = stranger.request(method.clone(), url(&link)).header("user-agent", agent);
                    let got = request.header("accept", accept).header("range", "bytes=0-1").answer().await;
                    assert_eq!((got.status, got.header("content-type")), (200, "text/html; charset=utf-8"), "{method} {agent} {accept}");
                    assert!(!got.text().contains("mine"));
                }
            }
        }
        assert_eq!(stranger.head(&bytes_of(&link)).answer().await.header("content-length"), "4");
        let etag = file["etag"].as_str().unwrap();
        assert_eq!(stranger.get(&bytes_of(&link)).header("if-none-match", etag).answer().await.status, 304);
        stranger.get(&bytes_of(&link)).header("range", "bytes=99-").answer().await.problem(416, "range_not_satisfiable");
        // The page has no link to the content, but forms that lead there.
        let page = browse(&stranger, url(&link)).await.text();
        assert!(!page.contains("href"), "{page}");
        for how in ["download", "open"] {
            assert!(page.contains(&format!("<form method=\"post\" action=\"{}?{how}=1\">", url(&link))), "{page}");
            let asked = stranger.post(&format!("{}?{how}=1", url(&link))).header("content-type", FORM).answer().await;
            assert_eq!((asked.status, asked.header("location")), (303, format!("{}?{how}=1", url(&link)).as_str()));
        }
        assert_eq!(state(&ann, &link).await, ("active".into(), 0));
        assert_eq!(browse(&stranger, &bytes_of(&link)).await.bytes, b"mine");
        assert_eq!(state(&ann, &link).await, ("used_up".into(), 1));
    }

    async fn all_but_the_last_byte_is_a_download(app: TestApp) {
        let app = app.restart_with(|config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let file = ann.upload("a.bin", noise(300_000)).await;
        for range in ["bytes=0-299998", "bytes=0-0", "bytes=1-", "bytes=0-1,3-299998", "bytes=-1"] {
            let link = create_link(&ann, &file, json!({"max_downloads": 1})).await;
            let ask = |from: &str| stranger.get(&bytes_of(&link)).header("range", range).header("x-forwarded-for", from).answer();
            assert_eq!(ask("192.0.2.1").await.status, 206, "{range}");
            assert_eq!(state(&ann, &link).await, ("used_up".into(), 1), "{range}");
            ask("192.0.2.2").await.problem(410, "link_used_up");
        }
        // One client reads the file twice at most, whatever the ranges.
        let link = create_link(&ann, &file, json!({"max_downloads": 1})).await;
        let mut sent = 0;
        for _ in 0..8 {
            let answer = stranger.get(&bytes_of(&link)).header("range", "bytes=0-299998").answer().await;
            match answer.status {
                206 => sent += answer.bytes.len(),
                _ => drop(answer.problem(410, "link_used_up")),
            }
        }
        assert!((299_999..=600_000).contains(&sent), "{sent}");
    }

    async fn another_program_at_the_same_address_can_take_a_download_over(app: TestApp) {
        let app = app.restart_with(|config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        for size in [4, 20_000, 5 * MIB] {
            let bytes = noise(size);
            let file = ann.upload("a.bin", bytes.clone()).await;
            let link = create_link(&ann, &file, json!({"max_downloads": 1})).await;
            let ask = |from: &str, agent: &str| {
                stranger.get(&bytes_of(&link)).header("x-forwarded-for", from).header("user-agent", agent)
            };
            // The browser drops the download after the head.
            drop(ask("192.0.2.1", "browser").send().await.expect("an answer"));
            ask("192.0.2.2", "browser").answer().await.problem(410, "link_used_up");
            let taken_over = ask("192.0.2.1", "download manager").answer().await;
            assert!(taken_over.status == 200 && taken_over.bytes == bytes, "{size}: {}", taken_over.status);
            assert_eq!(state(&ann, &link).await, ("used_up".into(), 1));
            // Two copies at most, of which the first was perhaps not sent at all.
            ask("192.0.2.1", "a third one").answer().await;
            ask("192.0.2.1", "a fourth one").answer().await.problem(410, "link_used_up");
        }
    }

    async fn an_interrupted_download_can_start_over(app: TestApp) {
        let app = app.restart_with(|config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let file = ann.upload("a.bin", noise(24 * MIB)).await;
        let link = create_link(&ann, &file, json!({"max_downloads": 1})).await;
        for _ in 0..3 {
            interrupt_download(&stranger, &bytes_of(&link)).await;
            until_quiet(&app).await;
        }
        assert_eq!(state(&ann, &link).await, ("used_up".into(), 1));
        // The one who began it still gets the page; nobody else does.
        let other = |url: &str| stranger.get(url).header("x-forwarded-for", "192.0.2.1");
        assert_eq!(browse(&stranger, url(&link)).await.status, 200);
        other(&bytes_of(&link)).answer().await.problem(410, "link_used_up");
        other(url(&link)).answer().await.problem(410, "link_used_up");
        assert_eq!(stranger.get(&bytes_of(&link)).answer().await.bytes.len(), 24 * MIB);
        assert_eq!(browse(&stranger, url(&link)).await.status, 410);
        stranger.get(&bytes_of(&link)).answer().await.problem(410, "link_used_up");
        assert_eq!(state(&ann, &link).await.1, 1);
    }

    async fn a_resumed_download_is_counted_once(app: TestApp) {
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let bytes = noise(24 * MIB);
        let file = ann.upload("a.bin", bytes.clone()).await;
        let link = create_link(&ann, &file, json!({"max_downloads": 1})).await;
        interrupt_download(&stranger, &bytes_of(&link)).await;
        until_quiet(&app).await;
        let range = |from: usize, to: usize| stranger.get(&bytes_of(&link)).header("range", format!("bytes={from}-{to}"));
        let middle = range(MIB, 2 * MIB - 1).header("user-agent", "another").answer().await;
        assert!(middle.status == 206 && middle.bytes == bytes[MIB..2 * MIB]);
        let rest = range(2 * MIB, 24 * MIB - 1).header("if-range", file["etag"].as_str().unwrap()).answer().await;
        assert!(rest.status == 206 && rest.bytes == bytes[2 * MIB..]);
        assert_eq!(state(&ann, &link).await, ("used_up".into(), 1));
        // The same client can repeat a lost range, but not download the whole file again and again.
        assert_eq!(range(23 * MIB, 24 * MIB - 1).answer().await.status, 206);
        assert_eq!(state(&ann, &link).await.1, 1);
        let more = join_all((0..6).map(|_| range(1, 24 * MIB - 1).answer())).await;
        assert!(more.iter().filter(|answer| answer.status == 206).count() <= 1);
        range(0, 24 * MIB - 1).answer().await.problem(410, "link_used_up");
        app.execute("UPDATE link_downloads SET lease_until = 1").await;
        range(23 * MIB, 24 * MIB - 1).answer().await.problem(410, "link_used_up");
    }

    async fn a_download_of_an_empty_file_is_counted(app: TestApp) {
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let file = ann.upload("empty", "").await;
        let link = create_link(&ann, &file, json!({"max_downloads": 1})).await;
        assert_eq!(stranger.get(&bytes_of(&link)).answer().await.status, 200);
        stranger.get(&bytes_of(&link)).answer().await.problem(410, "link_used_up");
    }

    async fn a_link_can_be_restricted_to_networks(app: TestApp) {
        let app = app.restart_with(|config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let file = ann.upload("a.txt", "mine").await;
        let link = create_link(&ann, &file, json!({"allow_from": ["192.0.2.7/24", "2001:db8::1"], "password": PASSWORD})).await;
        assert_eq!(link["allow_from"], json!(["192.0.2.0/24", "2001:db8::1/128"]));
        for (from, status) in [("192.0.2.200", 200), ("2001:db8::1", 200), ("192.0.3.1", 403), ("2001:db8::2", 403), ("192.0.2.1, 192.0.3.1", 403)] {
            let request = stranger.get(url(&link)).header("x-forwarded-for", from).basic_auth("", Some(PASSWORD));
            assert_eq!(request.answer().await.status, status, "{from}");
        }
        stranger.get(url(&link)).basic_auth("", Some(PASSWORD)).answer().await.problem(403, "network_refused");
        unlock(&stranger, &link, PASSWORD).await.problem(403, "network_refused");
        // Clients are compared as IPv4, so the networks are as well.
        let mapped = json!({"allow_from": ["::ffff:127.0.0.1", "::ffff:192.0.2.7/120", "::ffff:0:0/95"]});
        let link = create_link(&ann, &file, mapped).await;
        assert_eq!(link["allow_from"], json!(["127.0.0.1/32", "192.0.2.0/24", "::fffe:0:0/95"]));
        for (from, status) in [("127.0.0.1", 200), ("192.0.2.200", 200), ("::ffff:192.0.2.200", 200), ("192.0.3.1", 403)] {
            assert_eq!(stranger.get(url(&link)).header("x-forwarded-for", from).answer().await.status, status, "{from}");
        }
        ann.patch(&of(&link)).json(&json!({"allow_from": null})).answer().await;
        assert_eq!(stranger.get(url(&link)).basic_auth("", Some(PASSWORD)).answer().await.status, 200);
    }

    async fn nothing_is_disclosed_before_the_password(app: TestApp) {
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let file = ann.upload("payslip.txt", "all of the money").await;
        let link = create_link(&ann, &file, json!({"password": PASSWORD, "note": "secret note"})).await;
        assert!(link["has_password"] == true && link.get("password").is_none());
        let locked = stranger.get(url(&link)).answer().await;
        locked.problem(401, "password_required");
        assert!(locked.header("www-authenticate").starts_with("Basic"));
        let page = browse(&stranger, url(&link)).await;
        let head = stranger.head(url(&link)).answer().await;
        assert_eq!((page.status, head.status), (401, 401));
        assert!(page.text().contains("type=\"password\"") && page.header("www-authenticate").is_empty());
        for answer in [&locked, &page, &head] {
            let all = format!("{:?} {}", answer.headers, answer.text());
            let etag = file["etag"].as_str().unwrap();
            for word in ["payslip", "text/plain", "money", "secret note", "16 B", etag] {
                assert!(!all.contains(word), "{word}: {all}");
            }
        }
        stranger.get(url(&link)).basic_auth("x", Some("wrong")).answer().await.problem(401, "password_required");
        assert_eq!(stranger.get(url(&link)).basic_auth("x", Some(PASSWORD)).answer().await.bytes, b"all of the money");

        // Once unlocked, the password is not required again; a browser has a cookie for this link only.
        unlock(&stranger, &link, "wrong").await.problem(401, "password_required");
        let unlocked = unlock(&stranger, &link, PASSWORD).await;
        let cookie = unlocked.header("set-cookie").to_owned();
        let path = url(&link).strip_prefix(&app.url("")).unwrap();
        assert!(cookie.contains(&format!("Path={path};")) && cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
        let key = unlocked.json()["key"].as_str().unwrap().to_owned();
        let with_key = || stranger.get(url(&link)).bearer_auth(&key);
        assert_eq!(with_key().answer().await.status, 200);
        let cookie = cookie.split(';').next().unwrap().to_owned();
        assert_eq!(stranger.get(url(&link)).header("cookie", &cookie).answer().await.status, 200);
        let form = stranger.post(&format!("{}/unlock", url(&link))).header("content-type", FORM).body("password=violet+tractor+under%20rain").answer().await;
        assert_eq!((form.status, form.header("location")), (303, url(&link)));
        let wrong = stranger.post(&format!("{}/unlock", url(&link))).header("content-type", FORM).body("password=wrong").answer().await;
        assert!(wrong.status == 401 && wrong.text().contains("type=\"password\"") && !wrong.text().contains("payslip"));
        for body in ["", "password=wrong"] {
            let unknown = stranger.post(&app.url("/l/anything/unlock")).header("content-type", FORM).body(body).answer().await;
            assert_eq!(unknown.status, 404, "a link that does not exist has no password");
        }
        let cross = stranger.post(&format!("{}/unlock", url(&link))).header("origin", "https://evil.example").header("sec-fetch-site", "cross-site");
        cross.json(&json!({"password": PASSWORD})).answer().await.problem(403, "cross_site");

        // The key is not valid for another link, after its lifetime, or once the password has changed.
        let other = create_link(&ann, &file, json!({"password": PASSWORD})).await;
        stranger.get(url(&other)).bearer_auth(&key).answer().await.problem(401, "password_required");
        app.advance(Duration::from_secs(3601));
        with_key().answer().await.problem(401, "password_required");
        let key = unlock(&stranger, &link, PASSWORD).await.json()["key"].as_str().unwrap().to_owned();
        ann.patch(&of(&link)).json(&json!({"password": "other tractor in snow"})).answer().await;
        stranger.get(url(&link)).bearer_auth(&key).answer().await.problem(401, "password_required");
        ann.patch(&of(&link)).json(&json!({"password": null})).answer().await;
        assert_eq!(stranger.get(url(&link)).answer().await.status, 200);
        app.assert_in_no_row(&[PASSWORD, &key]).await;
    }

    async fn password_guesses_are_throttled(app: TestApp) {
        let app = app.restart_with(|config| {
            config.auth.logins_per_account = 3;
            config.auth.logins_per_address = 8;
        }).await;
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let file = ann.upload("a.txt", "mine").await;
        let (link, other) = (create_link(&ann, &file, json!({"password": PASSWORD})).await, create_link(&ann, &file, json!({"password": PASSWORD})).await);
        let key = unlock(&stranger, &link, PASSWORD).await.json()["key"].as_str().unwrap().to_owned();
        let answers = join_all((0..6).map(|_| unlock(&stranger, &link, "wrong"))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 3);
        let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
        let seconds: u64 = refused.header("retry-after").parse().unwrap();
        // The right password is refused too, at every endpoint; a client that has unlocked the link is not affected.
        stranger.get(url(&link)).basic_auth("", Some(PASSWORD)).answer().await.problem(429, "too_many_attempts");
        assert_eq!(stranger.get(url(&link)).bearer_auth(&key).answer().await.status, 200);
        // The address has reached its limit, so another link is refused too.
        unlock(&stranger, &other, PASSWORD).await;
        unlock(&stranger, &other, "wrong").await;
        unlock(&stranger, &other, PASSWORD).await.problem(429, "too_many_attempts");
        app.advance(Duration::from_secs(seconds));
        assert_eq!(unlock(&stranger, &link, PASSWORD).await.status, 200);
    }

    async fn browsers_get_a_page_without_scripts(app: TestApp) {
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let name = "<img src=x onerror=alert(1)>\"'&.png";
        let png = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0".as_slice(), &noise(5000)].concat();
        let file = ann.upload(name, png.clone()).await;
        let link = create_link(&ann, &file, json!({"inline": true, "note": "a note of mine"})).await;
        let page = browse(&stranger, url(&link)).await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
        let text = page.text();
        assert!(text.contains("&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;.png") && !text.contains("<img"), "{text}");
        assert!(text.contains("image/png") && text.contains("kB") && !text.contains("a note") && !text.contains("<script"), "{text}");
        assert_eq!((page.header("cache-control"), page.header("referrer-policy")), ("private, no-store", "same-origin"));
        // Its buttons lead to the content, also in a browser.
        for (query, disposition) in [("download=1", "attachment"), ("open=1", "inline")] {
            assert!(text.contains(&format!("href=\"{}?{query}\"", url(&link))), "{text}");
            let got = browse(&stranger, &format!("{}?{query}", url(&link))).await;
            assert!(got.bytes == png && got.header("content-disposition").starts_with(disposition));
            assert_eq!(got.header("content-security-policy"), "sandbox; default-src 'none'; frame-ancestors 'none'");
        }
        // An image on another page is not a navigation.
        let embedded = stranger.get(url(&link)).header("accept", "image/*,*/*").header("sec-fetch-mode", "no-cors").answer().await;
        assert!(embedded.bytes == png);
        let unknown = browse(&stranger, &app.url("/l/srl_garbage")).await;
        assert!(unknown.status == 404 && unknown.header("content-type").starts_with("text/html"));
        let evil = browse(&stranger, &app.url("/l/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E")).await;
        assert!(evil.status == 404 && !evil.text().contains("<script"), "{}", evil.text());
    }
}

#[tokio::test]
async fn delivery_can_redirect_to_the_bucket() {
    let app =
        TestApp::start_with(Setup::PostgresAndS3, |config| config.links.delivery = strongroom::config::Via::Redirect)
            .await;
    let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
    let file = ann.upload("a.txt", "mine").await;
    let link = create_link(&ann, &file, json!({"max_downloads": 1, "download_name": "yours.txt"})).await;
    let page = browse(&stranger, url(&link)).await;
    assert!(page.header("content-security-policy").contains("form-action 'self' http://"), "{:?}", page.headers);
    assert_eq!(stranger.head(&bytes_of(&link)).answer().await.header("content-length"), "4");
    let redirect = stranger.get(&bytes_of(&link)).answer().await;
    assert_eq!(redirect.status, 302, "{}", redirect.text());
    assert!(redirect.header("location").contains("X-Amz-Expires=30&"), "{}", redirect.header("location"));
    let got = stranger.get(redirect.header("location")).answer().await;
    assert_eq!(
        (got.bytes.as_slice(), got.header("content-disposition")),
        (b"mine".as_slice(), "attachment; filename=\"yours.txt\"")
    );
    // The download is counted when the URL is issued.
    stranger.get(&bytes_of(&link)).answer().await.problem(410, "link_used_up");
    assert_eq!(state(&ann, &link).await, ("used_up".into(), 1));
}

#[tokio::test]
async fn the_log_contains_no_secrets_of_links() {
    let dependencies =
        ["axum", "h2", "hyper", "hyper_util", "multer", "reqwest", "sqlx", "tokio", "tower", "tower_http"];
    let all = dependencies.map(|name| format!(",{name}=trace")).concat();
    for level in ["trace".to_owned(), format!("trace{all}"), "trace,[request]=trace".to_owned()] {
        assert_log_without_secrets(&level).await;
    }
}

async fn assert_log_without_secrets(level: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = Start::default().variable("STRONGROOM_LOG", level).serve(folder.path());
    let (ann, stranger) = (sign_up(&program, "ann@example.org").await, program.anonymous());
    let file = ann.upload("payslip.txt", "mine").await;
    let link = create_link(&ann, &file, json!({"password": PASSWORD, "max_downloads": 3})).await;
    let unlocked = unlock(&stranger, &link, PASSWORD).await;
    let key = unlocked.json()["key"].as_str().unwrap().to_owned();
    unlock(&stranger, &link, "a wrong guess of mine").await.problem(401, "password_required");
    assert_eq!(stranger.get(&bytes_of(&link)).bearer_auth(&key).answer().await.status, 200);
    assert_eq!(browse(&stranger, url(&link)).await.status, 401);
    ann.post(&format!("{}/rotate", of(&link))).answer().await;
    stranger.get(url(&link)).answer().await.problem(404, "not_found");
    let (stdout, stderr) = program.stop();
    let log = stdout + &stderr;
    assert!(log.contains("/l/{token}"), "{log}");
    let token = url(&link).rsplit('/').next().unwrap();
    for secret in [&token[4..34], PASSWORD, "a wrong guess of mine", &key, "payslip"] {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(secret)).collect();
        assert!(lines.is_empty(), "{lines:?}");
    }
}
