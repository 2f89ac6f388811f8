//! Lists of files in the order of their locations, or of their folders: a walk through the folders in the order of their
//! locations, a few of them at a time.
//!
//! In the order of whole locations the files of a folder come between those of the folders below it. A page reads the
//! beginnings of several folders, and keeps what comes before everything that it has not read. Which folders have files
//! on a page follows from their locations: those that the location of the last file is in, and the next ones.

use serde_json::json;
use sqlx::AssertSqlSafe;
use sqlx::error::BoxDynError;
use uuid::Uuid;

use super::file_row::FileRow;
use super::list::{After, Direction, ListQuery, Shape, Sort, folder_of, search_conditions, successor};
use super::pool::{Arguments, Parameters};
use super::{Count, Db, statements};
use crate::error::Result;

/// Folders that the first step of a page reads; the next ones read more.
const FIRST_STEP: usize = 4;
/// The most folders that a step reads.
const LAST_STEP: usize = 256;
/// Locations that one statement looks for.
const CHAINS: [usize; 2] = [9, 66];

statements! {
    FOLDERS_FROM = "SELECT id, location FROM folders WHERE space_id = $1 AND trashed_at IS NULL
        AND place >= substr($2, 1, 600) AND place <= substr($3, 1, 600) AND location >= $2 AND location < $3
        ORDER BY place, location LIMIT $4";
    FOLDERS_BEFORE = "SELECT id, location FROM folders WHERE space_id = $1 AND trashed_at IS NULL
        AND place >= substr($2, 1, 600) AND place <= substr($3, 1, 600) AND location >= $2 AND location < $3
        ORDER BY place DESC, location DESC LIMIT $4";
}

/// A folder on the way: its id and its location.
type Spot = (Uuid, String);

/// What is read of a folder.
struct Part {
    folder: Uuid,
    /// Names from this on, and before that.
    names: (String, String),
    /// In the natural order: the sort key and the id that are read after.
    after: Option<(String, Uuid)>,
}

/// What remains to be listed: locations from one on, and before another.
struct Rest {
    from: String,
    before: String,
    /// In the natural order: the folder that the last file is in, and where in it.
    last: Option<(String, String, Uuid)>,
}

impl Db {
    /// One page of files by location, or in the natural order.
    pub(super) async fn walk(&self, list: &ListQuery, after: Option<After>) -> Result<Vec<FileRow>> {
        let mut rest = Rest::new(list, after);
        let (mut files, mut step) = (Vec::new(), FIRST_STEP);
        loop {
            let wanted = list.limit - files.len();
            let spots = self.spots(list, &rest, step).await?;
            // Others may follow; what comes after the last of these is read with them.
            let last = (spots.len() == step).then(|| spots[step - 1].1.clone());
            let parts = self.read_of(list, &rest, spots, last.as_deref()).await?;
            let mut found = self.beginnings(list, &parts, wanted).await?;
            if let (Some(last), Sort::Location) = (&last, list.sort) {
                found.retain(|file| list.direction.precedes(&format!("{}{}", file.folder, file.name), last));
            }
            files.append(&mut found);
            let Some(last) = last else { return Ok(files) };
            if files.len() >= list.limit {
                return Ok(files);
            }
            rest.skip_to(list, last);
            step = (step * 4).min(LAST_STEP);
        }
    }

    /// The next folders in the direction of the list.
    async fn spots(&self, list: &ListQuery, rest: &Rest, limit: usize) -> Result<Vec<Spot>> {
        let statement = match list.direction {
            Direction::Ascending => FOLDERS_FROM,
            Direction::Descending => FOLDERS_BEFORE,
        };
        self.read.fetch_all(statement, (list.space, &rest.from, &rest.before, Count::from(limit))).await
    }

    /// What to read of which folders.
    async fn read_of(
        &self,
        list: &ListQuery,
        rest: &Rest,
        mut spots: Vec<Spot>,
        last: Option<&str>,
    ) -> Result<Vec<Part>> {
        let is_natural = list.sort == Sort::Natural;
        let mut around = match (list.direction, is_natural) {
            (_, true) => self.around_in_order(list, rest, last).await?,
            // Their files come between those of the others.
            (Direction::Ascending, _) => self.around(list.space, &rest.from).await?,
            (Direction::Descending, _) => self.around(list.space, last.unwrap_or(&rest.from)).await?,
        };
        around.retain(|(id, _)| spots.iter().all(|spot| spot.0 != *id));
        if last.is_some() && list.direction == Direction::Ascending && !is_natural {
            // All of its files come after it, and are read with the next folders.
            spots.pop();
        }
        around.append(&mut spots);
        Ok(around.into_iter().map(|(folder, location)| rest.part(list, folder, &location)).collect())
    }

    /// The folders that a walk in the natural order does not come to by itself: the one that the prefix begins in, and the
    /// one that the last file is in.
    async fn around_in_order(&self, list: &ListQuery, rest: &Rest, last: Option<&str>) -> Result<Vec<Spot>> {
        let inside = folder_of(&list.prefix);
        let begun = rest.last.as_ref().map(|(location, ..)| location.as_str());
        let is_reached = match list.direction {
            Direction::Ascending => rest.from == list.prefix,
            Direction::Descending => last.is_none(),
        };
        // A folder that has the prefix itself is one of the others.
        let is_reached = is_reached && inside.len() < list.prefix.len() && begun != Some(inside);
        let mut around = Vec::new();
        for location in [begun, Some(inside).filter(|_| is_reached)].into_iter().flatten() {
            let found = self.around(list.space, location).await?;
            around.extend(found.into_iter().filter(|spot| spot.1 == location));
        }
        Ok(around)
    }

    /// The folders whose locations this text begins with.
    async fn around(&self, space: Uuid, text: &str) -> Result<Vec<Spot>> {
        let mut locations: Vec<&str> = text.match_indices('/').map(|(slash, _)| &text[..=slash]).collect();
        locations.insert(0, "");
        let size = CHAINS.into_iter().find(|size| locations.len() <= *size).unwrap_or(CHAINS[1]);
        locations.truncate(size);
        let spots: Vec<Spot> = self
            .read
            .fetch_all(AssertSqlSafe(around_statement(size)), AroundArguments { space, locations: &locations, size })
            .await?;
        Ok(spots.into_iter().filter(|(_, location)| text.starts_with(location.as_str())).collect())
    }

    /// The first files of these parts together.
    async fn beginnings(&self, list: &ListQuery, parts: &[Part], limit: usize) -> Result<Vec<FileRow>> {
        let sql = statement(self.list_shape(), list.sort, list.direction, list.search.len());
        let parts: Vec<_> = parts
            .iter()
            .map(|part| {
                let (key, id) = part.after.clone().unwrap_or_else(|| match list.direction {
                    Direction::Ascending => (String::new(), Uuid::nil()),
                    Direction::Descending => (char::MAX.to_string(), Uuid::max()),
                });
                json!([part.folder.simple().to_string(), part.names.0, part.names.1, key, id.simple().to_string()])
            })
            .collect();
        let parts = serde_json::Value::Array(parts).to_string();
        self.fetch_files(AssertSqlSafe(sql), WalkArguments { parts, limit, list }).await
    }
}

impl Rest {
    fn new(list: &ListQuery, after: Option<After>) -> Self {
        let (mut from, mut before) = (list.prefix.clone(), successor(&list.prefix));
        if list.prefix.is_empty() {
            before = char::MAX.to_string();
        }
        let mut last = None;
        match (after, list.direction) {
            // No name contains a control character, so the next location is not before this.
            (Some(After::Text(location, _)), Direction::Ascending) => from = from.max(format!("{location}\u{1}")),
            (Some(After::Text(location, _)), Direction::Descending) => before = before.min(location),
            (Some(After::Natural(folder, key, id)), direction) => {
                match direction {
                    Direction::Ascending => from = from.max(format!("{folder}\u{1}")),
                    Direction::Descending => before = before.min(folder.clone()),
                }
                last = Some((folder, key, id));
            }
            _ => {}
        }
        Self { from, before, last }
    }

    /// What remains after a step whose last folder this is. By location, ascending, its own files remain.
    fn skip_to(&mut self, list: &ListQuery, location: String) {
        self.last = None;
        match (list.direction, list.sort) {
            (Direction::Ascending, Sort::Natural) => self.from = format!("{location}\u{1}"),
            (Direction::Ascending, _) => self.from = location,
            (Direction::Descending, _) => self.before = location,
        }
    }

    fn part(&self, list: &ListQuery, folder: Uuid, location: &str) -> Part {
        let rest_of = |text: &str| text.strip_prefix(location).map(str::to_owned);
        let is_natural = list.sort == Sort::Natural;
        let low = if is_natural { &list.prefix } else { &self.from };
        let high = if is_natural { &successor(&list.prefix) } else { &self.before };
        let high = rest_of(high).unwrap_or_else(|| char::MAX.to_string());
        let names = (rest_of(low).unwrap_or_default(), high);
        let after = self.last.as_ref().filter(|last| last.0 == location).map(|(_, key, id)| (key.clone(), *id));
        Part { folder, names, after }
    }
}

impl Direction {
    fn precedes(self, one: &str, other: &str) -> bool {
        match self {
            Direction::Ascending => one < other,
            Direction::Descending => one > other,
        }
    }
}

struct AroundArguments<'a> {
    space: Uuid,
    locations: &'a [&'a str],
    size: usize,
}

impl Arguments for AroundArguments<'_> {
    fn bind(self, to: &mut impl Parameters) -> std::result::Result<(), BoxDynError> {
        to.add(self.space)?;
        for location in self.locations.iter().chain(std::iter::repeat(&self.locations[0])).take(self.size) {
            to.add(*location)?;
        }
        Ok(())
    }
}

struct WalkArguments<'q> {
    /// A JSON array of arrays: a folder, two names, a sort key, an id.
    parts: String,
    limit: usize,
    list: &'q ListQuery,
}

impl Arguments for WalkArguments<'_> {
    fn bind(self, to: &mut impl Parameters) -> std::result::Result<(), BoxDynError> {
        (self.parts, Count::from(self.limit)).bind(to)?;
        self.list.bind_search(to)
    }
}

fn around_statement(size: usize) -> String {
    let places: Vec<String> = (2..size + 2).map(|number| format!("substr(${number}, 1, 600)")).collect();
    let places = places.join(", ");
    format!("SELECT id, location FROM folders WHERE space_id = $1 AND trashed_at IS NULL AND place IN ({places})")
}

/// The first files of several folders: of each, an index scan that ends at the limit.
fn statement(shape: Shape, sort: Sort, direction: Direction, words: usize) -> String {
    let (head, tail) = shape.around();
    let (order, beyond) = match direction {
        Direction::Ascending => ("ASC", ">"),
        Direction::Descending => ("DESC", "<"),
    };
    let mut numbers = 3..;
    let whole = "(SELECT e.search FROM folders e WHERE e.id = g.folder_id) || g.search";
    let search = search_conditions(shape, whole, words, &mut || numbers.next().unwrap_or_default());
    let (inner, outer) = match sort {
        Sort::Natural => (
            format!("g.sort_key {order}, g.id {order}"),
            format!("d.location {order}, f.sort_key {order}, f.id {order}"),
        ),
        _ => (format!("g.name {order}"), format!("d.location || f.name {order}")),
    };
    match shape {
        Shape::Rows => {
            let after = match sort {
                Sort::Natural => {
                    format!(
                        " AND (g.sort_key, g.id) {beyond} ((part.value ->> 3) COLLATE \"C\", CAST(part.value ->> 4 AS UUID))"
                    )
                }
                _ => String::new(),
            };
            format!(
                "{head} FROM json_array_elements(CAST($1 AS JSON)) AS part (value) \
                 CROSS JOIN LATERAL (SELECT g.* FROM files g WHERE g.folder_id = CAST(part.value ->> 0 AS UUID) \
                 AND g.trashed_at IS NULL AND g.name >= (part.value ->> 1) COLLATE \"C\" \
                 AND g.name < (part.value ->> 2) COLLATE \"C\"{after}{search} ORDER BY {inner} LIMIT $2) AS f \
                 JOIN blobs b ON b.id = f.blob_id JOIN folders d ON d.id = f.folder_id ORDER BY {outer} LIMIT $2{tail}"
            )
        }
        Shape::Packed => {
            let after = match sort {
                Sort::Natural => {
                    format!(" AND (g.sort_key, g.id) {beyond} (part.value ->> 3, unhex(part.value ->> 4))")
                }
                _ => String::new(),
            };
            format!(
                "{head} FROM json_each($1) AS part \
                 CROSS JOIN files f ON f.id IN (SELECT g.id FROM files g WHERE g.folder_id = unhex(part.value ->> 0) \
                 AND g.trashed_at IS NULL AND g.name >= part.value ->> 1 AND g.name < part.value ->> 2{after}{search} \
                 ORDER BY {inner} LIMIT $2) \
                 CROSS JOIN blobs b ON b.id = f.blob_id CROSS JOIN folders d ON d.id = f.folder_id \
                 ORDER BY {outer} LIMIT $2{tail}"
            )
        }
    }
}

/// Every statement that is composed here.
pub(super) fn every_statement(shape: Shape) -> Vec<String> {
    let mut statements: Vec<String> = CHAINS.into_iter().map(around_statement).collect();
    for sort in [Sort::Location, Sort::Natural] {
        for direction in [Direction::Ascending, Direction::Descending] {
            statements.extend([0, 1].map(|words| statement(shape, sort, direction, words)));
        }
    }
    statements
}
