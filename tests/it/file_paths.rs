//! `/v1/files/at/{path}`: files by their paths.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use crate::support::client::{Answer, Ask, Client, path};
use crate::support::links::create_link;
use crate::support::raw::{raw, status};
use crate::support::{Setup, TestApp, both};

fn at(path: &str) -> String {
    format!("/v1/files/at/{path}")
}

async fn put(client: &Client, path: &str, text: &str) -> Answer {
    client.put(&at(path)).body(text.to_owned()).answer().await
}

/// Sends a request line as it is, which an HTTP client would normalize.
async fn raw_status(app: &TestApp, client: &Client, method: &str, target: &str) -> u16 {
    let token = client.token.as_deref().unwrap();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {token}\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx"
    );
    status(&raw(app, request).await)
}

both! {
    async fn a_file_is_created_replaced_and_deleted_by_its_path(app: TestApp) {
        let (ann, bob) = (app.sign_up("ann").await, app.sign_up("bob").await);
        let created = put(&ann, "2026/nov%C3%A9mber/a%20b.txt", "one").await;
        assert_eq!(created.status, 201, "{}", created.text());
        let file = created.json();
        assert_eq!((&file["path"], &file["name"]), (&json!("2026/novémber"), &json!("a b.txt")));
        assert_eq!(created.header("location"), app.url(&path(&file)));
        assert_eq!(created.header("etag"), file["etag"].as_str().unwrap());
        let link = create_link(&ann, &file, json!({})).await;

        let replaced = put(&ann, "2026/nov%C3%A9mber/a%20b.txt", "two").await;
        assert_eq!((replaced.status, &replaced.json()["id"]), (200, &file["id"]));
        for path in ["2026/nov%C3%A9mber/a%20b.txt", "2026%2Fnove%CC%81mber%2fa%20b.txt"] {
            let answer = ann.get(&at(path)).answer().await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "two"), "{path}");
        }
        assert_eq!(app.anonymous().get(&format!("{}?download=1", link["url"].as_str().unwrap())).answer().await.text(), "two");
        bob.get(&at("2026/nov%C3%A9mber/a%20b.txt")).answer().await.problem(404, "not_found");
        bob.delete(&at("2026/nov%C3%A9mber/a%20b.txt")).answer().await.problem(404, "not_found");
        app.anonymous().put(&at("a")).body("x").answer().await.problem(401, "unauthorized");

        assert_eq!(ann.delete(&at("2026/nov%C3%A9mber/a%20b.txt")).answer().await.status, 204);
        ann.get(&at("2026/nov%C3%A9mber/a%20b.txt")).answer().await.problem(404, "not_found");
        ann.delete(&at("2026/nov%C3%A9mber/a%20b.txt")).answer().await.problem(404, "not_found");
        assert_eq!(ann.get("/v1/trash").answer().await.json()["items"][0]["id"], file["id"]);
        put(&ann, "b", "x").await;
        assert_eq!(ann.delete(&at("b?permanent=true")).answer().await.status, 204);
        app.assert_nothing_but(1).await;
    }

    async fn content_by_path_is_delivered_as_by_id(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = put(&ann, "docs/a.txt", "hello, world").await.json();
        let etag = file["etag"].as_str().unwrap();
        let by_id = format!("{}/content", path(&file));
        for (header, value) in [("range", "bytes=0-4"), ("range", "bytes=0-1,4-5"), ("range", "bytes=99-"), ("if-none-match", etag), ("if-match", "\"x\""), ("accept", "*/*")] {
            for method in [Method::GET, Method::HEAD] {
                let send = async |path: &str| ann.request(method.clone(), path).header(header, value).answer().await;
                let (one, other) = (send(&at("docs/a.txt")).await, send(&by_id).await);
                assert_eq!(one.status, other.status, "{method} {header}: {value}");
                for name in ["etag", "content-range", "content-length", "content-disposition", "content-type", "repr-digest", "cache-control"] {
                    // The boundary between the parts is random.
                    if !one.header(name).contains("boundary") && one.status < 400 {
                        assert_eq!(one.header(name), other.header(name), "{method} {header}: {value}: {name}");
                    }
                }
            }
        }
        let redirected = ann.get(&at("docs/a.txt?via=redirect&download=true")).answer().await;
        assert_eq!(redirected.status, 302);
        let events = ann.get(&format!("{}/events", path(&file))).answer().await;
        assert_eq!(events.status, 200);
    }

    async fn the_conditions_of_a_put_are_those_of_http(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let send = |header: &str, value: &str, text: &str| ann.put(&at("a")).header(header, value).body(text.to_owned()).answer();
        send("if-match", "*", "x").await.problem(412, "precondition_failed");
        send("if-match", "\"x\"", "x").await.problem(412, "precondition_failed");
        let created = send("if-none-match", "*", "one").await;
        assert_eq!(created.status, 201);
        send("if-none-match", "*", "two").await.problem(412, "precondition_failed");
        send("if-none-match", "\"x\"", "two").await.problem(422, "invalid");
        send("if-match", "\"x\"", "two").await.problem(412, "precondition_failed");
        send("if-match", "x", "two").await.problem(422, "invalid");
        let etag = created.header("etag").to_owned();
        let replaced = send("if-match", &etag, "two").await;
        assert_eq!((replaced.status, &replaced.json()["id"]), (200, &created.json()["id"]));
        send("if-match", &etag, "three").await.problem(412, "precondition_failed");
        assert_eq!(send("if-match", "*", "three").await.status, 200);
        let both = ann.put(&at("a")).header("if-match", "*").header("if-none-match", "*").body("x").answer().await;
        both.problem(422, "invalid");
        ann.put(&at("a?tags=t")).header("if-match", "*").body("x").answer().await.problem(422, "invalid");
        ann.put(&at("a")).header("content-range", "bytes 0-1/3").body("x").answer().await.problem(400, "malformed");
        let wrong = ann.put(&at("a")).header("repr-digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:").body("x");
        wrong.answer().await.problem(422, "digest_mismatch");
        let delete = |etag: &str| ann.delete(&at("a")).header("if-match", etag.to_owned()).answer();
        delete(&etag).await.problem(412, "precondition_failed");
        assert_eq!(ann.get(&at("a")).answer().await.text(), "three");
        assert_eq!(delete("*").await.status, 204);
    }

    async fn a_path_is_read_strictly(app: TestApp) {
        let ann = app.sign_up("ann").await;
        put(&ann, "docs/a.txt", "x").await;
        for path in [
            "docs//a.txt", "/docs/a.txt", "//a", "docs/a.txt/", "docs/", "%2Fdocs/a.txt", "docs%2F%2Fa.txt", "docs/a.txt%2F", "../a", "docs/../a.txt",
            "docs/./a.txt", ".", "..", "%2e%2e/a", "docs/%2E%2e", "a%00b", "a%0ab", "a%5Cb", "a%ffb", "a%zz", "a%2", "%", "a/%E2%80%AE", "%20",
        ] {
            for method in ["GET", "PUT", "DELETE", "HEAD"] {
                assert_eq!(raw_status(&app, &ann, method, &at(path)).await, 422, "{method} {path}");
            }
        }
        let deep = format!("{}/a", vec!["d"; 65].join("/"));
        put(&ann, &deep, "x").await.problem(422, "invalid");
        put(&ann, &"x".repeat(256), "x").await.problem(422, "invalid");
        let problem = put(&ann, "a%00b", "x").await.problem(422, "invalid");
        assert_eq!(problem["errors"][0]["parameter"], "path");
        assert_eq!(put(&ann, "%252e%252e/100%25", "x").await.json()["name"], "100%", "a path is decoded once");
        assert_eq!(put(&ann, "a+b", "x").await.json()["name"], "a+b");
        ann.get(&at("docs/a.txt?unknown=1")).answer().await.problem(422, "unknown_parameter");
        app.assert_nothing_but(3).await;
    }

    async fn a_file_and_a_folder_do_not_share_a_path(app: TestApp) {
        let ann = app.sign_up("ann").await;
        put(&ann, "docs/a", "x").await;
        put(&ann, "docs", "x").await.problem(409, "path_taken");
        put(&ann, "docs/a/b", "x").await.problem(409, "not_a_folder");
        ann.get(&at("docs")).answer().await.problem(404, "not_found");
        ann.delete(&at("docs")).answer().await.problem(404, "not_found");
        app.assert_nothing_but(1).await;
    }

    async fn puts_to_one_path_at_once_leave_one_whole_content(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let puts = (0..10).map(|number| ann.put(&at("a")).body(number.to_string().repeat(1000)).answer());
        let answers = futures_util::future::join_all(puts).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        let ids: BTreeSet<String> = answers.iter().map(|answer| answer.json()["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), 1);
        let text = ann.get(&at("a")).answer().await.text();
        assert!(text.len() == 1000 && text.bytes().all(|byte| byte == text.as_bytes()[0]), "{text}");
        app.assert_nothing_but(1).await;
    }
}
