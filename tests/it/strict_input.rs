//! Input that an operation does not document is refused, on every operation, and changes nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::client::{Ask, Client, path};
use crate::support::operations::{Access, OPERATIONS, Resources, request};
use crate::support::{PASSWORD, Setup, TestApp, both, email};

/// The methods and paths of the operations that take a JSON body.
fn with_json_body() -> BTreeSet<(String, String)> {
    let description: Value = serde_json::from_str(strongroom::api::description()).unwrap();
    let mut found = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let content = operation["requestBody"]["content"].as_object();
            if content.is_some_and(|content| content.keys().any(|media| media.ends_with("json"))) {
                found.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    assert!(found.len() > 15, "{found:?}");
    found
}

/// The only user of the server, an admin, with one of each resource.
async fn admin(app: &TestApp) -> (Client, Resources) {
    let ann = app.sign_up("ann").await;
    app.execute("UPDATE users SET is_admin = TRUE").await;
    let resources = Resources::create(&ann).await;
    (ann, resources)
}

/// Every row, including the events that are recorded in the background.
async fn every_row(app: &TestApp) -> String {
    app.app.events.flush().await;
    app.every_row().await
}

both! {
    async fn json_that_is_not_an_object_is_refused_everywhere(app: TestApp) {
        let (ann, resources) = admin(&app).await;
        let before = every_row(&app).await;
        let bodies = [json!([]), json!(["a@example.org", PASSWORD]), json!([null, null]), json!(null), json!("text"), json!(7), json!(true)];
        for (method, path) in with_json_body() {
            for body in &bodies {
                let answer = request(&ann, &method, &path, resources.id(&path)).json(body).answer().await;
                let problem = answer.problem(422, "invalid");
                let error = &problem["errors"][0];
                assert_eq!((&error["pointer"], &error["code"]), (&json!(""), &json!("wrong_type")), "{method} {path} {body}: {problem}");
            }
        }
        assert_eq!(every_row(&app).await, before);
    }

    async fn an_unknown_query_parameter_is_refused_everywhere(app: TestApp) {
        let (ann, resources) = admin(&app).await;
        let before = every_row(&app).await;
        let checked = |access: &Access| ![Access::Signature, Access::Link].contains(access);
        for (method, path, access) in OPERATIONS.iter().filter(|(_, _, access)| checked(access)) {
            let answer = request(&ann, method, &format!("{path}?nonsense=1"), resources.id(path)).answer().await;
            assert_eq!(answer.status, 422, "{method} {path} ({access:?}): {}", answer.text());
            if *method != "HEAD" {
                let error = answer.problem(422, "unknown_parameter")["errors"][0].clone();
                assert_eq!((&error["parameter"], &error["code"]), (&json!("nonsense"), &json!("unknown_parameter")), "{method} {path}");
            }
        }
        assert_eq!(every_row(&app).await, before);
    }

    async fn a_body_with_a_content_coding_is_refused_everywhere(app: TestApp) {
        let (ann, resources) = admin(&app).await;
        let before = every_row(&app).await;
        for (method, path, access) in OPERATIONS.iter().filter(|(method, ..)| !["GET", "HEAD", "OPTIONS"].contains(method)) {
            let encoded = request(&ann, method, path, resources.id(path)).header("content-encoding", "gzip").body("x");
            let answer = encoded.answer().await;
            answer.problem(415, "unsupported_media_type");
            assert_eq!(answer.header("accept-encoding"), "identity", "{method} {path} ({access:?})");
        }
        let part = |header: &str| format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n{header}\r\n\r\nx\r\n--b--\r\n");
        let form = |header: &str| ann.post("/v1/files").header("content-type", "multipart/form-data; boundary=b").body(part(header));
        for header in ["Content-Encoding: gzip", "Content-Transfer-Encoding: base64"] {
            form(header).answer().await.problem(415, "unsupported_media_type");
        }
        assert_eq!(every_row(&app).await, before);
        assert_eq!(form("Content-Transfer-Encoding: binary").answer().await.status, 201);
        let identity = ann.post("/v1/files?name=a").header("content-encoding", "identity").body("x");
        assert_eq!(identity.answer().await.status, 201);
    }

    async fn a_number_is_kept_exactly_or_refused(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a", "x").await;
        let patch = |body: String| ann.patch(&path(&file)).header("content-type", "application/json").body(body);
        for number in [
            "12345678901234567890123", "-9223372036854775809", "0.12345678901234567890", "1e-400", "2e-324", "9007199254740993e0", "9007199254740993.0",
        ] {
            let problem = patch(format!(r#"{{"metadata": {{"n": [{number}]}}}}"#)).answer().await.problem(422, "invalid");
            assert!(problem["errors"][0]["detail"].as_str().unwrap().contains(number), "{problem}");
        }
        let kept = r#"{"least":5e-324,"max":18446744073709551615,"min":-9223372036854775808,"pi":3.141592653589793,"text":"12345678901234567890123"}"#;
        let answer = patch(format!(r#"{{"metadata": {kept}}}"#)).answer().await;
        assert!(answer.text().contains(kept), "{}", answer.text());
        // A float is the nearest one, and stays what it is when others change.
        let floats = r#"{"a":0.30000000000000004,"b":9007199254740991.0,"c":31.245270191439438,"d":2.638344616030823e-256}"#;
        for body in [format!(r#"{{"metadata": {floats}}}"#), r#"{"metadata": {"max": null, "min": null, "text": null, "pi": null, "least": null}}"#.into()] {
            assert_eq!(patch(body).answer().await.status, 200);
        }
        let kept = ann.get(&path(&file)).answer().await.text();
        assert!(kept.contains(floats), "{kept}");
    }

    async fn a_member_of_metadata_is_sent_once(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a", "x").await;
        for (body, pointer) in [
            (r#"{"metadata": {"a": 1, "a": 2}}"#, "/metadata/a"),
            (r#"{"metadata": {"a": [{"b": 1, "c": 2, "b": null}]}}"#, "/metadata/a/0/b"),
        ] {
            let answer = ann.patch(&path(&file)).header("content-type", "application/json").body(body).answer().await;
            let error = answer.problem(422, "invalid")["errors"][0].clone();
            assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!("repeated")), "{body}");
        }
    }

    async fn an_id_has_one_spelling(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let file = ann.upload("a", "x").await;
        let link = crate::support::links::create_link(&ann, &file, json!({})).await;
        for (list, id) in [("/v1/files", &file["id"]), ("/v1/links", &link["id"])] {
            let id = id.as_str().unwrap();
            assert_eq!(ann.get(&format!("{list}/{id}")).answer().await.status, 200);
            for other in [format!("urn:uuid:{id}"), format!("%7B{id}%7D"), id.replace('-', ""), id.to_uppercase(), format!("{id}%20")] {
                ann.get(&format!("{list}/{other}")).answer().await.problem(404, "not_found");
            }
        }
    }

    async fn an_unknown_query_parameter_comes_with_the_nearest_known_one(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for (query, detail) in [
            ("/v1/files?prefx=a", "unknown query parameter `prefx`; did you mean `prefix`?"),
            ("/v1/links?limit=1&owner_id=7", "unknown query parameter `owner_id`; this operation has `file_id`, `limit`, `cursor`"),
            ("/v1/me?x=1", "unknown query parameter `x`; this operation has no query parameters"),
        ] {
            let problem = ann.get(query).answer().await.problem(422, "unknown_parameter");
            assert_eq!(problem["detail"], detail);
        }
        assert_eq!(ann.head("/v1/files?limit=1").answer().await.status, 200);
        assert_eq!(ann.head("/v1/files?limt=1").answer().await.status, 422);
    }

    async fn each_wrong_query_parameter_is_named(app: TestApp) {
        let ann = app.sign_up("ann").await;
        for (query, parameter, code, detail) in [
            ("/v1/files?limit=many", "limit", "wrong_type", "expected an integer"),
            ("/v1/files?limit=5000000000", "limit", "out_of_range", "expected an integer from 0 to 4294967295"),
            ("/v1/files?limit=1&limit=2", "limit", "repeated", "allowed once only"),
            ("/v1/links?file_id=7", "file_id", "malformed", "expected a UUID"),
        ] {
            let problem = ann.get(query).answer().await.problem(422, "invalid");
            assert_eq!(problem["errors"], json!([{"parameter": parameter, "code": code, "detail": detail}]), "{query}");
        }
        let problem = ann.get("/v1/files?cursor=x").answer().await;
        problem.problem(400, "bad_cursor");
    }

    async fn a_nested_array_is_not_read_as_an_object(app: TestApp) {
        let (ann, resources) = admin(&app).await;
        let complete = "/v1/uploads/{id}/complete";
        let body = json!({"parts": [[1, "etag"]]});
        let answer = request(&ann, "POST", complete, resources.id(complete)).json(&body).answer().await;
        assert_eq!(answer.problem(422, "invalid")["errors"][0], json!({"pointer": "/parts/0", "code": "wrong_type", "detail": "expected an object, got an array"}));
        let body = json!({"quota": [1, 1]});
        let answer = ann.patch(&format!("/v1/admin/users/{}", ann.id)).json(&body).answer().await;
        assert_eq!(answer.problem(422, "invalid")["errors"][0]["pointer"], "/quota");
    }

    async fn each_wrong_member_is_named_in_words_of_the_api(app: TestApp) {
        app.sign_up("ann").await;
        let login = |body: Value| app.anonymous().post("/v1/auth/login").json(&body).answer();
        for (body, pointer, code, detail) in [
            (json!({"email": email("ann")}), "/password", "required", "required"),
            (json!({"email": 7, "password": PASSWORD}), "/email", "wrong_type", "expected a string, got an integer"),
            (json!({"email": null, "password": PASSWORD}), "/email", "wrong_type", "expected a string, got null"),
            (json!({"email": {}, "password": PASSWORD}), "/email", "wrong_type", "expected a string, got an object"),
            (json!({"email": email("ann"), "password": PASSWORD, "a/b~c": 1}), "/a~1b~0c", "unknown_field", "expected `email` or `password`"),
        ] {
            let problem = login(body).await.problem(422, "invalid");
            assert_eq!(problem["errors"], json!([{"pointer": pointer, "code": code, "detail": detail}]));
        }
        let twice = format!(r#"{{"email": "{0}", "email": "{0}", "password": "{PASSWORD}"}}"#, email("ann"));
        let request = app.anonymous().post("/v1/auth/login").header("content-type", "application/json");
        let problem = request.body(twice).answer().await.problem(422, "invalid");
        assert_eq!(problem["errors"], json!([{"pointer": "/email", "code": "repeated", "detail": "allowed once only"}]));
    }

    async fn a_byte_order_mark_before_json_is_accepted(app: TestApp) {
        app.sign_up("ann").await;
        let body = format!("\u{feff}{}", json!({"email": email("ann"), "password": PASSWORD}));
        let login = app.anonymous().post("/v1/auth/login").header("content-type", "application/json").body(body);
        assert_eq!(login.answer().await.status, 200);
    }

    async fn an_empty_cursor_means_the_first_page(app: TestApp) {
        let (ann, _) = admin(&app).await;
        for path in ["/v1/files", "/v1/links", "/v1/uploads", "/v1/trash", "/v1/me/events", "/v1/admin/users", "/v1/admin/events"] {
            let (first, empty) = (ann.get(path).answer().await, ann.get(&format!("{path}?cursor=")).answer().await);
            assert_eq!((empty.status, empty.json()["items"].clone()), (200, first.json()["items"].clone()), "{path}");
        }
    }
}
