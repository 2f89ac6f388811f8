//! `Content-Disposition` (RFC 6266): file names in any script, for every browser.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything except the `attr-char` of RFC 8187, section 3.2.1.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The value of `Content-Disposition` for a file of this name: printable ASCII, whatever the name contains.
pub fn content_disposition(name: &str, inline: bool) -> String {
    let kind = if inline { "inline" } else { "attachment" };
    // Some clients decode `%41` in the plain form as well, so it must not contain a percent sign.
    let is_plain = |c: char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%');
    if name.chars().all(is_plain) {
        return [kind, "; filename=\"", name, "\""].concat();
    }
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name, ENCODED))
}

#[cfg(test)]
mod tests {
    use super::content_disposition;
    use proptest::prelude::*;

    #[test]
    fn a_name_in_any_script_comes_through() {
        assert_eq!(content_disposition("a b.txt", true), "inline; filename=\"a b.txt\"");
        assert_eq!(
            content_disposition("naïve \"€\".txt", false),
            "attachment; filename=\"na_ve ___.txt\"; filename*=UTF-8''na%C3%AFve%20%22%E2%82%AC%22.txt"
        );
    }

    proptest! {
        #[test]
        fn no_name_breaks_out_of_the_header(name in "\\PC*|.*") {
            let value = content_disposition(&name, false);
            prop_assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            let quoted = value.split("filename=\"").nth(1).unwrap();
            let rest = quoted.split_once('"').unwrap().1;
            prop_assert!(rest.is_empty() || rest.starts_with("; filename*=UTF-8''"));
            prop_assert!(!rest.contains('"') && !rest.contains('\\'));
        }
    }
}
