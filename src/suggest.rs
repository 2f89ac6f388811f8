//! "Did you mean …?": finds the known name closest to an unknown one.

use strsim::damerau_levenshtein;

/// The known name with the fewest typing errors between it and `unknown`; `None` if more than a third of its
/// characters would have to change, since it is then unlikely to be the one that was meant.
///
/// # Examples
/// ```
/// use strongroom::suggest::nearest;
///
/// assert_eq!(nearest("limt", ["cursor", "limit"]), Some("limit"));
/// assert_eq!(nearest("colour", ["cursor", "limit"]), None);
/// ```
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let unknown = unknown.to_ascii_lowercase();
    let distance = |name: &str| damerau_levenshtein(&unknown, &name.to_ascii_lowercase());
    let (errors, name) = known.into_iter().map(|name| (distance(name), name)).min_by_key(|(errors, _)| *errors)?;
    (3 * errors <= name.chars().count()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_typing_error_is_recognized() {
        let known = ["REGISTRATION", "REAP_INTERVAL", "LOG", "LOG_FORMAT"];
        for (unknown, expected) in [
            ("REGISTRATON", Some("REGISTRATION")),
            ("REGISTRATOIN", Some("REGISTRATION")),
            ("registration", Some("REGISTRATION")),
            ("LGO", Some("LOG")),
            ("LOGFORMAT", Some("LOG_FORMAT")),
            ("BANANA", None),
            ("X", None),
        ] {
            assert_eq!(nearest(unknown, known), expected, "{unknown}");
        }
        assert_eq!(nearest("LOG", []), None);
    }
}
