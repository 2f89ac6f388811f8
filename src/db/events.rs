//! The audit log. Rows are only added, until they are older than the retention or their account is deleted.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::error::BoxDynError;
use uuid::Uuid;

use super::errors::is_foreign_key_violation;
use super::pool::{Arguments, Parameters};
use super::{Count, Db, Micros, Tx, statements};
use crate::error::{Error, Result};

/// The columns of an [`EventRow`].
macro_rules! columns {
    () => {
        "id, at, kind, space_id, actor_id, credential, credential_id, file_id, link_id, address, channel, detail"
    };
}

const COLUMNS: usize = 12;

statements! {
    INSERT_EVENT = concat!(
        "INSERT INTO audit_events (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    );
    /// The end of a batch is a time and not a list of rows, for which PostgreSQL would read the whole table; it
    /// considers a range with two ends selective.
    PURGE_EVENTS = "DELETE FROM audit_events WHERE at >= 0 AND at < $1
        AND at <= COALESCE((SELECT at FROM audit_events WHERE at < $1 ORDER BY at, id LIMIT 1 OFFSET $2), $1)";
    LIST_BUSY = "SELECT space_id FROM audit_events WHERE at >= $1 AND space_id IS NOT NULL
        GROUP BY space_id HAVING COUNT(*) >= $2";
    FIND_NTH_LATEST = "SELECT at FROM audit_events WHERE space_id = $1 ORDER BY at DESC, id DESC LIMIT 1 OFFSET $2";
    PURGE_OLDEST = "DELETE FROM audit_events WHERE space_id = $1 AND at >= 0 AND at <= $2
        AND at <= COALESCE((SELECT at FROM audit_events WHERE space_id = $1 ORDER BY at, id LIMIT 1 OFFSET $3), $2)";
}

/// An event of the audit log.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct EventRow {
    /// The id of the event.
    pub id: Uuid,
    /// When it happened.
    pub at: Micros,
    /// What happened.
    pub kind: String,
    /// The space whose log it is in.
    pub space_id: Option<Uuid>,
    /// The account that acted.
    pub actor_id: Option<Uuid>,
    /// The kind of credential that the actor used.
    pub credential: Option<String>,
    /// The id of that session or token.
    pub credential_id: Option<Uuid>,
    /// The file that it is about.
    pub file_id: Option<Uuid>,
    /// The link that it is about.
    pub link_id: Option<Uuid>,
    /// The network address of the client.
    pub address: Option<String>,
    /// The entry point.
    pub channel: String,
    /// Details that depend on the kind, as JSON.
    pub detail: String,
}

/// One page of the audit log, the latest event first, filtered by what is present.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Only the log of this space.
    pub space: Option<Uuid>,
    /// Only events about this file.
    pub file: Option<Uuid>,
    /// Only events of this kind.
    pub kind: Option<String>,
    /// Only events from this time on.
    pub since: Option<Timestamp>,
    /// Only events before this time.
    pub until: Option<Timestamp>,
    /// Only events before the one with this time and id.
    pub before: Option<(Micros, Uuid)>,
    /// Maximum number of events.
    pub limit: usize,
}

/// The columns of one event.
impl Arguments for &EventRow {
    fn bind(self, to: &mut impl Parameters) -> Result<(), BoxDynError> {
        let EventRow { id, at, kind, space_id, actor_id, credential, credential_id, file_id, link_id, .. } = self;
        (id, at, kind, space_id, actor_id, credential, credential_id, file_id, link_id).bind(to)?;
        (&self.address, &self.channel, &self.detail).bind(to)
    }
}

/// The columns of several events.
impl Arguments for &[EventRow] {
    fn bind(self, to: &mut impl Parameters) -> Result<(), BoxDynError> {
        self.iter().try_for_each(|event| event.bind(to))
    }
}

/// Inserts an event in the transaction of the change that it records, so that neither exists without the other.
pub(super) async fn insert_event(tx: &mut Tx<'_>, event: &EventRow) -> Result<()> {
    tx.execute(INSERT_EVENT, event).await.map(drop)
}

/// Maximum number of events per INSERT statement.
const BATCH: usize = 32;

impl Db {
    /// Inserts events, except those of accounts that are deleted by now.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn insert_events(&self, events: &[EventRow]) -> Result<()> {
        match self.insert_all_events(events).await {
            Err(Error::NotFound) => {}
            inserted => return inserted,
        }
        for event in events {
            match self.insert_all_events(std::slice::from_ref(event)).await {
                Err(Error::NotFound) => {}
                inserted => inserted?,
            }
        }
        Ok(())
    }

    /// Inserts all of these events, or none with [`Error::NotFound`] if the account of one is deleted.
    async fn insert_all_events(&self, events: &[EventRow]) -> Result<()> {
        let (batches, rest) = events.as_chunks::<BATCH>();
        self.transaction(async |tx| {
            for batch in batches {
                let inserted = tx.try_execute(AssertSqlSafe(insert_many()), batch.as_slice()).await;
                inserted.map_err(not_found)?;
            }
            for event in rest {
                tx.try_execute(INSERT_EVENT, event).await.map_err(not_found)?;
            }
            Ok(())
        })
        .await
    }

    /// The events of one page, the latest first.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn list_events(&self, query: &EventQuery) -> Result<Vec<EventRow>> {
        // One condition for both: with two, SQLite would read each page from `until` on.
        let until = query.until.map(|until| (Micros::from(until), Uuid::nil()));
        let before = [query.before, until].into_iter().flatten().min();
        let sql = statement(Filters::new(query, before.is_some()));
        self.read.fetch_all(AssertSqlSafe(sql), Page { query, before }).await
    }

    /// Deletes `limit` events from before a time, and those with the same time as the last; returns their number.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_events(&self, before: Timestamp, limit: u64) -> Result<u64> {
        self.write.execute(PURGE_EVENTS, (Micros::from(before), Count(limit))).await
    }
}

impl Db {
    /// The accounts that have at least `least` events since a time.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn accounts_with_events(&self, since: Timestamp, least: u64) -> Result<Vec<Uuid>> {
        let rows: Vec<(Uuid,)> = self.read.fetch_all(LIST_BUSY, (Micros::from(since), Count(least))).await?;
        Ok(rows.into_iter().map(|(account,)| account).collect())
    }

    /// The time of the latest event of an account that is not among its `kept` latest ones, if it has as many.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn latest_excess_event(&self, account: Uuid, kept: u64) -> Result<Option<Micros>> {
        let row: Option<(Micros,)> = self.read.fetch_optional(FIND_NTH_LATEST, (account, Count(kept))).await?;
        Ok(row.map(|(at,)| at))
    }

    /// Deletes `limit` of the oldest events of an account up to a time, and those with the same time as the last;
    /// returns their number.
    ///
    /// # Errors
    /// Those of [`Db`].
    pub async fn purge_account_events(&self, account: Uuid, until: Micros, limit: u64) -> Result<u64> {
        self.write.execute(PURGE_OLDEST, (account, until, Count(limit))).await
    }
}

fn not_found(error: sqlx::Error) -> Error {
    if is_foreign_key_violation(&error) { Error::NotFound } else { error.into() }
}

fn insert_many() -> String {
    let row = |number: usize| {
        let columns = (1..=COLUMNS).map(|column| format!("${}", number * COLUMNS + column));
        format!("({})", columns.collect::<Vec<_>>().join(", "))
    };
    let rows: Vec<String> = (0..BATCH).map(row).collect();
    format!("INSERT INTO audit_events ({}) VALUES {}", columns!(), rows.join(", "))
}

/// Which conditions a statement has: space, file, kind, since, before.
#[derive(Debug, Clone, Copy)]
struct Filters([bool; 5]);

impl Filters {
    fn new(query: &EventQuery, before: bool) -> Self {
        let EventQuery { space, file, kind, since, .. } = query;
        Self([space.is_some(), file.is_some(), kind.is_some(), since.is_some(), before])
    }
}

/// The arguments of [`statement`].
struct Page<'q> {
    query: &'q EventQuery,
    before: Option<(Micros, Uuid)>,
}

impl Arguments for Page<'_> {
    fn bind(self, to: &mut impl Parameters) -> Result<(), BoxDynError> {
        let EventQuery { space, file, kind, since, limit, .. } = self.query;
        to.add(Count::from(*limit))?;
        space.iter().chain(file).try_for_each(|id| to.add(*id))?;
        kind.iter().try_for_each(|kind| to.add(kind))?;
        since.iter().try_for_each(|since| to.add(Micros::from(*since)))?;
        self.before.into_iter().try_for_each(|before| before.bind(to))
    }
}

fn statement(Filters(filters): Filters) -> String {
    let conditions = ["space_id = $", "file_id = $", "kind = $", "at >= $"];
    let mut next = 2..;
    let mut number = || next.next().unwrap_or_default();
    let mut conditions: Vec<String> = conditions
        .iter()
        .zip(filters)
        .filter(|(_, is_present)| *is_present)
        .map(|(condition, _)| format!("{condition}{}", number()))
        .collect();
    if filters[4] {
        conditions.push(format!("(at, id) < (${}, ${})", number(), number()));
    }
    let condition = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    format!("SELECT {} FROM audit_events{condition} ORDER BY at DESC, id DESC LIMIT $1", columns!())
}

/// Every statement that this file composes.
pub(super) fn every_statement() -> Vec<String> {
    let filters = (0..32).map(|bits| Filters(std::array::from_fn(|filter| bits >> filter & 1 > 0)));
    filters.map(statement).chain([insert_many()]).collect()
}
