//! Units of columns. Both engines store times, sizes and counts as signed 64-bit integers.
//!
//! Rows have these types; methods and rows that are only written take [`Timestamp`], [`Duration`] and `u64`.

use std::ops::{Add, Sub};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Database, Decode, Encode, Type};

use crate::clock::from_micros;

/// Microseconds: a time since 1970 (UTC), or a length of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Micros(pub i64);

impl From<Timestamp> for Micros {
    fn from(time: Timestamp) -> Self {
        Self(time.as_microsecond())
    }
}

impl From<Duration> for Micros {
    fn from(length: Duration) -> Self {
        Self(i64::try_from(length.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A time outside of the calendar becomes the nearest end of it.
impl From<Micros> for Timestamp {
    fn from(time: Micros) -> Self {
        from_micros(time.0)
    }
}

impl Micros {
    /// This length of time; zero if it is negative.
    pub fn length(self) -> Duration {
        Duration::from_micros(self.0.max(0).unsigned_abs())
    }
}

impl Add<Duration> for Micros {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(Self::from(length).0))
    }
}

impl Sub<Duration> for Micros {
    type Output = Self;

    fn sub(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(Self::from(length).0))
    }
}

impl Sub for Micros {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// Declares an unsigned number that fits into a signed column.
macro_rules! unsigned {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The largest number that fits into the column.
            pub const MAX: Self = Self(i64::MAX.unsigned_abs());
        }

        impl<DB: Database> Type<DB> for $name
        where
            i64: Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                <i64 as Type<DB>>::type_info()
            }

            fn compatible(column: &DB::TypeInfo) -> bool {
                <i64 as Type<DB>>::compatible(column)
            }
        }

        impl<'q, DB: Database> Encode<'q, DB> for $name
        where
            i64: Encode<'q, DB>,
        {
            fn encode_by_ref(&self, buffer: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
                i64::try_from(self.0)?.encode(buffer)
            }
        }

        /// A negative number is zero: the usage of an account may be too low until it is recalculated.
        impl<'r, DB: Database> Decode<'r, DB> for $name
        where
            i64: Decode<'r, DB>,
        {
            fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
                Ok(Self(u64::try_from(i64::decode(value)?).unwrap_or(0)))
            }
        }

        impl From<u64> for $name {
            fn from(number: u64) -> Self {
                Self(number)
            }
        }

        impl From<$name> for u64 {
            fn from(number: $name) -> Self {
                number.0
            }
        }
    };
}

unsigned! {
    /// A size or an amount of content, in bytes.
    ByteCount
}

unsigned! {
    /// A number of files, downloads, uploads or attempts, or the number of a part.
    Count
}

impl From<usize> for Count {
    fn from(number: usize) -> Self {
        u64::try_from(number).map_or(Self::MAX, Self).min(Self::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_saturate_at_the_ends_of_the_calendar() {
        assert_eq!(Timestamp::from(Micros(i64::MAX)), Timestamp::MAX);
        assert_eq!(Micros::from(Timestamp::UNIX_EPOCH) + Duration::MAX, Micros(i64::MAX));
        assert_eq!(Micros(7) - Duration::from_micros(10), Micros(-3));
        assert_eq!(Micros(-3).length(), Duration::ZERO);
    }
}
