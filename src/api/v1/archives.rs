//! Archives of folders and of selected files and folders.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::archives::{plan, send};
use crate::api::auth::SignedIn;
use crate::api::extract::{PermittedFolder, need};
use crate::api::openapi::headers::{ConditionHeaders, RangeHeaders};
use crate::app::App;
use crate::budget::Party;
use crate::error::{Error, Result};
use crate::events::{self, Channel, Event, EventKind};
use crate::files::archives::{self, ArchiveUrlDownload, Selection};
use crate::files::{self, ArchiveItem, FileName, TransferRight, Watch};
use crate::http::body::Binary;
use crate::http::content::{DeliveryObserver, Plan, Progress};
use crate::http::extract::{Json, Name};
use crate::users::ClientInfo;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(get, head)).routes(routes!(create)).routes(routes!(get_once, head_once))
}

/// Download a folder as an archive
///
/// A ZIP archive of the folder and all below it, with its length, an ETag and ranges: a download can be resumed. Files are
/// stored as they are. Names are changed where some system could not unpack them. The transfer ends with an error if one of
/// the files is changed, moved or deleted meanwhile, so that an archive is never short and looks complete.
#[utoipa::path(get, path = "/v1/folders/{id}/archive", tag = "folders", operation_id = "downloadFolder",
    params(("id" = Uuid, Path), RangeHeaders, ConditionHeaders),
    responses((status = 200, description = "The archive", content_type = "application/zip", body = Binary),
        (status = 206, description = "The requested range of it", content_type = "application/zip", body = Binary),
        (status = 304, description = "Not modified")),
    extensions(("x-problem-codes" = json!(["too_many_entries", "too_many_archives"]))))]
async fn get(
    State(app): State<Arc<App>>,
    PermittedFolder { caller, folder, .. }: PermittedFolder<need::Read>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    let name = if folder.name.is_empty() { "files.zip".to_owned() } else { format!("{}.zip", folder.name) };
    let right = TransferRight::of_caller().ok_or(Error::Unauthorized)?;
    let event = folder.event(EventKind::ArchiveDownloaded);
    let archive = files::archive(&app, Party::Account(caller.user.id), &[ArchiveItem::Folder(folder)]).await?;
    let plan = plan(&method, &headers, &archive, &name)?;
    send(&app, archive, plan, Watch::new(&app, right), vec![event]).await
}

/// Get the headers of the archive of a folder
#[utoipa::path(head, path = "/v1/folders/{id}/archive", tag = "folders", operation_id = "headFolderArchive",
    params(("id" = Uuid, Path), ConditionHeaders),
    responses((status = 200, description = "The headers of the archive"), (status = 304, description = "Not modified")),
    extensions(("x-problem-codes" = json!(["too_many_entries", "too_many_archives"]))))]
async fn head(
    state: State<Arc<App>>,
    folder: PermittedFolder<need::Read>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    get(state, folder, method, headers).await
}

/// Files and folders for an archive.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"folders": ["019ab0c2-7a2e-7c55-b1de-0f5a8b7e4d12"], "name": "november.zip"}))]
struct CreateArchiveRequest {
    /// The ids of folders, each with all below it.
    #[serde(default)]
    folders: Vec<Uuid>,
    /// The ids of files.
    #[serde(default)]
    files: Vec<Uuid>,
    /// The file name, at most 255 characters; by default `files.zip`.
    #[schema(min_length = 1, pattern = r"^[^/\\\x00-\x1f\x7f-\x9f]+$")]
    name: Option<String>,
}

/// A URL by which an archive can be downloaded once.
#[derive(Debug, Serialize, ToSchema)]
struct ArchiveUrl {
    #[schema(example = "http://127.0.0.1:3000/v1/archives/sra_0123456789ABCDEFGHIJabcdefghij4WptOr")]
    url: String,
    /// When it expires, unless the download has begun.
    expires_at: Timestamp,
}

/// Create a one-time URL of an archive
///
/// For browsers, which navigate to it: no script has to receive the archive, and no credential is in the URL. The first
/// client that uses it can resume the download for an hour; when the archive is complete, only its end can be fetched
/// again. The URL ends with the session or the token that created it.
#[utoipa::path(post, path = "/v1/archives", tag = "folders", operation_id = "createArchive",
    request_body = CreateArchiveRequest,
    responses((status = 201, description = "The URL was created", body = ArchiveUrl)),
    extensions(("x-problem-codes" = json!(["not_found", "right_required"]))))]
async fn create(
    State(app): State<Arc<App>>,
    SignedIn(caller): SignedIn,
    Json(request): Json<CreateArchiveRequest>,
) -> Result<(StatusCode, axum::Json<ArchiveUrl>)> {
    let CreateArchiveRequest { folders, files, name } = request;
    let name = FileName::new(name.as_deref().unwrap_or("files.zip"), "/name")?;
    let selection = Selection { folders, files };
    let (secret, expires_at) = archives::create(&app, &caller.subject(), &selection, &name).await?;
    let url = app.config.url(&format!("/v1/archives/{}", secret.reveal()));
    Ok((StatusCode::CREATED, axum::Json(ArchiveUrl { url, expires_at })))
}

/// Download an archive through its one-time URL
#[utoipa::path(get, path = "/v1/archives/{token}", tag = "folders", operation_id = "downloadArchive", security(()),
    params(("token" = String, Path), RangeHeaders, ConditionHeaders),
    responses((status = 200, description = "The archive", content_type = "application/zip", body = Binary),
        (status = 206, description = "The requested range of it", content_type = "application/zip", body = Binary),
        (status = 304, description = "Not modified")),
    extensions(("x-problem-codes" = json!(["too_many_entries", "too_many_archives"]))))]
async fn get_once(
    State(app): State<Arc<App>>,
    Name(token): Name,
    client: ClientInfo,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    events::set_channel(Channel::SignedUrl);
    let opened = archives::open(&app, &token).await?;
    let archive = files::archive(&app, Party::Account(opened.account), &opened.items).await?;
    let plan = plan(&method, &headers, &archive, &opened.name)?;
    let (resumes, ends) = extent(&plan, archive.size);
    let once = ArchiveUrlDownload::new(&app, &opened, client.address, resumes, ends);
    let watch = Watch::new(&app, TransferRight::of_caller().ok_or(Error::NotFound)?);
    let spaces: BTreeSet<Uuid> = opened.items.iter().map(ArchiveItem::space_id).collect();
    let event = |space| Event::new(EventKind::ArchiveDownloaded, space).with("name", &*opened.name);
    send(&app, archive, plan, (once, watch), spaces.into_iter().map(event).collect()).await
}

/// Get the headers of an archive through its one-time URL
#[utoipa::path(head, path = "/v1/archives/{token}", tag = "folders", operation_id = "headArchive", security(()),
    params(("token" = String, Path), ConditionHeaders),
    responses((status = 200, description = "The headers of the archive"), (status = 304, description = "Not modified")),
    extensions(("x-problem-codes" = json!(["too_many_entries", "too_many_archives"]))))]
async fn head_once(
    state: State<Arc<App>>,
    token: Name,
    client: ClientInfo,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    get_once(state, token, client, method, headers).await
}

/// Whether a response begins after the first byte of the content, and whether it has the last.
fn extent(plan: &Plan, size: u64) -> (bool, bool) {
    plan.ranges().next().map_or((false, false), |range| (range.start > 0, range.end == size))
}

impl DeliveryObserver for ArchiveUrlDownload {
    async fn begin(&mut self) -> Result<()> {
        ArchiveUrlDownload::begin(self).await
    }

    async fn advance(&mut self, next: Progress) -> Result<()> {
        ArchiveUrlDownload::advance(self, next.left()).await
    }

    fn end(&mut self, _: Progress) {}
}
