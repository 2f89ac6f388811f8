//! Who can read a file.

use std::sync::Arc;

use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::grants::GrantView;
use super::links::LinkView;
use crate::api::extract::{PermittedFile, need};
use crate::app::App;
use crate::error::Result;
use crate::files::{self, AccessEntry, EndedBy};
use crate::http::extract::{PageParams, Paging};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(access))
}

/// Everyone who can read a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FileAccess, example = json!({"items": [
    {"kind": "owner", "user_id": "019ab0c1-55aa-7b10-8f5e-2f0c9a3b7d21", "email": "rosalind@example.org", "sessions": 1,
        "tokens": 0, "ended_by": "PATCH /v1/admin/users/{id}"},
    {"kind": "signed_urls", "until": "2026-11-22T09:45:00Z", "revocable": true,
        "ended_by": "POST /v1/files/019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d11/signed-urls/revoke"}
], "next_cursor": null}))]
struct FileAccessView {
    items: Vec<AccessEntryView>,
    /// Null on the last page.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A user, a link or a set of signed URLs that can read or replace a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccessEntry)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum AccessEntryView {
    /// The owner of the file, by password or by a credential issued for it.
    Owner {
        user_id: Uuid,
        email: String,
        /// Active sessions; `DELETE /v1/me/sessions/{id}` ends one.
        sessions: u64,
        /// Active API tokens; `DELETE /v1/me/tokens/{id}` revokes one.
        tokens: u64,
        ended_by: String,
    },
    /// A grant to the file, to a folder above it, or to the space.
    Grant {
        grant: Box<GrantView>,
        ended_by: String,
    },
    Link {
        link: Box<LinkView>,
        ended_by: String,
    },
    /// Signed URLs that may still be in use. They are not counted individually.
    SignedUrls {
        /// All of them have expired by then.
        until: Timestamp,
        /// Whether one request revokes them; URLs signed by the bucket can only expire.
        revocable: bool,
        ended_by: Option<String>,
    },
    /// Signed URLs that accept new content for the file, which its owner has to complete.
    SignedPuts {
        /// Their number.
        uploads: u64,
        /// All of them have expired by then.
        until: Timestamp,
        ended_by: String,
    },
}

impl AccessEntryView {
    fn new(app: &App, entry: AccessEntry) -> Self {
        match entry {
            AccessEntry::Owner { user_id, email, sessions, tokens, ended_by } => {
                Self::Owner { user_id, email, sessions, tokens, ended_by: request(ended_by) }
            }
            AccessEntry::Grant { grant, ended_by } => {
                Self::Grant { grant: Box::new((*grant).into()), ended_by: request(ended_by) }
            }
            AccessEntry::Link { link, ended_by } => {
                Self::Link { link: Box::new(LinkView::new(app, *link)), ended_by: request(ended_by) }
            }
            AccessEntry::SignedUrls { until, ended_by } => {
                Self::SignedUrls { until, revocable: ended_by.is_some(), ended_by: ended_by.map(request) }
            }
            AccessEntry::SignedPuts { uploads, until, ended_by } => {
                Self::SignedPuts { uploads, until, ended_by: request(ended_by) }
            }
        }
    }
}

/// The request that ends an access.
fn request(ended_by: EndedBy) -> String {
    match ended_by {
        EndedBy::DisablingOwner => "PATCH /v1/admin/users/{id}".to_owned(),
        EndedBy::EndingGrant(id) => format!("DELETE /v1/grants/{id}"),
        EndedBy::RevokingLink(id) => format!("DELETE /v1/links/{id}"),
        EndedBy::RevokingSignedUrls(id) => format!("POST /v1/files/{id}/signed-urls/revoke"),
    }
}

/// List who can read or replace a file
///
/// Its owner, grants, active links, and signed URLs that may still be in use, each with the request that revokes it. Pages after
/// the first contain further links. Links that are not active count toward `limit` and are not listed.
#[utoipa::path(get, path = "/v1/files/{id}/access", tag = "files", operation_id = "getFileAccess",
    params(("id" = Uuid, Path), PageParams), responses((status = 200, description = "Everyone with access", body = FileAccessView)))]
async fn access(
    State(app): State<Arc<App>>,
    PermittedFile { caller, file, .. }: PermittedFile<need::Share>,
    Paging(page): Paging,
) -> Result<axum::Json<FileAccessView>> {
    let page = files::access(&app, &caller.user, &file, page.limit, page.cursor.as_deref()).await?;
    let items = page.items.into_iter().map(|entry| AccessEntryView::new(&app, entry)).collect();
    Ok(axum::Json(FileAccessView { items, next_cursor: page.next_cursor }))
}
