//! Shared spaces and teams: members, managers, quota, trash, deletion with a grace period.

use serde_json::{Value, json};

use crate::support::client::{Ask, Client, path};
use crate::support::{Setup, TestApp, both, email, until};

const ADMIN: &str = "UPDATE users SET is_admin = TRUE WHERE email = 'admin@example.org'";

async fn admin(app: &TestApp) -> Client {
    let admin = app.sign_up("admin").await;
    app.execute(ADMIN).await;
    admin
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

async fn space(admin: &Client, name: &str) -> Value {
    let answer = admin.post("/v1/spaces").json(&json!({"name": name})).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

async fn add(client: &Client, space: &Value, member: Value, role: &str) -> Value {
    let mut wanted = json!({"folder_id": id(space), "role": role});
    wanted.as_object_mut().unwrap().extend(member.as_object().unwrap().clone());
    let answer = client.post("/v1/grants").json(&wanted).answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

async fn put(client: &Client, space: &Value, name: &str) -> Value {
    let query = [("root", id(space)), ("name", name), ("path", "reports")];
    let answer = client.post("/v1/files").query(&query).body("content").answer().await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn grant_url(grant: &Value) -> String {
    format!("/v1/grants/{}", id(grant))
}

both! {
    async fn a_space_belongs_to_its_members(app: TestApp) {
        let admin = admin(&app).await;
        let [ann, bob, eve] = [app.sign_up("ann").await, app.sign_up("bob").await, app.sign_up("eve").await];
        let space = space(&admin, "Accounting").await;
        assert_eq!(space["rights"].as_array().unwrap().len(), 8);
        add(&admin, &space, json!({"user_id": ann.id}), "editor").await;
        add(&admin, &space, json!({"email": "bob@example.org"}), "viewer").await;
        let file = put(&ann, &space, "q3.txt").await;
        assert_eq!((&file["path"], &file["space_id"]), (&json!("reports"), &space["id"]));
        assert_eq!(bob.download(&file).await, b"content");
        eve.get(&path(&file)).answer().await.problem(404, "not_found");
        eve.get(&format!("/v1/spaces/{}", id(&space))).answer().await.problem(404, "not_found");
        // Members pay nothing for uploads, and the members see what is used.
        assert_eq!(ann.get("/v1/me/usage").answer().await.json()["used"]["files"], 0);
        let seen = bob.get(&format!("/v1/spaces/{}", id(&space))).answer().await.json();
        assert_eq!((&seen["usage"]["used"]["files"], &seen["rights"]), (&json!(1), &json!(["list", "read", "preview"])));
        for (client, count) in [(&ann, 1), (&bob, 1), (&eve, 0)] {
            assert_eq!(client.get("/v1/spaces").answer().await.json()["items"].as_array().unwrap().len(), count);
        }
        // Its trash is that of those who may delete in all of it.
        assert_eq!(ann.delete(&path(&file)).answer().await.status, 204);
        let trash = [("space_id", id(&space))];
        assert_eq!(ann.get("/v1/trash").query(&trash).answer().await.json()["items"][0]["id"], file["id"]);
        bob.get("/v1/trash").query(&trash).answer().await.problem(403, "right_required");
        eve.get("/v1/trash").query(&trash).answer().await.problem(404, "not_found");
        assert_eq!(ann.post(&format!("/v1/trash/{}/restore", id(&file))).answer().await.status, 200);
        // What only managers may.
        let renamed = json!({"name": "Books"});
        ann.patch(&format!("/v1/spaces/{}", id(&space))).json(&renamed).answer().await.problem(403, "right_required");
        ann.delete(&format!("/v1/spaces/{}", id(&space))).answer().await.problem(403, "right_required");
        assert_eq!(admin.patch(&format!("/v1/spaces/{}", id(&space))).json(&renamed).answer().await.json()["name"], "Books");
        for bad in ["", "a/b", "..", "\u{202e}x"] {
            admin.post("/v1/spaces").json(&json!({"name": bad})).answer().await.problem(422, "invalid");
        }
        app.assert_usage_is_exact().await;
    }

    async fn only_admins_create_spaces_unless_the_settings_say_otherwise(app: TestApp) {
        let ann = app.sign_up("ann").await;
        ann.post("/v1/spaces").json(&json!({"name": "Mine"})).answer().await.problem(403, "admin_required");
        let app = app.restart_with(|config| {
            config.spaces.creators = strongroom::config::SpaceCreators::Users;
            config.spaces.limit = 2;
        }).await;
        let ann = Client::new(&app.url("")).with_token(ann.token.as_deref().unwrap(), &json!(ann.id));
        for name in ["One", "Two"] {
            space(&ann, name).await;
        }
        ann.post("/v1/spaces").json(&json!({"name": "Three"})).answer().await.problem(409, "too_many_spaces");
    }

    async fn a_space_keeps_a_manager(app: TestApp) {
        let admin = admin(&app).await;
        let ann = app.sign_up("ann").await;
        let space = space(&admin, "Accounting").await;
        let grants = admin.get("/v1/grants").query(&[("folder_id", id(&space))]).answer().await.json();
        let first = grants["items"][0].clone();
        admin.delete(&grant_url(&first)).answer().await.problem(409, "last_manager");
        admin.patch(&grant_url(&first)).json(&json!({"role": "editor"})).answer().await.problem(409, "last_manager");
        let ends = json!({"expires_at": "2100-01-01T00:00:00Z"});
        admin.patch(&grant_url(&first)).json(&ends).answer().await.problem(409, "last_manager");
        let second = add(&admin, &space, json!({"user_id": ann.id}), "manager").await;
        assert_eq!(admin.delete(&grant_url(&first)).answer().await.status, 204);
        admin.get(&format!("/v1/spaces/{}", id(&space))).answer().await.problem(404, "not_found");
        ann.delete(&grant_url(&second)).answer().await.problem(409, "last_manager");
        // The account of the last manager cannot be deleted before an admin names another.
        ann.delete("/v1/me").json(&json!({"password": crate::support::PASSWORD})).answer().await.problem(409, "last_manager");
        admin.delete(&format!("/v1/admin/users/{}", ann.id)).answer().await.problem(409, "last_manager");
        let named = json!({"user_id": admin.id});
        let url = format!("/v1/admin/spaces/{}/managers", id(&space));
        assert_eq!(admin.post(&url).json(&named).answer().await.status, 200);
        admin.post(&url).json(&named).answer().await.problem(409, "already_shared");
        admin.post(&url).json(&json!({"user_id": uuid::Uuid::now_v7()})).answer().await.problem(422, "invalid");
        assert_eq!(admin.delete(&format!("/v1/admin/users/{}", ann.id)).answer().await.status, 202);
        assert_eq!(app.count("SELECT COUNT(*) FROM grants").await, 1);
    }

    async fn a_team_has_what_is_shared_with_it_as_long_as_one_is_a_member(app: TestApp) {
        let admin = admin(&app).await;
        let [ann, bob] = [app.sign_up("ann").await, app.sign_up("bob").await];
        let created = admin.post("/v1/admin/teams").json(&json!({"name": "Sales"})).answer().await;
        assert_eq!(created.status, 201, "{}", created.text());
        let team = created.json();
        admin.post("/v1/admin/teams").json(&json!({"name": "SALES"})).answer().await.problem(409, "name_taken");
        let member = |client: &Client| format!("/v1/admin/teams/{}/members/{}", id(&team), client.id);
        for _ in 0..2 {
            assert_eq!(admin.put(&member(&bob)).answer().await.status, 204);
        }
        admin.put(&format!("/v1/admin/teams/{}/members/{}", id(&team), uuid::Uuid::now_v7())).answer().await.problem(404, "not_found");
        bob.put(&member(&bob)).answer().await.problem(403, "admin_required");
        assert_eq!(bob.get("/v1/teams").answer().await.json()["items"][0]["name"], "Sales");
        assert_eq!(ann.get("/v1/teams").answer().await.json()["items"], json!([]));

        let file = ann.upload("a.txt", "a").await;
        let wanted = json!({"file_id": id(&file), "team_id": id(&team), "role": "viewer"});
        let grant = ann.post("/v1/grants").json(&wanted).answer().await;
        assert_eq!((grant.status, &grant.json()["name"]), (201, &json!("Sales")));
        assert_eq!(bob.download(&file).await, b"a");
        assert_eq!(bob.get("/v1/shared").answer().await.json()["items"][0]["team_id"], team["id"]);
        // A member cannot end it for the others.
        bob.delete(&grant_url(&grant.json())).answer().await.problem(403, "right_required");
        assert_eq!(admin.delete(&member(&bob)).answer().await.status, 204);
        admin.delete(&member(&bob)).answer().await.problem(404, "not_found");
        bob.get(&path(&file)).answer().await.problem(404, "not_found");
        assert_eq!(admin.put(&member(&bob)).answer().await.status, 204);
        assert_eq!(bob.download(&file).await, b"a");
        assert_eq!(admin.delete(&format!("/v1/admin/teams/{}", id(&team))).answer().await.status, 204);
        bob.get(&path(&file)).answer().await.problem(404, "not_found");
        assert_eq!(app.count("SELECT COUNT(*) FROM grants").await, 0);
    }

    async fn a_deleted_space_can_be_restored_until_its_grace_period_expires(app: TestApp) {
        let admin = admin(&app).await;
        let ann = app.sign_up("ann").await;
        let space = space(&admin, "Accounting").await;
        add(&admin, &space, json!({"user_id": ann.id}), "editor").await;
        let file = put(&ann, &space, "q3.txt").await;
        let url = format!("/v1/spaces/{}", id(&space));
        assert_eq!(admin.delete(&url).answer().await.status, 204);
        for client in [&admin, &ann] {
            client.get(&path(&file)).answer().await.problem(404, "not_found");
            client.get(&url).answer().await.problem(404, "not_found");
            let query = [("root", id(&space)), ("name", "late.txt")];
            client.post("/v1/files").query(&query).body("x").answer().await.problem(404, "not_found");
        }
        assert_eq!(ann.get("/v1/spaces").answer().await.json()["items"], json!([]));
        assert!(admin.get("/v1/spaces").answer().await.json()["items"][0]["purge_at"].is_string());
        ann.post(&format!("{url}/restore")).answer().await.problem(404, "not_found");
        assert_eq!(admin.post(&format!("{url}/restore")).answer().await.status, 200);
        assert_eq!(ann.download(&file).await, b"content");

        assert_eq!(admin.delete(&url).answer().await.status, 204);
        app.execute("UPDATE spaces SET deleted_at = deleted_at - 2600000000000 WHERE deleted_at IS NOT NULL").await;
        admin.post(&format!("{url}/restore")).answer().await.problem(404, "not_found");
        for _ in 0..3 {
            app.reap().await;
        }
        assert_eq!(app.count("SELECT COUNT(*) FROM spaces WHERE user_id IS NULL").await, 0);
        assert_eq!(app.count("SELECT COUNT(*) FROM grants").await, 0);
        app.assert_nothing_but(0).await;
    }

    async fn members_follow_the_changes_of_a_space(app: TestApp) {
        let admin = admin(&app).await;
        let [ann, bob] = [app.sign_up("ann").await, app.sign_up("bob").await];
        let space = space(&admin, "Accounting").await;
        let grant = add(&admin, &space, json!({"user_id": ann.id}), "viewer").await;
        add(&admin, &space, json!({"user_id": bob.id}), "uploader").await;
        let file = put(&admin, &space, "q3.txt").await;
        let changes = async |client: &Client| {
            let page = client.get("/v1/changes").answer().await.json();
            page["items"].as_array().unwrap().iter().filter(|change| change["file_id"] == file["id"]).count()
        };
        // A change is shown once no earlier one can be committed any more.
        until(async || changes(&admin).await == 1).await;
        assert_eq!((changes(&ann).await, changes(&bob).await), (1, 0));
        assert_eq!(admin.delete(&grant_url(&grant)).answer().await.status, 204);
        assert_eq!(changes(&ann).await, 0);
    }

    async fn the_quota_of_a_space_is_its_own(app: TestApp) {
        let admin = admin(&app).await;
        let ann = app.sign_up("ann").await;
        let space = space(&admin, "Accounting").await;
        add(&admin, &space, json!({"user_id": ann.id}), "editor").await;
        let url = format!("/v1/admin/spaces/{}", id(&space));
        let changed = admin.patch(&url).json(&json!({"quota": {"bytes": 10, "files": null}})).answer().await;
        assert_eq!((changed.status, &changed.json()["quota"]["bytes"]), (200, &json!(10)), "{}", changed.text());
        put(&ann, &space, "one.txt").await;
        let query = [("root", id(&space)), ("name", "two.txt")];
        let refused = ann.post("/v1/files").query(&query).body("content").answer().await.problem(507, "quota_exceeded");
        assert_eq!((&refused["used"], &refused["quota"]), (&json!(7), &json!(10)), "{refused}");
        ann.upload("own.txt", "content").await;
        ann.patch(&url).json(&json!({})).answer().await.problem(403, "admin_required");
        assert_eq!(admin.get("/v1/admin/spaces").answer().await.json()["items"][0]["id"], space["id"]);
        app.assert_usage_is_exact().await;
        strongroom::users::set_disabled(&app.app, &email("ann"), true).await.unwrap();
    }
}
