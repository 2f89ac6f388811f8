//! A panic is a bug of the server that ends one request: the others continue, on the same connection too.

use std::time::Duration;

use serde_json::Value;

use crate::support::accounts::sign_up;
use crate::support::client::{Ask, fed, path};
use crate::support::program::Start;

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_problem_and_ends_one_request_only() {
    // In a handler, and in the task of an upload: the third one, after those of the preparation.
    for (point, is_upload) in [("D1=1*panic->off", false), ("K1=2*off->1*panic->off", true)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = Start::default().variable("FAILPOINTS", point).serve(folder.path());
        let ann = sign_up(&program, "ann@example.org").await;
        let file = ann.upload("a.txt", "to delete").await;

        // One connection for everything.
        let http = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        let token = ann.token.clone().unwrap();
        let url = |path: &str| format!("{}{path}", program.url);
        let (feed, body) = fed();
        let slow = http.post(url("/v1/files?name=slow.txt")).bearer_auth(&token).body(body);
        let slow = tokio::spawn(async move { slow.answer().await });
        feed.send(Ok(b"before, ".to_vec())).await.unwrap();
        while ann.get("/v1/me/usage").answer().await.json()["open_uploads"] != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }

        let request = || match is_upload {
            true => http.post(url("/v1/files?name=b.txt")).body("b").bearer_auth(&token),
            false => http.delete(url(&path(&file))).bearer_auth(&token),
        };
        let problem = request().answer().await.problem(500, "internal");
        assert_eq!((&problem["detail"], &problem["errors"]), (&"internal server error".into(), &Value::Null));
        assert!(program.stderr().contains("panic"), "{}", program.stderr());
        assert_eq!(request().answer().await.status, if is_upload { 201 } else { 204 });

        feed.send(Ok(b"and after".to_vec())).await.unwrap();
        drop(feed);
        let slow = slow.await.unwrap();
        assert_eq!((slow.status, &slow.json()["size"]), (201, &17.into()), "{}", slow.text());
        assert_eq!(ann.get("/v1/me/usage").answer().await.json()["open_uploads"], 0);
        program.terminate();
        let (status, _, stderr) = program.ended();
        assert!(status.success(), "{stderr}");
    }
}
