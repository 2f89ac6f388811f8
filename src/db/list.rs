//! Lists of files. A statement is composed of fixed texts, depending on the query; every value is bound.

use sqlx::AssertSqlSafe;
use sqlx::error::BoxDynError;
use uuid::Uuid;

use super::file_row::{FileRow, file_columns, file_columns_as_json};
use super::pool::{Arguments, Parameters};
use super::{Count, Db};
use crate::error::{Error, Result};

/// The order of a list. Ties are broken by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// By path and name.
    Location,
    /// By name.
    Name,
    /// By path, and then by name as people sort names.
    Natural,
    /// By time of creation, which the ids carry.
    Created,
    /// By time of the last change.
    Updated,
    /// By size.
    Size,
}

/// The direction of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Greatest first.
    Descending,
}

/// The last file of the previous page.
#[derive(Debug, Clone, PartialEq)]
pub enum After {
    /// In an order by location or name.
    Text(String, Uuid),
    /// In the natural order: a path and a sort key.
    Natural(String, String, Uuid),
    /// In an order by time of change (microseconds) or size (bytes).
    Number(i64, Uuid),
    /// In the order of creation.
    Id(Uuid),
}

/// One page of one owner's files.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// The owner of the files.
    pub owner: Uuid,
    /// The order.
    pub sort: Sort,
    /// The direction of the order.
    pub direction: Direction,
    /// Only files whose location begins with this.
    pub prefix: String,
    /// Only files in this folder, without its subfolders.
    pub folder: Option<String>,
    /// Only files whose folded location contains each of these words.
    pub search: Vec<String>,
    /// Where the page begins.
    pub after: Option<After>,
    /// Maximum number of files.
    pub limit: usize,
}

/// The arguments of [`statement`].
struct ListArguments<'q> {
    list: &'q ListQuery,
    range: &'q Option<(String, String)>,
    after: &'q Option<After>,
}

impl Arguments for ListArguments<'_> {
    fn bind(self, to: &mut impl Parameters) -> std::result::Result<(), BoxDynError> {
        let Self { list, range, after } = self;
        (list.owner, Count::from(list.limit)).bind(to)?;
        if let Some((low, high)) = range {
            (low, high).bind(to)?;
        }
        if let Some(folder) = &list.folder {
            to.add(folder)?;
        }
        for word in &list.search {
            to.add(word)?;
        }
        match after {
            None => Ok(()),
            Some(After::Text(text, id)) => (text, id).bind(to),
            Some(After::Natural(path, key, id)) => (path, key, id).bind(to),
            Some(After::Number(number, id)) => (number, id).bind(to),
            Some(After::Id(id)) => to.add(id),
        }
    }
}

impl Db {
    /// The files of one page, in order.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn list_files(&self, list: &ListQuery) -> Result<Vec<FileRow>> {
        let (sort, after) = order(list);
        let range = range(list, sort, after.as_ref());
        // In the order by location, the range includes the place of the cursor.
        let after = after.filter(|_| sort != Sort::Location);
        let filters = Filters {
            range: range.is_some(),
            folder: list.folder.is_some(),
            words: list.search.len(),
            after: after.is_some(),
        };
        let shape = self.list_shape();
        let sql = AssertSqlSafe(statement(shape, sort, list.direction, filters));
        let arguments = ListArguments { list, range: &range, after: &after };
        match shape {
            Shape::Rows => self.read.fetch_all(sql, arguments).await,
            Shape::Packed => {
                let (files,): (Option<String>,) = self.read.fetch_one(sql, arguments).await?;
                serde_json::from_str(&format!("[{}]", files.unwrap_or_default())).map_err(Error::internal)
            }
        }
    }

    /// SQLite's thread would pass on each value of each row separately.
    pub(super) fn list_shape(&self) -> Shape {
        if self.read.is_sqlite() { Shape::Packed } else { Shape::Rows }
    }
}

/// Within one folder, the order by location is the one by name, for which there is an index.
fn order(list: &ListQuery) -> (Sort, Option<After>) {
    match (list.sort, &list.folder, &list.after) {
        (Sort::Location, Some(_), Some(After::Text(location, id))) => {
            let name = location.rsplit_once('/').map_or(location.as_str(), |(_, name)| name);
            (Sort::Name, Some(After::Text(name.to_owned(), *id)))
        }
        (Sort::Location, Some(_), _) => (Sort::Name, None),
        (Sort::Natural, Some(_), Some(After::Natural(_, key, id))) => {
            (Sort::Natural, Some(After::Text(key.clone(), *id)))
        }
        _ => (list.sort, list.after.clone()),
    }
}

/// The range of locations: from the first text on, and before the second. A cursor in the order by location is one end
/// of it: as a condition of its own, SQLite would begin each page at the first file with the prefix.
fn range(list: &ListQuery, sort: Sort, after: Option<&After>) -> Option<(String, String)> {
    let (low, high) = (list.prefix.clone(), successor(&list.prefix));
    match (after, list.direction) {
        // No name contains a control character, so the next location is not before this.
        (Some(After::Text(location, _)), Direction::Ascending) if sort == Sort::Location => {
            Some((low.max(format!("{location}\u{1}")), high))
        }
        (Some(After::Text(location, _)), Direction::Descending) if sort == Sort::Location => {
            Some((low, high.min(location.clone())))
        }
        _ if list.prefix.is_empty() => None,
        _ => Some((low, high)),
    }
}

#[derive(Debug, Clone, Copy)]
struct Filters {
    range: bool,
    folder: bool,
    /// How many words are searched for.
    words: usize,
    after: bool,
}

/// The format in which the database returns a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Rows,
    /// One text with the elements of a JSON array.
    Packed,
}

impl Shape {
    /// The function that finds one text in another. LIKE would match the pattern again from each character of a name,
    /// at the cost of their lengths multiplied.
    fn position(self) -> &'static str {
        match self {
            Shape::Rows => "strpos",
            Shape::Packed => "instr",
        }
    }
}

fn statement(shape: Shape, sort: Sort, direction: Direction, filters: Filters) -> String {
    let (order, beyond) = match direction {
        Direction::Ascending => ("ASC", ">"),
        Direction::Descending => ("DESC", "<"),
    };
    let (head, tail) = match shape {
        Shape::Rows => (concat!("SELECT ", file_columns!()), ""),
        // The order is that of the inner query, which its limit keeps from being flattened.
        Shape::Packed => (concat!("SELECT group_concat(file) FROM (SELECT ", file_columns_as_json!(), " AS file"), ")"),
    };
    let mut columns = order_columns(sort, filters);
    let conditions = conditions(shape, &columns, beyond, filters);
    if sort == Sort::Created && is_index_scan(sort, filters) {
        // A column of the index; PostgreSQL does not infer from the condition that it is constant.
        columns.insert(0, "f.trashed_at".to_owned());
    }
    let order_by: Vec<String> = columns.iter().map(|column| format!("{column} {order}")).collect();
    let order_by = order_by.join(", ");
    format!(
        "{head} FROM files f JOIN blobs b ON b.id = f.blob_id WHERE f.owner_id = $1 AND f.trashed_at IS NULL\
         {conditions} ORDER BY {order_by} LIMIT $2{tail}"
    )
}

/// The columns of an order are those of an index, so that a page is a scan of it. A location is unique within an
/// account.
fn order_columns(sort: Sort, filters: Filters) -> Vec<String> {
    let columns: &[&str] = match sort {
        Sort::Location => &["f.location"],
        Sort::Name => &["f.name", "f.id"],
        Sort::Natural if filters.folder => &["f.sort_key", "f.id"],
        Sort::Natural => &["f.path", "f.sort_key", "f.id"],
        Sort::Created => &["f.id"],
        Sort::Updated => &["f.updated_at", "f.id"],
        Sort::Size => &["f.size", "f.id"],
    };
    let mut columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    if !is_index_scan(sort, filters) {
        // The files of a folder are sorted, at a cost that depends on the folder only. COALESCE keeps SQLite from
        // using the index of the order instead and reading all other files of the owner.
        columns[0] = format!("COALESCE({0}, {0})", columns[0]);
    }
    columns
}

/// Whether there is an index for this order that the filters do not rule out.
fn is_index_scan(sort: Sort, filters: Filters) -> bool {
    match sort {
        Sort::Location => true,
        Sort::Name | Sort::Natural => filters.folder || !filters.range,
        Sort::Created | Sort::Updated | Sort::Size => !filters.folder && !filters.range,
    }
}

fn conditions(shape: Shape, columns: &[String], beyond: &str, filters: Filters) -> String {
    let mut next = 3..;
    let mut number = || next.next().unwrap_or_default();
    let mut sql = String::new();
    if filters.range {
        sql += &format!(" AND f.location >= ${} AND f.location < ${}", number(), number());
    }
    if filters.folder {
        sql += &format!(" AND f.path = ${}", number());
    }
    for _ in 0..filters.words {
        sql += &format!(" AND {}(f.search, ${}) > 0", shape.position(), number());
    }
    if filters.after {
        let bound: Vec<String> = columns.iter().map(|_| format!("${}", number())).collect();
        sql += &format!(" AND ({}) {beyond} ({})", columns.join(", "), bound.join(", "));
    }
    sql
}

/// Every statement that [`statement`] composes.
pub(super) fn every_statement(shape: Shape) -> Vec<String> {
    let mut statements = Vec::new();
    for sort in [Sort::Location, Sort::Name, Sort::Natural, Sort::Created, Sort::Updated, Sort::Size] {
        for direction in [Direction::Ascending, Direction::Descending] {
            for bits in 0..16 {
                let is_set = |bit: u8| bits & bit > 0;
                let filters =
                    Filters { range: is_set(1), folder: is_set(2), words: usize::from(is_set(4)), after: is_set(8) };
                if sort != Sort::Location || !filters.folder && !filters.after {
                    statements.push(statement(shape, sort, direction, filters));
                }
            }
        }
    }
    statements
}

/// The smallest text that is greater than every text with this prefix.
fn successor(prefix: &str) -> String {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // A range skips the surrogates, which are not characters.
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return chars.into_iter().collect();
        }
    }
    // No name contains this character, so no text is greater.
    char::MAX.to_string()
}

#[cfg(test)]
mod tests {
    use super::successor;

    #[test]
    fn the_successor_follows_everything_that_has_the_prefix() {
        for prefix in ["a", "docs/", "zz", "é", "\u{d7ff}", "a\u{10ffff}"] {
            let end = successor(prefix);
            assert!(end.as_str() > prefix, "{prefix:?}");
            assert!(end.as_str() > format!("{prefix}\u{10fffe}").as_str(), "{prefix:?}");
            assert!(!end.starts_with(prefix), "{prefix:?}");
        }
    }
}
