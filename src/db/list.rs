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
    ($query:expr, $list:expr) => {{
        let (mut query, list) = ($query.bind($list.owner).bind($list.limit), $list);
        if !list.prefix.is_empty() {
            query = query.bind(&list.prefix).bind(successor(&list.prefix));
        }
        if let Some(folder) = &list.folder {
            query = query.bind(folder);
        }
        if !list.search.is_empty() {
            query = query.bind(format!("%{}%", escape_like(&list.search)));
        }
        match &list.after {
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
        let filters = Filters::of(list);
        match &self.read {
            Pool::Postgres(pool) => {
                let sql = statement(Shape::Rows, list.sort, list.direction, filters);
                let query = sqlx::query_as(AssertSqlSafe(sql));
                Ok(bound!(query, list).fetch_all(pool).await?)
            }
            // Each value of each row would come over from SQLite's thread by itself.
            Pool::Sqlite(pool) => {
                let sql = statement(Shape::Packed, list.sort, list.direction, filters);
                let query = sqlx::query_scalar(AssertSqlSafe(sql));
                let rows: Option<String> = bound!(query, list).fetch_one(pool).await?;
                serde_json::from_str(&format!("[{}]", rows.unwrap_or_default())).map_err(Error::internal)
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Filters {
    prefix: bool,
    folder: bool,
    search: bool,
    after: bool,
}

impl Filters {
    fn of(list: &ListQuery) -> Self {
        Self {
            prefix: !list.prefix.is_empty(),
            folder: list.folder.is_some(),
            search: !list.search.is_empty(),
            after: list.after.is_some(),
        }
    }
}

/// How a page comes out of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Rows,
    /// All of it as one text, the members of a JSON array.
    Packed,
}

fn statement(shape: Shape, sort: Sort, direction: Direction, filters: Filters) -> String {
    // The columns of each order are those of an index, so that a page is a walk along it.
    let columns: &[&str] = match sort {
        Sort::Location => &["f.location", "f.id"],
        Sort::Name => &["f.name", "f.id"],
        Sort::Created => &["f.id"],
        Sort::Updated => &["f.updated_at", "f.id"],
        Sort::Size => &["f.size", "f.id"],
    };
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
    if filters.prefix {
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
                let filters = Filters { prefix: is_set(1), folder: is_set(2), search: is_set(4), after: is_set(8) };
                statements.push(statement(shape, sort, direction, filters));
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
