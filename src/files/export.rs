//! Exports all data of an account as one archive that is written while it is sent: a description, then the files under
//! their paths. Neither a file nor the archive is ever held as a whole.

mod archive;
mod description;
mod paths;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::Instrument;
use uuid::Uuid;

use self::archive::Archive;
use super::{Content, File, avatar, find, read, trash};
use crate::app::App;
use crate::error::{Error, Result};
use crate::events::{Event, EventKind};
use crate::store::ByteStream;
use crate::users::{self, Caller};

/// Chunks that are written ahead of the reader.
const AHEAD: usize = 4;
/// How long an export continues after its session has ended.
const SESSION_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Exports all data of the caller as a ZIP archive. An error of the store and the end of the session break the stream
/// off. A file that is deleted while the archive is written is described, and its content is left out.
pub fn export(app: &Arc<App>, caller: &Caller) -> ByteStream {
    app.events.record(&Event::new(EventKind::AccountExported, caller.user.id));
    let (sender, receiver) = mpsc::channel(AHEAD);
    let export = Export {
        app: app.clone(),
        caller: caller.clone(),
        archive: Archive::new(sender.clone()),
        session_checked_at: app.clock.now(),
    };
    tokio::spawn(
        async move {
            if let Err(error) = export.write().await {
                // Usually the reader has disconnected, and nobody receives this.
                let _ = sender.send(Err(error)).await;
            }
        }
        .in_current_span(),
    );
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) }).boxed()
}

/// An export in progress.
struct Export {
    app: Arc<App>,
    caller: Caller,
    archive: Archive,
    session_checked_at: Timestamp,
}

impl Export {
    async fn write(mut self) -> Result<()> {
        for (id, path) in self.describe().await? {
            self.check_session().await?;
            if let Some(file) = self.find(id).await? {
                self.copy(&path, &file.content, file.updated_at).await?;
            }
        }
        self.copy_avatar().await?;
        self.archive.finish().await
    }

    /// Finds a file that was described, wherever it is by now; `None` if it was deleted.
    async fn find(&self, id: Uuid) -> Result<Option<File>> {
        let (app, user) = (&self.app, &self.caller.user);
        let found = match find(app, user, id).await {
            Err(Error::NotFound) => trash::find(app, user, id).await.map(|trashed| trashed.file),
            found => found,
        };
        match found {
            Err(Error::NotFound) => Ok(None),
            found => found.map(Some),
        }
    }

    async fn copy_avatar(&mut self) -> Result<()> {
        let avatar = match avatar::find(&self.app, self.caller.user.id).await {
            Err(Error::NotFound) => return Ok(()),
            avatar => avatar?,
        };
        let extension = avatar.content_type.rsplit('/').next().unwrap_or_default();
        self.copy(&format!("avatar.{extension}"), &avatar, avatar.modified_at).await
    }

    async fn copy(&mut self, path: &str, content: &Content, modified_at: Timestamp) -> Result<()> {
        let mut bytes = match read(&self.app, content, 0..content.size).await {
            // It was replaced or deleted since it was found.
            Err(Error::NotFound) => return Ok(()),
            bytes => bytes?,
        };
        self.archive.start_file(path, Some(content.size), modified_at)?;
        while let Some(chunk) = bytes.try_next().await? {
            self.check_session().await?;
            self.archive.write(&chunk).await?;
        }
        Ok(())
    }

    /// Checks now and then that the caller is still signed in: an export can take hours.
    ///
    /// # Errors
    /// [`Error::Unauthorized`].
    async fn check_session(&mut self) -> Result<()> {
        let now = self.app.clock.now();
        if self.session_checked_at.duration_until(now).unsigned_abs() >= SESSION_CHECK_INTERVAL {
            users::check_session(&self.app, &self.caller).await?;
            self.session_checked_at = now;
        }
        Ok(())
    }
}
