//! Lists files, page by page. A cursor names the last file of a page: its cost does not depend on its position,
//! and files that are added or deleted in between neither repeat nor hide others.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::labels::wanted;
use super::name::{cleaned, location};
use super::{File, FolderPath, signed_urls};
use crate::access::{Right, Tree};
use crate::app::App;
use crate::cursor::{self, Page, PageBuilder};
use crate::db::{After, FileRow, ListQuery};
use crate::error::{Error, Result};
use crate::unicode::{fold, natural_key};

pub use crate::db::{Direction, Sort};

/// Characters of a prefix: more than a path and a name have.
const MAX_PREFIX: usize = 4400;
/// Characters of a text to search for: as many as a name has.
const MAX_SEARCH: usize = 255;
/// Words that are searched for one by one: each of them reads the names again.
const MAX_WORDS: usize = 8;

/// Which files to list, and in which order.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// Only files whose path and name, joined by a slash, start with this.
    pub prefix: Option<String>,
    /// Only files directly in this folder.
    pub folder: Option<FolderPath>,
    /// Only files in this folder and below it.
    pub under: Option<FolderPath>,
    /// Only files whose path and name contain each of these words, without regard to case, accents and width.
    pub search: Option<String>,
    /// Only files whose metadata has each of these members with this value, as text.
    pub metadata: Vec<(String, String)>,
    /// Only files with each of these tags.
    pub tags: Vec<String>,
    /// The order of the list.
    pub order: Order,
    /// Whether to count the files on all pages.
    pub total: bool,
    /// Maximum number of files on a page; `None` for the default.
    pub limit: Option<u32>,
    /// The cursor of the page; `None` for the first one.
    pub cursor: Option<String>,
    /// Whether each file comes with a signed URL, which counts toward the size of the page.
    pub with_urls: bool,
}

/// The order of a list. Ties are broken by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// What the files are sorted by.
    pub sort: Sort,
    /// Ascending or descending.
    pub direction: Direction,
}

impl Default for Order {
    fn default() -> Self {
        Self { sort: Sort::Location, direction: Direction::Ascending }
    }
}

/// Lists the files of a tree. Returns a page, and the number of files on all of them if that was requested.
///
/// # Errors
/// [`Error::NotFound`] if there is no such folder; [`Error::BadCursor`] if the cursor does not belong to a list in this order; [`Error::Invalid`] if the limit or a text
/// to search for is out of range.
pub async fn list(app: &App, tree: &Tree, list: &List) -> Result<(Page<File>, Option<u64>)> {
    // What may be listed in one folder of a tree may be listed in all of it: it begins with the topmost such folder.
    let permit = tree.permit();
    permit.require(Right::List)?;
    if list.with_urls {
        tree.require(app, Right::Share, "").await?;
    }
    let limit = cursor::page_size(list.limit, app.config.limits.page)?;
    let after = list.cursor.as_deref().map(|cursor| Cursor::decode(cursor, list.order)).transpose()?;
    let mut prefix = tree.absolute(&searchable(list.prefix.as_deref(), "prefix", MAX_PREFIX)?);
    if let Some(under) = &list.under {
        let location = tree.absolute(&under.location());
        app.db.folder_at(tree.space_id(), &location).await?.ok_or(Error::NotFound)?;
        prefix = narrower(prefix, location);
    }
    let folder = match &list.folder {
        Some(folder) => {
            let folder =
                app.db.folder_at(tree.space_id(), &tree.absolute(&folder.location())).await?.ok_or(Error::NotFound)?;
            Some((folder.id, folder.location))
        }
        None => None,
    };
    let mut query = ListQuery {
        space: tree.space_id(),
        sort: list.order.sort,
        direction: list.order.direction,
        prefix,
        folder,
        search: words(list.search.as_deref())?,
        search_from: fold(&tree.root.location).chars().count() as i64 + 1,
        attributes: wanted(&list.metadata, &list.tags)?,
        after,
        limit,
    };
    let total = if list.total { Some(app.db.count_files(&query).await?) } else { None };
    let mut page = PageBuilder::new(limit);
    while let Some(count) = page.wanted() {
        query.limit = count;
        if let Some(last) = page.last() {
            query.after = Some(Cursor::after(list.order, last).position(list.order)?);
        }
        let url = |row: &FileRow| if list.with_urls { signed_urls::bytes_of(&row.name) } else { 0 };
        page.add(app.db.list_files(&query).await?, |row| bytes_of(row) + url(row));
    }
    let page = page
        .finish(|last| Cursor::after(list.order, last).encode())
        .try_map(|row| File::permitted(row, permit.clone()))?;
    Ok((page, total))
}

/// The prefix of locations that have both. Two that exclude each other become one that no location has.
fn narrower(one: String, other: String) -> String {
    match (one.starts_with(&other), other.starts_with(&one)) {
        (true, _) => one,
        (_, true) => other,
        _ => "/".to_owned(),
    }
}

/// The approximate size of a file as JSON without a signed URL, in bytes.
pub(super) fn bytes_of(row: &FileRow) -> usize {
    const THE_REST: usize = 640;
    THE_REST + row.folder.len() + row.name.len() + row.metadata.len() + row.tags.len()
}

/// A text to search for. Names are stored in normalization form C, without control characters.
fn searchable(text: Option<&str>, parameter: &str, maximum: usize) -> Result<String> {
    let text = cleaned(text.unwrap_or_default());
    if text.chars().count() > maximum || text.chars().any(char::is_control) {
        let detail = format!("at most {maximum} characters, without control characters");
        return Err(Error::invalid_parameter(parameter, "invalid", detail));
    }
    Ok(text)
}

/// The words to search for, folded as the names are. Those after the first [`MAX_WORDS`] are one text with the last of
/// them, so that a name of any length is found by itself.
fn words(text: Option<&str>) -> Result<Vec<String>> {
    let folded = fold(&searchable(text, "q", MAX_SEARCH)?);
    let mut words: Vec<&str> = folded.split_whitespace().collect();
    let rest = words.split_off(words.len().min(MAX_WORDS - 1)).join(" ");
    let words = words.into_iter().map(str::to_owned);
    Ok(words.chain(Some(rest).filter(|rest| !rest.is_empty())).collect())
}

/// The position after the last file of a page. Clients treat its text as opaque.
#[derive(Serialize, Deserialize)]
struct Cursor {
    /// The order of the list that it belongs to.
    o: (u8, bool),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<i64>,
    i: Uuid,
}

impl Cursor {
    fn after(order: Order, last: &FileRow) -> Self {
        let (t, n) = match order.sort {
            Sort::Location | Sort::Natural => (Some(format!("{}{}", last.folder, last.name)), None),
            Sort::Name => (Some(last.name.clone()), None),
            Sort::Created => (None, None),
            Sort::Updated => (None, Some(last.updated_at.0)),
            Sort::Size => (None, i64::try_from(last.size.0).ok()),
        };
        Cursor { o: mark(order), t, n, i: last.id }
    }

    fn encode(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str, order: Order) -> Result<After> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::BadCursor)?;
        let cursor: Cursor = serde_json::from_slice(&bytes).map_err(|_| Error::BadCursor)?;
        cursor.position(order)
    }

    fn position(self, order: Order) -> Result<After> {
        if self.o != mark(order) {
            return Err(Error::BadCursor);
        }
        match (order.sort, self.t, self.n) {
            (Sort::Location | Sort::Name, Some(text), None) if !text.contains('\0') => Ok(After::Text(text, self.i)),
            (Sort::Natural, Some(text), None) if !text.contains('\0') => {
                let (path, name) = text.rsplit_once('/').unwrap_or(("", &text));
                Ok(After::Natural(location(path), natural_key(name), self.i))
            }
            (Sort::Created, None, None) => Ok(After::Id(self.i)),
            (Sort::Updated | Sort::Size, None, Some(number)) => Ok(After::Number(number, self.i)),
            _ => Err(Error::BadCursor),
        }
    }
}

fn mark(order: Order) -> (u8, bool) {
    let sort = match order.sort {
        Sort::Location => 0,
        Sort::Name => 1,
        Sort::Created => 2,
        Sort::Updated => 3,
        Sort::Size => 4,
        Sort::Natural => 5,
    };
    (sort, order.direction == Direction::Descending)
}
