//! Files and folders shared with other users: what each role may do on every way in, and what ends it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{Ask, Client, content, path};
use crate::support::operations::{Access, OPERATIONS, request};
use crate::support::tus::Tus;
use crate::support::{Setup, TestApp, both, email, until};

/// The right that an operation on a file or a folder requires. `own`: of uploads and links, which belong to
/// their creator; `trash`: to delete everything in the space.
const RIGHTS: &[(&str, &str, &str)] = &[
    ("GET", "/v1/files/{id}", "list"),
    ("PATCH", "/v1/files/{id}", "update"),
    ("DELETE", "/v1/files/{id}", "delete"),
    ("GET", "/v1/files/{id}/content", "read"),
    ("HEAD", "/v1/files/{id}/content", "read"),
    ("PUT", "/v1/files/{id}/content", "update"),
    ("GET", "/v1/files/at/{path}", "read"),
    ("HEAD", "/v1/files/at/{path}", "read"),
    ("DELETE", "/v1/files/at/{path}", "delete"),
    ("POST", "/v1/files/{id}/signed-urls", "share"),
    ("POST", "/v1/files/{id}/signed-urls/revoke", "share"),
    ("GET", "/v1/files/{id}/access", "share"),
    ("POST", "/v1/files/{id}/links", "share"),
    ("GET", "/v1/files/{id}/events", "manage"),
    ("GET", "/v1/folders/{id}", "list"),
    ("GET", "/v1/folders/{id}/archive", "read"),
    ("HEAD", "/v1/folders/{id}/archive", "read"),
    ("PATCH", "/v1/folders/{id}", "update"),
    ("DELETE", "/v1/folders/{id}", "delete"),
    ("DELETE", "/v1/trash/{id}", "trash"),
    ("POST", "/v1/trash/{id}/restore", "trash"),
    ("DELETE", "/v1/trashed-folders/{id}", "trash"),
    ("POST", "/v1/trashed-folders/{id}/restore", "trash"),
    ("GET", "/v1/grants/{id}", "share"),
    ("PATCH", "/v1/grants/{id}", "share"),
    ("DELETE", "/v1/grants/{id}", "share"),
];

const ROLES: &[(&str, &[&str])] = &[
    ("viewer", &["list", "read"]),
    ("previewer", &["list"]),
    ("uploader", &["create"]),
    ("editor", &["list", "read", "create", "update", "delete"]),
    ("manager", &["list", "read", "create", "update", "delete", "share", "manage"]),
];

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

async fn folder(client: &Client, path: &str) -> Value {
    let answer = client.post("/v1/folders").json(&json!({"path": path})).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// A file in this folder of the client's own space.
async fn put(client: &Client, folder: &str, name: &str, bytes: &str) -> Value {
    let query = [("path", folder), ("name", name)];
    let answer = client.post("/v1/files").query(&query).body(bytes.to_owned()).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

/// The results of a comparison.
fn statuses(checked: &Value) -> Vec<&str> {
    checked["items"].as_array().unwrap().iter().map(|item| item["status"].as_str().unwrap()).collect()
}

async fn share(client: &Client, target: &str, what: &Value, with: &Client, role: &str) -> Value {
    let wanted = json!({target: id(what), "user_id": with.id, "role": role});
    let answer = client.post("/v1/grants").json(&wanted).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

async fn end(client: &Client, grant: &Value) -> u16 {
    client.delete(&format!("/v1/grants/{}", id(grant))).answer().await.status
}

/// The locations of the files in a list.
async fn listed(client: &Client, query: &[(&str, &str)]) -> Vec<String> {
    let answer = client.get("/v1/files").query(query).answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let location = |file: &Value| format!("{}/{}", file["path"].as_str().unwrap(), file["name"].as_str().unwrap());
    answer.json()["items"].as_array().unwrap().iter().map(location).collect()
}

#[test]
fn every_operation_on_a_resource_names_its_right() {
    let is_own = |path: &str| {
        ["/v1/uploads/", "/v1/companion/", "/v1/tus/", "/v1/links/", "/v1/spaces/"]
            .iter()
            .any(|own| path.starts_with(own))
    };
    for (method, path, access) in OPERATIONS {
        let named = RIGHTS.iter().any(|(m, p, _)| m == method && p == path);
        assert_eq!(named, *access == Access::Owner && !is_own(path), "{method} {path}");
    }
}

both! {
    async fn a_role_allows_what_it_says_and_nothing_else(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bob = app.sign_up("bob").await;
        let token = bob.post("/v1/me/tokens").json(&json!({"name": "program"})).answer().await.json();
        let program = bob.clone().with_token(token["token"].as_str().unwrap(), &Value::Null);
        for (role, rights) in ROLES {
            let shared = folder(&ann, &format!("secret/{role}")).await;
            let grant = share(&ann, "folder_id", &shared, &bob, role).await;
            for (method, pattern, right) in RIGHTS {
                for (number, guest) in [&bob, &program].into_iter().enumerate() {
                    let place = format!("secret/{role}/{number}");
                    let below = folder(&ann, &format!("{place}/{}/below", uuid::Uuid::now_v7())).await;
                    let file = put(&ann, &place, &format!("{}.txt", uuid::Uuid::now_v7()), "for some eyes").await;
                    let target = match *pattern {
                        path if path.starts_with("/v1/folders") => id(&below).to_owned(),
                        path if path.starts_with("/v1/trash/") => {
                            ann.delete(&crate::support::client::path(&file)).answer().await;
                            id(&file).to_owned()
                        }
                        path if path.starts_with("/v1/trashed-folders") => {
                            ann.delete(&format!("/v1/folders/{}", id(&below))).answer().await;
                            id(&below).to_owned()
                        }
                        path if path.starts_with("/v1/grants") => id(&share(&ann, "folder_id", &below, &app.sign_up(&format!("{role}{number}{}", method.to_lowercase())).await, "viewer").await).to_owned(),
                        path if path.starts_with("/v1/files/at/") => {
                            format!("{number}/{}?root={}", file["name"].as_str().unwrap(), id(&shared))
                        }
                        _ => id(&file).to_owned(),
                    };
                    let answer = request(guest, method, pattern, &target).answer().await;
                    let sees = rights.contains(&"list") && *right != "trash" || (rights.contains(&"create") && pattern.starts_with("/v1/folders"));
                    let context = format!("{role}: {method} {pattern}: {}", answer.text());
                    match (rights.contains(right), sees || (pattern.starts_with("/v1/grants") && rights.contains(&"create"))) {
                        (true, _) => assert!((200..300).contains(&answer.status), "{context}"),
                        (false, true) => assert_eq!(answer.status, 403, "{context}"),
                        (false, false) => assert_eq!(answer.status, 404, "{context}"),
                    }
                }
            }
            let uploaded = bob.post("/v1/files").query(&[("root", id(&shared)), ("name", "mine.txt")]).body("x").answer().await;
            assert_eq!(uploaded.status, if rights.contains(&"create") { 201 } else { 403 }, "{role}: {}", uploaded.text());
            let there = put(&ann, &format!("secret/{role}"), "there.txt", "there").await;
            let at = |name: &str| bob.put(&format!("/v1/files/at/{name}?root={}", id(&shared))).body("x");
            let created = at("new.txt").header("if-none-match", "*").answer().await;
            assert_eq!(created.status, if rights.contains(&"create") { 201 } else { 403 }, "{role}: {}", created.text());
            for request in [at("there.txt"), at("there.txt").header("if-match", there["etag"].as_str().unwrap())] {
                let may = rights.contains(&"update");
                let replaced = request.answer().await;
                // A guest who does not see the file does not learn that it is there.
                let refused = if rights.contains(&"list") || replaced.status != 412 { 403 } else { 412 };
                assert_eq!(replaced.status, if may { 200 } else { refused }, "{role}: {}", replaced.text());
                if may {
                    bob.put(&content(&there)).header("if-match", "*").body("there").answer().await;
                }
            }
            let files = json!({"files": [{"name": "there.txt", "size": 1}, {"name": "none.txt", "size": 1}]});
            let checked = bob.post(&format!("/v1/files/check?root={}", id(&shared))).json(&files).answer().await;
            match rights.contains(&"list") {
                true => assert_eq!(statuses(&checked.json()), ["differs", "new"], "{role}"),
                false => drop(checked.problem(403, "right_required")),
            }
            assert_eq!(end(&ann, &grant).await, 204);
            bob.get(&format!("/v1/folders/{}", id(&shared))).answer().await.problem(404, "not_found");
            at("new.txt").answer().await.problem(404, "not_found");
            let checked = bob.post(&format!("/v1/files/check?root={}", id(&shared))).json(&files).answer().await;
            checked.problem(404, "not_found");
        }
        app.assert_usage_is_exact().await;
    }

    async fn names_above_what_is_shared_are_not_shown(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bob = app.sign_up("bob").await;
        put(&ann, "clients/acme", "private.txt", "private").await;
        let file = put(&ann, "clients/acme/for-bob/2026", "plan.txt", "plan").await;
        put(&ann, "clients/acme/for-bob-too", "private.txt", "private").await;
        let shared = app_folder(&ann, "clients/acme", "for-bob").await;
        share(&ann, "folder_id", &shared, &bob, "editor").await;
        let root = id(&shared);

        let seen = bob.get(&path(&file)).answer().await.json();
        assert_eq!((&seen["path"], &seen["name"]), (&json!("2026"), &json!("plan.txt")));
        let seen = bob.get(&format!("/v1/folders/{root}")).answer().await.json();
        assert_eq!((&seen["path"], &seen["name"], &seen["parent_id"]), (&json!(""), &json!("for-bob"), &Value::Null));
        assert_eq!(listed(&bob, &[("root", root)]).await, ["2026/plan.txt"]);
        for query in [("q", "private"), ("q", "acme"), ("prefix", "clients"), ("prefix", "../"), ("q", "clients")] {
            assert_eq!(listed(&bob, &[("root", root), query]).await, Vec::<String>::new(), "{query:?}");
        }
        assert_eq!(listed(&bob, &[("root", root), ("under", "2026"), ("q", "plan")]).await, ["2026/plan.txt"]);
        assert_eq!(listed(&bob, &[("root", root), ("path", "2026"), ("sort", "-natural")]).await, ["2026/plan.txt"]);
        assert_eq!(listed(&bob, &[]).await, Vec::<String>::new());
        for (name, value) in [("path", "clients"), ("under", "clients/acme"), ("path", "for-bob")] {
            bob.get("/v1/files").query(&[("root", root), (name, value)]).answer().await.problem(404, "not_found");
        }
        let folders = bob.get("/v1/folders").query(&[("root", root)]).answer().await.json();
        assert_eq!(folders["items"].as_array().unwrap().len(), 1);
        assert_eq!((&folders["items"][0]["path"], &folders["items"][0]["parent_id"]), (&json!("2026"), &json!(root)));

        // A cursor of the owner gives nothing of the rest.
        let page = ann.get("/v1/files?limit=1").answer().await.json();
        let cursor = page["next_cursor"].as_str().unwrap();
        assert_eq!(listed(&bob, &[("root", root), ("cursor", cursor)]).await, ["2026/plan.txt"]);
        // The folder above does not exist for the guest, and neither does a place outside.
        let above = ann.get(&format!("/v1/folders/{root}")).answer().await.json()["parent_id"].clone();
        bob.get(&format!("/v1/folders/{}", above.as_str().unwrap())).answer().await.problem(404, "not_found");
        bob.get("/v1/files").query(&[("root", above.as_str().unwrap())]).answer().await.problem(404, "not_found");
        bob.get("/v1/files").query(&[("root", &ann.id)]).answer().await.problem(404, "not_found");
        bob.patch(&path(&file)).json(&json!({"path": "../.."})).answer().await.problem(422, "invalid");
        let moved = bob.patch(&path(&file)).json(&json!({"path": "2027/new", "name": "moved.txt"})).answer().await;
        assert_eq!((moved.status, &moved.json()["path"]), (200, &json!("2027/new")));
        assert_eq!(ann.get(&path(&file)).answer().await.json()["path"], "clients/acme/for-bob/2027/new");
    }

    async fn labels_paths_and_comparisons_end_at_what_is_shared(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bob = app.sign_up("bob").await;
        let labelled = async |folder: &str, name: &str| {
            let query = [("path", folder), ("name", name), ("tags", "paid")];
            let request = ann.post("/v1/files").query(&query).header("strongroom-metadata", r#"{"order": 17}"#);
            let answer = request.body("x").answer().await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            answer.json()
        };
        for folder in ["", "clients", "clients/acme-too", "other"] {
            labelled(folder, "hidden.txt").await;
        }
        labelled("clients/acme", "a.txt").await;
        labelled("clients/acme/2026", "b.txt").await;
        let shared = app_folder(&ann, "clients", "acme").await;
        share(&ann, "folder_id", &shared, &bob, "viewer").await;
        let root = id(&shared);

        assert_eq!(listed(&ann, &[("tag", "paid")]).await.len(), 6);
        for label in [("tag", "paid"), ("metadata.order", "17")] {
            for sort in ["path", "-path", "natural", "name", "created_at", "-updated_at", "size"] {
                let mut seen = listed(&bob, &[("root", root), label, ("sort", sort)]).await;
                seen.sort();
                assert_eq!(seen, ["/a.txt", "2026/b.txt"], "{label:?} {sort}");
            }
            assert_eq!(listed(&bob, &[("root", root), label, ("path", "2026")]).await, ["2026/b.txt"]);
            assert_eq!(listed(&bob, &[("root", root), label, ("under", "2026"), ("q", "B.")]).await, ["2026/b.txt"]);
            for query in [("q", "acme"), ("q", "clients"), ("q", "hidden"), ("prefix", "hidden"), ("prefix", "../")] {
                assert_eq!(listed(&bob, &[("root", root), label, query]).await, Vec::<String>::new(), "{query:?}");
            }
            // A cursor of the owner gives nothing of the rest.
            let page = ann.get("/v1/files?limit=1").query(&[label]).answer().await.json();
            let cursor = page["next_cursor"].as_str().unwrap();
            for file in listed(&bob, &[("root", root), label, ("cursor", cursor)]).await {
                assert!(["/a.txt", "2026/b.txt"].contains(&file.as_str()), "{file}");
            }
            let counted = bob.get("/v1/files").query(&[("root", root), label, ("total", "true")]).answer().await.json();
            assert_eq!(counted["total"], 2);
            assert_eq!(listed(&bob, &[label]).await, Vec::<String>::new());
        }

        let at = |place: &str| bob.get(&format!("/v1/files/at/{place}?root={root}"));
        assert_eq!(at("2026/b.txt").answer().await.text(), "x");
        for place in ["hidden.txt", "clients/acme/a.txt", "acme/a.txt", "2026", "2026/c.txt"] {
            at(place).answer().await.problem(404, "not_found");
        }
        at("..%2Fhidden.txt").answer().await.problem(422, "invalid");
        bob.get("/v1/files/at/clients/acme/a.txt").answer().await.problem(404, "not_found");
        let sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        let files = json!({"files": [
            {"path": "2026", "name": "b.txt", "size": 1, "sha256": sha256}, {"name": "2026", "size": 1},
            {"name": "hidden.txt", "size": 1}, {"path": "clients/acme", "name": "a.txt", "size": 1},
        ]});
        let checked = bob.post(&format!("/v1/files/check?root={root}")).json(&files).answer().await.json();
        assert_eq!(statuses(&checked), ["identical", "differs", "new", "new"]);
        let own = bob.post("/v1/files/check").json(&files).answer().await.json();
        assert_eq!(statuses(&own), ["new"; 4]);
    }

    async fn a_guest_uploads_on_every_way_at_the_cost_of_the_space(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bob = app.sign_up("bob").await;
        let shared = folder(&ann, "in/box").await;
        share(&ann, "folder_id", &shared, &bob, "uploader").await;
        let root = format!("root={}", id(&shared));

        let raw = bob.post(&format!("/v1/files?{root}&name=raw.txt&path=a/b")).body("raw").answer().await;
        assert_eq!((raw.status, &raw.json()["path"]), (201, &json!("a/b")), "{}", raw.text());
        let part = reqwest::multipart::Part::text("form").file_name("form.txt");
        let form = bob.post(&format!("/v1/files?{root}")).multipart(reqwest::multipart::Form::new().part("file", part).text("path", "late")).answer().await;
        assert_eq!(form.status, 201, "{}", form.text());
        let created = bob.post(&format!("/v1/tus?{root}")).header("tus-resumable", "1.0.0").header("upload-length", "3")
            .header("upload-metadata", "filename dHVzLnR4dA==").answer().await;
        assert_eq!(created.status, 201, "{}", created.text());
        let tus = Tus::located(&created);
        // The upload belongs to its creator.
        assert_eq!(ann.get("/v1/uploads").answer().await.json()["items"], json!([]));
        assert_eq!(tus.head(&ann).await.status, 404);
        assert_eq!(tus.append(&bob, 0, "tus").await.status, 204);
        // Nobody's quota but the owner's is used, and nothing can be read.
        assert_eq!(bob.get("/v1/me/usage").answer().await.json()["used"], json!({"bytes": 0, "files": 0}));
        assert_eq!(ann.get("/v1/me/usage").answer().await.json()["used"]["files"], 3);
        bob.get(&path(&raw.json())).answer().await.problem(404, "not_found");
        bob.get(&format!("/v1/files?{root}")).answer().await.problem(403, "right_required");
        // A taken name gets a number: nothing is overwritten.
        let again = bob.post(&format!("/v1/files?{root}&name=raw.txt&path=a/b")).body("new").answer().await.json();
        assert_eq!(again["name"], "raw (1).txt");
        let stored = ["in/box/a/b/raw (1).txt", "in/box/a/b/raw.txt", "in/box/late/form.txt", "in/box/tus.txt"];
        assert_eq!(listed(&ann, &[("under", "in")]).await, stored);
        app.assert_usage_is_exact().await;
    }

    async fn a_right_that_ends_ends_uploads_and_what_they_have_sent(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bob = app.sign_up("bob").await;
        let shared = folder(&ann, "shared").await;
        let grant = share(&ann, "folder_id", &shared, &bob, "editor").await;
        let file = put(&ann, "shared", "kept.txt", "old").await;
        let (feed, body) = crate::support::client::fed();
        let upload = tokio::spawn(bob.post("/v1/files").query(&[("root", id(&shared)), ("name", "half.bin")]).body(body).answer());
        let (feed_put, body) = crate::support::client::fed();
        let replace = tokio::spawn(bob.put(&content(&file)).header("if-match", "*").body(body).answer());
        feed.send(Ok("first".into())).await.unwrap();
        feed_put.send(Ok("first".into())).await.unwrap();
        until(async || app.count("SELECT COUNT(*) FROM blobs WHERE state = 'pending'").await == 2).await;
        assert_eq!(end(&ann, &grant).await, 204);
        drop((feed, feed_put));
        upload.await.unwrap().problem(404, "not_found");
        replace.await.unwrap().problem(404, "not_found");
        assert_eq!(ann.download(&file).await, b"old");
        assert_eq!(listed(&ann, &[]).await, ["shared/kept.txt"]);
        app.reap().await;
        app.assert_nothing_but(1).await;
        app.assert_usage_is_exact().await;
    }

    async fn an_invitation_by_address_does_not_tell_whether_it_has_an_account(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bob = app.sign_up("bob").await;
        let shared = folder(&ann, "shared").await;
        put(&ann, "shared", "a.txt", "a").await;
        let invite = async |address: &str| {
            let wanted = json!({"folder_id": id(&shared), "email": address, "role": "viewer"});
            ann.post("/v1/grants").json(&wanted).answer().await
        };
        let (known, unknown) = (invite("Bob@Example.org").await, invite("carol@example.org").await);
        assert_eq!((known.status, unknown.status), (201, 201));
        let keys = |grant: Value| grant.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(known.json()), keys(unknown.json()));
        assert_eq!(known.json()["email"], "Bob@Example.org");
        for address in ["bob@example.org", "CAROL@example.org"] {
            invite(address).await.problem(409, "already_shared");
        }
        invite("ann@example.org").await.problem(422, "invalid");
        invite("nobody").await.problem(422, "invalid");
        assert_eq!(listed(&bob, &[("root", id(&shared))]).await, ["/a.txt"]);
        // The account that gets the address gets the access, and no other.
        let dave = app.sign_up("dave").await;
        assert_eq!(dave.get("/v1/shared").answer().await.json()["items"], json!([]));
        let carol = app.sign_up("carol").await;
        assert_eq!(listed(&carol, &[("root", id(&shared))]).await, ["/a.txt"]);
        let received = carol.get("/v1/shared").answer().await.json();
        assert_eq!((&received["items"][0]["target_name"], &received["items"][0]["created_by"]["id"]), (&json!("shared"), &json!(ann.id)));
        // Declined, it is over.
        assert_eq!(end(&carol, &received["items"][0]).await, 204);
        carol.get("/v1/files").query(&[("root", id(&shared))]).answer().await.problem(404, "not_found");
        let rest = ann.get("/v1/grants").query(&[("folder_id", id(&shared))]).answer().await.json();
        assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    }

    async fn nobody_gives_more_than_they_have(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let [bob, carol] = [app.sign_up("bob").await, app.sign_up("carol").await];
        let shared = folder(&ann, "shared").await;
        let file = put(&ann, "shared", "a.txt", "a").await;
        let ends = "2100-01-01T00:00:00Z";
        let wanted = json!({"folder_id": id(&shared), "user_id": bob.id, "role": "manager", "expires_at": ends});
        let grant = ann.post("/v1/grants").json(&wanted).answer().await.json();
        let give = async |client: &Client, role: &str, expires_at: Option<&str>| {
            let wanted = json!({"file_id": id(&file), "user_id": carol.id, "role": role, "expires_at": expires_at});
            client.post("/v1/grants").json(&wanted).answer().await
        };
        // Not for longer than one's own access lasts, and not to oneself or the owner.
        give(&bob, "viewer", None).await.problem(422, "invalid");
        give(&bob, "viewer", Some("2100-01-02T00:00:00Z")).await.problem(422, "invalid");
        give(&bob, "viewer", Some("2001-01-01T00:00:00Z")).await.problem(422, "invalid");
        for who in [&bob.id, &ann.id] {
            let wanted = json!({"file_id": id(&file), "user_id": who, "role": "viewer", "expires_at": ends});
            bob.post("/v1/grants").json(&wanted).answer().await.problem(422, "invalid");
        }
        let wanted = json!({"file_id": id(&file), "user_id": uuid::Uuid::now_v7(), "role": "viewer", "expires_at": ends});
        bob.post("/v1/grants").json(&wanted).answer().await.problem(422, "invalid");
        let given = give(&bob, "viewer", Some(ends)).await;
        assert_eq!(given.status, 201, "{}", given.text());
        assert_eq!(carol.download(&file).await, b"a");
        // An editor shares nothing, and a stranger sees no grant.
        let change = json!({"role": "editor"});
        assert_eq!(ann.patch(&format!("/v1/grants/{}", id(&grant))).json(&change).answer().await.status, 200);
        give(&bob, "viewer", Some(ends)).await.problem(403, "right_required");
        bob.delete(&format!("/v1/grants/{}", id(&given.json()))).answer().await.problem(403, "right_required");
        let dave = app.sign_up("dave").await;
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            dave.request(method, &format!("/v1/grants/{}", id(&grant))).json(&json!({})).answer().await.problem(404, "not_found");
        }
        dave.get("/v1/grants").query(&[("folder_id", id(&shared))]).answer().await.problem(404, "not_found");
    }

    async fn a_link_ends_with_the_right_of_its_creator_to_share(app: TestApp) {
        let [ann, bob, carol] = [app.sign_up("ann").await, app.sign_up("bob").await, app.sign_up("carol").await];
        let shared = folder(&ann, "shared").await;
        let file = put(&ann, "shared", "a.txt", "a").await;
        let grant = share(&ann, "folder_id", &shared, &bob, "manager").await;
        share(&ann, "file_id", &file, &carol, "viewer").await;
        let link = bob.post(&format!("{}/links", path(&file))).json(&json!({})).answer().await.json();
        let url = link["url"].as_str().unwrap();
        let token = url.rsplit('/').next().unwrap();
        let visit = async || app.anonymous().get(&format!("/l/{token}?download=1")).answer().await.status;
        assert_eq!(visit().await, 200);
        // Its creator and those who may share the file manage it.
        for client in [&ann, &bob] {
            let listed = client.get("/v1/links").query(&[("file_id", id(&file))]).answer().await.json();
            assert_eq!(listed["items"][0]["id"], link["id"]);
            assert_eq!(client.get(&format!("/v1/links/{}", id(&link))).answer().await.status, 200);
        }
        carol.get(&format!("/v1/links/{}", id(&link))).answer().await.problem(404, "not_found");
        let listed = carol.get("/v1/links").query(&[("file_id", id(&file))]).answer().await.json();
        assert_eq!(listed["items"], json!([]));
        // Everyone who has access is named, with what ends it.
        let access = ann.get(&format!("{}/access", path(&file))).answer().await.json();
        let kinds: Vec<_> = access["items"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["owner", "grant", "grant", "link"], "{access}");
        // Without the right to share there is no link, and with it there is.
        for (role, status) in [("editor", 404), ("manager", 200)] {
            let changed = ann.patch(&format!("/v1/grants/{}", id(&grant))).json(&json!({"role": role})).answer().await;
            assert_eq!((changed.status, visit().await), (200, status), "{}", changed.text());
        }
        assert_eq!(end(&ann, &grant).await, 204);
        assert_eq!(visit().await, 404);
        assert_eq!(ann.delete(&format!("/v1/links/{}", id(&link))).answer().await.status, 204);
    }

    async fn a_grant_ends_at_its_time_and_with_the_account(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bob = app.sign_up("bob").await;
        let file = put(&ann, "deep/down", "a.txt", "a").await;
        let soon = app.app.clock.now() + Duration::from_secs(3600);
        let wanted = json!({"file_id": id(&file), "user_id": bob.id, "role": "editor", "expires_at": soon.to_string()});
        assert_eq!(ann.post("/v1/grants").json(&wanted).answer().await.status, 201);
        // Of a shared file no folder is seen.
        assert_eq!(bob.get(&path(&file)).answer().await.json()["path"], "");
        bob.patch(&path(&file)).json(&json!({"path": "elsewhere"})).answer().await.problem(403, "right_required");
        assert_eq!(bob.patch(&path(&file)).json(&json!({"name": "b.txt"})).answer().await.status, 200);
        assert_eq!(ann.get(&path(&file)).answer().await.json()["path"], "deep/down");
        app.advance(Duration::from_secs(3601));
        bob.get(&path(&file)).answer().await.problem(404, "not_found");
        assert_eq!(bob.get("/v1/shared").answer().await.json()["items"], json!([]));
        app.reap().await;
        assert_eq!(app.count("SELECT COUNT(*) FROM grants").await, 0);
        // What belongs to a disabled or deleted account is not shared any more.
        share(&ann, "file_id", &file, &bob, "viewer").await;
        assert_eq!(bob.download(&file).await, b"a");
        strongroom::users::set_disabled(&app.app, &email("ann"), true).await.unwrap();
        bob.get(&path(&file)).answer().await.problem(404, "not_found");
        assert_eq!(bob.get("/v1/shared").answer().await.json()["items"], json!([]));
    }

    async fn the_trash_belongs_to_those_who_may_delete_everything(app: TestApp) {
        let ann = app.sign_up("ann").await;
        let bob = app.sign_up("bob").await;
        let shared = folder(&ann, "shared").await;
        let file = put(&ann, "shared", "a.txt", "a").await;
        share(&ann, "folder_id", &shared, &bob, "manager").await;
        assert_eq!(bob.delete(&path(&file)).answer().await.status, 204);
        let space = [("space_id", &ann.id)];
        for trash in ["/v1/trash", "/v1/trashed-folders"] {
            bob.get(trash).query(&space).answer().await.problem(404, "not_found");
            assert_eq!(bob.get(trash).answer().await.json()["items"], json!([]));
        }
        bob.delete("/v1/trash").query(&space).answer().await.problem(404, "not_found");
        bob.post(&format!("/v1/trash/{}/restore", id(&file))).answer().await.problem(404, "not_found");
        assert_eq!(ann.post(&format!("/v1/trash/{}/restore", id(&file))).answer().await.status, 200);
        assert_eq!(bob.download(&file).await, b"a");
        // In the trash with its folder, it is not shared.
        assert_eq!(ann.delete(&format!("/v1/folders/{}", id(&shared))).answer().await.status, 204);
        bob.get(&path(&file)).answer().await.problem(404, "not_found");
        assert_eq!(bob.get("/v1/shared").answer().await.json()["items"], json!([]));
    }
}

/// The folder of this name in another one.
async fn app_folder(client: &Client, inside: &str, name: &str) -> Value {
    let folders = client.get("/v1/folders").query(&[("path", inside)]).answer().await.json();
    folders["items"].as_array().unwrap().iter().find(|folder| folder["name"] == name).unwrap().clone()
}
