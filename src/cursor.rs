//! Pages of lists, and the cursors between them. Callers treat the text of a cursor as opaque.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::error::{Error, Result};

/// Items on a page when the request does not say.
pub const DEFAULT_PAGE_SIZE: u32 = 100;
/// Bytes after which a page ends, whatever number of items was requested.
pub const PAGE_BYTES: usize = 1024 * 1024;
/// Rows that one query reads of a long page.
const STEP: usize = 256;

/// The number of items on a page for which `wanted` were requested; `max` is the limit of the server.
///
/// # Errors
/// [`Error::Invalid`] at the query parameter `limit` if it is 0 or larger than `max`.
pub fn page_size(wanted: Option<u32>, max: u32) -> Result<usize> {
    let size = wanted.unwrap_or(DEFAULT_PAGE_SIZE.min(max));
    if !(1..=max).contains(&size) {
        return Err(Error::invalid_parameter("limit", "out_of_range", format!("from 1 to {max}")));
    }
    Ok(size as usize)
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page with every item converted.
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(convert).collect(), next_cursor: self.next_cursor }
    }

    /// The page with every item converted.
    ///
    /// # Errors
    /// The first error of `convert`.
    pub fn try_map<U>(self, convert: impl FnMut(T) -> Result<U>) -> Result<Page<U>> {
        let items = self.items.into_iter().map(convert).collect::<Result<_>>()?;
        Ok(Page { items, next_cursor: self.next_cursor })
    }
}

/// A page that is read step by step, until it has its number of rows or [`PAGE_BYTES`].
///
/// # Examples
/// ```
/// use strongroom::cursor::PageBuilder;
///
/// let mut rows = ["a", "b", "c"].into_iter();
/// let mut page = PageBuilder::new(2);
/// while let Some(count) = page.wanted() {
///     page.add(rows.by_ref().take(count).collect(), |row| row.len());
/// }
/// let page = page.finish(|last| format!("after {last}"));
/// assert_eq!((page.items, page.next_cursor.as_deref()), (vec!["a", "b"], Some("after b")));
/// ```
#[derive(Debug)]
pub struct PageBuilder<T> {
    limit: usize,
    items: Vec<T>,
    bytes: usize,
    /// Whether there is a next page, once that is known.
    more: Option<bool>,
}

impl<T> PageBuilder<T> {
    /// A page of at most `limit` rows.
    pub fn new(limit: usize) -> Self {
        Self { limit, items: Vec::new(), bytes: 0, more: None }
    }

    /// The number of rows to read next, after [`last`](Self::last); `None` once the page is complete. One row more than
    /// the page may have shows that there is a next page.
    pub fn wanted(&self) -> Option<usize> {
        self.more.is_none().then(|| (self.limit + 1 - self.items.len()).min(STEP))
    }

    /// The last row so far.
    pub fn last(&self) -> Option<&T> {
        self.items.last()
    }

    /// Adds the rows that were read. If they are fewer than [wanted](Self::wanted), there are no more. `bytes_of`
    /// estimates a row as JSON.
    pub fn add(&mut self, rows: Vec<T>, bytes_of: impl Fn(&T) -> usize) {
        let ends = Some(rows.len()) < self.wanted();
        for row in rows {
            self.bytes += bytes_of(&row);
            if self.items.len() == self.limit || (self.bytes > PAGE_BYTES && !self.items.is_empty()) {
                self.more = Some(true);
                return;
            }
            self.items.push(row);
        }
        self.more = ends.then_some(false);
    }

    /// The page, with the cursor after its last row if there are more.
    pub fn finish(self, cursor: impl FnOnce(&T) -> String) -> Page<T> {
        let next_cursor = self.items.last().filter(|_| self.more == Some(true)).map(cursor);
        Page { items: self.items, next_cursor }
    }
}

/// The cursor after the item with this id, in a list that is ordered by id.
pub fn encode_id(id: Uuid) -> String {
    id.simple().to_string()
}

/// The id in a cursor of [`encode_id`].
///
/// # Errors
/// [`Error::BadCursor`] if the text is not such a cursor.
pub fn decode_id(cursor: &str) -> Result<Uuid> {
    cursor.parse().map_err(|_| Error::BadCursor)
}

/// The cursor after the item with this time (microseconds since 1970) and id, in a list that is ordered by time.
pub fn encode(time: i64, id: Uuid) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([&time.to_be_bytes()[..], id.as_bytes()].concat())
}

/// The time and id in a cursor of [`encode`].
///
/// # Errors
/// [`Error::BadCursor`] if the text is not such a cursor.
pub fn decode(cursor: &str) -> Result<(i64, Uuid)> {
    let decoded = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (time, id) = bytes.split_at_checked(8)?;
        Some((i64::from_be_bytes(time.try_into().ok()?), Uuid::from_slice(id).ok()?))
    };
    decoded().ok_or(Error::BadCursor)
}
