//! Pages of lists, and the cursors between them. Callers treat the text of a cursor as opaque.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::error::{Error, Result};

/// Items on a page when the request does not say.
const DEFAULT_PAGE_SIZE: u32 = 100;

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
    /// A page of at most `limit` of these rows, and the cursor after the last of them. Query one row more than `limit`:
    /// it shows that there is a next page, and is not part of this one.
    ///
    /// # Examples
    /// ```
    /// use strongroom::cursor::Page;
    ///
    /// let page = Page::new(vec!["a", "b", "c"], 2, |last| format!("after {last}"));
    /// assert_eq!((page.items, page.next_cursor.as_deref()), (vec!["a", "b"], Some("after b")));
    /// ```
    pub fn new(mut rows: Vec<T>, limit: usize, cursor: impl FnOnce(&T) -> String) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(cursor);
        Self { items: rows, next_cursor }
    }

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
