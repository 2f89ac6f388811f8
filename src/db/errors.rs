//! Maps errors of the engines to errors of the domain.

use crate::error::Error;

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as Sql;
        let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        match (&error, code.as_deref()) {
            (Sql::Io(_) | Sql::Tls(_) | Sql::PoolTimedOut | Sql::PoolClosed | Sql::WorkerCrashed, _) => {
                unavailable(error)
            }
            (_, Some(code)) if is_full(code) => Error::StorageFull,
            (_, Some(code)) if is_transient(code) => unavailable(error),
            _ => Error::internal(error),
        }
    }
}

fn unavailable(error: sqlx::Error) -> Error {
    Error::Unavailable { what: "database", source: error.into() }
}

/// PostgreSQL's `disk_full`, SQLite's `SQLITE_FULL`, or its `SQLITE_IOERR_SHMSIZE`: there is no space for the index of
/// the write-ahead log.
fn is_full(code: &str) -> bool {
    code == "53100" || code == "4874" || sqlite_code(code) == Some(13)
}

/// Whether the same statement may succeed a little later.
fn is_transient(code: &str) -> bool {
    // PostgreSQL, appendix A: connection exception, insufficient resources, operator intervention, read-only
    // transaction (after a failover), serialization failure, deadlock, I/O error.
    let classes = ["08", "53", "57", "25006", "40001", "40P01", "58030"];
    // SQLite: BUSY, LOCKED, READONLY, IOERR, CANTOPEN.
    let transient = [5, 6, 8, 10, 14];
    match sqlite_code(code) {
        Some(code) => transient.contains(&code),
        None => classes.iter().any(|class| code.starts_with(class)),
    }
}

/// The primary part of an SQLite result code. Codes of PostgreSQL have five characters.
fn sqlite_code(code: &str) -> Option<i32> {
    if code.len() == 5 { None } else { code.parse::<i32>().ok().map(|code| code & 0xff) }
}

/// Whether a statement failed because a row that it refers to does not exist.
pub(super) fn is_foreign_key_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_foreign_key_violation())
}

/// Whether a statement failed because a row with the same unique value exists.
pub(super) fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}
