//! Attributes of files: tags and members of metadata, by which lists find them. A list by attributes starts from those that
//! have the first one, whose number determines its cost; in the order of creation, it is a scan of their index.

use serde::Serialize;
use sqlx::AssertSqlSafe;
use sqlx::error::BoxDynError;
use uuid::Uuid;

use super::file_row::FileRow;
use super::list::{After, Direction, ListQuery, Shape, Sort, cursor_condition, search_conditions, successor};
use super::pool::{Arguments, Parameters};
use super::{Count, Db, Tx, statements};
use crate::error::Result;

/// Attributes that one statement inserts. What remains of them repeats the last one.
const AT_ONCE: usize = 8;

statements! {
    DELETE_ATTRIBUTES = "DELETE FROM file_attributes WHERE file_id = $1";
    DELETE_OTHER_ATTRIBUTES = "DELETE FROM file_attributes WHERE file_id = $1 AND key <> 'mtime'";
    FORGET_MTIME = "DELETE FROM file_attributes WHERE file_id = $1 AND key = 'mtime'";
    INSERT_ATTRIBUTES = "INSERT INTO file_attributes (space_id, key, value, file_id)
        VALUES ($1, $3, $4, $2), ($1, $5, $6, $2), ($1, $7, $8, $2), ($1, $9, $10, $2),
            ($1, $11, $12, $2), ($1, $13, $14, $2), ($1, $15, $16, $2), ($1, $17, $18, $2)
        ON CONFLICT (space_id, key, value, file_id) DO NOTHING";
}

/// An attribute of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Attribute {
    /// `tag`, `metadata.` and the name of a member, or `mtime`.
    pub key: String,
    /// The value as text.
    pub value: String,
}

/// The attributes that a file gets instead of those that it has.
#[derive(Debug, Clone, Default)]
pub struct NewAttributes {
    /// All of them.
    pub list: Vec<Attribute>,
    /// Whether `mtime` stays as it is.
    pub keep_mtime: bool,
}

/// Stores the attributes of a new file.
pub(super) async fn insert_attributes(tx: &mut Tx<'_>, space: Uuid, file: Uuid, list: &[Attribute]) -> Result<()> {
    for rows in list.chunks(AT_ONCE) {
        tx.execute(INSERT_ATTRIBUTES, AttributeArguments { space, file, rows }).await?;
    }
    Ok(())
}

/// Stores the attributes of a file that has others.
pub(super) async fn replace_attributes(tx: &mut Tx<'_>, space: Uuid, file: Uuid, new: &NewAttributes) -> Result<()> {
    tx.execute(if new.keep_mtime { DELETE_OTHER_ATTRIBUTES } else { DELETE_ATTRIBUTES }, (file,)).await?;
    insert_attributes(tx, space, file, &new.list).await
}

/// Deletes the attribute that describes the content of a file, which is replaced.
pub(super) async fn forget_mtime(tx: &mut Tx<'_>, file: Uuid) -> Result<()> {
    tx.execute(FORGET_MTIME, (file,)).await.map(drop)
}

struct AttributeArguments<'a> {
    space: Uuid,
    file: Uuid,
    rows: &'a [Attribute],
}

impl Arguments for AttributeArguments<'_> {
    fn bind(self, to: &mut impl Parameters) -> std::result::Result<(), BoxDynError> {
        (self.space, self.file).bind(to)?;
        for row in self.rows.iter().chain(std::iter::repeat(&self.rows[self.rows.len() - 1])).take(AT_ONCE) {
            (&row.key, &row.value).bind(to)?;
        }
        Ok(())
    }
}

impl Db {
    /// One page of the files that have attributes.
    pub(super) async fn list_by_attributes(&self, list: &ListQuery) -> Result<Vec<FileRow>> {
        let filters = Filters::of(list, list.after.is_some());
        let sql = AssertSqlSafe(statement(self.list_shape(), list.sort, list.direction, filters));
        self.fetch_files(sql, ListArguments { list, limit: Some(list.limit), after: list.after.as_ref() }).await
    }

    /// The number of files that have attributes, on all pages of a list.
    pub(super) async fn count_by_attributes(&self, list: &ListQuery) -> Result<u64> {
        let sql = AssertSqlSafe(count_statement(self.list_shape(), Filters::of(list, false)));
        let (count,): (Count,) = self.read.fetch_one(sql, ListArguments { list, limit: None, after: None }).await?;
        Ok(count.0)
    }
}

#[derive(Debug, Clone, Copy)]
struct Filters {
    attributes: usize,
    folder: bool,
    range: bool,
    words: usize,
    after: bool,
}

impl Filters {
    fn of(list: &ListQuery, after: bool) -> Self {
        Self {
            attributes: list.attributes.len(),
            folder: list.folder.is_some(),
            range: !list.prefix.is_empty(),
            words: list.search.len(),
            after,
        }
    }
}

struct ListArguments<'q> {
    list: &'q ListQuery,
    limit: Option<usize>,
    after: Option<&'q After>,
}

impl Arguments for ListArguments<'_> {
    fn bind(self, to: &mut impl Parameters) -> std::result::Result<(), BoxDynError> {
        let Self { list, limit, after } = self;
        to.add(list.space)?;
        if let Some(limit) = limit {
            to.add(Count::from(limit))?;
        }
        for Attribute { key, value } in &list.attributes {
            (key, value).bind(to)?;
        }
        if let Some((folder, _)) = &list.folder {
            to.add(folder)?;
        }
        if !list.prefix.is_empty() {
            (&list.prefix, successor(&list.prefix)).bind(to)?;
        }
        list.bind_search(to)?;
        after.map_or(Ok(()), |after| after.bind(to))
    }
}

fn statement(shape: Shape, sort: Sort, direction: Direction, filters: Filters) -> String {
    let (order, beyond) = match direction {
        Direction::Ascending => ("ASC", ">"),
        Direction::Descending => ("DESC", "<"),
    };
    let (head, tail) = shape.around();
    // COALESCE keeps PostgreSQL from reading all files of the space in the order of another index.
    let columns: &[&str] = match sort {
        Sort::Location => &["COALESCE(d.location || f.name, d.location || f.name)", "f.id"],
        Sort::Name => &["COALESCE(f.name, f.name)", "f.id"],
        Sort::Natural => &["COALESCE(d.location, d.location)", "f.sort_key", "f.id"],
        Sort::Created => &["a.file_id"],
        Sort::Updated => &["COALESCE(f.updated_at, f.updated_at)", "f.id"],
        Sort::Size => &["COALESCE(f.size, f.size)", "f.id"],
    };
    let (tables, conditions) = (tables(shape), conditions(shape, 3, columns, beyond, filters));
    let order_by: Vec<String> = columns.iter().map(|column| format!("{column} {order}")).collect();
    format!("{head} FROM {tables} WHERE {conditions} ORDER BY {} LIMIT $2{tail}", order_by.join(", "))
}

fn count_statement(shape: Shape, filters: Filters) -> String {
    format!("SELECT COUNT(*) FROM {} WHERE {}", tables(shape), conditions(shape, 2, &[], "", filters))
}

fn tables(shape: Shape) -> String {
    let join = shape.join();
    format!(
        "file_attributes a {join} files f ON f.id = a.file_id {join} blobs b ON b.id = f.blob_id \
         {join} folders d ON d.id = f.folder_id"
    )
}

fn conditions(shape: Shape, first: usize, columns: &[&str], beyond: &str, filters: Filters) -> String {
    let mut next = first..;
    let mut number = || next.next().unwrap_or_default();
    let mut sql = format!("a.space_id = $1 AND a.key = ${} AND a.value = ${}", number(), number());
    for _ in 1..filters.attributes {
        sql += &format!(
            " AND EXISTS (SELECT 1 FROM file_attributes o WHERE o.space_id = $1 AND o.key = ${} AND o.value = ${} \
             AND o.file_id = a.file_id)",
            number(),
            number()
        );
    }
    sql += " AND f.trashed_at IS NULL AND d.trashed_at IS NULL";
    if filters.folder {
        sql += &format!(" AND f.folder_id = ${}", number());
    }
    if filters.range {
        sql += &format!(" AND d.location || f.name >= ${} AND d.location || f.name < ${}", number(), number());
    }
    sql += &search_conditions(shape, "d.search || f.search", filters.words, &mut number);
    if filters.after {
        sql += &cursor_condition(columns, beyond, &mut number);
    }
    sql
}

/// Every kind of statement that is composed here.
pub(super) fn every_statement(shape: Shape) -> Vec<String> {
    let mut statements = Vec::new();
    for bits in 0..32 {
        let is_set = |bit: u8| bits & bit > 0;
        let filters = Filters {
            attributes: if is_set(1) { 2 } else { 1 },
            folder: is_set(2),
            range: is_set(4),
            words: usize::from(is_set(8)),
            after: is_set(16),
        };
        for sort in [Sort::Location, Sort::Name, Sort::Natural, Sort::Created, Sort::Updated, Sort::Size] {
            for direction in [Direction::Ascending, Direction::Descending] {
                statements.push(statement(shape, sort, direction, filters));
            }
        }
        if !filters.after {
            statements.push(count_statement(shape, filters));
        }
    }
    statements
}
