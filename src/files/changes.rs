//! The change log: read page by page, waited for, and followed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use jiff::Timestamp;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::name::path;
use crate::access::{Right, Rights};
use crate::app::App;
use crate::budget::{Slot, SlotTaken};
use crate::cursor::{self, PageBuilder};
use crate::db::{ChangeRow, Permit};
use crate::error::{Error, Result};
use crate::events::{self, ChangeSubscription};
use crate::users::User;

/// The longest time between two parts of a stream; also sent if nothing has changed, so that proxies keep it open.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Changes of one part of a stream, or of a page after a wait: their memory is not reserved while nothing happens.
const PART: usize = 100;
/// The cursor of the end of the log, whatever that is.
const LATEST: &str = "latest";

/// A change of a file, a folder or a link.
#[derive(Debug, Clone)]
pub struct Change {
    /// The place in the log: what comes after it is found with this.
    pub cursor: String,
    /// What happened.
    pub kind: String,
    /// The space.
    pub space_id: Uuid,
    /// The file, also of a link.
    pub file_id: Option<Uuid>,
    /// The folder, if it is about a folder.
    pub folder_id: Option<Uuid>,
    /// The link, if it is about a link.
    pub link_id: Option<Uuid>,
    /// The folder that the file or folder was in then.
    pub parent_id: Option<Uuid>,
    /// The path then: of a folder its own, of a file that of its folder.
    pub path: String,
    /// The name then.
    pub name: String,
    /// The account that acted; absent for visitors, the command line and the server itself.
    pub actor_id: Option<Uuid>,
    /// When it happened.
    pub at: Timestamp,
}

/// A part of the log, oldest first.
#[derive(Debug, Clone)]
pub struct Changes {
    /// The changes.
    pub items: Vec<Change>,
    /// The place in the log after them.
    pub cursor: String,
    /// Whether there are more already.
    pub has_more: bool,
}

/// Lists what has changed after a cursor, in what this user may see, oldest first. Without a cursor it begins with the
/// oldest change that is kept; `latest` is the end.
///
/// # Errors
/// [`Error::BadCursor`]; [`Error::ChangesExpired`] if changes after the cursor may have been deleted;
/// [`Error::Invalid`] if the limit is out of range.
pub async fn changes(app: &App, user: &User, after: Option<&str>, limit: Option<u32>) -> Result<Changes> {
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    Reader::new(after)?.read(app, user, limit).await
}

/// The time that a request waits for changes, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Wait(Duration);

impl Wait {
    /// # Errors
    /// [`Error::Invalid`] if it is longer than the server allows.
    pub fn new(app: &App, seconds: u64) -> Result<Self> {
        let (wait, longest) = (Duration::from_secs(seconds), app.config.changes.longest_wait);
        let detail = || format!("at most {} seconds", longest.as_secs());
        let too_long = || Error::invalid_parameter("wait", "out_of_range", detail());
        if wait <= longest { Ok(Self(wait)) } else { Err(too_long()) }
    }

    /// Whether it does not wait.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

/// Waits until there are changes after a cursor, and lists the first of them; none if the time has passed, or the server
/// stops.
///
/// # Errors
/// Those of [`changes`]; [`Error::TooManyWaiters`] and [`Error::Overloaded`] if too many wait;
/// [`Error::Unauthorized`] if the right ended meanwhile.
pub async fn wait_for_changes(app: &App, user: &User, after: &str, limit: Option<u32>, wait: Wait) -> Result<Changes> {
    let limit = cursor::page_size(limit, app.config.limits.page)?.min(PART);
    let mut waiting = Waiting::begin(app, user)?;
    let mut reader = Reader::new(Some(after))?;
    let mut over = std::pin::pin!(tokio::time::sleep(wait.0));
    loop {
        let page = reader.read(app, user, limit).await?;
        if !page.items.is_empty() || over.is_elapsed() || app.changes.is_closed() {
            return Ok(page);
        }
        tokio::select! {
            () = waiting.subscription.changed(&reader.spaces) => {}
            () = &mut over => {}
        }
        waiting.check(app).await?;
    }
}

/// Follows the log from a cursor on, as [`changes`] does. A part without changes is a heartbeat. The stream ends with the
/// right of the caller, and when the server stops; its reader continues after the last cursor.
///
/// # Errors
/// Those of [`wait_for_changes`].
pub async fn follow(app: &Arc<App>, user: &User, after: Option<&str>) -> Result<impl Stream<Item = Changes> + use<>> {
    let mut waiting = Waiting::begin(app, user)?;
    let mut reader = Reader::new(after)?;
    let mut part = reader.read(app, user, PART).await?;
    let (app, user) = (app.clone(), user.clone());
    let (sender, receiver) = mpsc::channel(1);
    let work = async move {
        loop {
            let has_more = part.has_more;
            if sender.send(part).await.is_err() || app.changes.is_closed() {
                return;
            }
            if !has_more {
                let heartbeat = HEARTBEAT.min(app.config.auth.access_check_interval);
                tokio::select! {
                    () = waiting.subscription.changed(&reader.spaces) => {}
                    () = tokio::time::sleep(heartbeat) => {}
                    () = sender.closed() => return,
                }
            }
            part = match waiting.check(&app).await {
                Ok(()) => match reader.read(&app, &user, PART).await {
                    Ok(part) => part,
                    Err(error) => return tracing::debug!(%error, "a stream of changes ends"),
                },
                Err(error) => return tracing::debug!(%error, "a stream of changes ends"),
            };
        }
    };
    tokio::spawn(events::in_current_context(work));
    Ok(futures_util::stream::unfold(receiver, async |mut receiver: mpsc::Receiver<_>| {
        receiver.recv().await.map(|part| (part, receiver))
    }))
}

/// The spaces whose changes this user may see: the own one, and shared ones of which everything is listed for the user.
async fn visible(app: &App, user: &User) -> Result<Vec<Uuid>> {
    let mut spaces = vec![user.id];
    spaces.extend(app.db.spaces_with(user.id, Rights::of(&[Right::List]).bits(), app.clock.now()).await?);
    Ok(spaces)
}

/// Reads the log part by part.
struct Reader {
    position: Position,
    /// Whose changes were read last.
    spaces: Vec<Uuid>,
}

/// A place in the log.
#[derive(Debug, Clone, Copy)]
enum Position {
    /// Before the oldest change that is kept.
    Oldest,
    /// The end.
    Latest,
    /// After the change with this number, of the log with this id.
    After { log: u32, seq: i64 },
}

impl Reader {
    fn new(after: Option<&str>) -> Result<Self> {
        let position = match after {
            None => Position::Oldest,
            Some(LATEST) => Position::Latest,
            Some(cursor) => decode(cursor)?,
        };
        Ok(Self { position, spaces: Vec::new() })
    }

    /// The next part.
    async fn read(&mut self, app: &App, user: &User, limit: usize) -> Result<Changes> {
        self.spaces = visible(app, user).await?;
        let end = app.changes.look().await?;
        let after = match self.position {
            Position::Oldest => 0,
            Position::Latest => end.decided,
            // Another server may know more of the log by now.
            Position::After { seq, .. } => seq,
        };
        let mut page = PageBuilder::new(limit);
        while let Some(count) = page.wanted() {
            let after = page.last().map_or(after, |last: &ChangeRow| last.seq);
            page.add(list(app, &self.spaces, after, end.decided, count).await?, bytes_of);
        }
        // After the changes, so that those are noticed that were deleted before they could be read.
        let kept = app.db.change_log().await?;
        let id = u32::try_from(kept.id).map_err(Error::internal)?;
        if let Position::After { log, seq } = self.position
            && (log != id || seq < kept.purged || seq > end.drawn)
        {
            return Err(Error::ChangesExpired);
        }
        let page = page.finish(|last| last.seq.to_string());
        let last = page.items.last().map_or(after, |last| last.seq);
        let has_more = page.next_cursor.is_some();
        // Everything up to the end was read, also what concerns others: cursors do not age while nothing happens.
        let seq = if has_more { last } else { end.decided.max(after) };
        self.position = Position::After { log: id, seq };
        let items = page.items.into_iter().map(|row| change(id, row)).collect();
        Ok(Changes { items, cursor: encode(id, seq), has_more })
    }
}

/// At most `count` changes in these spaces, in their order.
async fn list(app: &App, spaces: &[Uuid], after: i64, until: i64, count: usize) -> Result<Vec<ChangeRow>> {
    let mut rows = Vec::new();
    for space in spaces {
        rows.append(&mut app.db.list_changes(*space, after, until, count).await?);
    }
    rows.sort_unstable_by_key(|row| row.seq);
    rows.truncate(count);
    Ok(rows)
}

fn bytes_of(row: &ChangeRow) -> usize {
    const THE_REST: usize = 512;
    THE_REST + row.path.len() + row.name.len()
}

fn change(log: u32, row: ChangeRow) -> Change {
    Change {
        cursor: encode(log, row.seq),
        kind: row.kind,
        space_id: row.space_id,
        file_id: row.file_id,
        folder_id: row.folder_id,
        link_id: row.link_id,
        parent_id: row.parent_id,
        path: path(&row.path).to_owned(),
        name: row.name,
        actor_id: row.actor_id,
        at: row.at.into(),
    }
}

fn encode(log: u32, seq: i64) -> String {
    format!("{log:08x}-{seq}")
}

fn decode(cursor: &str) -> Result<Position> {
    let decoded = || {
        let (log, seq) = cursor.split_once('-')?;
        let (log, seq) = (u32::from_str_radix(log, 16).ok()?, seq.parse().ok().filter(|seq| *seq >= 0)?);
        // The one spelling of it.
        (encode(log, seq) == cursor).then_some(Position::After { log, seq })
    };
    decoded().ok_or(Error::BadCursor)
}

/// What a request needs that waits.
struct Waiting {
    subscription: ChangeSubscription,
    permit: Permit,
    _slot: Slot,
}

impl Waiting {
    fn begin(app: &App, user: &User) -> Result<Self> {
        let slot = app.change_waiters.take(user.id).map_err(|taken| match taken {
            SlotTaken::BySameHolder => Error::TooManyWaiters { limit: app.config.changes.waiters_per_account },
            SlotTaken::ByOthers => Error::Overloaded,
        })?;
        let permit = Permit::current().ok_or(Error::Unauthorized)?;
        Ok(Self { subscription: app.changes.subscribe(), permit, _slot: slot })
    }

    /// Checks that the right of the caller has not ended.
    async fn check(&self, app: &App) -> Result<()> {
        app.db.check_permit(&self.permit).await
    }
}

#[cfg(test)]
mod tests {
    use super::{Position, decode, encode};

    #[test]
    fn a_cursor_has_one_spelling() {
        for (log, seq) in [(0, 0), (7, 1), (u32::MAX, i64::MAX)] {
            let decoded = decode(&encode(log, seq)).expect("a cursor");
            assert!(matches!(decoded, Position::After { log: l, seq: s } if (l, s) == (log, seq)), "{decoded:?}");
        }
        for text in
            ["", "-", "7", "7-1", "00000007-", "00000007--1", "00000007-+1", "00000007-01", "0000000G-1", "latest-1"]
        {
            assert!(decode(text).is_err(), "{text}");
        }
    }
}
