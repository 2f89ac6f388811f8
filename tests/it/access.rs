//! The list of everything that gives access to a file, each entry with the request that revokes it.

use std::time::Duration;

use serde_json::{Value, json};
use strongroom::config::SignedUrls;

use crate::support::accounts::another_session;
use crate::support::client::{Ask, Client, content, path};
use crate::support::links::{complete, create_link, follow};
use crate::support::tus::Tus;
use crate::support::{Setup, TestApp, both};

async fn readers(owner: &Client, file: &Value) -> Vec<Value> {
    let answer = owner.get(&format!("{}/access", path(file))).answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["items"].as_array().unwrap().clone()
}

async fn signed_urls(owner: &Client, file: &Value) -> Option<Value> {
    readers(owner, file).await.into_iter().find(|reader| reader["kind"] == "signed_urls")
}

/// Sends the request that an entry names as revoking it.
async fn revoke(owner: &Client, reader: &Value) {
    let (method, path) = reader["ended_by"].as_str().unwrap().split_once(' ').unwrap();
    assert_eq!(owner.request(method.parse().unwrap(), path).answer().await.status, 204, "{reader}");
}

both! {
    async fn everything_that_gives_access_is_listed_and_can_be_revoked(app: TestApp) {
        // URLs that the bucket signs cannot be revoked.
        let app = app.restart_with(|config| config.signed_urls = SignedUrls::Server).await;
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let (file, other) = (ann.upload("a.txt", "mine").await, ann.upload("b.txt", "other").await);
        let only_ann = readers(&ann, &file).await;
        assert_eq!(only_ann.len(), 1, "{only_ann:?}");
        assert_eq!((&only_ann[0]["kind"], &only_ann[0]["sessions"], &only_ann[0]["tokens"]), (&json!("owner"), &json!(1), &json!(0)));

        let token = ann.post("/v1/me/tokens").json(&json!({"name": "backup"})).answer().await.json();
        let program = ann.clone().with_token(token["token"].as_str().unwrap(), &Value::Null);
        let listed = ann.get("/v1/files?urls=signed").answer().await.json()["items"].clone();
        let limited = create_link(&ann, &file, json!({"max_downloads": 5, "expires_in": 60})).await;
        let urls = [
            create_link(&ann, &file, json!({})).await["url"].clone(),
            format!("{}?download=1", limited["url"].as_str().unwrap()).into(),
            ann.sign(&file, "get").await["url"].clone(),
            listed.as_array().unwrap().iter().find(|item| item["id"] == file["id"]).unwrap()["url"].clone(),
        ];
        for url in &urls {
            assert_eq!(stranger.get(url.as_str().unwrap()).answer().await.bytes, b"mine", "{url}");
        }
        let of_other = ann.sign(&other, "get").await;
        let all = readers(&ann, &file).await;
        let kinds: Vec<_> = all.iter().map(|reader| reader["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["owner", "link", "link", "signed_urls"]);
        assert_eq!(all[0]["tokens"], 1);
        assert_eq!(all[3]["revocable"], true);
        for reader in &all[1..] {
            revoke(&ann, reader).await;
        }
        for url in &urls {
            let status = stranger.get(url.as_str().unwrap()).answer().await.status;
            assert!(status == 404 || status == 410, "{url}: {status}");
        }
        revoke(&ann, &json!({"ended_by": format!("DELETE /v1/me/tokens/{}", token["id"].as_str().unwrap())})).await;
        assert_eq!(program.get(&content(&file)).answer().await.status, 401);
        assert_eq!(readers(&ann, &file).await.len(), 1);
        // Other URLs are unaffected, and new ones work.
        assert_eq!(stranger.get(of_other["url"].as_str().unwrap()).answer().await.bytes, b"other");
        assert_eq!(stranger.get(ann.sign(&file, "get").await["url"].as_str().unwrap()).answer().await.bytes, b"mine");
        assert!(signed_urls(&ann, &file).await.is_some());
        strongroom::users::set_disabled(&app.app, "ann@example.org", true).await.unwrap();
        assert_eq!(stranger.get(of_other["url"].as_str().unwrap()).answer().await.status, 404);
    }

    async fn upload_urls_are_listed_and_end_with_their_token(app: TestApp) {
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let file = ann.upload("a.txt", "mine").await;
        let puts = async || readers(&ann, &file).await.into_iter().find(|reader| reader["kind"] == "signed_puts");
        let new_token = async || {
            let token = ann.post("/v1/me/tokens").json(&json!({"name": "t"})).answer().await.json();
            (ann.clone().with_token(token["token"].as_str().unwrap(), &Value::Null), token["id"].as_str().unwrap().to_owned())
        };
        let open_uploads = "SELECT open_uploads FROM spaces";
        assert!(puts().await.is_none());

        // Revoked with the URLs of the file.
        let signed = ann.sign(&file, "put").await;
        assert_eq!((&puts().await.unwrap()["uploads"], app.count(open_uploads).await), (&json!(1), 1));
        revoke(&ann, &puts().await.unwrap()).await;
        assert_eq!((puts().await, app.count(open_uploads).await), (None, 0));
        assert_eq!(complete(&ann, &signed).await.status, 410);
        if app.setup == Setup::SqliteAndDisk {
            assert_eq!(follow(&stranger, &signed, "theirs").await.status, 410);
        }

        // Revoked with the token, and only with that.
        let ((program, id), (other, _)) = (new_token().await, new_token().await);
        let (signed, kept) = (program.sign(&file, "put").await, other.sign(&file, "put").await);
        let new = json!({"name": "d", "mode": "direct", "size": 4});
        let direct = program.post("/v1/uploads").json(&new).answer().await.json();
        let tus = Tus::create(&program, Some(9), "").await;
        tus.append(&program, 0, "half").await;
        let own = Tus::create(&ann, Some(9), "").await;
        assert_eq!((&puts().await.unwrap()["uploads"], app.count(open_uploads).await), (&json!(2), 5));
        assert_eq!(ann.delete(&format!("/v1/me/tokens/{id}")).answer().await.status, 204);
        assert_eq!((&puts().await.unwrap()["uploads"], app.count(open_uploads).await), (&json!(1), 2));
        assert_eq!(complete(&ann, &signed).await.status, 410);
        assert_eq!(ann.get(&format!("/v1/uploads/{}", direct["id"].as_str().unwrap())).answer().await.status, 404);
        assert_eq!(tus.head(&ann).await.status, 404);
        assert_eq!(own.append(&ann, 0, "123456789").await.status, 204);
        assert_eq!(follow(&stranger, &kept, "newer").await.status, 200);
        assert_eq!(complete(&ann, &kept).await.status, 200);
        app.assert_usage_is_exact().await;

        // It expires with the token.
        let body = json!({"name": "t", "expires_in": 60});
        let token = ann.post("/v1/me/tokens").json(&body).answer().await.json();
        ann.clone().with_token(token["token"].as_str().unwrap(), &Value::Null).sign(&file, "put").await;
        app.advance(Duration::from_secs(61));
        app.reap().await;
        assert_eq!((puts().await, app.count(open_uploads).await), (None, 0));
    }

    async fn sessions_that_ended_because_nobody_used_them_are_not_counted(app: TestApp) {
        let app = app.restart_with(|config| config.auth.session_idle = Duration::from_secs(3600)).await;
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "mine").await;
        app.advance(Duration::from_secs(2 * 3600));
        let ann = another_session(&app, "ann").await;
        assert_eq!(readers(&ann, &file).await[0]["sessions"], 1);
        assert_eq!(ann.get("/v1/me/sessions").answer().await.json()["items"].as_array().unwrap().len(), 1);
    }

    async fn expired_links_and_urls_are_not_listed(app: TestApp) {
        let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
        let file = ann.upload("a.txt", "mine").await;
        create_link(&ann, &file, json!({"expires_in": 60})).await;
        let once = create_link(&ann, &file, json!({"max_downloads": 1})).await;
        assert_eq!(stranger.get(&format!("{}?download=1", once["url"].as_str().unwrap())).answer().await.status, 200);
        let signed = ann.sign(&file, "get").await;
        assert_eq!(readers(&ann, &file).await.len(), 3);
        assert_eq!(signed_urls(&ann, &file).await.unwrap()["until"].as_str().unwrap()[..19], signed["expires_at"].as_str().unwrap()[..19]);
        app.advance(Duration::from_secs(1000));
        assert_eq!(readers(&ann, &file).await.len(), 1);
    }

    async fn listing_with_signed_urls_records_nothing_per_file(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let (file, other) = (ann.upload("a.txt", "mine").await, ann.upload("b.txt", "mine").await);
        let list = || async { ann.get("/v1/files?urls=signed&expires_in=3600").answer().await.json() };
        let listed = list().await;
        assert_eq!(app.count("SELECT COUNT(*) FROM files WHERE signed_urls_expire_at > 0").await, 0);
        let expires: jiff::Timestamp = listed["items"][0]["url_expires_at"].as_str().unwrap().parse().unwrap();
        for file in [&file, &other] {
            let until: jiff::Timestamp = signed_urls(&ann, file).await.unwrap()["until"].as_str().unwrap().parse().unwrap();
            assert!(until >= expires);
        }
        app.execute("UPDATE spaces SET list_urls_recorded_at = 77").await;
        if list().await["items"][0]["url_expires_at"] == listed["items"][0]["url_expires_at"] {
            assert_eq!(app.count("SELECT list_urls_recorded_at FROM spaces").await, 77);
        }
        if app.setup == Setup::SqliteAndDisk {
            // A list after a revocation is recorded again.
            assert_eq!(ann.post(&format!("{}/signed-urls/revoke", path(&file))).answer().await.status, 204);
            assert!(signed_urls(&ann, &file).await.is_none() && signed_urls(&ann, &other).await.is_some());
            list().await;
            assert!(signed_urls(&ann, &file).await.is_some());
        }
    }

    async fn links_are_listed_page_by_page(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a.txt", "mine").await;
        let mut links = Vec::new();
        for _ in 0..5 {
            links.push(create_link(&ann, &file, json!({})).await["id"].clone());
        }
        let revoked = format!("/v1/links/{}", links.remove(2).as_str().unwrap());
        assert_eq!(ann.delete(&revoked).answer().await.status, 204);
        ann.sign(&file, "get").await;
        let (mut kinds, mut found, mut cursor) = (Vec::new(), Vec::new(), String::new());
        loop {
            let page = ann.get(&format!("{}/access?limit=2&cursor={cursor}", path(&file))).answer().await.json();
            for entry in page["items"].as_array().unwrap() {
                kinds.push(entry["kind"].as_str().unwrap().to_owned());
                found.extend(entry["link"].as_object().map(|link| link["id"].clone()));
            }
            match page["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        links.reverse();
        assert_eq!(found, links);
        assert_eq!(kinds, ["owner", "link", "link", "signed_urls", "link", "link"]);
        assert_eq!(ann.get(&format!("{}/access?limit=0", path(&file))).answer().await.status, 422);
    }
}

#[tokio::test]
async fn urls_signed_by_the_bucket_are_reported_as_not_revocable() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let ann = app.sign_up("ann").await;
    let file = ann.upload("a.txt", "mine").await;
    ann.sign(&file, "get").await;
    let reader = signed_urls(&ann, &file).await.unwrap();
    assert_eq!((&reader["revocable"], &reader["ended_by"]), (&json!(false), &Value::Null));
    let problem = ann.post(&format!("{}/signed-urls/revoke", path(&file))).answer().await.problem(409, "not_revocable");
    assert!(problem["detail"].as_str().unwrap().contains("STRONGROOM_SIGNED_URLS"), "{problem}");
}

#[tokio::test]
async fn server_signed_urls_work_with_a_bucket() {
    let app = TestApp::start_with(Setup::PostgresAndS3, |config| config.signed_urls = SignedUrls::Server).await;
    let (ann, stranger) = (app.sign_up("ann").await, app.anonymous());
    let file = ann.upload("a.txt", "mine").await;
    let signed = ann.sign(&file, "get").await;
    let url = signed["url"].as_str().unwrap();
    assert!(url.starts_with(&app.url("/v1/signed/")), "{url}");
    let part = stranger.get(url).header("range", "bytes=1-2").answer().await;
    assert_eq!((part.status, part.bytes.as_slice()), (206, b"in".as_slice()));
    stranger.get(&format!("{url}&generation=1")).answer().await.problem(403, "bad_signature");
    // Uploads still go straight to the bucket.
    let put = ann.sign(&file, "put").await;
    assert_eq!(crate::support::links::follow(&stranger, &put, "newer").await.status, 200);
    assert_eq!(crate::support::links::complete(&ann, &put).await.status, 200);
    // The URL was for the replaced content.
    stranger.get(url).answer().await.problem(404, "not_found");
}
