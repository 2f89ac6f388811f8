//! Avatars: the one kind of content that everybody may see.

use std::sync::Arc;

use uuid::Uuid;

use super::uploads::pending::{abandon_on_error, store, was_committed_anyway};
use super::uploads::type_filter::Purpose;
use super::uploads::whole::detached;
use super::{Body, Content};
use crate::app::App;
use crate::error::{Error, Result};
use crate::faults;
use crate::users::User;

/// Makes a picture this user's avatar; `true` if there was none before.
///
/// # Errors
/// `TypeRefused` if the bytes are not a picture that browsers show; `TooLarge`; what
/// [`super::upload`] fails with.
pub async fn set(app: &Arc<App>, user: &User, body: Body) -> Result<bool> {
    let (app, user) = (app.clone(), user.clone());
    detached(async move {
        let stored = store(&app, &user, body, Purpose::Avatar, None).await?;
        let set = match app.db.set_avatar(user.id, &stored.facts).await {
            Err(error) if was_committed_anyway(&app, &stored, &error).await => Ok(false),
            set => set,
        };
        faults::point("K11");
        abandon_on_error(&app, &stored, set).await
    })
    .await
}

/// Takes this user's avatar away.
///
/// # Errors
/// `NotFound` if there is none.
pub async fn remove(app: &App, user: &User) -> Result<()> {
    if app.db.remove_avatar(user.id).await? { Ok(()) } else { Err(Error::NotFound) }
}

/// The avatar of a person; anybody may ask.
///
/// # Errors
/// `NotFound` if there is none, or no such person.
pub async fn find(app: &App, user: Uuid) -> Result<Content> {
    app.db.avatar(user).await?.ok_or(Error::NotFound)?.try_into()
}
