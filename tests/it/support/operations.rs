//! Every operation of the API: who may call it, and a request that the server would accept from them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::client::{Ask, Client, path};
use crate::support::links::create_link;
use crate::support::tus::Tus;

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Access {
    /// Everyone.
    Public,
    /// Users who are signed in, each for themselves.
    SignedIn,
    /// As `SignedIn`, but not with an API token.
    Session,
    /// As `Session`, and admins only.
    Admin,
    /// The owner of the resource only; for others it does not exist.
    Owner,
    /// Holders of a signed URL.
    Signature,
    /// Holders of a share link.
    Link,
}

/// One row for each operation of the API.
pub const OPERATIONS: &[(&str, &str, Access)] = &[
    ("GET", "/v1/auth/registration", Access::Public),
    ("POST", "/v1/auth/register", Access::Public),
    ("POST", "/v1/auth/login", Access::Public),
    ("POST", "/v1/auth/logout", Access::Session),
    ("GET", "/v1/me", Access::SignedIn),
    ("PATCH", "/v1/me", Access::Session),
    ("GET", "/v1/me/usage", Access::SignedIn),
    ("GET", "/v1/me/sessions", Access::Session),
    ("DELETE", "/v1/me/sessions/{id}", Access::Session),
    ("GET", "/v1/me/tokens", Access::Session),
    ("POST", "/v1/me/tokens", Access::Session),
    ("DELETE", "/v1/me/tokens/{id}", Access::Session),
    ("PUT", "/v1/me/avatar", Access::SignedIn),
    ("DELETE", "/v1/me/avatar", Access::SignedIn),
    ("GET", "/v1/users/{id}/avatar", Access::Public),
    ("HEAD", "/v1/users/{id}/avatar", Access::Public),
    ("GET", "/v1/changes", Access::SignedIn),
    ("GET", "/v1/changes/stream", Access::SignedIn),
    ("GET", "/v1/files", Access::SignedIn),
    ("GET", "/v1/folders", Access::SignedIn),
    ("POST", "/v1/folders", Access::SignedIn),
    ("GET", "/v1/folders/{id}", Access::Owner),
    ("PATCH", "/v1/folders/{id}", Access::Owner),
    ("DELETE", "/v1/folders/{id}", Access::Owner),
    ("GET", "/v1/folders/{id}/archive", Access::Owner),
    ("HEAD", "/v1/folders/{id}/archive", Access::Owner),
    ("POST", "/v1/archives", Access::SignedIn),
    ("GET", "/v1/archives/{token}", Access::Link),
    ("HEAD", "/v1/archives/{token}", Access::Link),
    ("GET", "/v1/trashed-folders", Access::SignedIn),
    ("DELETE", "/v1/trashed-folders/{id}", Access::Owner),
    ("POST", "/v1/trashed-folders/{id}/restore", Access::Owner),
    ("GET", "/v1/grants", Access::SignedIn),
    ("POST", "/v1/grants", Access::SignedIn),
    ("GET", "/v1/grants/{id}", Access::Owner),
    ("PATCH", "/v1/grants/{id}", Access::Owner),
    ("DELETE", "/v1/grants/{id}", Access::Owner),
    ("GET", "/v1/shared", Access::SignedIn),
    ("GET", "/v1/spaces", Access::SignedIn),
    ("POST", "/v1/spaces", Access::SignedIn),
    ("GET", "/v1/spaces/{id}", Access::Owner),
    ("PATCH", "/v1/spaces/{id}", Access::Owner),
    ("DELETE", "/v1/spaces/{id}", Access::Owner),
    ("POST", "/v1/spaces/{id}/restore", Access::Owner),
    ("GET", "/v1/admin/spaces", Access::Admin),
    ("GET", "/v1/admin/spaces/{id}", Access::Admin),
    ("PATCH", "/v1/admin/spaces/{id}", Access::Admin),
    ("POST", "/v1/admin/spaces/{id}/managers", Access::Admin),
    ("GET", "/v1/teams", Access::SignedIn),
    ("GET", "/v1/admin/teams", Access::Admin),
    ("POST", "/v1/admin/teams", Access::Admin),
    ("GET", "/v1/admin/teams/{id}", Access::Admin),
    ("PATCH", "/v1/admin/teams/{id}", Access::Admin),
    ("DELETE", "/v1/admin/teams/{id}", Access::Admin),
    ("GET", "/v1/admin/teams/{id}/members", Access::Admin),
    ("PUT", "/v1/admin/teams/{id}/members/{user}", Access::Admin),
    ("DELETE", "/v1/admin/teams/{id}/members/{user}", Access::Admin),
    ("POST", "/v1/files", Access::SignedIn),
    ("POST", "/v1/files/batch", Access::SignedIn),
    ("POST", "/v1/files/check", Access::SignedIn),
    ("GET", "/v1/files/at/{path}", Access::Owner),
    ("HEAD", "/v1/files/at/{path}", Access::Owner),
    ("PUT", "/v1/files/at/{path}", Access::SignedIn),
    ("DELETE", "/v1/files/at/{path}", Access::Owner),
    ("GET", "/v1/files/{id}", Access::Owner),
    ("PATCH", "/v1/files/{id}", Access::Owner),
    ("DELETE", "/v1/files/{id}", Access::Owner),
    ("GET", "/v1/files/{id}/content", Access::Owner),
    ("HEAD", "/v1/files/{id}/content", Access::Owner),
    ("PUT", "/v1/files/{id}/content", Access::Owner),
    ("POST", "/v1/files/{id}/signed-urls", Access::Owner),
    ("GET", "/v1/capabilities", Access::SignedIn),
    ("GET", "/v1/uploads", Access::SignedIn),
    ("POST", "/v1/uploads", Access::SignedIn),
    ("GET", "/v1/uploads/{id}", Access::Owner),
    ("DELETE", "/v1/uploads/{id}", Access::Owner),
    ("POST", "/v1/uploads/{id}/parts", Access::Owner),
    ("POST", "/v1/files/{id}/signed-urls/revoke", Access::Owner),
    ("GET", "/v1/files/{id}/access", Access::Owner),
    ("POST", "/v1/files/{id}/links", Access::Owner),
    ("GET", "/v1/links", Access::SignedIn),
    ("GET", "/v1/links/{id}", Access::Owner),
    ("PATCH", "/v1/links/{id}", Access::Owner),
    ("DELETE", "/v1/links/{id}", Access::Owner),
    ("POST", "/v1/links/{id}/rotate", Access::Owner),
    ("GET", "/l/{token}", Access::Link),
    ("HEAD", "/l/{token}", Access::Link),
    ("POST", "/l/{token}", Access::Link),
    ("GET", "/l/{token}/{name}", Access::Link),
    ("HEAD", "/l/{token}/{name}", Access::Link),
    ("POST", "/l/{token}/unlock", Access::Link),
    ("POST", "/v1/uploads/{id}/complete", Access::Owner),
    ("POST", "/v1/companion/s3/multipart", Access::SignedIn),
    ("GET", "/v1/companion/s3/multipart/{id}", Access::Owner),
    ("DELETE", "/v1/companion/s3/multipart/{id}", Access::Owner),
    ("GET", "/v1/companion/s3/multipart/{id}/{number}", Access::Owner),
    ("POST", "/v1/companion/s3/multipart/{id}/complete", Access::Owner),
    ("GET", "/v1/files/{id}/events", Access::Owner),
    ("GET", "/v1/me/events", Access::Session),
    ("GET", "/v1/admin/events", Access::Admin),
    ("DELETE", "/v1/me", Access::Session),
    ("GET", "/v1/me/export", Access::Session),
    ("DELETE", "/v1/admin/users/{id}", Access::Admin),
    ("GET", "/v1/jobs/{id}", Access::Public),
    ("GET", "/v1/trash", Access::SignedIn),
    ("DELETE", "/v1/trash", Access::SignedIn),
    ("DELETE", "/v1/trash/{id}", Access::Owner),
    ("POST", "/v1/trash/{id}/restore", Access::Owner),
    ("GET", "/v1/signed/{key}", Access::Signature),
    ("HEAD", "/v1/signed/{key}", Access::Signature),
    ("PUT", "/v1/signed/{key}", Access::Signature),
    ("GET", "/v1/admin/users", Access::Admin),
    ("GET", "/v1/admin/users/{id}", Access::Admin),
    ("PATCH", "/v1/admin/users/{id}", Access::Admin),
    ("OPTIONS", "/v1/tus", Access::Public),
    ("POST", "/v1/tus", Access::SignedIn),
    ("HEAD", "/v1/tus/{id}", Access::Owner),
    ("PATCH", "/v1/tus/{id}", Access::Owner),
    ("DELETE", "/v1/tus/{id}", Access::Owner),
    ("POST", "/v1/tus/{id}", Access::Owner),
    ("GET", "/healthz", Access::Public),
    ("GET", "/readyz", Access::Public),
    ("GET", "/openapi.json", Access::Public),
    ("GET", "/v1/admin/fsck", Access::Admin),
    ("POST", "/v1/admin/fsck", Access::Admin),
    ("GET", "/v1/admin/doctor", Access::Admin),
    ("POST", "/v1/admin/doctor", Access::Admin),
];

/// A body that the operation accepts from those who may call it.
fn body(method: &str, path: &str) -> Value {
    match (method, path) {
        ("PATCH", "/v1/files/{id}" | "/v1/folders/{id}") => json!({"name": "stolen"}),
        ("POST", "/v1/folders") => json!({"path": "new"}),
        ("PATCH", "/v1/spaces/{id}") => json!({"name": "stolen"}),
        (_, "/v1/files/{id}/signed-urls") => json!({"operation": "get"}),
        (_, path) if path.ends_with("/complete") => json!({"parts": []}),
        (_, "/v1/files/check") => json!({"files": []}),
        (_, "/v1/files/batch") => json!({"op": "delete", "ids": []}),
        (_, "/l/{token}/unlock") => json!({"password": "guessed"}),
        _ => json!({}),
    }
}

pub fn request(client: &Client, method: &str, path: &str, id: &str) -> reqwest::RequestBuilder {
    let url = path
        .replace("{id}", id)
        .replace("{key}", id)
        .replace("{number}", "1")
        .replace("{user}", id)
        .replace("{token}", id)
        .replace("{path}", id);
    let method: Method = method.parse().unwrap();
    let request = client.request(method.clone(), &url).header("if-match", "*");
    if path.starts_with("/v1/tus") {
        let request =
            request.header("tus-resumable", "1.0.0").header("upload-offset", "0").header("upload-length", "4");
        let request = request.header("x-http-method-override", "PATCH");
        return request.header("content-type", "application/offset+octet-stream").body("mine");
    }
    request.json(&body(method.as_str(), path))
}

/// One of each resource that a path can name.
pub struct Resources {
    pub file: Value,
    pub tus: Tus,
    pub link: Value,
    pub trashed: Value,
    folder: Value,
    grant: Value,
    trashed_folder: Value,
    signed_put: String,
    direct: Value,
}

impl Resources {
    /// Creates them for this user.
    pub async fn create(owner: &Client) -> Self {
        let file = owner.upload("private.txt", "for my eyes only").await;
        let signed_put = owner.sign(&file, "put").await["upload_id"].as_str().unwrap().to_owned();
        let tus = Tus::create(owner, Some(4), "").await;
        let direct = json!({"name": "a", "mode": "direct", "size": 4});
        let direct = owner.post("/v1/uploads").json(&direct).answer().await.json();
        let link = create_link(owner, &file, json!({})).await;
        let trashed = owner.upload("trashed.txt", "in the trash").await;
        assert_eq!(owner.delete(&path(&trashed)).answer().await.status, 204);
        let create = async |path: &str| owner.post("/v1/folders").json(&json!({"path": path})).answer().await.json();
        let (folder, trashed_folder) = (create("private").await, create("trashed").await);
        let deleted = owner.delete(&format!("/v1/folders/{}", trashed_folder["id"].as_str().unwrap())).answer().await;
        assert_eq!(deleted.status, 204);
        let grant = json!({"file_id": file["id"], "email": "invited@example.org", "role": "viewer"});
        let grant = owner.post("/v1/grants").json(&grant).answer().await.json();
        Self { file, tus, link, trashed, folder, grant, trashed_folder, signed_put, direct }
    }

    /// The id of the resource that the path of an operation names.
    pub fn id(&self, path: &str) -> &str {
        match path {
            "/v1/uploads/{id}/complete" => self.signed_put.as_str(),
            path if path.contains("/uploads/") || path.contains("/companion/") => self.direct["id"].as_str().unwrap(),
            path if path.contains("/tus/") => self.tus.id(),
            path if path.contains("/grants/") => self.grant["id"].as_str().unwrap(),
            path if path.contains("/links/") => self.link["id"].as_str().unwrap(),
            path if path.contains("/trashed-folders/") => self.trashed_folder["id"].as_str().unwrap(),
            path if path.contains("/folders/") => self.folder["id"].as_str().unwrap(),
            path if path.contains("/trash/") => self.trashed["id"].as_str().unwrap(),
            path if path.contains("{token}") => self.link["url"].as_str().unwrap().rsplit('/').next().unwrap(),
            _ => self.file["id"].as_str().unwrap(),
        }
    }
}
