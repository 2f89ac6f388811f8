//! Everything that a person has, as one archive that is made while it is sent: a description, then the
//! files under their paths. Neither a file nor the archive is ever whole anywhere.

mod archive;
mod paths;

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tracing::Instrument;
use uuid::Uuid;

use self::archive::Archive;
use self::paths::Paths;
use super::{Content, Direction, File, List, Order, Sort};
use crate::app::App;
use crate::error::{Error, Result};
use crate::events::{self, Event, EventKind, Filter};
use crate::store::ByteStream;
use crate::users::{self, Caller, User};

/// Chunks that may wait for whoever reads.
const AHEAD: usize = 4;

/// Events that are read from the database at once.
const EVENTS_AT_ONCE: usize = 500;

/// A file, as the description names it.
#[derive(Serialize)]
struct Described<'a> {
    id: Uuid,
    path: &'a str,
    name: &'a str,
    size: u64,
    content_type: &'a str,
    sha256: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    metadata: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    trashed_at: Option<Timestamp>,
    /// Where its bytes are in the archive.
    archive_path: String,
}

/// Everything of the caller's as a ZIP archive. A store that fails in the middle breaks the stream.
/// What is deleted while the archive is made is described, and its bytes are left out.
pub fn export(app: &Arc<App>, caller: &Caller) -> ByteStream {
    app.events.record(&Event::new(EventKind::AccountExported, caller.user.id));
    let (sender, receiver) = mpsc::channel(AHEAD);
    let (app, caller) = (app.clone(), caller.clone());
    tokio::spawn(
        async move {
            let mut archive = Archive::new(sender.clone());
            let written = async {
                let files = describe(&app, &caller, &mut archive).await?;
                enclose(&app, &caller, &mut archive, files).await?;
                archive.finish().await
            };
            if let Err(error) = written.await {
                // Nobody may be listening any more, which is the usual cause.
                let _ = sender.send(Err(error)).await;
            }
        }
        .in_current_span(),
    );
    let chunks = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    chunks.boxed()
}

/// Writes the description, page by page, and gives where each file is to be.
async fn describe(app: &App, caller: &Caller, archive: &mut Archive) -> Result<Vec<(Uuid, String)>> {
    let (user, now) = (&caller.user, app.clock.now());
    let mut paths = Paths::default();
    let mut places = Vec::new();
    archive.begin("strongroom.json", None, now)?;
    let tokens = users::tokens(app, caller).await?;
    let head = [
        ("format", json!("strongroom-export")),
        ("version", json!(1)),
        ("exported_at", json!(now)),
        ("account", json!(user)),
        ("tokens", json!(tokens)),
    ];
    for (number, (name, value)) in head.into_iter().enumerate() {
        archive.text(&format!("{}\n{}: {value}", if number == 0 { "{" } else { "," }, json!(name))).await?;
    }
    for (member, folder) in [("files", "files"), ("trash", "trash")] {
        archive.text(&format!(",\n{}: [", json!(member))).await?;
        let mut separator = "\n";
        let mut cursor = None;
        loop {
            let (files, next) = page(app, caller, member, cursor).await?;
            for (file, trashed_at) in files {
                let archive_path = paths.place(folder, &file.path, &file.name);
                let described = Described::new(&file, trashed_at, archive_path.clone());
                let text = serde_json::to_string(&described).map_err(Error::internal)?;
                archive.text(&format!("{separator}{text}")).await?;
                separator = ",\n";
                places.push((file.id, archive_path));
            }
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        archive.text("]").await?;
    }
    describe_links(app, user, archive).await?;
    describe_events(app, user.id, archive).await?;
    archive.text("\n}\n").await?;
    Ok(places)
}

type Files = Vec<(File, Option<Timestamp>)>;

/// Some of the files, or of those in the trash, and where to go on.
async fn page(app: &App, caller: &Caller, which: &str, cursor: Option<String>) -> Result<(Files, Option<String>)> {
    if which == "trash" {
        let page = super::trash::list(app, &caller.user, None, cursor.as_deref()).await?;
        return Ok((page.files.into_iter().map(|file| (file.file, Some(file.trashed_at))).collect(), page.next_cursor));
    }
    let order = Order { sort: Sort::Location, direction: Direction::Ascending };
    let page = super::list(app, &caller.user, &List { order, cursor, ..List::default() }).await?;
    Ok((page.files.into_iter().map(|file| (file, None)).collect(), page.next_cursor))
}

async fn describe_links(app: &App, user: &User, archive: &mut Archive) -> Result<()> {
    archive.text(",\n\"links\": [").await?;
    let (mut separator, mut cursor) = ("\n", None);
    loop {
        let page = super::list_links(app, user, None, None, cursor.as_deref()).await?;
        for link in &page.links {
            let text = serde_json::to_string(link).map_err(Error::internal)?;
            archive.text(&format!("{separator}{text}")).await?;
            separator = ",\n";
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return archive.text("]").await;
        }
    }
}

async fn describe_events(app: &App, account: Uuid, archive: &mut Archive) -> Result<()> {
    let filter = Filter { account: Some(account), ..Filter::default() };
    archive.text(",\n\"events\": [").await?;
    let (mut separator, mut cursor) = ("\n", None);
    loop {
        let page = events::list(&app.db, &filter, EVENTS_AT_ONCE, cursor.as_deref()).await?;
        for event in &page.events {
            let text = serde_json::to_string(event).map_err(Error::internal)?;
            archive.text(&format!("{separator}{text}")).await?;
            separator = ",\n";
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return archive.text("]").await;
        }
    }
}

/// Writes the bytes of the files and of the avatar.
async fn enclose(app: &App, caller: &Caller, archive: &mut Archive, places: Vec<(Uuid, String)>) -> Result<()> {
    for (id, path) in places {
        // An archive takes a while; whoever signed out or was disabled meanwhile gets no more of it.
        if !users::sessions(app, caller).await?.iter().any(|session| session.current) {
            return Err(Error::Unauthorized);
        }
        let file = match super::find(app, &caller.user, id).await {
            Err(Error::NotFound) => super::trash::find(app, &caller.user, id).await.map(|trashed| trashed.file),
            found => found,
        };
        match file {
            Err(Error::NotFound) => {}
            file => {
                let file = file?;
                copy(app, archive, &path, &file.content, file.updated_at).await?;
            }
        }
    }
    match super::avatar::find(app, caller.user.id).await {
        Err(Error::NotFound) => Ok(()),
        avatar => {
            let avatar = avatar?;
            let extension = avatar.content_type.rsplit('/').next().unwrap_or_default().to_owned();
            copy(app, archive, &format!("avatar.{extension}"), &avatar, avatar.modified_at).await
        }
    }
}

async fn copy(app: &App, archive: &mut Archive, path: &str, content: &Content, at: Timestamp) -> Result<()> {
    let mut bytes = match super::read(app, content, 0..content.size).await {
        // It got other bytes, or went, since it was found.
        Err(Error::NotFound) => return Ok(()),
        bytes => bytes?,
    };
    archive.begin(path, Some(content.size), at)?;
    while let Some(chunk) = bytes.try_next().await? {
        archive.write(&chunk).await?;
    }
    Ok(())
}

impl<'a> Described<'a> {
    fn new(file: &'a File, trashed_at: Option<Timestamp>, archive_path: String) -> Self {
        Self {
            id: file.id,
            path: &file.path,
            name: &file.name,
            size: file.content.size,
            content_type: &file.content.content_type,
            sha256: file.content.sha256_hex(),
            created_at: file.created_at,
            updated_at: file.updated_at,
            metadata: &file.metadata,
            trashed_at,
            archive_path,
        }
    }
}
