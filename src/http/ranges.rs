//! The ranges of a request (RFC 9110, section 14).

use std::ops::{Bound, Range};

use crate::error::{Error, Result};

/// Parses a Range header. A unit other than `bytes` is ignored, as RFC 9110, section 14.2, requires; a malformed set,
/// more than `most` ranges, or more than twice the content is refused.
///
/// # Errors
/// [`Error::RangeNotSatisfiable`].
pub fn parse(text: &str, size: u64, max_ranges: usize) -> Result<Option<Vec<Range<u64>>>> {
    let refused = Error::RangeNotSatisfiable { size };
    if !text.get(..6).is_some_and(|unit| unit.eq_ignore_ascii_case("bytes=")) {
        return Ok(None);
    }
    let Some(specs) = text[6..].split(',').map(|spec| parse_spec(spec.trim())).collect::<Option<Vec<_>>>() else {
        return Err(refused);
    };
    if specs.len() > max_ranges {
        return Err(refused);
    }
    let ranges: Vec<Range<u64>> = specs.into_iter().filter_map(|spec| resolve(spec, size)).collect();
    let total = ranges.iter().map(|range| range.end - range.start).fold(0, u64::saturating_add);
    if ranges.is_empty() || total > size.saturating_mul(2) {
        return Err(refused);
    }
    Ok(Some(ranges))
}

/// `first-last`, `first-` or `-suffix`, as bounds; a suffix is an excluded start without an end.
fn parse_spec(spec: &str) -> Option<(Bound<u64>, Bound<u64>)> {
    let (first, last) = spec.split_once('-')?;
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is beyond every content.
        true => Some(text.parse().unwrap_or(u64::MAX)),
        false => None,
    };
    match (first, last) {
        ("", "") => None,
        ("", suffix) => Some((Bound::Excluded(number(suffix)?), Bound::Unbounded)),
        (first, "") => Some((Bound::Included(number(first)?), Bound::Unbounded)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some((Bound::Included(first), Bound::Included(last)))
        }
    }
}

/// The bytes that a range spec selects, if any.
fn resolve(spec: (Bound<u64>, Bound<u64>), size: u64) -> Option<Range<u64>> {
    let range = match spec {
        (Bound::Excluded(suffix), _) => size.saturating_sub(suffix)..size,
        (Bound::Included(first), Bound::Included(last)) => first..last.saturating_add(1).min(size),
        (Bound::Included(first), _) => first..size,
        (Bound::Unbounded, _) => 0..size,
    };
    (range.start < range.end).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let ranges = |text| {
            let found = parse(text, 1000, 10).ok().flatten()?;
            Some(found.into_iter().map(|range| (range.start, range.end)).collect::<Vec<_>>())
        };
        assert_eq!(ranges("bytes=0-99"), Some(vec![(0, 100)]));
        assert_eq!(ranges("BYTES=900-"), Some(vec![(900, 1000)]));
        assert_eq!(ranges("bytes=-100"), Some(vec![(900, 1000)]));
        assert_eq!(ranges("bytes=-2000"), Some(vec![(0, 1000)]));
        assert_eq!(ranges("bytes=0-0, 500-1999"), Some(vec![(0, 1), (500, 1000)]));
        assert_eq!(ranges("bytes=0-0,2000-"), Some(vec![(0, 1)]));
        assert!(parse("lines=1-2", 1000, 10).unwrap().is_none());
        for refused in ["bytes=", "bytes=a-b", "bytes=9-1", "bytes=1000-", "bytes=-0", "bytes=--1", "bytes=0-,0-,0-"] {
            assert!(parse(refused, 1000, 10).is_err(), "{refused}");
        }
        assert!(parse("bytes=0-", 0, 10).is_err());
    }

    proptest! {
        #[test]
        fn ranges_stay_within_the_content(text in "bytes=[-0-9, ]{0,40}|.*", size in 0u64..5000) {
            if let Ok(Some(ranges)) = parse(&text, size, 10) {
                prop_assert!(!ranges.is_empty());
                prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size));
            }
        }
    }
}
