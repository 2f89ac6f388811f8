//! Lists of files, page by page. The text of the query depends on what is asked for, and is put
//! together from fixed pieces alone; every value is bound.

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::files::{FileRow, file_columns, file_columns_as_json};
use super::{Db, Pool};
use crate::error::{Error, Result};

/// What a list is sorted by. Ties are broken by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The folder path and name.
    Location,
    Name,
    /// The time of making, which the ids carry.
    Created,
    Updated,
    Size,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    Descending,
}

/// The last file of the page before: the next page begins after it.
#[derive(Debug, Clone, PartialEq)]
pub enum After {
    Text(String, Uuid),
    Number(i64, Uuid),
    Id(Uuid),
}

/// One page of one owner's files.
#[derive(Debug, Clone)]
pub struct ListQuery {
    pub owner: Uuid,
    pub sort: Sort,
    pub direction: Direction,
    /// Locations that begin with this.
    pub prefix: String,
    /// Files in this folder itself.
    pub folder: Option<String>,
    /// Locations that contain this, in lower case.
    pub search: String,
    pub after: Option<After>,
    pub limit: i64,
}

/// The query with its values, in the order of [`statement`].
macro_rules! bound {
    ($query:expr, $list:expr, $range:expr, $after:expr) => {{
        let (mut query, list) = ($query.bind($list.owner).bind($list.limit), $list);
        if let Some((low, high)) = $range {
            query = query.bind(low).bind(high);
        }
        if let Some(folder) = &list.folder {
            query = query.bind(folder);
        }
        if !list.search.is_empty() {
            query = query.bind(format!("%{}%", escape_like(&list.search)));
        }
        match $after {
            None => query,
            Some(After::Text(text, id)) => query.bind(text).bind(id),
            Some(After::Number(number, id)) => query.bind(number).bind(id),
            Some(After::Id(id)) => query.bind(id),
        }
    }};
}

impl Db {
    /// The files of one page, in order.
    pub async fn list_files(&self, list: &ListQuery) -> Result<Vec<FileRow>> {
        let (sort, after) = order(list);
        let range = range(list, sort, after.as_ref());
        // The order by location has the place of the cursor in the range.
        let after = after.filter(|_| sort != Sort::Location);
        let filters = Filters {
            range: range.is_some(),
            folder: list.folder.is_some(),
            search: !list.search.is_empty(),
            after: after.is_some(),
        };
        match &self.read {
            Pool::Postgres(pool) => {
                let sql = statement(Shape::Rows, sort, list.direction, filters);
                let query = sqlx::query_as(AssertSqlSafe(sql));
                Ok(bound!(query, list, &range, &after).fetch_all(pool).await?)
            }
            // Each value of each row would come over from SQLite's thread by itself.
            Pool::Sqlite(pool) => {
                let sql = statement(Shape::Packed, sort, list.direction, filters);
                let query = sqlx::query_scalar(AssertSqlSafe(sql));
                let rows: Option<String> = bound!(query, list, &range, &after).fetch_one(pool).await?;
                serde_json::from_str(&format!("[{}]", rows.unwrap_or_default())).map_err(Error::internal)
            }
        }
    }
}

/// Within one folder the order of locations is that of names, along which there is an index.
fn order(list: &ListQuery) -> (Sort, Option<After>) {
    match (list.sort, &list.folder, &list.after) {
        (Sort::Location, Some(_), Some(After::Text(location, id))) => {
            let name = location.rsplit_once('/').map_or(location.as_str(), |(_, name)| name);
            (Sort::Name, Some(After::Text(name.to_owned(), *id)))
        }
        (Sort::Location, Some(_), _) => (Sort::Name, None),
        _ => (list.sort, list.after.clone()),
    }
}

/// From which location on, and before which one. A cursor in the order by location is one end of it:
/// were it a condition of its own, SQLite would begin each page at the prefix's first file.
fn range(list: &ListQuery, sort: Sort, after: Option<&After>) -> Option<(String, String)> {
    let (low, high) = (list.prefix.clone(), successor(&list.prefix));
    match (after, list.direction) {
        // No name contains a control character, so the next location is none before this.
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
    search: bool,
    after: bool,
}

/// How a page comes out of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Rows,
    /// All of it as one text, the members of a JSON array.
    Packed,
}

fn statement(shape: Shape, sort: Sort, direction: Direction, filters: Filters) -> String {
    // The columns of each order are those of an index, so that a page is a walk along it. An account
    // has one file at a location.
    let columns: &[&str] = match sort {
        Sort::Location => &["f.location"],
        Sort::Name => &["f.name", "f.id"],
        Sort::Created => &["f.id"],
        Sort::Updated => &["f.updated_at", "f.id"],
        Sort::Size => &["f.size", "f.id"],
    };
    let is_walk = match sort {
        Sort::Location => true,
        Sort::Name => filters.folder || !filters.range,
        _ => !filters.folder && !filters.range,
    };
    let mut columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    if !is_walk {
        // What is in a folder is sorted, which costs what is in the folder. Hidden like this, SQLite does
        // not take the index of the order instead and walk past everything else that the owner has.
        columns[0] = format!("COALESCE({0}, {0})", columns[0]);
    }
    let (order, beyond) = match direction {
        Direction::Ascending => ("ASC", ">"),
        Direction::Descending => ("DESC", "<"),
    };
    let mut next = 3..;
    let mut number = || next.next().unwrap_or_default();
    let mut sql = String::from(match shape {
        Shape::Rows => concat!("SELECT ", file_columns!()),
        // What is put together comes in the order of the inner query, whose limit keeps the two apart.
        Shape::Packed => concat!("SELECT group_concat(file) FROM (SELECT ", file_columns_as_json!(), " AS file"),
    });
    sql += " FROM files f JOIN blobs b ON b.id = f.blob_id WHERE f.owner_id = $1 AND f.trashed_at IS NULL";
    if filters.range {
        sql += &format!(" AND f.location >= ${} AND f.location < ${}", number(), number());
    }
    if filters.folder {
        sql += &format!(" AND f.path = ${}", number());
    }
    if filters.search {
        sql += &format!(" AND f.search LIKE ${} ESCAPE '\\'", number());
    }
    if filters.after {
        let bound: Vec<String> = columns.iter().map(|_| format!("${}", number())).collect();
        sql += &format!(" AND ({}) {beyond} ({})", columns.join(", "), bound.join(", "));
    }
    if sort == Sort::Created && is_walk {
        // A column of the index; PostgreSQL does not conclude from the condition that it is always the same.
        columns.insert(0, "f.trashed_at".to_owned());
    }
    let order_by: Vec<String> = columns.iter().map(|column| format!("{column} {order}")).collect();
    sql += &format!(" ORDER BY {} LIMIT $2", order_by.join(", "));
    if shape == Shape::Packed {
        sql.push(')');
    }
    sql
}

/// Every statement that [`statement`] can make.
pub(super) fn every_statement(shape: Shape) -> Vec<String> {
    let mut statements = Vec::new();
    for sort in [Sort::Location, Sort::Name, Sort::Created, Sort::Updated, Sort::Size] {
        for direction in [Direction::Ascending, Direction::Descending] {
            for bits in 0..16 {
                let is_set = |bit: u8| bits & bit > 0;
                let filters = Filters { range: is_set(1), folder: is_set(2), search: is_set(4), after: is_set(8) };
                if sort != Sort::Location || !filters.folder && !filters.after {
                    statements.push(statement(shape, sort, direction, filters));
                }
            }
        }
    }
    statements
}

/// The least text that is greater than every text with this prefix.
fn successor(prefix: &str) -> String {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // A range skips the surrogates, which are no characters.
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return chars.into_iter().collect();
        }
    }
    // No name contains this character, so nothing lies beyond.
    char::MAX.to_string()
}

fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
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
