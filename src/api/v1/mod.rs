//! The REST API, version 1: one file per noun.

mod admin_users;
mod archives;
mod auth;
mod avatars;
mod batch;
mod capabilities;
mod changes;
mod check;
mod events;
mod fields;
mod file_access;
mod file_at;
mod file_content;
mod files;
mod folders;
mod fsck_run;
mod grants;
mod jobs;
mod links;
mod me;
mod operations;
mod signed_urls;
mod spaces;
mod teams;
mod tokens;
mod trash;
mod uploads;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

pub use signed_urls::SIGNED_PREFIX;

/// Every route of this version.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(auth::routes())
        .merge(me::routes())
        .merge(tokens::routes())
        .merge(admin_users::routes())
        .merge(archives::routes())
        .merge(avatars::routes())
        .merge(batch::routes())
        .merge(check::routes())
        .merge(files::routes())
        .merge(file_access::routes())
        .merge(file_content::routes())
        .merge(file_at::routes())
        .merge(folders::routes())
        .merge(grants::routes())
        .merge(trash::routes())
        .merge(jobs::routes())
        .merge(events::routes())
        .merge(signed_urls::routes())
        .merge(uploads::routes())
        .merge(capabilities::routes())
        .merge(changes::routes())
        .merge(links::routes())
        .merge(spaces::routes())
        .merge(teams::routes())
        .merge(operations::routes())
}
