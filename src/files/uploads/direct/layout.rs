//! The layout of an upload in parts.

use crate::db::ResumableRow;
use crate::error::{Error, Result};
use crate::store::{MAX_PARTS, SMALLEST_PART};

/// Maximum size of a part on S3, in bytes.
const LARGEST_PART: u64 = 5 * 1024 * 1024 * 1024;

/// The layout of an upload in parts: all of one size, except that the last may be smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartLayout {
    /// Bytes of the whole file.
    pub size: u64,
    /// Bytes of a part.
    pub part_size: u64,
}

impl PartLayout {
    /// A layout with parts of this size; both are bytes.
    ///
    /// # Errors
    /// [`Error::Invalid`] at `/part_size` if a store would not accept parts of this size, or so many of them.
    pub fn new(size: u64, part_size: u64) -> Result<Self> {
        let layout = Self { size, part_size };
        if !(SMALLEST_PART..=LARGEST_PART).contains(&part_size) || layout.count() > MAX_PARTS {
            let detail = format!("from {SMALLEST_PART} to {LARGEST_PART} bytes, and at most {MAX_PARTS} parts");
            return Err(Error::invalid("/part_size", "out_of_range", detail));
        }
        Ok(layout)
    }

    /// The default layout of clients: the smallest parts of S3, or larger ones if those would be too many.
    pub fn with_default_size(size: u64) -> Self {
        Self { size, part_size: SMALLEST_PART.max(size.div_ceil(MAX_PARTS)) }
    }

    pub(super) fn of(row: &ResumableRow) -> Result<Self> {
        let size = row.size.ok_or_else(|| Error::internal("a direct upload without a size"))?.0;
        Ok(Self { size, part_size: row.part_size.0 })
    }

    /// The number of parts.
    pub fn count(&self) -> u64 {
        self.size.div_ceil(self.part_size)
    }

    /// The offset and the size in bytes of the part with this number, from 1; `None` if there is no such part.
    pub(super) fn part(&self, number: u64) -> Option<(u64, u64)> {
        let offset = number.checked_sub(1)?.checked_mul(self.part_size)?;
        let left = self.size.checked_sub(offset).filter(|left| *left > 0)?;
        Some((offset, left.min(self.part_size)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_but_the_last_have_one_size() {
        let layout = PartLayout { size: 25, part_size: 10 };
        let parts: Vec<_> = (0..=4).map(|number| layout.part(number)).collect();
        assert_eq!(parts, [None, Some((0, 10)), Some((10, 10)), Some((20, 5)), None]);
        assert_eq!(PartLayout { size: 20, part_size: 10 }.part(3), None);
        assert!(PartLayout::new(1 << 40, SMALLEST_PART).is_err());
        assert!(PartLayout::new(1, SMALLEST_PART - 1).is_err());
        assert_eq!(PartLayout::new(1, SMALLEST_PART).unwrap().count(), 1);
    }
}
