//! Lists of files. A statement is composed of fixed texts, depending on the query; every value is bound.

use sqlx::AssertSqlSafe;
use sqlx::error::BoxDynError;
use uuid::Uuid;

use super::attributes::Attribute;
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
    /// By folder, and in it by name as people sort names.
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
    /// In the natural order: the location of a folder and a sort key.
    Natural(String, String, Uuid),
    /// In an order by time of change (microseconds) or size (bytes).
    Number(i64, Uuid),
    /// In the order of creation.
    Id(Uuid),
}

/// One page of one space's files.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// The space of the files.
    pub space: Uuid,
    /// The order.
    pub sort: Sort,
    /// The direction of the order.
    pub direction: Direction,
    /// Only files whose location begins with this.
    pub prefix: String,
    /// Only files in this folder, without its subfolders: its id and its location.
    pub folder: Option<(Uuid, String)>,
    /// Only files whose folded location contains each of these words.
    pub search: Vec<String>,
    /// The character of the folded location, from 1, that the search begins at: what precedes it is not shown.
    pub search_from: i64,
    /// Only files that have each of these attributes.
    pub attributes: Vec<Attribute>,
    /// Where the page begins.
    pub after: Option<After>,
    /// Maximum number of files.
    pub limit: usize,
}

/// The arguments of [`statement`] and [`count_statement`].
struct ListArguments<'q> {
    list: &'q ListQuery,
    limit: Option<usize>,
    range: &'q Option<Vec<String>>,
    after: &'q Option<After>,
}

impl Arguments for ListArguments<'_> {
    fn bind(self, to: &mut impl Parameters) -> std::result::Result<(), BoxDynError> {
        let Self { list, limit, range, after } = self;
        to.add(list.space)?;
        if let Some(limit) = limit {
            to.add(Count::from(limit))?;
        }
        for text in range.iter().flatten() {
            to.add(text)?;
        }
        if let Some((folder, _)) = &list.folder {
            to.add(folder)?;
        }
        list.bind_search(to)?;
        after.as_ref().map_or(Ok(()), |after| after.bind(to))
    }
}

impl ListQuery {
    /// Binds the values of [`search_conditions`].
    pub(super) fn bind_search(&self, to: &mut impl Parameters) -> std::result::Result<(), BoxDynError> {
        if !self.search.is_empty() {
            to.add(self.search_from)?;
        }
        self.search.iter().try_for_each(|word| to.add(word))
    }
}

impl Arguments for &After {
    fn bind(self, to: &mut impl Parameters) -> std::result::Result<(), BoxDynError> {
        match self {
            After::Text(text, id) => (text, id).bind(to),
            After::Natural(location, key, id) => (location, key, id).bind(to),
            After::Number(number, id) => (number, id).bind(to),
            After::Id(id) => to.add(id),
        }
    }
}

impl Db {
    /// One page of an space's files that are not in the trash.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn list_files(&self, list: &ListQuery) -> Result<Vec<FileRow>> {
        if !list.attributes.is_empty() {
            return self.list_by_attributes(list).await;
        }
        let (sort, after) = match order(list) {
            Ordering::Walk(start) => return self.walk(list, start).await,
            Ordering::Statement(sort, after) => (sort, after),
        };
        let Some(range) = range(list) else { return Ok(Vec::new()) };
        let (range, after) = match (range, after) {
            // A name is unique within a folder, so that the cursor is one end of the range.
            (range, Some(After::Text(name, _))) if sort == Sort::Name && list.folder.is_some() => {
                let range = range.unwrap_or_else(|| vec![String::new(), char::MAX.to_string()]);
                (Some(narrowed(range, name, list.direction)), None)
            }
            other => other,
        };
        let sql =
            AssertSqlSafe(statement(self.list_shape(), sort, list.direction, filters(list, &range, after.is_some())));
        let arguments = ListArguments { list, limit: Some(list.limit), range: &range, after: &after };
        self.fetch_files(sql, arguments).await
    }

    /// The number of files on all pages of a list.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn count_files(&self, list: &ListQuery) -> Result<u64> {
        if !list.attributes.is_empty() {
            return self.count_by_attributes(list).await;
        }
        let Some(range) = range(list) else { return Ok(0) };
        let sql = AssertSqlSafe(count_statement(self.list_shape(), filters(list, &range, false)));
        let arguments = ListArguments { list, limit: None, range: &range, after: &None };
        let (count,): (Count,) = self.read.fetch_one(sql, arguments).await?;
        Ok(count.0)
    }

    /// Files, as rows or packed.
    pub(super) async fn fetch_files(
        &self,
        sql: AssertSqlSafe<String>,
        arguments: impl Arguments,
    ) -> Result<Vec<FileRow>> {
        match self.list_shape() {
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

/// How a list gets its order.
enum Ordering {
    /// From one statement.
    Statement(Sort, Option<After>),
    /// From a walk through the folders, which begins after this.
    Walk(Option<After>),
}

/// Within one folder, the order by location is the one by name, for which there is an index.
fn order(list: &ListQuery) -> Ordering {
    let after = list.after.clone();
    match (list.sort, &list.folder, after) {
        (Sort::Location, Some(_), Some(After::Text(location, id))) => {
            let name = location.rsplit_once('/').map_or(location.as_str(), |(_, name)| name).to_owned();
            Ordering::Statement(Sort::Name, Some(After::Text(name, id)))
        }
        (Sort::Location, Some(_), _) => Ordering::Statement(Sort::Name, None),
        (Sort::Natural, Some(_), Some(After::Natural(_, key, id))) => {
            Ordering::Statement(Sort::Natural, Some(After::Text(key, id)))
        }
        (Sort::Natural, Some(_), _) => Ordering::Statement(Sort::Natural, None),
        (Sort::Location | Sort::Natural, None, after) => Ordering::Walk(after),
        (sort, _, after) => Ordering::Statement(sort, after),
    }
}

/// The arguments of the range of the prefix: of names in a folder two, otherwise of locations, with the folder that the
/// prefix begins in. `None` if nothing can have the prefix.
fn range(list: &ListQuery) -> Option<Option<Vec<String>>> {
    let prefix = &list.prefix;
    match &list.folder {
        _ if prefix.is_empty() => Some(None),
        Some((_, folder)) => match prefix.strip_prefix(folder.as_str()) {
            Some("") => Some(None),
            Some(rest) => Some(Some(vec![rest.to_owned(), successor(rest)])),
            None => folder.starts_with(prefix.as_str()).then_some(None),
        },
        None => Some(Some(vec![folder_of(prefix).to_owned(), prefix.clone(), successor(prefix)])),
    }
}

/// A range of names without those that a cursor is after.
fn narrowed(mut range: Vec<String>, name: String, direction: Direction) -> Vec<String> {
    if let [low, high] = range.as_mut_slice() {
        match direction {
            // No name contains a control character, so the next name is not before this.
            Direction::Ascending => *low = std::mem::take(low).max(format!("{name}\u{1}")),
            Direction::Descending => *high = std::mem::take(high).min(name),
        }
    }
    range
}

/// The location of the folder that a text begins in.
pub(super) fn folder_of(text: &str) -> &str {
    &text[..text.rfind('/').map_or(0, |slash| slash + 1)]
}

fn filters(list: &ListQuery, range: &Option<Vec<String>>, after: bool) -> Filters {
    Filters { range: range.is_some(), folder: list.folder.is_some(), words: list.search.len(), after }
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
    pub(super) fn position(self) -> &'static str {
        match self {
            Shape::Rows => "strpos",
            Shape::Packed => "instr",
        }
    }

    /// What goes before and after the tables of a page.
    pub(super) fn around(self) -> (&'static str, &'static str) {
        match self {
            Shape::Rows => (concat!("SELECT ", file_columns!()), ""),
            // The order is the one of the inner query, which its limit keeps from being flattened.
            Shape::Packed => {
                (concat!("SELECT group_concat(file) FROM (SELECT ", file_columns_as_json!(), " AS file"), ")")
            }
        }
    }

    /// A join that SQLite, which has no statistics, does not reorder.
    pub(super) fn join(self) -> &'static str {
        match self {
            Shape::Rows => "JOIN",
            Shape::Packed => "CROSS JOIN",
        }
    }

    /// The tables of a page. With a range the folders come first: they are a range of an index.
    fn tables(self, filters: Filters) -> String {
        let join = self.join();
        match filters.range && !filters.folder {
            true => format!("folders d {join} files f ON f.folder_id = d.id {join} blobs b ON b.id = f.blob_id"),
            false => format!("files f {join} blobs b ON b.id = f.blob_id {join} folders d ON d.id = f.folder_id"),
        }
    }
}

fn statement(shape: Shape, sort: Sort, direction: Direction, filters: Filters) -> String {
    let (order, beyond) = match direction {
        Direction::Ascending => ("ASC", ">"),
        Direction::Descending => ("DESC", "<"),
    };
    let (head, tail) = shape.around();
    let mut columns = order_columns(sort, filters);
    let conditions = conditions(shape, 3, &columns, beyond, filters);
    if sort == Sort::Created && is_index_scan(sort, filters) {
        // A column of the index; PostgreSQL does not infer from the condition that it is constant.
        columns.insert(0, "f.trashed_at".to_owned());
    }
    let order_by: Vec<String> = columns.iter().map(|column| format!("{column} {order}")).collect();
    let (order_by, tables) = (order_by.join(", "), shape.tables(filters));
    format!("{head} FROM {tables} WHERE {conditions} ORDER BY {order_by} LIMIT $2{tail}")
}

fn count_statement(shape: Shape, filters: Filters) -> String {
    let (tables, conditions) = (shape.tables(filters), conditions(shape, 2, &[], "", filters));
    format!("SELECT COUNT(*) FROM {tables} WHERE {conditions}")
}

/// The columns of an order are those of an index, so that a page is a scan of it. A name is unique within a folder.
fn order_columns(sort: Sort, filters: Filters) -> Vec<String> {
    let columns: &[&str] = match sort {
        // A list by location is a walk, or within a folder by name.
        Sort::Location | Sort::Name if filters.folder => &["f.name"],
        Sort::Location | Sort::Name => &["f.name", "f.id"],
        Sort::Natural => &["f.sort_key", "f.id"],
        Sort::Created => &["f.id"],
        Sort::Updated => &["f.updated_at", "f.id"],
        Sort::Size => &["f.size", "f.id"],
    };
    let mut columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    if !is_index_scan(sort, filters) {
        // The files of a folder are sorted, at a cost that depends on the folder only. COALESCE keeps SQLite from
        // using the index of the order instead and reading all other files of the space.
        columns[0] = format!("COALESCE({0}, {0})", columns[0]);
    }
    columns
}

/// Whether there is an index for this order that the filters do not rule out.
fn is_index_scan(sort: Sort, filters: Filters) -> bool {
    match sort {
        Sort::Location | Sort::Name => filters.folder || !filters.range,
        Sort::Natural => !filters.range,
        Sort::Created | Sort::Updated | Sort::Size => !filters.folder && !filters.range,
    }
}

fn conditions(shape: Shape, first: usize, columns: &[String], beyond: &str, filters: Filters) -> String {
    let mut next = first..;
    let mut number = || next.next().unwrap_or_default();
    let mut sql = "f.trashed_at IS NULL AND d.trashed_at IS NULL".to_owned();
    // In a folder, its index is the one to use.
    sql += if filters.folder || filters.range { " AND d.space_id = $1" } else { " AND f.space_id = $1" };
    match (filters.range, filters.folder) {
        (false, _) => {}
        (true, true) => sql += &format!(" AND f.name >= ${} AND f.name < ${}", number(), number()),
        (true, false) => {
            let (folder, low, high) = (number(), number(), number());
            sql += &format!(
                " AND d.place >= substr(${folder}, 1, 600) AND d.place <= substr(${high}, 1, 600) \
                 AND (d.location = ${folder} OR d.location >= ${low}) AND d.location < ${high} \
                 AND d.location || f.name >= ${low} AND d.location || f.name < ${high}"
            );
        }
    }
    if filters.folder {
        sql += &format!(" AND f.folder_id = ${}", number());
    }
    sql += &search_conditions(shape, "d.search || f.search", filters.words, &mut number);
    if filters.after {
        sql += &cursor_condition(columns, beyond, &mut number);
    }
    sql
}

/// The conditions that a folded location contains each of several words, from the character that the first parameter
/// says. The values are those of [`ListQuery::bind_search`].
pub(super) fn search_conditions(
    shape: Shape,
    location: &str,
    words: usize,
    number: &mut impl FnMut() -> usize,
) -> String {
    if words == 0 {
        return String::new();
    }
    let searched = format!("substr({location}, CAST(${} AS INTEGER))", number());
    (0..words).map(|_| format!(" AND {}({searched}, ${}) > 0", shape.position(), number())).collect()
}

/// The condition that these columns are beyond those of a cursor.
pub(super) fn cursor_condition(
    columns: &[impl AsRef<str>],
    beyond: &str,
    number: &mut impl FnMut() -> usize,
) -> String {
    let names: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
    let bound: Vec<String> = columns.iter().map(|_| format!("${}", number())).collect();
    format!(" AND ({}) {beyond} ({})", names.join(", "), bound.join(", "))
}

/// Every statement that [`statement`] and [`count_statement`] compose.
pub(super) fn every_statement(shape: Shape) -> Vec<String> {
    let mut statements = Vec::new();
    for bits in 0..16 {
        let is_set = |bit: u8| bits & bit > 0;
        let filters = Filters { range: is_set(1), folder: is_set(2), words: usize::from(is_set(4)), after: is_set(8) };
        for sort in [Sort::Name, Sort::Natural, Sort::Created, Sort::Updated, Sort::Size] {
            for direction in [Direction::Ascending, Direction::Descending] {
                let is_composed = match sort {
                    Sort::Natural => filters.folder,
                    Sort::Name => !filters.folder || !filters.after,
                    _ => true,
                };
                if is_composed {
                    statements.push(statement(shape, sort, direction, filters));
                }
            }
        }
        if !filters.after {
            statements.push(count_statement(shape, filters));
        }
    }
    statements
}

/// The smallest text that is greater than every text with this prefix.
pub(super) fn successor(prefix: &str) -> String {
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
