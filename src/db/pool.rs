//! Connection pools of either engine, with an interface that runs one SQL text on both.

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgPool, PgRow};
use sqlx::sqlite::{SqliteArguments, SqlitePool, SqliteRow};
use sqlx::{Encode, Executor, FromRow, Postgres, SqlSafeStr, SqlStr, Sqlite, Type, query_as_with, query_with};

use crate::error::Result;

/// A connection pool of either engine.
#[derive(Debug, Clone)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A row that both engines can decode.
pub(super) trait AnyRow: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> AnyRow for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A value that both engines can encode.
pub(super) trait AnyValue<'v>:
    Encode<'v, Sqlite> + Type<Sqlite> + Encode<'v, Postgres> + Type<Postgres>
{
}

impl<'v, T> AnyValue<'v> for T where T: Encode<'v, Sqlite> + Type<Sqlite> + Encode<'v, Postgres> + Type<Postgres> {}

/// The values that the parameters of a statement are bound to, in order: usually a tuple.
pub(super) trait Arguments {
    fn bind(self, to: &mut impl Parameters) -> Result<(), BoxDynError>;
}

/// The encoded arguments of one engine.
pub(super) trait Parameters: Default {
    fn add<'v>(&mut self, value: impl AnyValue<'v>) -> Result<(), BoxDynError>;
}

impl Parameters for SqliteArguments {
    fn add<'v>(&mut self, value: impl AnyValue<'v>) -> Result<(), BoxDynError> {
        sqlx::Arguments::add(self, value)
    }
}

impl Parameters for PgArguments {
    fn add<'v>(&mut self, value: impl AnyValue<'v>) -> Result<(), BoxDynError> {
        sqlx::Arguments::add(self, value)
    }
}

/// The arguments of a statement, encoded for SQLite.
pub(super) fn sqlite(arguments: impl Arguments) -> sqlx::Result<SqliteArguments> {
    encoded(arguments)
}

/// The arguments of a statement, encoded for PostgreSQL.
pub(super) fn postgres(arguments: impl Arguments) -> sqlx::Result<PgArguments> {
    encoded(arguments)
}

fn encoded<P: Parameters>(arguments: impl Arguments) -> sqlx::Result<P> {
    let mut parameters = P::default();
    arguments.bind(&mut parameters).map_err(sqlx::Error::Encode)?;
    Ok(parameters)
}

impl Arguments for () {
    fn bind(self, _: &mut impl Parameters) -> Result<(), BoxDynError> {
        Ok(())
    }
}

macro_rules! tuple_arguments {
    ($($value:ident)*) => {
        impl<'v, $($value: AnyValue<'v>),*> Arguments for ($($value,)*) {
            #[expect(non_snake_case, reason = "the type parameters also name the values")]
            fn bind(self, to: &mut impl Parameters) -> Result<(), BoxDynError> {
                let ($($value,)*) = self;
                $(to.add($value)?;)*
                Ok(())
            }
        }
    };
}

tuple_arguments!(A);
tuple_arguments!(A B);
tuple_arguments!(A B C);
tuple_arguments!(A B C D);
tuple_arguments!(A B C D E);
tuple_arguments!(A B C D E F);
tuple_arguments!(A B C D E F G);
tuple_arguments!(A B C D E F G H);
tuple_arguments!(A B C D E F G H I);
tuple_arguments!(A B C D E F G H I J);
tuple_arguments!(A B C D E F G H I J K);
tuple_arguments!(A B C D E F G H I J K L);
tuple_arguments!(A B C D E F G H I J K L M);
tuple_arguments!(A B C D E F G H I J K L M N);
tuple_arguments!(A B C D E F G H I J K L M N O);
tuple_arguments!(A B C D E F G H I J K L M N O P);
tuple_arguments!(A B C D E F G H I J K L M N O P Q);
tuple_arguments!(A B C D E F G H I J K L M N O P Q R S T);

/// Each statement runs on a connection of its own and commits by itself.
impl Pool {
    /// Runs a statement and returns how many rows it affected.
    pub async fn execute(&self, statement: impl SqlSafeStr, arguments: impl Arguments) -> Result<u64> {
        Ok(match self {
            Pool::Sqlite(pool) => query_with(statement, sqlite(arguments)?).execute(pool).await?.rows_affected(),
            Pool::Postgres(pool) => query_with(statement, postgres(arguments)?).execute(pool).await?.rows_affected(),
        })
    }

    /// Runs a statement that returns exactly one row.
    pub async fn fetch_one<T: AnyRow>(&self, statement: impl SqlSafeStr, arguments: impl Arguments) -> Result<T> {
        Ok(match self {
            Pool::Sqlite(pool) => query_as_with(statement, sqlite(arguments)?).fetch_one(pool).await?,
            Pool::Postgres(pool) => query_as_with(statement, postgres(arguments)?).fetch_one(pool).await?,
        })
    }

    /// Runs a statement that returns at most one row.
    pub async fn fetch_optional<T: AnyRow>(
        &self,
        statement: impl SqlSafeStr,
        arguments: impl Arguments,
    ) -> Result<Option<T>> {
        Ok(match self {
            Pool::Sqlite(pool) => query_as_with(statement, sqlite(arguments)?).fetch_optional(pool).await?,
            Pool::Postgres(pool) => query_as_with(statement, postgres(arguments)?).fetch_optional(pool).await?,
        })
    }

    /// Runs a statement and returns all of its rows.
    pub async fn fetch_all<T: AnyRow>(&self, statement: impl SqlSafeStr, arguments: impl Arguments) -> Result<Vec<T>> {
        Ok(match self {
            Pool::Sqlite(pool) => query_as_with(statement, sqlite(arguments)?).fetch_all(pool).await?,
            Pool::Postgres(pool) => query_as_with(statement, postgres(arguments)?).fetch_all(pool).await?,
        })
    }

    /// Prepares a statement without running it.
    pub async fn prepare(&self, statement: SqlStr) -> Result<()> {
        match self {
            Pool::Sqlite(pool) => pool.prepare(statement).await.map(drop)?,
            Pool::Postgres(pool) => pool.prepare(statement).await.map(drop)?,
        }
        Ok(())
    }

    /// Closes every connection.
    pub async fn close(&self) {
        match self {
            Pool::Sqlite(pool) => pool.close().await,
            Pool::Postgres(pool) => pool.close().await,
        }
    }

    pub fn is_closed(&self) -> bool {
        match self {
            Pool::Sqlite(pool) => pool.is_closed(),
            Pool::Postgres(pool) => pool.is_closed(),
        }
    }
}
