//! Exports all data of an account as one archive that is written while it is sent: a description, then the files under
//! their paths. Neither a file nor the archive is ever held as a whole.

mod archive;
mod description;

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::Instrument;
use uuid::Uuid;

use self::archive::Archive;
use super::right::Watch;
use super::zip::spool::Spool;
use super::{Content, File, TransferRight, avatar, find, read, trash};
use crate::access::Right;
use crate::app::App;
use crate::budget::SlotTaken;
use crate::error::{Cause, Error, Result};
use crate::events::{self, Event, EventKind};
use crate::store::ByteStream;
use crate::users::Caller;

/// Chunks that are written ahead of the reader.
const AHEAD: usize = 4;

/// Exports all data of the caller as a ZIP archive. A failure of the database or the store and the end of the session
/// break the stream off. A file that is deleted while the archive is written is described, and its content is left out;
/// content that the store has lost is listed in `MISSING.txt`.
///
/// # Errors
/// [`Error::ExportRunning`] if the account has an export in progress; [`Error::TooManyExports`] if others have as many
/// as the server writes at the same time; [`Error::Unauthorized`] if the request has no permit.
pub fn export(app: &Arc<App>, caller: &Caller) -> Result<ByteStream> {
    let slot = app.exports.take(caller.user.id).map_err(|taken| match taken {
        SlotTaken::BySameHolder => Error::ExportRunning,
        SlotTaken::ByOthers => Error::TooManyExports,
    })?;
    let right = TransferRight::of_caller().ok_or(Error::Unauthorized)?;
    app.events.record(&Event::new(EventKind::AccountExported, caller.user.id));
    let (sender, receiver) = mpsc::channel(AHEAD);
    let export = Export {
        app: app.clone(),
        caller: caller.clone(),
        archive: Archive::new(sender.clone()),
        lost: Spool::new(),
        watch: Watch::new(app, right),
    };
    let work = async move {
        tokio::select! {
            result = export.write() => if let Err(error) = result {
                // Usually the reader has disconnected, and nobody receives this.
                let _ = sender.send(Err(error)).await;
            },
            () = sender.closed() => {}
        }
        drop(slot);
    };
    tokio::spawn(events::in_current_context(work).in_current_span());
    Ok(stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) }).boxed())
}

/// An export in progress.
struct Export {
    app: Arc<App>,
    caller: Caller,
    archive: Archive,
    /// Lines about content that the store has lost.
    lost: Spool,
    /// An export can take hours, in which the session of the caller may end.
    watch: Watch,
}

impl Export {
    async fn write(mut self) -> Result<()> {
        let mut places = self.describe().await?;
        while let Some(id) = places.text()? {
            let (id, path) = (id.parse().map_err(Error::internal)?, places.text()?.unwrap_or_default());
            self.watch.check().await?;
            if let Some(file) = self.find(id).await? {
                self.copy(&path, &file.content, file.updated_at).await?;
            }
        }
        self.copy_avatar().await?;
        self.list_lost().await?;
        self.archive.finish().await
    }

    /// Finds a file that was described, wherever it is by now; `None` if it was deleted.
    async fn find(&self, id: Uuid) -> Result<Option<File>> {
        let (app, subject) = (&self.app, &self.caller.subject());
        let found = match find(app, subject, Right::Read, id).await {
            Err(Error::NotFound) => trash::find(app, subject, id).await.map(|trashed| trashed.file),
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
        let bytes = match read(&self.app, content, 0..content.size, usize::MAX).await {
            // It was replaced or deleted since it was found.
            Err(Error::NotFound) => return Ok(()),
            Err(Error::Internal(cause)) => return self.note_lost(path, "missing or too short", &cause),
            bytes => bytes?,
        };
        self.archive.start_file(path, Some(content.size), modified_at).await?;
        match self.copy_bytes(bytes).await {
            Err(Error::Internal(cause)) => self.note_lost(path, "incomplete", &cause),
            copied => copied,
        }
    }

    async fn copy_bytes(&mut self, mut bytes: ByteStream) -> Result<()> {
        while let Some(chunk) = bytes.try_next().await? {
            self.watch.check().await?;
            self.archive.write(&chunk).await?;
        }
        Ok(())
    }

    /// Notes that the store has lost content, and continues: otherwise nobody could export the rest.
    fn note_lost(&mut self, path: &str, what: &str, cause: &Cause) -> Result<()> {
        tracing::error!(user = %self.caller.user.id, %cause, "content is missing in an export");
        self.lost.text(&format!("{what}: {path}\n"))
    }

    /// Lists the lost content in a file of the archive, if there is any.
    async fn list_lost(&mut self) -> Result<()> {
        if self.lost.bytes() == 0 {
            return Ok(());
        }
        self.archive.start_file("MISSING.txt", None, self.app.clock.now()).await?;
        let introduction =
            "The storage of the server has lost the content of these files. Report this to its operator.";
        self.archive.text(&format!("{introduction}\n\n")).await?;
        let mut lines = std::mem::replace(&mut self.lost, Spool::new()).rewind()?;
        while let Some(line) = lines.text()? {
            self.archive.text(&line).await?;
        }
        Ok(())
    }
}
