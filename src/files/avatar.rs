//! Avatars: the one kind of content that everybody may see.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use uuid::Uuid;

use super::pending::{Purpose, give_up_on_error, settles, store};
use super::upload::detached;
use super::{Body, Content, is_picture};
use crate::app::App;
use crate::error::{Error, Result};
use crate::faults;
use crate::users::User;

/// Makes a picture this user's avatar; `true` if there was none before.
///
/// # Errors
/// `TypeRefused` if the bytes are not a picture that browsers show; `TooLarge`; what
/// [`super::upload`] fails with.
pub async fn set_avatar(user: &User, app: &Arc<App>, mut body: Body) -> Result<bool> {
    body.stream = pictures_alone(body.stream);
    let (user, app) = (user.clone(), app.clone());
    detached(async move {
        let stored = store(&user, &app, body, Purpose::Avatar).await?;
        // The gate has seen the first bytes; what is kept is told from more of them.
        if !is_picture(&stored.facts.content_type) {
            return give_up_on_error(&app, &stored, Err(Error::TypeRefused)).await;
        }
        let set = match app.db.set_avatar(user.id, &stored.facts).await {
            Err(error) if settles(&app, &stored, &error).await => Ok(false),
            set => set,
        };
        faults::point("K11");
        give_up_on_error(&app, &stored, set).await
    })
    .await
}

/// Takes this user's avatar away.
///
/// # Errors
/// `NotFound` if there is none.
pub async fn remove_avatar(user: &User, app: &App) -> Result<()> {
    if app.db.remove_avatar(user.id).await? { Ok(()) } else { Err(Error::NotFound) }
}

/// The avatar of a person; anybody may ask.
///
/// # Errors
/// `NotFound` if there is none, or no such person.
pub async fn avatar(app: &App, person: Uuid) -> Result<Content> {
    app.db.avatar(person).await?.ok_or(Error::NotFound)?.try_into()
}

/// Refuses a stream by its first bytes, before the store has seen any.
fn pictures_alone(stream: crate::store::ByteStream) -> crate::store::ByteStream {
    /// As many bytes as the marks of every accepted type need.
    const ENOUGH: usize = 64;
    let gate = stream::unfold((Some(stream), Vec::new(), false), |(stream, mut head, open)| async move {
        let mut stream = stream?;
        loop {
            match stream.next().await {
                Some(Ok(chunk)) if open => return Some((Ok(chunk), (Some(stream), head, true))),
                Some(Ok(chunk)) => {
                    head.extend_from_slice(&chunk);
                    if head.len() < ENOUGH {
                        continue;
                    }
                    if !is_picture(&super::sniff::content_type(&head, None)) {
                        return Some((Err(Error::TypeRefused), (None, Vec::new(), false)));
                    }
                    return Some((Ok(head.into()), (Some(stream), Vec::new(), true)));
                }
                Some(Err(error)) => return Some((Err(error), (None, head, open))),
                None if open => return None,
                None => {
                    let picture = is_picture(&super::sniff::content_type(&head, None));
                    let last = if picture { Ok(head.into()) } else { Err(Error::TypeRefused) };
                    return Some((last, (None, Vec::new(), true)));
                }
            }
        }
    });
    Box::pin(gate)
}
