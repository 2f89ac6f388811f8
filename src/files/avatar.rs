//! Avatars: the only content that every user may see.

use std::sync::Arc;

use uuid::Uuid;

use super::uploads::pending::{abandon_on_error, was_committed_anyway, write_blob};
use super::uploads::type_filter::Purpose;
use super::uploads::whole::detached;
use super::{Body, Content};
use crate::app::App;
use crate::error::{Error, Result};
use crate::faults;
use crate::users::User;

/// Sets the avatar of this user; returns `true` if there was none before.
///
/// # Errors
/// [`Error::TypeRefused`] if the content is not a picture that browsers display; [`Error::TooLarge`]; those of
/// [`upload`](super::upload).
pub async fn set(app: &Arc<App>, user: &User, body: Body) -> Result<bool> {
    let (app, user) = (app.clone(), user.clone());
    detached(async move {
        let stored = write_blob(&app, user.id, body, Purpose::Avatar, None).await?;
        let set = match app.db.set_avatar(user.id, &stored.facts).await {
            Err(error) if was_committed_anyway(&app, &stored, &error).await => Ok(false),
            set => set,
        };
        faults::point("K11");
        abandon_on_error(&app, &stored, set).await
    })
    .await
}

/// Deletes the avatar of this user.
///
/// # Errors
/// [`Error::NotFound`] if there is none.
pub async fn remove(app: &App, user: &User) -> Result<()> {
    if app.db.remove_avatar(user.id).await? { Ok(()) } else { Err(Error::NotFound) }
}

/// Finds the avatar of any user.
///
/// # Errors
/// [`Error::NotFound`] if the user has none or does not exist.
pub async fn find(app: &App, user: Uuid) -> Result<Content> {
    app.db.avatar(user).await?.ok_or(Error::NotFound)?.try_into()
}
