//! The description of an account and its files, as JSON: the first file of an archive.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Export;
use crate::access::Tree;
use crate::cursor::Page;
use crate::error::{Error, Result};
use crate::events::{self, Filter};
use crate::files::zip::paths::Paths;
use crate::files::zip::spool::{Spool, Spooled};
use crate::files::{Direction, File, List, Order, Sort, links, list, trash};
use crate::users;

/// The events that one query reads.
const EVENTS_PER_PAGE: usize = 500;

/// A file in the description.
#[derive(Serialize)]
struct DescribedFile<'a> {
    id: Uuid,
    path: &'a str,
    name: &'a str,
    size: u64,
    content_type: &'a str,
    sha256: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    metadata: &'a RawValue,
    tags: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    trashed_at: Option<Timestamp>,
    /// Where its content is in the archive.
    archive_path: String,
}

/// Files, each with the time at which it was trashed.
type FilePage = Page<(File, Option<Timestamp>)>;

impl Export {
    /// Writes the description page by page, and returns where the content of each file belongs: of each the id, then
    /// the path.
    pub(super) async fn describe(&mut self) -> Result<Spooled> {
        let now = self.app.clock.now();
        self.archive.start_file("strongroom.json", None, now).await?;
        let tokens = users::tokens(&self.app, &self.caller).await?;
        let members = [
            ("format", json!("strongroom-export")),
            ("version", json!(1)),
            ("exported_at", json!(now)),
            ("account", json!(self.caller.user)),
            ("tokens", json!(tokens)),
        ];
        let mut separator = "{";
        for (name, value) in members {
            self.archive.text(&format!("{separator}\n{}: {value}", json!(name))).await?;
            separator = ",";
        }
        let (mut paths, mut places) = (Paths::default(), Spool::new());
        for folder in ["files", "trash"] {
            self.describe_files(folder, &mut paths, &mut places).await?;
        }
        self.describe_links().await?;
        self.describe_events().await?;
        self.archive.text("\n}\n").await?;
        places.rewind()
    }

    /// Describes the files whose content goes into this folder of the archive.
    async fn describe_files(&mut self, folder: &str, paths: &mut Paths, places: &mut Spool) -> Result<()> {
        let (mut array, mut cursor) = (self.start_array(folder).await?, None);
        loop {
            let page = self.page_of(folder, cursor).await?;
            for (file, trashed_at) in page.items {
                let path = paths.place(folder, &file.path, &file.name, file.id);
                places.text(&file.id.to_string())?;
                places.text(&path)?;
                self.item(&mut array, &DescribedFile::new(&file, trashed_at, path)).await?;
                // Finding a path can take a while: let other tasks run.
                tokio::task::yield_now().await;
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return self.archive.text("]").await;
            }
        }
    }

    async fn page_of(&self, folder: &str, cursor: Option<String>) -> Result<FilePage> {
        let (app, subject) = (&self.app, self.caller.subject());
        if folder == "trash" {
            let page = trash::list(app, &subject, subject.actor, None, cursor.as_deref()).await?;
            return Ok(page.map(|trashed| (trashed.file, Some(trashed.trashed_at))));
        }
        let order = Order { sort: Sort::Location, direction: Direction::Ascending };
        let (page, _) =
            list(app, &Tree::of(app, &subject, None).await?, &List { order, cursor, ..List::default() }).await?;
        Ok(page.map(|file| (file, None)))
    }

    async fn describe_links(&mut self) -> Result<()> {
        let (mut array, mut cursor) = (self.start_array("links").await?, None);
        loop {
            let page = links::list(&self.app, &self.caller.subject(), None, None, cursor.as_deref()).await?;
            for link in &page.items {
                self.item(&mut array, link).await?;
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return self.archive.text("]").await;
            }
        }
    }

    async fn describe_events(&mut self) -> Result<()> {
        let filter = Filter { space: Some(self.caller.user.id), ..Filter::default() };
        let (mut array, mut cursor) = (self.start_array("events").await?, None);
        loop {
            let page = events::list(&self.app.db, &filter, EVENTS_PER_PAGE, cursor.as_deref()).await?;
            for event in &page.items {
                self.item(&mut array, event).await?;
            }
            cursor = page.next_cursor;
            if cursor.is_none() {
                return self.archive.text("]").await;
            }
        }
    }

    async fn start_array(&mut self, name: &str) -> Result<Separator> {
        self.archive.text(&format!(",\n{}: [", json!(name))).await?;
        Ok(Separator("\n"))
    }

    async fn item(&mut self, separator: &mut Separator, item: &impl Serialize) -> Result<()> {
        self.watch.check().await?;
        let text = serde_json::to_string(item).map_err(Error::internal)?;
        self.archive.text(&format!("{}{text}", separator.0)).await?;
        separator.0 = ",\n";
        Ok(())
    }
}

/// The separator before the next item of an array.
struct Separator(&'static str);

impl<'a> DescribedFile<'a> {
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
            tags: &file.tags,
            trashed_at,
            archive_path,
        }
    }
}
