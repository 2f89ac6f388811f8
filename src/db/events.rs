//! The trail. Rows are only ever added; what is too old goes, and an account's go with it.

use uuid::Uuid;

use super::{Db, is_foreign_key_violation, on, statements, transaction};
use crate::error::{Error, Result};

statements! {
    INSERT = INSERT_EVENT;
    /// A time is where a batch ends, rather than a list of its rows, for which PostgreSQL would read the whole table;
    /// and it takes what has two ends for little.
    PURGE = "DELETE FROM audit_events WHERE at >= 0 AND at < $1
        AND at <= COALESCE((SELECT at FROM audit_events WHERE at < $1 ORDER BY at, id LIMIT 1 OFFSET $2), $1)";
}

/// The columns of an [`EventRow`].
macro_rules! columns {
    () => {
        "id, at, kind, user_id, actor_id, credential, credential_id, file_id, link_id, address, channel, detail"
    };
}

const COLUMNS: usize = 12;

pub(super) const INSERT_EVENT: &str =
    concat!("INSERT INTO audit_events (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");

/// Something that was done.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct EventRow {
    pub id: Uuid,
    /// Microseconds since 1970.
    pub at: i64,
    pub kind: String,
    pub user_id: Option<Uuid>,
    pub actor_id: Option<Uuid>,
    pub credential: Option<String>,
    pub credential_id: Option<Uuid>,
    pub file_id: Option<Uuid>,
    pub link_id: Option<Uuid>,
    pub address: Option<String>,
    pub channel: String,
    /// JSON.
    pub detail: String,
}

/// One page of the trail, the latest first. What is absent is not asked for.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    pub user: Option<Uuid>,
    pub file: Option<Uuid>,
    pub kind: Option<String>,
    /// Microseconds since 1970: from this time on, and before that one.
    pub since: Option<i64>,
    pub until: Option<i64>,
    /// Only events before this one.
    pub before: Option<(i64, Uuid)>,
    pub limit: i64,
}

/// Binds the columns of an event to a query.
macro_rules! bind_event {
    ($query:expr, $event:expr) => {
        $query
            .bind($event.id)
            .bind($event.at)
            .bind(&$event.kind)
            .bind($event.user_id)
            .bind($event.actor_id)
            .bind(&$event.credential)
            .bind($event.credential_id)
            .bind($event.file_id)
            .bind($event.link_id)
            .bind(&$event.address)
            .bind(&$event.channel)
            .bind(&$event.detail)
    };
}
pub(super) use bind_event;

/// Writes an event down within the transaction of what it tells of, so that neither is there
/// without the other.
macro_rules! insert_event {
    ($tx:ident, $event:expr) => {{
        let event: &$crate::db::EventRow = $event;
        $crate::db::events::bind_event!(sqlx::query($crate::db::events::INSERT_EVENT), event)
            .execute(&mut *$tx)
            .await?;
    }};
}
pub(super) use insert_event;

/// Events that are written by one statement, if there are so many.
const AT_ONCE: usize = 32;

impl Db {
    /// Writes events down. Those of an account that is gone by now are left out.
    pub async fn insert_events(&self, events: &[EventRow]) -> Result<()> {
        match self.insert_together(events).await {
            Err(Error::NotFound) => {}
            inserted => return inserted,
        }
        for event in events {
            match self.insert_together(std::slice::from_ref(event)).await {
                Err(Error::NotFound) => {}
                inserted => inserted?,
            }
        }
        Ok(())
    }

    /// Writes all of them down or, with `NotFound`, none: one is of an account that is gone.
    async fn insert_together(&self, events: &[EventRow]) -> Result<()> {
        transaction!(self, |tx| {
            let mut rest = events;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(if rest.len() < AT_ONCE { 1 } else { AT_ONCE });
                let sql = if now.len() == 1 { INSERT_EVENT.to_owned() } else { insert_many() };
                let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
                for event in now {
                    query = bind_event!(query, event);
                }
                match query.execute(&mut *tx).await {
                    Err(error) if is_foreign_key_violation(&error) => return Err(Error::NotFound),
                    done => done.map(drop)?,
                }
                rest = later;
            }
            Ok(())
        })
    }

    /// The events of one page, the latest first.
    pub async fn list_events(&self, wanted: &EventQuery) -> Result<Vec<EventRow>> {
        // One condition for both: with two SQLite would begin each page at the end that was asked for.
        let until = wanted.until.map(|until| (until, Uuid::nil()));
        let before = [wanted.before, until].into_iter().flatten().min();
        let sql = statement(Filters::of(wanted, before.is_some()));
        Ok(on!(self.read, |p| {
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(wanted.limit);
            for id in [wanted.user, wanted.file].into_iter().flatten() {
                query = query.bind(id);
            }
            if let Some(kind) = &wanted.kind {
                query = query.bind(kind);
            }
            if let Some(since) = wanted.since {
                query = query.bind(since);
            }
            if let Some((at, id)) = before {
                query = query.bind(at).bind(id);
            }
            query.fetch_all(p).await
        })?)
    }

    /// Deletes so many events from before a time, and those of the same moment as the last; tells how many.
    pub async fn purge_events(&self, before: i64, limit: i64) -> Result<u64> {
        Ok(on!(self.write, |p| sqlx::query(PURGE).bind(before).bind(limit).execute(p).await?.rows_affected()))
    }
}

fn insert_many() -> String {
    let row = |number: usize| {
        let columns = (1..=COLUMNS).map(|column| format!("${}", number * COLUMNS + column));
        format!("({})", columns.collect::<Vec<_>>().join(", "))
    };
    let rows: Vec<String> = (0..AT_ONCE).map(row).collect();
    format!("INSERT INTO audit_events ({}) VALUES {}", columns!(), rows.join(", "))
}

#[derive(Debug, Clone, Copy)]
struct Filters([bool; 5]);

impl Filters {
    fn of(wanted: &EventQuery, before: bool) -> Self {
        let EventQuery { user, file, kind, since, .. } = wanted;
        Self([user.is_some(), file.is_some(), kind.is_some(), since.is_some(), before])
    }
}

fn statement(Filters(filters): Filters) -> String {
    let conditions = ["user_id = $", "file_id = $", "kind = $", "at >= $"];
    let mut next = 2..;
    let mut number = || next.next().unwrap_or_default();
    let mut wanted: Vec<String> = conditions
        .iter()
        .zip(filters)
        .filter(|(_, is_wanted)| *is_wanted)
        .map(|(condition, _)| format!("{condition}{}", number()))
        .collect();
    if filters[4] {
        wanted.push(format!("(at, id) < (${}, ${})", number(), number()));
    }
    let condition = if wanted.is_empty() { String::new() } else { format!(" WHERE {}", wanted.join(" AND ")) };
    format!("SELECT {} FROM audit_events{condition} ORDER BY at DESC, id DESC LIMIT $1", columns!())
}

/// Every statement that is put together here.
pub(super) fn every_statement() -> Vec<String> {
    let filters = (0..32).map(|bits| Filters(std::array::from_fn(|filter| bits >> filter & 1 > 0)));
    filters.map(statement).chain([insert_many()]).collect()
}
